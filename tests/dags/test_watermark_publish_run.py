"""The publication of complete hours on a real Airflow with a database of its own."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

from tests.dags.airflow_runs import run_dag

SCHEMA = Schema(NestedField(1, "id", LongType()))
AT_FIVE = int(datetime(2026, 11, 23, 5, 10, tzinfo=UTC).timestamp() * 1000)

pytestmark = [pytest.mark.airflow, pytest.mark.slow]


def test_each_hour_is_announced_once_over_several_runs_and_so_many_at_a_time(lake: SqlCatalog, tmp_path: Path) -> None:
    for name, properties in (("t", {"autostream.watermark": str(AT_FIVE)}), ("silent", {})):
        lake.create_table(("db", name), SCHEMA, properties=properties)
    runs = run_dag(
        "watermark_publish",
        "publish",
        tmp_path,
        *({} for _ in range(3)),
        AUTOSTREAM_WATERMARK__PUBLISH_TABLES="lake.db.t,lake.db.silent,lake.db.none",
        AUTOSTREAM_WATERMARK__PUBLISH_FROM="2026-11-23T00:00Z",
        AUTOSTREAM_WATERMARK__PUBLISH_HOURS_PER_RUN="3",
    )
    hours = [["hours:lake.db.t", f"2026-11-23T{hour:02}:00:00"] for hour in range(5)]
    assert [run["partitions"] for run in runs] == [hours[:3], hours[3:], []]
    for run in runs:
        # A table that cannot be read holds up no other, and fails the run at its end.
        assert run["state"] == "failed"
        assert [task[:3:2] for task in run["tasks"]] == [["publish", "success"], ["report", "failed"]]
        statuses = {row["table"]: row["status"] for row in run["rows"]}
        assert (statuses["lake.db.silent"], statuses["lake.db.none"]) == ("unknown", "failed")
    assert runs[1]["announced"]["hours:lake.db.t"]["published_until_ms"] == AT_FIVE - 10 * 60_000
