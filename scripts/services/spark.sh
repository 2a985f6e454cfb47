#!/bin/bash
# spark.sh setup          : Spark 4.1 from PyPI and the Iceberg runtime from Maven, into the cache (500 MB).
# spark.sh ready          : exit status 0 if that was done.
# spark.sh run FILE ARGS..: runs a Python file with them, on a local master. DRIVER_MEMORY: 4g
# Cache: ${XDG_CACHE_HOME:-~/.cache}/autostream/services/spark. Needs JDK 17, Maven 3 and uv.
set -euo pipefail
SPARK=4.1.1 ICEBERG=1.12.0 SQLITE=3.53.4.0
TARGET=${XDG_CACHE_HOME:-$HOME/.cache}/autostream/services/spark/$SPARK-$ICEBERG

setup() {
  [ -f "$TARGET/ready" ] && return
  for program in java mvn uv; do
    command -v $program >/dev/null || { echo "$program is not installed (needed: JDK 17, Maven 3, uv)" >&2; exit 1; }
  done
  mkdir -p "$TARGET/jars"
  for artifact in org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:$ICEBERG org.xerial:sqlite-jdbc:$SQLITE; do
    mvn -q -B -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
      "-Dartifact=$artifact" "-DoutputDirectory=$TARGET/jars" >"$TARGET/maven.log" 2>&1 \
      || { echo "$artifact: $(grep -om1 'Could not.*' "$TARGET/maven.log" || tail -1 "$TARGET/maven.log")" >&2; exit 1; }
  done
  uv venv -q --allow-existing --python 3.11 "$TARGET/venv"
  uv pip install -q --python "$TARGET/venv/bin/python" "pyspark==$SPARK"
  touch "$TARGET/ready"
}

case ${1:-} in
setup) setup ;;
ready) [ -f "$TARGET/ready" ] ;;
run)
  setup
  shift
  export PYSPARK_PYTHON=$TARGET/venv/bin/python SPARK_LOCAL_IP=127.0.0.1
  JARS=$(echo "$TARGET"/jars/*.jar | tr ' ' :)
  export PYSPARK_SUBMIT_ARGS="--driver-memory ${DRIVER_MEMORY:-4g} --driver-class-path $JARS pyspark-shell"
  exec "$TARGET/venv/bin/python" "$@" ;;
*) sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;;
esac
