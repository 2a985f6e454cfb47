#!/bin/bash
# Sourced by the other scripts here. Everything listens on 127.0.0.1; each instance lives in a directory of its own.
HADOOP=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The comment at the head of the calling script.
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2; exit 2; }

# free_ports COUNT: distinct ports below those that the system gives to outgoing connections, so that a server which is
# restarted finds its own free.
free_ports() {
  python3 - "$1" <<'PYTHON'
import random, socket, sys
held = []
while len(held) < int(sys.argv[1]):
    sock = socket.socket()
    try:
        sock.bind(("127.0.0.1", random.randint(20000, 32000)))
    except OSError:
        continue
    held.append(sock)
print(*(sock.getsockname()[1] for sock in held))
PYTHON
}

# end_with_owner PID: it is ended once the process SERVICES_OWNER, if one is named, has ended: a test run that was killed
# leaves nothing behind.
end_with_owner() {
  if [ -n "${SERVICES_OWNER:-}" ]; then
    # shellcheck disable=SC2016
    setsid bash -c 'while kill -0 $0 && kill -0 $1; do sleep 2; done; kill -9 $1' "$SERVICES_OWNER" "$1" \
      >/dev/null 2>&1 </dev/null &
  fi
}

# launch NAME COMMAND...: in the background, with a log and a pid file $DIR/NAME.{log,pid}.
launch() {
  local name=$1
  shift
  setsid "$@" >>"$DIR/$name.log" 2>&1 </dev/null &
  echo $! >"$DIR/$name.pid"
  end_with_owner $!
}

running() { [ -f "$DIR/$1.pid" ] && kill -0 "$(cat "$DIR/$1.pid")" 2>/dev/null; }

# wait_for NAME SECONDS TEST...: until TEST holds; fails at once when the process NAME ends.
wait_for() {
  local name=$1 end=$((SECONDS + $2))
  shift 2
  until "$@" 2>/dev/null; do
    running "$name" && [ $SECONDS -lt $end ] || {
      kill_now "$name"
      grep -E 'Exception|ERROR|FATAL|rror:' "$DIR/$name.log" | tail -3 >&2 || true
      echo "$name did not start, see $DIR/$name.log" >&2
      return 1
    }
    sleep .1
  done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }

kill_now() {
  if running "$1"; then kill -9 "$(cat "$DIR/$1.pid")"; fi
  rm -f "$DIR/$1.pid"
}

# stop_all: every process of this instance. They keep nothing that is worth an orderly end.
stop_all() {
  local file
  for file in "$DIR"/*.pid; do
    [ -f "$file" ] && kill_now "$(basename "$file" .pid)"
  done
  true
}

# site KEY VALUE...: as a Hadoop configuration file.
site() {
  echo '<configuration>'
  while [ $# -gt 1 ]; do
    echo "<property><name>$1</name><value>$2</value></property>"
    shift 2
  done
  echo '</configuration>'
}

JVM=(java -Xss512k -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Djava.net.preferIPv4Stack=true
  --add-opens=java.base/java.lang=ALL-UNNAMED --add-opens=java.base/java.net=ALL-UNNAMED)
# Settings of a Hadoop that is installed beside must not reach these; the user's name is sent by the client.
unset HADOOP_CONF_DIR HADOOP_HOME HADOOP_USER_NAME HADOOP_OPTS JAVA_TOOL_OPTIONS
