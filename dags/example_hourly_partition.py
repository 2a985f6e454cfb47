"""
### Example: work on each complete hour, started by its partition

A model to copy. It runs once for each hour that `watermark_publish` announces of the table, which has to be among
`watermark.publish_tables`: not at a guessed time, and for exactly that hour. Upserts and deletes are applied to what is
read, as by `autostream table scan`.
"""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from autostream_airflow.assets import table_hours_asset
from autostream_airflow.hooks.catalog import lake_table
from autostream_airflow.params import refuse_unknown_params

TABLE = "lake.shop.events"
DIRECTORY = os.environ.get("AUTOSTREAM_EXAMPLES_DIRECTORY") or os.path.join(
    tempfile.gettempdir(), "autostream-examples"
)

with DAG(
    dag_id="example_hourly_partition",
    schedule=PartitionedAssetTimetable(assets=table_hours_asset(TABLE)),
    # For a run a day, once its 24 hours are complete:
    # PartitionedAssetTimetable(
    #     assets=table_hours_asset(TABLE),
    #     default_partition_mapper=RollupMapper(
    #         upstream_mapper=StartOfDayMapper(), window=DayWindow(), wait_policy=WaitForAll()
    #     ),
    # )
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    tags=["autostream", "example"],
    default_args={"owner": "autostream", "retries": 2, "retry_delay": timedelta(minutes=1)},
    doc_md=__doc__,
):

    @task(pre_execute=refuse_unknown_params)
    def count_kinds(dag_run: Any = None) -> dict[str, int]:
        """Count the events of the hour by kind, and replace the hour's file with that."""
        from pyarrow import parquet

        start = datetime.fromisoformat(dag_run.partition_key).replace(tzinfo=UTC)
        hour = f"event_time >= '{start.isoformat()}' AND event_time < '{(start + timedelta(hours=1)).isoformat()}'"
        events = lake_table(TABLE).scan(where=hour, columns=["kind"]).to_arrow()
        kinds = events.group_by("kind").aggregate([([], "count_all")])
        file = Path(DIRECTORY) / "kinds" / f"{start:%Y-%m-%dT%H}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(kinds, file)
        return {row["kind"]: row["count_all"] for row in kinds.to_pylist()}

    count_kinds()
