#!/bin/bash
# certificates.sh DIR: a throw-away authority DIR/ca.pem, and server.* and client.* (pem: key and certificate; key; crt)
# for localhost and 127.0.0.1. Existing ones are kept. Needs openssl.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ $# -eq 1 ] || usage
command -v openssl >/dev/null || { echo "openssl is not installed" >&2; exit 1; }
mkdir -p "$1"
cd "$1"
[ -f client.pem ] && exit
{
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=autostream-test-authority -keyout ca.key -out ca.pem
  for owner in server client; do
    openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout $owner.key -out $owner.csr
    openssl x509 -req -in $owner.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out $owner.crt \
      -extfile <(echo subjectAltName=DNS:localhost,IP:127.0.0.1)
    cat $owner.key $owner.crt >$owner.pem
  done
} >certificates.log 2>&1 || { tail -3 certificates.log >&2; exit 1; }
