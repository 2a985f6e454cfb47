#!/bin/bash
# prometheus.sh start DIR : a throw-away Prometheus server in DIR on a free port; prints its URL. What DIR/metrics.txt
#                           holds (OpenMetrics with times) is in it.
# prometheus.sh stop DIR  : stops it; DIR may be removed then.
# Binaries: PATH, or Debian's package, unpacked below ~/.cache/autostream/services.
set -euo pipefail
[ $# -eq 2 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
DIR=$(realpath -m "$2")
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/autostream/services/prometheus
binary() {
  command -v "$1" && return
  if [ ! -x "$CACHE/usr/bin/$1" ]; then
    command -v apt-get >/dev/null && command -v dpkg >/dev/null \
      || { echo "no Prometheus server: install the package prometheus" >&2; exit 1; }
    mkdir -p "$CACHE" && chmod 755 "$CACHE"
    (cd "$CACHE" && apt-get -qq download prometheus && dpkg -x prometheus_*.deb . && rm prometheus_*.deb) >&2 \
      || { echo "no Prometheus server: Debian's package prometheus cannot be downloaded" >&2; exit 1; }
  fi
  echo "$CACHE/usr/bin/$1"
}
case $1 in
start)
  mkdir -p "$DIR/data"
  SERVER=$(binary prometheus); TOOL=$(binary promtool)
  cd "$DIR"
  [ ! -f metrics.txt ] || "$TOOL" tsdb create-blocks-from openmetrics -q metrics.txt data >tool.log 2>&1 || { cat tool.log >&2; exit 1; }
  echo '{}' >prometheus.yml
  PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  nohup "$SERVER" --config.file=prometheus.yml --storage.tsdb.path=data --storage.tsdb.retention.time=100y \
    --web.listen-address="127.0.0.1:$PORT" >server.log 2>&1 &
  echo $! >pid
  for _ in $(seq 100); do
    grep -q "Server is ready to receive web requests" server.log && { echo "http://127.0.0.1:$PORT"; exit 0; }
    kill -0 "$(cat pid)" 2>/dev/null || break
    sleep 0.1
  done
  cat server.log >&2; exit 1 ;;
stop) kill "$(cat "$DIR/pid")" ;;
*) exit 2 ;;
esac
