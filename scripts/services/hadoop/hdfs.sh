#!/bin/bash
# hdfs.sh start DIR     : HDFS in DIR with WebHDFS on free ports, one JVM; prints HDFS_URI, WEBHDFS_URLS (one of each
#                         NameNode, comma), CONF (for Java clients) and, with HTTPS, TLS_CA.
# hdfs.sh stop DIR      : stops it; DIR may be removed then.
# hdfs.sh active DIR N  : NameNode N (1, 2) becomes the active one, the other the standby. `state DIR` tells them apart.
# hdfs.sh kill DIR N    : NameNode N ends; `up DIR N` starts it again, a standby where there are two.
# Options of start, from the environment: NAMENODES=1 or 2 (fail-over by hand over a shared edits directory, the first
# active); HTTPS=1 (nothing but); KDC=the DIR of kdc.sh: Kerberos, SPNEGO. Needs JDK 17, Maven 3, curl; openssl for HTTPS.
# Users: `hdfs` is the superuser. `svc` may act for anybody, `svcg` for members of `analysts`; alice is in `analysts`,
# bob and mallory are in `others`. /data, /tmp and /warehouse are 1777. Address it as localhost:
# Kerberos and certificates do.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ $# -ge 2 ] || usage
DIR=$(realpath -m "$2")

