#!/bin/bash
# lake.sh start DIR: ZooKeeper, HDFS and a Hive Metastore with its warehouse there, all in DIR; prints what to export to
#                    use them as catalog `lake`. Where they run already it prints that again.
# lake.sh stop DIR : stops them, and removes what they hold.
# Needs JDK 17 and Maven 3; the metastore is on PostgreSQL where that is installed, on Derby otherwise.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ $# -eq 2 ] || usage
DIR=$(realpath -m "$2")

value() { sed -n "s/^$2=//p" <<<"$1"; }

start() {
  local zookeeper hdfs hive
  echo "starting ZooKeeper, HDFS and Hive Metastore in $DIR; the first time their jars are fetched" >&2
  mkdir -p "$DIR"
  chmod 755 "$DIR" # PostgreSQL may run as another user
  zookeeper=$("$HADOOP/zookeeper.sh" start "$DIR/zookeeper")
  hdfs=$("$HADOOP/hdfs.sh" start "$DIR/hdfs")
  export HDFS=$DIR/hdfs POSTGRES=
  if command -v initdb >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null; then POSTGRES=1; fi
  hive=$("$HADOOP/hive.sh" start "$DIR/hive")
  cat >"$DIR/exports" <<END
export PYICEBERG_CATALOG__LAKE__TYPE=hive
export PYICEBERG_CATALOG__LAKE__URI=$(value "$hive" HIVE_URI)
export PYICEBERG_CATALOG__LAKE__PY_IO_IMPL=autostream.hadoop.fileio.WebHdfsFileIO
export PYICEBERG_CATALOG__LAKE__WEBHDFS__URLS=$(value "$hdfs" WEBHDFS_URLS)
export PYICEBERG_CATALOG__LAKE__WEBHDFS__USER=hive
export AUTOSTREAM_ZOOKEEPER__HOSTS=$(value "$zookeeper" HOSTS)
END
}

stop() {
  local service
  for service in hive hdfs zookeeper; do
    [ ! -d "$DIR/$service" ] || "$HADOOP/$service.sh" stop "$DIR/$service" || true
  done
  rm -rf "${DIR:?}"/{hive,hdfs,zookeeper,exports}
  rmdir "$DIR" 2>/dev/null || true
}

case $1 in
start)
  if ! (DIR=$DIR/hive && running hive); then
    stop # what an earlier start left
    trap '[ -f "$DIR/exports" ] || stop' EXIT
    start
  fi
  cat "$DIR/exports" ;;
stop) stop ;;
*) usage ;;
esac
