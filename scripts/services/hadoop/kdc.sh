#!/bin/bash
# kdc.sh start DIR        : an MIT Kerberos KDC in DIR for realm TEST.LOCAL on a free port; prints KRB5_CONFIG.
# kdc.sh stop DIR         : stops it; DIR may be removed then.
# kdc.sh ticket DIR USER [FILE]: a ticket by the user's keytab; prints KRB5CCNAME. LIFE=24h, RENEWABLE=7d
# Keytabs are DIR/NAME.keytab: of the users svc, svcg, alice, bob, mallory and of the services hdfs, hive, zookeeper, HTTP,
# all on localhost; that of hdfs has HTTP too. Nothing in /etc is touched. The programs are those of the packages krb5-kdc,
# krb5-admin-server and krb5-user; where they are not installed, apt-get downloads them into the cache beside the jars.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ $# -ge 2 ] || usage
DIR=$(realpath -m "$2")
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/autostream/services/hadoop/krb5
REALM=TEST.LOCAL

# What is not among the libraries of any system that has libkrb5; one name of each line, as releases differ.
PACKAGES=(krb5-kdc krb5-admin-server krb5-user libkdb5-10 libgssrpc4 libverto1 libverto-libev1 libkeyutils1
  'libkadm5srv-mit12 libkadm5srv-mit13' 'libkadm5clnt-mit12 libkadm5clnt-mit13' 'libev4 libev4t64' 'libss2 libss2t64'
  libkrb5-3 libk5crypto3 libkrb5support0 libgssapi-krb5-2)

download() { # APT OPTIONS...
  local wanted=() names name
  for names in "${PACKAGES[@]}"; do
    for name in $names; do
      if apt-cache "$@" show "$name" >/dev/null 2>&1; then wanted+=("$name"); break; fi
    done
  done
  apt-get "$@" download -qq "${wanted[@]}"
}

fetch() {
  [ -x "$CACHE/usr/sbin/krb5kdc" ] && return
  command -v apt-get >/dev/null && command -v dpkg >/dev/null \
    || { echo "no Kerberos KDC: install the packages krb5-kdc, krb5-admin-server, krb5-user" >&2; exit 1; }
  mkdir -p "$CACHE.new"
  exec 9>"$CACHE.lock"; flock 9
  [ -x "$CACHE/usr/sbin/krb5kdc" ] && return
  rm -rf "$CACHE.new"; mkdir -p "$CACHE.new"/{debs,root,lists/partial,archives/partial}
  cd "$CACHE.new/debs"
  # The system's package lists may be absent or old, and only root may renew them: then lists of our own.
  download >../apt.log 2>&1 || {
    local own=(-o "Dir::State::lists=$CACHE.new/lists" -o "Dir::Cache::archives=$CACHE.new/archives"
      -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
    apt-get "${own[@]}" update -qq >>../apt.log 2>&1 && download "${own[@]}" >>../apt.log 2>&1
  } || { grep -E '^E:' ../apt.log | tail -1 >&2; echo "the packages of the KDC could not be downloaded" >&2; exit 1; }
  local package
  for package in *.deb; do dpkg -x "$package" ../root; done
  cd /
  mv "$CACHE.new/root" "$CACHE"
  rm -rf "$CACHE.new"
}

# The installed programs, or the downloaded ones with their libraries.
find_programs() {
  PATH=$PATH:/usr/sbin:/sbin
  if command -v krb5kdc >/dev/null && command -v kadmin.local >/dev/null && command -v kinit >/dev/null; then
    MODULES=$(ls -d /usr/lib/*/krb5/plugins/kdb /usr/lib*/krb5/plugins/kdb 2>/dev/null | head -1)
    LIBRARIES=
  else
    fetch
    PATH=$CACHE/usr/sbin:$CACHE/usr/bin:$PATH
    LIBRARIES=$(ls -d "$CACHE"/usr/lib/*-linux-gnu* | head -1)
    MODULES=$LIBRARIES/krb5/plugins/kdb
  fi
}
krb5() { LD_LIBRARY_PATH=$LIBRARIES${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$@"; }

configure() { # PORT
  cat >"$DIR/krb5.conf" <<END
[libdefaults]
  default_realm = $REALM
  dns_lookup_realm = false
  dns_lookup_kdc = false
  rdns = false
  dns_canonicalize_hostname = false
  udp_preference_limit = 1
  forwardable = true
  default_ccache_name = FILE:$DIR/ccache
[realms]
  $REALM = {
    kdc = 127.0.0.1:$1
  }
[domain_realm]
  localhost = $REALM
END
  cat >"$DIR/kdc.conf" <<END
[kdcdefaults]
  kdc_listen = 127.0.0.1:$1
  kdc_tcp_listen = 127.0.0.1:$1
[realms]
  $REALM = {
    database_name = $DIR/principal
    key_stash_file = $DIR/stash
    acl_file = $DIR/kadm5.acl
    max_life = 24h
    max_renewable_life = 7d
    supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal
  }
[dbmodules]
  db_module_dir = $MODULES
[logging]
  kdc = FILE:$DIR/kdc.log
END
}

principals() {
  local name
  echo "modprinc -maxrenewlife 7d krbtgt/$REALM"
  for name in hdfs hive zookeeper HTTP; do
    echo "addprinc -randkey $name/localhost"
    echo "ktadd -k $DIR/$name.keytab $name/localhost"
  done
  echo "ktadd -k $DIR/hdfs.keytab -norandkey HTTP/localhost"
  for name in svc svcg alice bob mallory; do
    echo "addprinc -randkey -maxrenewlife 7d $name"
    echo "ktadd -k $DIR/$name.keytab $name"
  done
}

export KRB5_CONFIG=$DIR/krb5.conf KRB5_KDC_PROFILE=$DIR/kdc.conf
find_programs
case $1 in
start)
  mkdir -p "$DIR"
  PORT=$(free_ports 1)
  configure "$PORT"
  {
    krb5 kdb5_util -r $REALM create -s -P master && principals | krb5 kadmin.local -r $REALM
  } >"$DIR/create.log" 2>&1 || { tail -1 "$DIR/create.log" >&2; exit 1; }
  [ -f "$DIR/mallory.keytab" ] || { grep -m1 -E 'rror|fail|not ' "$DIR/create.log" >&2; exit 1; }
  LD_LIBRARY_PATH=$LIBRARIES launch krb5kdc krb5kdc -n -r $REALM
  wait_for krb5kdc 20 listens "$PORT" || exit 1
  echo "KRB5_CONFIG=$KRB5_CONFIG" ;;
ticket)
  [ $# -ge 3 ] || usage
  KRB5CCNAME=FILE:${4:-$DIR/$3.ccache}
  export KRB5CCNAME
  krb5 kinit -l "${LIFE:-24h}" -r "${RENEWABLE:-7d}" -kt "$DIR/$3.keytab" "$3" >&2
  echo "KRB5CCNAME=$KRB5CCNAME" ;;
stop) stop_all ;;
*) usage ;;
esac
