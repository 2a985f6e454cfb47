#!/bin/bash
# hive.sh start DIR: a Hive Metastore in DIR on a free port; prints HIVE_URI and WAREHOUSE.
# hive.sh stop DIR : stops it; DIR may be removed then.
# hive.sh kill DIR : ends it at once; `up DIR` starts it again on the same port.
# Options of start, from the environment: HIVE=4.0.0 or another of poms/hive-*.xml; POSTGRES=1 (in a server of its own,
# for many writers at once; Derby otherwise); HDFS=the DIR of hdfs.sh, for a warehouse there; KDC=the DIR of kdc.sh:
# Kerberos; LOCK_TIMEOUT_SECONDS=300 after a lock's last heartbeat, when housekeeping (every 2 s) takes it;
# HOUSEKEEPING=false. 2.3.9 has no housekeeping and runs on Derby only. Needs JDK 17 and Maven 3. Under Kerberos address it
# as localhost.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ $# -eq 2 ] || usage
DIR=$(realpath -m "$2")

run_java() { # NAME OF LAUNCH or "", MAIN, ARGS
  local options=(-Xmx384m "-Dlog4j2.configurationFile=file:$DIR/conf/log4j2.properties" -Dderby.system.durability=test
    "-Dderby.stream.error.file=$DIR/derby.log" -Dderby.locks.waitTimeout=3 -Dderby.locks.deadlockTimeout=1)
  # Not as an environment variable: that hides the caller, and everything belongs to this user.
  [ -z "${HDFS:-}" ] || options+=(-DHADOOP_USER_NAME=hive)
  [ -z "${KDC:-}" ] || options+=("-Djava.security.krb5.conf=$KDC/krb5.conf")
  local path
  path="$DIR/conf:${HDFS:+$HDFS/conf:}$("$HADOOP/jars.sh" path "hive-$HIVE"):$("$HADOOP/jars.sh" path hdfs)"
  if [ -n "$1" ]; then launch "$1" "${JVM[@]}" "${options[@]}" -cp "$path" "${@:2}"
  else "${JVM[@]}" "${options[@]}" -cp "$path" "${@:2}"; fi
}

schema() { # derby or postgres
  local tools=org.apache.hadoop.hive.metastore.tools command
  case $HIVE in
  2.*) command=(PrepareHive) ;;
  3.*) command=($tools.MetastoreSchemaTool -dbType "$1" -initSchema) ;;
  *) command=($tools.schematool.MetastoreSchemaTool -dbType "$1" -initSchema) ;;
  esac
  run_java "" "${command[@]}" >"$DIR/schema.log" 2>&1 \
    || { grep -E 'Exception|rror' "$DIR/schema.log" | tail -3 >&2; return 1; }
}

# The names of Hive 2 for what `configure` says below.
configure_2() { # DATABASE_URL DRIVER USER
  local more=()
  if [ -n "${KDC:-}" ]; then
    more+=(hive.metastore.sasl.enabled true hive.metastore.kerberos.principal hive/localhost@TEST.LOCAL
      hive.metastore.kerberos.keytab.file "$KDC/hive.keytab"
      hadoop.proxyuser.svc.hosts 127.0.0.1 hadoop.proxyuser.svc.groups '*')
  fi
  site hive.metastore.warehouse.dir "$WAREHOUSE" hive.metastore.uris "thrift://localhost:$PORT" \
    hive.metastore.execute.setugi true hive.metastore.schema.verification false datanucleus.schema.autoCreateAll true \
    javax.jdo.option.ConnectionURL "$1" javax.jdo.option.ConnectionDriverName "$2" \
    javax.jdo.option.ConnectionUserName "$3" javax.jdo.option.ConnectionPassword none \
    hive.metastore.expression.proxy NoExpressions hive.async.log.enabled false hive.hmshandler.retry.interval 200ms \
    hive.metastore.server.min.threads 4 hive.metastore.server.max.threads 64 datanucleus.connectionPool.maxPoolSize 4 \
    hive.txn.timeout "${LOCK_TIMEOUT_SECONDS:-300}s" hive.compactor.initiator.on false "${more[@]}" \
    >"$DIR/conf/hive-site.xml"
}