configure() {
  local ports names=() core=() hdfs=() urls=() scheme=http n
  read -ra ports <<<"$(free_ports 5)" # RPC and web of each NameNode, control
  mkdir -p "$DIR/conf/webapps"/{hdfs,datanode,static} "$DIR/name" # the jars on Maven Central have no webapps
  echo "${ports[4]}" >"$DIR/control_port"
  [ -z "${HTTPS:-}" ] || scheme=https
  if [ "${NAMENODES:-1}" = 2 ]; then
    URI=hdfs://lake names=(.lake.nn1 .lake.nn2)
    hdfs=(dfs.nameservices lake dfs.ha.namenodes.lake nn1,nn2 dfs.namenode.shared.edits.dir "file://$DIR/edits"
      dfs.client.failover.proxy.provider.lake org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider
      dfs.ha.standby.checkpoints false dfs.ha.tail-edits.period 1 dfs.ha.log-roll.period -1)
  else
    URI=hdfs://localhost:${ports[0]} names=("")
  fi
  for n in "${!names[@]}"; do
    hdfs+=("dfs.namenode.name.dir${names[n]}" "file://$DIR/name/nn$((n + 1))"
      "dfs.namenode.rpc-address${names[n]}" "localhost:${ports[2 * n]}" # localhost: the host part of Kerberos principals
      "dfs.namenode.$scheme-address${names[n]}" "127.0.0.1:${ports[2 * n + 1]}")
    urls+=("$scheme://localhost:${ports[2 * n + 1]}")
  done
  if [ $scheme = https ]; then
    "$HADOOP/certificates.sh" "$DIR/tls"
    openssl pkcs12 -export -in "$DIR/tls/server.pem" -passout pass:changeit -out "$DIR/tls/server.p12"
    site ssl.server.keystore.location "$DIR/tls/server.p12" ssl.server.keystore.type PKCS12 \
      ssl.server.keystore.password changeit ssl.server.keystore.keypassword changeit >"$DIR/conf/ssl-server.xml"
    hdfs+=(dfs.http.policy HTTPS_ONLY dfs.datanode.https.address 127.0.0.1:0)
  fi
  if [ -n "${KDC:-}" ]; then
    local keytab=$KDC/hdfs.keytab server=hdfs/localhost@TEST.LOCAL web=HTTP/localhost@TEST.LOCAL
    core+=(hadoop.security.authentication kerberos hadoop.security.authorization true
      hadoop.proxyuser.hive.hosts 127.0.0.1 hadoop.proxyuser.hive.groups '*'
      # Without these a NameNode believes any user.name.
      hadoop.http.authentication.type kerberos hadoop.http.authentication.simple.anonymous.allowed false
      hadoop.http.authentication.kerberos.principal $web hadoop.http.authentication.kerberos.keytab "$keytab")
    hdfs+=(dfs.namenode.kerberos.principal $server dfs.namenode.keytab.file "$keytab"
      dfs.datanode.kerberos.principal $server dfs.datanode.keytab.file "$keytab"
      dfs.namenode.kerberos.internal.spnego.principal $web
      dfs.web.authentication.kerberos.principal $web dfs.web.authentication.kerberos.keytab "$keytab"
      dfs.block.access.token.enable true ignore.secure.ports.for.testing true)
  fi
  # An idle connection notices only when it is used that a NameNode was restarted: close it before.
  site fs.defaultFS "$URI" hadoop.tmp.dir "$DIR/tmp" ipc.client.connection.maxidletime 500 \
    hadoop.proxyuser.svc.hosts 127.0.0.1 hadoop.proxyuser.svc.groups '*' \
    hadoop.proxyuser.svcg.hosts 127.0.0.1 hadoop.proxyuser.svcg.groups analysts \
    hadoop.user.group.static.mapping.overrides "svc=svc;svcg=svcg;alice=analysts;bob=others;mallory=others;dr.who=" \
    "${core[@]}" >"$DIR/conf/core-site.xml"
  # A closed file whose block the NameNode has not heard of yet is asked for again after 20 ms, not 400.
  site dfs.replication 1 dfs.datanode.data.dir "file://$DIR/blocks" dfs.namenode.rpc-bind-host 127.0.0.1 \
    dfs.datanode.address 127.0.0.1:0 dfs.datanode.http.address 127.0.0.1:0 dfs.datanode.ipc.address 127.0.0.1:0 \
    dfs.datanode.hostname localhost dfs.namenode.datanode.registration.ip-hostname-check false \
    dfs.client.block.write.locateFollowingBlock.initial.delay.ms 20 \
    dfs.namenode.safemode.extension 0 dfs.heartbeat.interval 1 dfs.namenode.heartbeat.recheck-interval 5000 \
    dfs.datanode.directoryscan.interval -1 dfs.block.scanner.volume.bytes.per.second 0 \
    dfs.namenode.edits.noeditlogchannelflush true dfs.namenode.handler.count 4 "${hdfs[@]}" >"$DIR/conf/hdfs-site.xml"
  printf '%s\n' log4j.rootLogger=INFO,A log4j.appender.A=org.apache.log4j.ConsoleAppender \
    log4j.appender.A.layout=org.apache.log4j.PatternLayout 'log4j.appender.A.layout.ConversionPattern=%d %p %c{1}: %m%n' \
    >"$DIR/conf/log4j.properties"
  {
    echo "HDFS_URI=$URI"
    echo "WEBHDFS_URLS=$(IFS=,; echo "${urls[*]}")"
    echo "CONF=$DIR/conf"
    [ $scheme = http ] || echo "TLS_CA=$DIR/tls/ca.pem"
  } >"$DIR/client"
}

control() { curl -sS --fail-with-body "http://127.0.0.1:$(cat "$DIR/control_port")/$1"; }

case $1 in
start)
  "$HADOOP/jars.sh" setup hdfs
  mkdir -p "$DIR"
  configure
  launch hdfs "${JVM[@]}" -Xmx384m -DHADOOP_USER_NAME=hdfs ${KDC:+-Djava.security.krb5.conf=$KDC/krb5.conf} \
    -cp "$DIR/conf:$("$HADOOP/jars.sh" path hdfs)" Hdfs "$DIR" "$(cat "$DIR/control_port")"
  wait_for hdfs 90 listens "$(cat "$DIR/control_port")" || exit 1
  cat "$DIR/client" ;;
active | kill | up) [ $# -eq 3 ] || usage; control "$1/$3" ;;
state) control state ;;
stop) stop_all ;;
*) usage ;;
esac
