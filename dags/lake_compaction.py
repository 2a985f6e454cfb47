"""
### Compaction of upsert tables, hourly

Every table with the property `autostream.compaction.enabled=true` in the configured catalogs is planned; what needs
compaction is cut into work items, one mapped task each, and a table that fails does not block others. `collect` returns
one outcome a table and announces each compacted table as an asset event; `report` fails, and names them, if any failed.

Trigger it with params to choose tables, partitions and options, or to see what it would do (`dry_run`).
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from autostream_airflow.operators.compaction import CompactionOperator
from autostream_airflow.operators.planning import PlanCompactionOperator
from autostream_airflow.operators.reporting import CollectCompactionsOperator, JudgeCompactionsOperator
from autostream_airflow.params import refuse_unknown_params

PARAMS = {
    "tables": Param(
        [],
        type=["null", "array"],  # what the form sends when it is left empty differs
        items={"type": "string", "minLength": 1, "maxLength": 500, "pattern": r"^[^.\s]+\.\S+$"},
        title="Tables",
        description="Names or patterns, one a line: `lake.db.orders`, `lake.db.*`. None: every enabled table. A table "
        "named in full need not be enabled.",
    ),
    "where": Param(
        None,
        type=["null", "string"],
        maxLength=4000,
        title="Where",
        description="Only partitions that can hold rows like this, such as `day >= '2026-11-23'`.",
    ),
    "dry_run": Param(False, type="boolean", title="Dry run", description="Plan and report, change nothing."),
    "options": Param(
        {},
        type="object",
        additionalProperties={"type": ["string", "number", "boolean"]},
        title="Options",
        description='Compaction properties without their prefix, for this run only, such as `{"rewrite-all": true}`.',
    ),
}

# A cron expression or a preset of Airflow; `none`: only people and other workflows start it.
SCHEDULE = os.environ.get("AUTOSTREAM_COMPACTION_SCHEDULE") or "@hourly"

with DAG(
    dag_id="lake_compaction",
    dag_display_name="Lake compaction",
    schedule=None if SCHEDULE == "none" else SCHEDULE,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    tags=["autostream", "lake"],
    # Tries that help against Airflow's own troubles; what is wrong with a table or a param fails at once.
    default_args={"owner": "autostream", "retries": 2, "retry_delay": timedelta(minutes=1)},
    doc_md=__doc__,
):
    plan = PlanCompactionOperator(task_id="discover_and_plan", pre_execute=refuse_unknown_params)
    compact = CompactionOperator.partial(
        task_id="compact",
        pool=os.environ.get("AUTOSTREAM_COMPACTION_POOL", "lake_compaction"),
        map_index_template="{{ task.item['label'] }}",
        retry_exponential_backoff=True,
    ).expand(item=plan.output)
    collect = CollectCompactionsOperator(
        task_id="collect", plan_task_id=plan.task_id, compact_task_id="compact", trigger_rule="all_done"
    )
    compact >> collect >> JudgeCompactionsOperator(task_id="report", rows=collect.output, trigger_rule="all_done")