configure() { # DATABASE_URL DRIVER USER
  if [ "${HIVE%%.*}" = 2 ]; then configure_2 "$@"; return; fi
  local tasks=org.apache.hadoop.hive.metastore.events.EventCleanerTask
  # The standalone metastore of Hive 3 starts its housekeeping beside compaction threads that it does not have.
  if [ "${HIVE%%.*}" = 3 ] && [ "${HOUSEKEEPING:-true}" = true ]; then
    tasks+=,org.apache.hadoop.hive.metastore.txn.AcidHouseKeeperService
  fi
  local more=()
  if [ -n "${KDC:-}" ]; then
    more+=(metastore.sasl.enabled true metastore.kerberos.principal hive/localhost@TEST.LOCAL
      metastore.kerberos.keytab.file "$KDC/hive.keytab"
      hadoop.proxyuser.svc.hosts 127.0.0.1 hadoop.proxyuser.svc.groups '*')
  fi
  site metastore.warehouse.dir "$WAREHOUSE" metastore.thrift.port "$PORT" metastore.thrift.bind.host 127.0.0.1 \
    metastore.thrift.uris "thrift://localhost:$PORT" metastore.execute.setugi true \
    javax.jdo.option.ConnectionURL "$1" javax.jdo.option.ConnectionDriverName "$2" \
    javax.jdo.option.ConnectionUserName "$3" javax.jdo.option.ConnectionPassword none \
    metastore.expression.proxy org.apache.hadoop.hive.metastore.DefaultPartitionExpressionProxy \
    metastore.task.threads.always $tasks \
    metastore.event.db.notification.api.auth false metastore.server.min.threads 4 metastore.server.max.threads 64 \
    datanucleus.connectionPool.maxPoolSize 4 metastore.housekeeping.threads.on "${HOUSEKEEPING:-true}" \
    metastore.compactor.initiator.on false metastore.hmshandler.retry.interval 200ms \
    metastore.txn.timeout "${LOCK_TIMEOUT_SECONDS:-300}s" metastore.acid.housekeeper.interval 2s \
    metastore.timedout.txn.reaper.interval 2s metastore.timedout.txn.reaper.start 1s \
    "${more[@]}" >"$DIR/conf/metastore-site.xml"
  printf '%s\n' status=ERROR rootLogger.level=INFO rootLogger.appenderRef.a.ref=A appender.a.type=Console \
    appender.a.name=A appender.a.target=SYSTEM_ERR appender.a.layout.type=PatternLayout \
    'appender.a.layout.pattern=%d{ISO8601} %p [%t] %c{2}: %m%n' logger.dn.name=DataNucleus logger.dn.level=ERROR \
    >"$DIR/conf/log4j2.properties"
}

# A schema takes seconds to make, so that of Derby is kept beside the jars and copied.
derby_template() {
  local kept
  kept=$METASTORE_HOME/derby
  exec 8>"$METASTORE_HOME/.derby.lock"; flock 8
  if [ ! -d "$kept" ]; then
    rm -rf "$kept.new"
    configure "jdbc:derby:;databaseName=$kept.new;create=true" org.apache.derby.jdbc.EmbeddedDriver APP
    schema derby
    rm -f "$kept.new"/*.lck
    mv "$kept.new" "$kept"
  fi
  exec 8>&-
  cp -r "$kept" "$DIR/derby"
}

start_metastore() {
  export METASTORE_HOME=$METASTORE_HOME METASTORE_CONF_DIR=$DIR/conf HADOOP_HOME=
  run_java hive org.apache.hadoop.hive.metastore.HiveMetaStore -p "$PORT"
  wait_for hive 120 listens "$PORT"
}

# What `up` needs again.
save() { declare -p HIVE HDFS KDC PORT METASTORE_HOME >"$DIR/settings"; }

case $1 in
start)
  HIVE=${HIVE:-4.0.0} HDFS=${HDFS:+$(realpath "$HDFS")} KDC=${KDC:+$(realpath "$KDC")}
  [ "${HIVE%%.*}" != 2 ] || [ -z "${POSTGRES:-}" ] || { echo "HIVE=$HIVE runs on Derby only" >&2; exit 2; }
  [ -f "$HADOOP/poms/hive-$HIVE.xml" ] || { echo "HIVE=$HIVE: there is no poms/hive-$HIVE.xml" >&2; exit 2; }
  "$HADOOP/jars.sh" setup hdfs
  "$HADOOP/jars.sh" setup "hive-$HIVE"
  METASTORE_HOME=$("$HADOOP/jars.sh" path "hive-$HIVE")
  METASTORE_HOME=${METASTORE_HOME%%/classes:*}
  mkdir -p "$DIR"/{conf,warehouse}
  PORT=$(free_ports 1)
  WAREHOUSE=file://$DIR/warehouse
  [ -z "$HDFS" ] || WAREHOUSE=$(sed -n 's/^HDFS_URI=//p' "$HDFS/client")/warehouse
  save
  export METASTORE_HOME METASTORE_CONF_DIR=$DIR/conf HADOOP_HOME=
  if [ -n "${POSTGRES:-}" ]; then
    chmod 755 "$DIR"
    URL=$("$HADOOP/../postgres.sh" start "$DIR/postgres")
    end_with_owner "$(head -1 "$DIR/postgres/data/postmaster.pid")"
    configure "jdbc:${URL/+psycopg2:\/\/postgres@/://}" org.postgresql.Driver postgres
    schema postgres || { "$0" stop "$DIR"; exit 1; }
  else
    derby_template
    configure "jdbc:derby:;databaseName=$DIR/derby" org.apache.derby.jdbc.EmbeddedDriver APP
  fi
  start_metastore || { "$0" stop "$DIR"; exit 1; }
  echo "HIVE_URI=thrift://localhost:$PORT"
  echo "WAREHOUSE=$WAREHOUSE" ;;
kill) kill_now hive ;;
up)
  . "$DIR/settings"
  running hive || start_metastore ;;
stop)
  stop_all
  [ ! -d "$DIR/postgres" ] || "$HADOOP/../postgres.sh" stop "$DIR/postgres" ;;
*) usage ;;
esac
