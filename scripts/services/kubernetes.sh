#!/bin/bash
# kubernetes.sh setup     : builds kube-apiserver and etcd from Go modules (minutes, 3 GB of Go's caches), and fetches the
#                           resource definitions of Flink's operator from Maven Central
# kubernetes.sh ready     : succeeds where they are there
# kubernetes.sh start DIR : an API server in DIR on a free port, with these definitions; prints KUBECONFIG, whose contexts
#                           are admin (may do everything) and nobody (may do nothing)
# kubernetes.sh stop DIR  : stops it; DIR may be removed then
# There are no controllers: objects are only kept. Needs Go 1.26, Maven 3, openssl, curl and unzip.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/hadoop/common.sh"
[ $# -ge 1 ] || usage
KUBERNETES=v1.36.3 ETCD=v3.6.16 OPERATOR=1.10.0
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/autostream/services/kubernetes
OUT=$CACHE/out
export GOFLAGS="-trimpath -buildvcs=false" CGO_ENABLED=0

# The module k8s.io/kubernetes names its parts by versions that do not exist: each is replaced by the one that does.
build_apiserver() {
  mkdir -p "$CACHE/src/kube"
  cd "$CACHE/src/kube"
  python3 - "$KUBERNETES" <<'PYTHON'
import json, re, subprocess, sys
version = sys.argv[1]
info = json.loads(subprocess.check_output(["go", "mod", "download", "-json", f"k8s.io/kubernetes@{version}"], cwd="/"))
text = open(info["GoMod"]).read()
go, debug = re.search(r"^go (\S+)", text, re.M)[1], re.search(r"^godebug .*", text, re.M)
parts = {*re.findall(r"^\s*(k8s\.io/[\w-]+) v0\.0\.0(?:\s|$)", text, re.M), *re.findall(r"(k8s\.io/[\w-]+) => \./staging", text)}
lines = [f"\t{part} => {part} v0.{version[3:]}" for part in sorted(parts)]
with open("go.mod", "w") as file:
    file.write(f"module kube\n\ngo {go}\n\n{debug[0] if debug else ''}\n\nrequire k8s.io/kubernetes {version}\n\nreplace (\n")
    file.write("\n".join(lines) + "\n)\n")
with open("tools.go", "w") as file:
    file.write('//go:build tools\n\npackage kube\n\nimport _ "k8s.io/kubernetes/cmd/kube-apiserver"\n')
PYTHON
  go mod tidy
  local name=k8s.io/component-base/version minor=${KUBERNETES#v1.}
  go build -p 2 -ldflags "-s -w -X $name.gitVersion=$KUBERNETES -X $name.gitMajor=1 -X $name.gitMinor=${minor%%.*}" \
    -o "$OUT/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver
}

build_etcd() {
  mkdir -p "$CACHE/src/etcd"
  cd "$CACHE/src/etcd"
  printf 'module etcd\n\ngo 1.26.0\n\nrequire go.etcd.io/etcd/server/v3 %s\n' "$ETCD" >go.mod
  printf 'package main\n\nimport (\n\t"os"\n\n\t"go.etcd.io/etcd/server/v3/etcdmain"\n)\n\nfunc main() { etcdmain.Main(os.Args) }\n' >main.go
  go mod tidy
  go build -p 2 -ldflags "-s -w" -o "$OUT/etcd" .
}

fetch_definitions() {
  rm -rf "$CACHE/definitions.new"
  mvn -q -B -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
    "-Dartifact=org.apache.flink:flink-kubernetes-operator-api:$OPERATOR" "-DoutputDirectory=$CACHE/definitions.new" \
    >"$CACHE/maven.log" 2>&1 || { grep -om1 'Could not.*' "$CACHE/maven.log" >&2 || tail -1 "$CACHE/maven.log" >&2; exit 1; }
  unzip -qjo "$CACHE"/definitions.new/*.jar 'META-INF/fabric8/*-v1.yml' -d "$CACHE/definitions.new"
  mv "$CACHE/definitions.new" "$CACHE/definitions"
}

setup() {
  ready && return
  for program in go mvn openssl curl unzip; do
    command -v $program >/dev/null || { echo "$program is not installed (needed: Go 1.26, Maven 3, openssl, curl, unzip)" >&2; exit 1; }
  done
  mkdir -p "$OUT"
  exec 9>"$CACHE/.lock"; flock 9
  [ -x "$OUT/etcd" ] || (build_etcd)
  [ -x "$OUT/kube-apiserver" ] || (build_apiserver)
  [ -d "$CACHE/definitions" ] || fetch_definitions
}
ready() { [ -x "$OUT/etcd" ] && [ -x "$OUT/kube-apiserver" ] && [ -d "$CACHE/definitions" ]; }

answers() { curl -sfk -m 5 -H "Authorization: Bearer $TOKEN" "https://127.0.0.1:$1/readyz" >/dev/null; }
# Established: its objects can be made.
serves() { curl -sfk -m 5 -H "Authorization: Bearer $TOKEN" "https://127.0.0.1:$1/apis/flink.apache.org/v1beta1/$2" >/dev/null; }

start() {
  local ports file
  setup
  mkdir -p "$DIR/certs"
  read -ra ports <<<"$(free_ports 3)"
  local server=${ports[0]} client=http://127.0.0.1:${ports[1]} peer=http://127.0.0.1:${ports[2]}
  TOKEN=$(openssl rand -hex 16)
  local other; other=$(openssl rand -hex 16)
  openssl genrsa -out "$DIR/accounts.key" 2048 2>/dev/null
  printf '%s\n' "$TOKEN,admin,1,\"system:masters\"" "$other,nobody,2" >"$DIR/tokens.csv"
  launch etcd "$OUT/etcd" --name one --data-dir "$DIR/etcd" --unsafe-no-fsync --log-level=warn --listen-client-urls "$client" \
    --advertise-client-urls "$client" --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "one=$peer"
  launch apiserver env GOMAXPROCS=2 "$OUT/kube-apiserver" --etcd-servers="$client" --bind-address=127.0.0.1 --secure-port="$server" \
    --cert-dir="$DIR/certs" --advertise-address=127.0.0.1 --endpoint-reconciler-type=none --token-auth-file="$DIR/tokens.csv" \
    --authorization-mode=RBAC --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$DIR/accounts.key" \
    --service-account-signing-key-file="$DIR/accounts.key" --service-cluster-ip-range=10.96.0.0/16 \
    --disable-admission-plugins=ServiceAccount
  cat >"$DIR/kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: one, cluster: {server: "https://127.0.0.1:$server", certificate-authority: "$DIR/certs/apiserver.crt"}}]
users: [{name: admin, user: {token: "$TOKEN"}}, {name: nobody, user: {token: "$other"}}]
contexts: [{name: admin, context: {cluster: one, user: admin}}, {name: nobody, context: {cluster: one, user: nobody}}]
current-context: admin
YAML
  wait_for apiserver 120 answers "$server" || { stop_all; exit 1; }
  for file in "$CACHE"/definitions/flinkdeployments*.yml "$CACHE"/definitions/flinksessionjobs*.yml; do
    curl -sfk -m 20 -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/yaml" --data-binary "@$file" \
      "https://127.0.0.1:$server/apis/apiextensions.k8s.io/v1/customresourcedefinitions" >"$DIR/definition.json" \
      || { echo "$file was not taken" >&2; stop_all; exit 1; }
  done
  for file in flinkdeployments flinksessionjobs; do wait_for apiserver 60 serves "$server" $file || { stop_all; exit 1; }; done
  echo "KUBECONFIG=$DIR/kubeconfig"
}

case $1 in
setup) setup ;;
ready) ready ;;
*)
  [ $# -eq 2 ] || usage
  DIR=$(realpath -m "$2")
  case $1 in
  start) start ;;
  stop) stop_all ;;
  *) usage ;;
  esac ;;
esac
