"""
### Example: work on each hour once it is complete, behind a sensor

A model to copy, for workflows that keep their schedule. Each run waits in the triggerer until the table is complete up
to the end of its data interval, five minutes' allowance for late rows included; one that has not started within two
hours fails, and says which writer was late. Runs of the past pass at once.
"""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, task

from autostream_airflow.hooks.catalog import lake_table
from autostream_airflow.params import refuse_unknown_params
from autostream_airflow.sensors.watermark import WatermarkSensor

TABLE = "lake.shop.events"
DIRECTORY = os.environ.get("AUTOSTREAM_EXAMPLES_DIRECTORY") or os.path.join(
    tempfile.gettempdir(), "autostream-examples"
)

with DAG(
    dag_id="example_watermark_sensor",
    schedule=CronDataIntervalTimetable("@hourly", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    tags=["autostream", "example"],
    default_args={"owner": "autostream", "retries": 2, "retry_delay": timedelta(minutes=1)},
    doc_md=__doc__,
):
    complete = WatermarkSensor(
        task_id="wait_for_events",
        table=TABLE,
        lateness="5 min",
        timeout=timedelta(hours=2).total_seconds(),
        pre_execute=refuse_unknown_params,
    )

    @task
    def count_users(data_interval_start: Any = None, data_interval_end: Any = None) -> int:
        """Count the users of the hour, and replace the hour's file with that."""
        import pyarrow as pa
        from pyarrow import parquet

        start, end = data_interval_start.isoformat(), data_interval_end.isoformat()
        hour = f"event_time >= '{start}' AND event_time < '{end}'"
        users = len(lake_table(TABLE).scan(where=hour, columns=["user_id"]).to_arrow()["user_id"].unique())
        file = Path(DIRECTORY) / "users" / f"{data_interval_start:%Y-%m-%dT%H}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.table({"hour": [data_interval_start], "users": [users]}), file)
        return users

    complete >> count_users()
