"""
### Complete hours of tables, as asset events

Each hour of event time that a table of `watermark.publish_tables` has completed becomes an event of the asset
`autostream://hours/...` of the table, with the start of the hour as its partition: once, in order, without gaps, also
after downtime. Workflows with a `PartitionedAssetTimetable` on that asset run for exactly that hour; unpause them
first, since Airflow keeps no partitions for those that are paused.

The triggerer starts a run when a table completes an hour; every ten minutes one looks after all tables.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, AssetAny, AssetOrTimeSchedule, CronTriggerTimetable

from autostream_airflow.assets import published_tables, table_watermark_asset
from autostream_airflow.operators.publishing import JudgePublicationsOperator, PublishHoursOperator
from autostream_airflow.params import refuse_unknown_params

TABLES = published_tables()

with DAG(
    dag_id="watermark_publish",
    dag_display_name="Complete hours",
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("*/10 * * * *", timezone="UTC"),
        assets=AssetAny(*map(table_watermark_asset, TABLES)),
    )
    if TABLES
    else None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # the next run goes on where the last one has ended
    tags=["autostream", "watermark"],
    default_args={"owner": "autostream", "retries": 2, "retry_delay": timedelta(seconds=30)},
    doc_md=__doc__,
):
    publish = PublishHoursOperator(task_id="publish", tables=TABLES, pre_execute=refuse_unknown_params)
    JudgePublicationsOperator(task_id="report", rows=publish.output, trigger_rule="all_done")
