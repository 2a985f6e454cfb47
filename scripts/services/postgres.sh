#!/bin/bash
# postgres.sh start DIR : a throw-away PostgreSQL in DIR on a free port; prints its URL (trust, user postgres).
# postgres.sh stop DIR  : stops it; DIR may be removed then.
# Binaries: PATH, or Debian's /usr/lib/postgresql. As root the server runs as user nobody: PostgreSQL refuses root.
set -euo pipefail
[ $# -eq 2 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
DIR=$(realpath -m "$2")
BIN=$(dirname "$(readlink -f "$(command -v initdb || ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -1 || true)")")
[ -x "$BIN/initdb" ] || { echo "no PostgreSQL server: install the package postgresql" >&2; exit 1; }
run() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups -- "$@"; else "$@"; fi; }
export HOME=$DIR LC_ALL=C
case $1 in
start)
  mkdir -p "$DIR"
  if [ "$(id -u)" = 0 ]; then
    chown nobody:nogroup "$DIR"
    # Every directory above must let the server through.
    run test -x "$DIR" || { echo "user nobody cannot reach $DIR: name a directory below /tmp" >&2; exit 1; }
  fi
  cd "$DIR"
  run "$BIN/initdb" -D data -U postgres -A trust --no-sync --no-instructions >initdb.log 2>&1 || { cat initdb.log >&2; exit 1; }
  PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  run "$BIN/pg_ctl" -D data -w -l server.log \
    -o "-p $PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off" start >/dev/null 2>&1 \
    || { cat server.log >&2; exit 1; }
  echo "postgresql+psycopg2://postgres@127.0.0.1:$PORT/postgres" ;;
stop) cd "$DIR"; run "$BIN/pg_ctl" -D data -m immediate stop >/dev/null ;;
*) exit 2 ;;
esac
