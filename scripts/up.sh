#!/usr/bin/env bash
# Runs Airflow with the project's DAGs and the demo's lakehouse until Ctrl-C. PORT moves it away from 8080.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec python -m autostream.demo.up --port "${PORT:-8080}" "$@"
