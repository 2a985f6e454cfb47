#!/bin/bash
# jars.sh setup SET: fetches the jars of poms/SET.xml into the cache and compiles src/SET; at once when nothing changed.
# jars.sh path SET : prints their class path.
# Cache: ${XDG_CACHE_HOME:-~/.cache}/autostream/services. Needs JDK 17 and Maven 3.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ $# -eq 2 ] && [ -f "$HADOOP/poms/$2.xml" ] || usage
COMMAND=$1 SET=$2
shopt -s nullglob
SOURCES=("$HADOOP/src/$SET"/*.java)
HOME_OF_SET=${XDG_CACHE_HOME:-$HOME/.cache}/autostream/services/hadoop/$SET
WANT=$(cat "$HADOOP/poms/$SET.xml" "${SOURCES[@]}" "${BASH_SOURCE[0]}" | sha256sum)
TARGET=$HOME_OF_SET/${WANT:0:12}
PLUGIN=org.apache.maven.plugins:maven-dependency-plugin:3.6.1

setup() {
  [ -d "$TARGET" ] && { touch "$TARGET"; return; }
  for program in java javac mvn; do
    command -v $program >/dev/null || { echo "$program is not installed (needed: JDK 17, Maven 3)" >&2; exit 1; }
  done
  mkdir -p "$HOME_OF_SET"
  exec 9>"$HOME_OF_SET/.lock"; flock 9
  [ -d "$TARGET" ] && return
  rm -rf "$TARGET.new"; mkdir -p "$TARGET.new"/{lib,classes}
  mvn -q -B -Dstyle.color=never -f "$HADOOP/poms/$SET.xml" $PLUGIN:copy-dependencies -DincludeScope=runtime \
    "-DoutputDirectory=$TARGET.new/lib" >"$HOME_OF_SET/maven.log" 2>&1 \
    || { grep -om1 'Could not.*' "$HOME_OF_SET/maven.log" >&2 || tail -1 "$HOME_OF_SET/maven.log" >&2; exit 1; }
  for archive in "$TARGET.new"/lib/*.tar.gz; do # a metastore: lib/ and scripts/ under one directory
    tar -C "$TARGET.new" --strip-components=1 -xzf "$archive"
    rm "$archive"
  done
  [ ${#SOURCES[@]} -eq 0 ] \
    || javac -nowarn -Xlint:none -proc:none -d "$TARGET.new/classes" -cp "$TARGET.new/lib/*" "${SOURCES[@]}"
  mv "$TARGET.new" "$TARGET"
  # Other checkouts may be using theirs: only what nobody has used for a month goes.
  find "$HOME_OF_SET" -mindepth 1 -maxdepth 1 -type d ! -path "$TARGET" -mtime +30 -exec rm -rf {} +
}

case $COMMAND in
setup) setup ;;
path) setup; echo "$TARGET/classes:$TARGET/lib/*" ;;
*) usage ;;
esac
