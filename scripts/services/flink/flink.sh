#!/bin/bash
# flink.sh setup VERSION           : fetches the jars of this version of Flink, from the Python package index
# flink.sh ready VERSION           : succeeds where they are there
# flink.sh start DIR VERSION       : a session cluster in DIR on free ports; prints URLS (one a job manager, with commas)
# flink.sh submit DIR MAIN ARGS... : compiles src/MAIN.java against its jars and runs it there; prints the job's id
# flink.sh kill DIR NAME           : kills jobmanager-N or taskmanager-N (from 1) at once
# flink.sh stop DIR                : stops it; DIR may be removed then
# Options of start, from the environment: JOB_MANAGERS=1 (2 need ZOOKEEPER=HOSTS); TASK_MANAGERS=1; SLOTS=4; TASK_HEAP=256,
# megabytes; CONFIG=lines of the configuration file, `key: value`; APPLICATION=lines, MAIN and its arguments: the one job
# that the cluster is for. Needs JDK 17, uv and curl.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../hadoop/common.sh"
[ $# -ge 2 ] || usage
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/autostream/services/flink-session

setup() {
  local target=$CACHE/$1
  [ -d "$target" ] && return
  for program in java javac jar uv curl; do
    command -v $program >/dev/null || { echo "$program is not installed (needed: JDK 17, uv, curl)" >&2; exit 1; }
  done
  mkdir -p "$CACHE"
  exec 9>"$CACHE/.lock"; flock 9
  [ -d "$target" ] && return
  rm -rf "$target.new"
  uv pip install -q --no-deps --python 3.11 --target "$target.new/wheel" "apache-flink-libraries==$1"
  mkdir "$target.new/lib"
  mv "$target.new"/wheel/pyflink/lib/*.jar "$target.new/lib/"
  rm -rf "$target.new/wheel"
  mv "$target.new" "$target"
}

# Java 17 shuts out what Flink's serializers reach into.
java_options() {
  local package
  for package in java.lang java.net java.io java.nio sun.nio.ch java.util java.time java.util.concurrent \
    java.util.concurrent.atomic java.util.concurrent.locks; do
    echo "--add-opens=java.base/$package=ALL-UNNAMED"
  done
}

# configure VERSION: a folder conf-N for each job manager; task managers use the first.
configure() {
  local n ports managers=${JOB_MANAGERS:-1} urls=()
  read -ra ports <<<"$(free_ports $((3 * managers)))"
  for n in $(seq "$managers"); do
    local at=$((3 * (n - 1))) conf=$DIR/conf-$n
    mkdir -p "$conf" "$DIR/tmp" "$DIR/plugins"
    # Version 2 reads config.yaml alone, and 1.18 the other alone.
    local file=$conf/config.yaml
    [[ $1 == 1.18.* ]] && file=$conf/flink-conf.yaml
    {
      printf '%s\n' "jobmanager.rpc.address: 127.0.0.1" "jobmanager.bind-host: 127.0.0.1" "jobmanager.rpc.port: ${ports[at]}" \
        "rest.address: 127.0.0.1" "rest.bind-address: 127.0.0.1" "rest.port: ${ports[at + 1]}" "rest.bind-port: ${ports[at + 1]}" \
        "blob.server.port: ${ports[at + 2]}" "taskmanager.bind-host: 127.0.0.1" "taskmanager.host: 127.0.0.1" \
        "taskmanager.numberOfTaskSlots: ${SLOTS:-4}" "io.tmp.dirs: $DIR/tmp" "web.upload.dir: $DIR/tmp" \
        "jobmanager.memory.process.size: 700m" "parallelism.default: 1" \
        "metrics.fetcher.update-interval: 1000" "web.refresh-interval: 1000"
      [ -z "${ZOOKEEPER:-}" ] || printf '%s\n' "high-availability.type: zookeeper" "high-availability.zookeeper.quorum: $ZOOKEEPER" \
        "high-availability.storageDir: file://$DIR/ha" "high-availability.zookeeper.client.session-timeout: 6000"
      [ -z "${CONFIG:-}" ] || printf '%s\n' "$CONFIG"
    } >"$file"
    printf '%s\n' "monitorInterval = 1" "rootLogger.level = INFO" "rootLogger.appenderRef.out.ref = out" "appender.out.name = out" "appender.out.type = CONSOLE" \
      "appender.out.layout.type = PatternLayout" "appender.out.layout.pattern = %d{HH:mm:ss.SSS} %-5p %c{1} %m%n" >"$conf/log4j.properties"
    urls+=("http://127.0.0.1:${ports[at + 1]}")
  done
  echo "$1" >"$DIR/version"
  (IFS=,; echo "URLS=${urls[*]}") >"$DIR/client"
}

# launch_java NAME CONF MEMORY MAIN ARGS...
launch_java() {
  local name=$1 conf=$2 memory=$3
  shift 3
  # Where there is none, any folder of this name in the working directory would be taken.
  export FLINK_PLUGINS_DIR=$DIR/plugins
  # shellcheck disable=SC2046,SC2086
  launch "$name" java $memory -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Duser.timezone=UTC $(java_options) \
    -Dlog4j.configurationFile="file:$conf/log4j.properties" -cp "$CACHE/$(cat "$DIR/version")/lib/*${EXTRA_CLASSES:-}" "$@"
}

start_job_manager() {
  local memory=(-D "jobmanager.memory.jvm-overhead.max=128m" -D "jobmanager.memory.jvm-overhead.min=128m")
  local job=() jar
  if [ -z "${APPLICATION:-}" ]; then
    launch_java "jobmanager-$1" "$DIR/conf-$1" "-Xmx256m" org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint \
      --configDir "$DIR/conf-$1" --executionMode cluster "${memory[@]}"
    return
  fi
  mapfile -t job <<<"$APPLICATION"
  jar=$(build "${job[0]}")
  # For task managers, too: what is on the class path is sent to nobody.
  export EXTRA_CLASSES=:$jar
  launch_java "jobmanager-$1" "$DIR/conf-$1" "-Xmx256m" \
    org.apache.flink.container.entrypoint.StandaloneApplicationClusterEntryPoint --configDir "$DIR/conf-$1" "${memory[@]}" \
    --job-classname "${job[@]}"
}

# What Flink's own script computes and hands over on the command line, so that the job manager does not know it.
start_task_manager() {
  local heap=${TASK_HEAP:-256}
  launch_java "taskmanager-$1" "$DIR/conf-1" "-Xmx$((heap + 96))m -XX:MaxDirectMemorySize=192m" org.apache.flink.runtime.taskexecutor.TaskManagerRunner \
    --configDir "$DIR/conf-1" -D "taskmanager.resource-id=tm-$1:a" -D "taskmanager.cpu.cores=${SLOTS:-4}.0" \
    -D taskmanager.memory.framework.heap.size=96m -D taskmanager.memory.task.heap.size=${heap}m \
    -D taskmanager.memory.framework.off-heap.size=64m -D taskmanager.memory.task.off-heap.size=0 \
    -D taskmanager.memory.network.min=64m -D taskmanager.memory.network.max=64m -D taskmanager.memory.managed.size=64m \
    -D taskmanager.memory.jvm-metaspace.size=160m -D taskmanager.memory.jvm-overhead.min=64m -D taskmanager.memory.jvm-overhead.max=64m
}

url() { sed -n 's/^URLS=//p' "$DIR/client" | cut -d, -f"${1:-1}"; }
answers() { curl -sf -m 5 "$(url "$1")/overview" >/dev/null; }
has_slots() { curl -sf -m 5 "$(url 1)/overview" | grep -q "\"taskmanagers\":$1[,}]"; }

start() {
  local n
  setup "$1"
  mkdir -p "$DIR"
  configure "$1"
  for n in $(seq "${JOB_MANAGERS:-1}"); do start_job_manager "$n"; done
  for n in $(seq "${TASK_MANAGERS:-1}"); do start_task_manager "$n"; done
  for n in $(seq "${JOB_MANAGERS:-1}"); do wait_for "jobmanager-$n" 180 answers "$n" || { stop_all; exit 1; }; done
  wait_for jobmanager-1 180 has_slots "${TASK_MANAGERS:-1}" || { stop_all; exit 1; }
  cat "$DIR/client"
}

# build MAIN: compiles it against the cluster's jars; prints the path of its jar.
build() {
  local lib
  lib=$CACHE/$(cat "$DIR/version")/lib
  if [ ! -f "$DIR/$1.jar" ]; then
    mkdir -p "$DIR/classes/$1"
    javac -nowarn -Xlint:none -d "$DIR/classes/$1" -cp "$lib/*" "$HERE/src/$1.java" >&2
    jar cfe "$DIR/$1.jar" "$1" -C "$DIR/classes/$1" .
  fi
  echo "$DIR/$1.jar"
}

submit() {
  local main=$1 jar id
  shift
  jar=$(build "$main")
  jar=$(curl -sf -m 60 -F "jarfile=@$jar;type=application/x-java-archive" "$(url)/jars/upload" | sed 's/.*"filename":"\([^"]*\)".*/\1/')
  python3 - "$main" "$@" >"$DIR/run.json" <<'PYTHON'
import json, sys
print(json.dumps({"entryClass": sys.argv[1], "programArgsList": sys.argv[2:]}))
PYTHON
  id=$(curl -s -m 120 -H "Content-Type: application/json" -d "@$DIR/run.json" "$(url)/jars/$(basename "$jar")/run")
  echo "$id" | grep -q '"jobid"' || { echo "the job was not taken: $id" >&2; exit 1; }
  echo "$id" | sed 's/.*"jobid":"\([0-9a-f]*\)".*/\1/'
}

case $1 in
setup) setup "$2" ;;
ready) [ -d "$CACHE/$2" ] ;;
*)
  DIR=$(realpath -m "$2")
  case $1 in
  start) [ $# -eq 3 ] || usage; start "$3" ;;
  submit) [ $# -ge 3 ] || usage; shift 2; submit "$@" ;;
  kill) [ $# -eq 3 ] || usage; kill_now "$3" ;;
  stop) stop_all ;;
  *) usage ;;
  esac ;;
esac
