"""
### Stale Hive locks, every ten minutes

A writer that dies inside a commit leaves its Hive lock behind, and the table takes no commits until someone releases
it. `sweep` looks through the locks of the Hive catalogs and releases those whose holder has been silent for
`janitor.stale_after_seconds` and is not known to live; each one is a warning in its log and an asset event. `report`
has one line a lock, and fails, and names them, if a catalog or a release failed.

Trigger it with params to choose catalogs, or to see what it would do (`dry_run`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from autostream_airflow.operators.locks import JudgeLocksOperator, SweepLocksOperator
from autostream_airflow.params import refuse_unknown_params

PARAMS = {
    "catalogs": Param(
        [],
        type=["null", "array"],  # what the form sends when it is left empty differs
        items={"type": "string", "maxLength": 250, "pattern": r"^[^.\s]+$"},
        title="Catalogs",
        description="Names of Hive catalogs, one a line. None: those of `janitor.catalogs`, else all there are.",
    ),
    "dry_run": Param(False, type="boolean", title="Dry run", description="Look and report, release nothing."),
}

with DAG(
    dag_id="lock_janitor",
    dag_display_name="Lock janitor",
    schedule="*/10 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    tags=["autostream", "lake"],
    # One more try helps against Airflow's own troubles; against others there is the next run.
    default_args={"owner": "autostream", "retries": 1, "retry_delay": timedelta(minutes=1)},
    doc_md=__doc__,
):
    sweep = SweepLocksOperator(task_id="sweep", pre_execute=refuse_unknown_params)
    JudgeLocksOperator(task_id="report", rows=sweep.output, trigger_rule="all_done")
