#!/usr/bin/env bash
# Seeds a small lakehouse in .demo, runs the hourly compaction on it through Airflow, and prints what it did.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec autostream demo "$@"
