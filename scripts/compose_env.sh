#!/usr/bin/env bash
# Writes .env for docker-compose.yaml: random keys and passwords, readable by you only. An existing .env is kept, since
# the databases in the volumes were made with it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ -e .env ]]; then
    echo "compose_env: .env exists and is kept; remove it (and the volumes: docker compose down -v) for new keys" >&2
    exit 0
fi

random_bytes() { head -c "$1" /dev/urandom | base64 | tr -d '\n'; }

umask 077
cat >.env <<ENV
AIRFLOW_JWT_SECRET=$(random_bytes 48)
AIRFLOW_SECRET_KEY=$(random_bytes 48)
AIRFLOW_FERNET_KEY=$(random_bytes 32 | tr '+/' '-_')
POSTGRES_PASSWORD=$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')
ENV
echo "compose_env: wrote .env" >&2
