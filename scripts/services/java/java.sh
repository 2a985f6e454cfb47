#!/bin/bash
# java.sh setup SET           : fetches the jars of SET.pom.xml and compiles its sources into the cache; at once when nothing changed
# java.sh run SET MAIN ARGS...: runs a main class with them. JAVA_OPTS: -Xmx512m
# SET: iceberg, iceberg-1.4 (the same sources on an older version), flink
# Cache: ${XDG_CACHE_HOME:-~/.cache}/autostream/services. Needs JDK 17, Maven 3 and uv.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -ge 2 ] && [ -f "$HERE/$2.pom.xml" ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
COMMAND=$1 SET=$2
SOURCES=$HERE/src/${SET%%-*}
HOME_OF_SET=${XDG_CACHE_HOME:-$HOME/.cache}/autostream/services/$SET
WANT=$(cat "$HERE/$SET.pom.xml" "$SOURCES"/*.java "${BASH_SOURCE[0]}" | sha256sum)
WANT=${WANT:0:12}
TARGET=$HOME_OF_SET/$WANT

setup() {
  [ -d "$TARGET" ] && { touch "$TARGET"; return; }
  for program in java javac mvn uv; do
    command -v $program >/dev/null || { echo "$program is not installed (needed: JDK 17, Maven 3, uv)" >&2; exit 1; }
  done
  mkdir -p "$HOME_OF_SET"
  exec 9>"$HOME_OF_SET/.lock"; flock 9
  [ -d "$TARGET" ] && return
  rm -rf "$TARGET.new"; mkdir -p "$TARGET.new/lib"
  mvn -q -B -Dstyle.color=never -f "$HERE/$SET.pom.xml" \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies "-DoutputDirectory=$TARGET.new/lib" >"$HOME_OF_SET/maven.log" 2>&1 \
    || { grep -om1 'Could not.*' "$HOME_OF_SET/maven.log" >&2 || tail -1 "$HOME_OF_SET/maven.log" >&2; exit 1; }
  if [ "$SET" = flink ]; then
    VERSION=$(sed -n 's/.*<flink>\(.*\)<\/flink>.*/\1/p' "$HERE/flink.pom.xml")
    uv pip install -q --no-deps --python 3.11 --target "$TARGET.new/wheel" "apache-flink-libraries==$VERSION"
    mv "$TARGET.new"/wheel/pyflink/lib/*.jar "$TARGET.new/lib/"
    rm -rf "$TARGET.new/wheel"
  fi
  javac -nowarn -Xlint:none -d "$TARGET.new/classes" -cp "$TARGET.new/lib/*" "$SOURCES"/*.java
  mv "$TARGET.new" "$TARGET"
  # Other checkouts may be using theirs: only what nobody has used for a month goes.
  find "$HOME_OF_SET" -mindepth 1 -maxdepth 1 -type d ! -name "$WANT" -mtime +30 -exec rm -rf {} +
}

case $COMMAND in
setup) setup ;;
run)
  setup
  OPENS=()
  for package in java.util java.lang java.time java.nio java.net sun.nio.ch java.util.concurrent java.util.concurrent.atomic; do
    OPENS+=("--add-opens=java.base/$package=ALL-UNNAMED")
  done
  shift 2
  # shellcheck disable=SC2086
  exec java ${JAVA_OPTS:--Xmx512m} -XX:+UseSerialGC -Duser.timezone=UTC -Dorg.slf4j.simpleLogger.defaultLogLevel=error \
    "${OPENS[@]}" -cp "$TARGET/classes:$TARGET/lib/*" "$@" ;;
*) exit 2 ;;
esac
