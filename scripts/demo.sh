#!/usr/bin/env bash
# Seeds a small lakehouse in .demo, compacts it through Airflow, completes an hour, and shows what came of it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec autostream demo "$@"
