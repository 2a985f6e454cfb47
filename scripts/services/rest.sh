#!/bin/bash
# rest.sh start DIR : Iceberg's own REST catalog server on a free port, on SQLite and local files in DIR; prints its URL.
# rest.sh stop DIR  : stops it.
set -euo pipefail
[ $# -eq 2 ] || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DIR=$(realpath -m "$2")
case $1 in
start)
  "$HERE/java/java.sh" setup iceberg
  mkdir -p "$DIR"
  PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  REST_PORT=$PORT CATALOG_REST_PORT=$PORT CATALOG_WAREHOUSE=file://$DIR/warehouse CATALOG_URI=jdbc:sqlite:$DIR/rest.db \
    setsid "$HERE/java/java.sh" run iceberg org.apache.iceberg.rest.RESTCatalogServer >"$DIR/rest.log" 2>&1 </dev/null &
  echo $! >"$DIR/pid"
  for _ in $(seq 300); do
    curl -sf -o /dev/null "http://127.0.0.1:$PORT/v1/config" && { echo "http://127.0.0.1:$PORT"; exit 0; }
    kill -0 "$(cat "$DIR/pid")" 2>/dev/null || break
    sleep .1
  done
  tail -3 "$DIR/rest.log" >&2; echo "the REST catalog server did not start, see $DIR/rest.log" >&2; exit 1 ;;
stop) kill "$(cat "$DIR/pid")" ;;
*) exit 2 ;;
esac
