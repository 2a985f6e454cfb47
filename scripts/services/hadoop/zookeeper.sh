#!/bin/bash
# zookeeper.sh start DIR   : an ensemble in DIR on free ports; prints HOSTS and, with TLS, TLS_HOSTS, TLS_CA,
#                            TLS_CERTIFICATE, TLS_KEY.
# zookeeper.sh stop DIR    : stops it; DIR may be removed then.
# zookeeper.sh kill DIR N  : kills node N (from 1) at once.
# zookeeper.sh up DIR N    : starts it again.
# Options of start, from the environment: NODES=1 or 3; SASL=digest (users svc/svcpw, bob/bobpw) or kerberos (KDC=the
# DIR of kdc.sh), then required of clients; TLS=need, want or none (of the client's certificate); TICK_MS=500;
# MIN_SESSION_MS=1000. Needs JDK 17 and Maven 3, openssl for TLS.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ $# -ge 2 ] || usage
DIR=$(realpath -m "$2")

start_node() {
  # shellcheck disable=SC2046
  launch "$1" "${JVM[@]}" -Xmx96m -Xms16m -Dzookeeper.admin.enableServer=false -Dzookeeper.4lw.commands.whitelist=* \
    -Dorg.slf4j.simpleLogger.showDateTime=true -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS \
    $(cat "$DIR/java_options") -cp "$("$HADOOP/jars.sh" path zookeeper)" \
    org.apache.zookeeper.server.quorum.QuorumPeerMain "$DIR/$1/zoo.cfg"
}

# A node that knows its leader answers `mntr` with its state; before, with "not currently serving requests".
serves() (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf mntr >&3 && timeout 2 grep -q zk_server_state <&3)
wait_for_node() { wait_for "$1" 60 serves "$(cat "$DIR/$1/port")"; }

jaas() {
  case $SASL in
  digest)
    printf 'Server {\n  org.apache.zookeeper.server.auth.DigestLoginModule required %s;\n};\n' \
      'user_svc="svcpw" user_bob="bobpw"' ;;
  kerberos)
    printf 'Server {\n  com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true %s;\n};\n' \
      "useTicketCache=false keyTab=\"$KDC/zookeeper.keytab\" principal=\"zookeeper/localhost@TEST.LOCAL\"" ;;
  *) echo "SASL=$SASL is neither digest nor kerberos" >&2; exit 2 ;;
  esac
}

configure() {
  local nodes=${NODES:-1} more=() servers=() hosts=() tls_hosts=() options= name=127.0.0.1 node ports
  if [ -n "${SASL:-}" ]; then
    jaas >"$DIR/jaas.conf"
    options="-Djava.security.auth.login.config=$DIR/jaas.conf"
    more+=(authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider sessionRequireClientSASLAuth=true)
    # Kerberos knows the service by this name only.
    [ "$SASL" = digest ] || { name=localhost; options+=" -Djava.security.krb5.conf=$KDC/krb5.conf"; }
  fi
  if [ -n "${TLS:-}" ]; then
    "$HADOOP/certificates.sh" "$DIR/tls"
    more+=(serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory "ssl.clientAuth=$TLS"
      "ssl.keyStore.location=$DIR/tls/server.pem" "ssl.trustStore.location=$DIR/tls/ca.pem")
  fi
  read -ra ports <<<"$(free_ports $((4 * nodes)))" # of each node: client, TLS, quorum, election
  for node in $(seq "$nodes"); do
    local at=$((4 * (node - 1)))
    mkdir -p "$DIR/$node"
    echo "$node" >"$DIR/$node/myid"
    echo "${ports[at]}" >"$DIR/$node/port"
    hosts+=("$name:${ports[at]}")
    tls_hosts+=("localhost:${ports[at + 1]}")
    servers+=("server.$node=127.0.0.1:${ports[at + 2]}:${ports[at + 3]};127.0.0.1:${ports[at]}")
  done
  for node in $(seq "$nodes"); do
    local at=$((4 * (node - 1)))
    printf '%s\n' "tickTime=${TICK_MS:-500}" initLimit=10 syncLimit=5 "dataDir=$DIR/$node" maxClientCnxns=0 forceSync=no \
      "minSessionTimeout=${MIN_SESSION_MS:-1000}" extendedTypesEnabled=true "${more[@]}" >"$DIR/$node/zoo.cfg"
    if [ "$nodes" -gt 1 ]; then printf '%s\n' "${servers[@]}"
    else printf '%s\n' "clientPort=${ports[0]}" clientPortAddress=127.0.0.1; fi >>"$DIR/$node/zoo.cfg"
    [ -z "${TLS:-}" ] \
      || printf '%s\n' "secureClientPort=${ports[at + 1]}" secureClientPortAddress=127.0.0.1 >>"$DIR/$node/zoo.cfg"
  done
  echo "$options" >"$DIR/java_options"
  {
    echo "HOSTS=$(IFS=,; echo "${hosts[*]}")"
    [ -z "${TLS:-}" ] || printf '%s\n' "TLS_HOSTS=$(IFS=,; echo "${tls_hosts[*]}")" "TLS_CA=$DIR/tls/ca.pem" \
      "TLS_CERTIFICATE=$DIR/tls/client.crt" "TLS_KEY=$DIR/tls/client.key"
  } >"$DIR/client"
}

case $1 in
start)
  "$HADOOP/jars.sh" setup zookeeper
  mkdir -p "$DIR"
  configure
  for node in $(seq "${NODES:-1}"); do start_node "$node"; done
  for node in $(seq "${NODES:-1}"); do wait_for_node "$node" || { stop_all; exit 1; }; done
  cat "$DIR/client" ;;
kill) [ $# -eq 3 ] || usage; kill_now "$3" ;;
up)
  [ $# -eq 3 ] || usage
  running "$3" || start_node "$3"
  wait_for_node "$3" ;;
stop) stop_all ;;
*) usage ;;
esac
