#!/usr/bin/env bash
# Seeds a small lakehouse in .demo, compacts it through Airflow, completes an hour, judges three stand-in Flink jobs, and shows
# what came of it. With --flink: runs three jobs on a real Flink instead, and shows how they are.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec autostream demo "$@"
