"""The example behind a sensor, on a real Airflow: it works on the hour of its run, which is complete."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyarrow import parquet

from autostream import times
from autostream.demo import seed
from autostream.demo.hours import EventWriter
from autostream.times import to_ms
from autostream.watermark.changes import WriterReport, apply_reports
from autostream.watermark.publish import publish
from tests.dags.airflow_runs import run_dag

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.integration, pytest.mark.exhaustive]


def test_the_run_of_an_hour_that_is_complete_counts_its_users(tmp_path: Path) -> None:
    (events,) = (stream for stream in seed.STREAMS if stream.table == "events")
    catalog = seed.open_demo_catalog(tmp_path)
    catalog.create_namespace("shop")
    catalog.create_table(("shop", "events"), events.schema, partition_spec=events.partition, properties=seed.PROPERTIES)
    # The hour before the present one is the run's, also if the present one ends meanwhile.
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    writer = EventWriter(tmp_path, hour - timedelta(minutes=15))
    while writer.event_time < hour + timedelta(hours=2, minutes=15):
        writer.checkpoint()
    # The table is complete up to the end of these events, which is still to come: that counts where it is insisted on.
    end = WriterReport("demo", to_ms(writer.event_time), job_id="demo-hours", forced=True)
    table = catalog.load_table(("shop", "events"))
    publish(table, lambda known: apply_reports(known, [end], now_ms=times.now_ms()))
    (run,) = run_dag(
        "example_watermark_sensor",
        "count_users",
        tmp_path,
        {},
        AIRFLOW_CONN_LAKE=json.dumps({"conn_type": "iceberg", "extra": seed.catalog_properties(tmp_path)}),
        AUTOSTREAM_EXAMPLES_DIRECTORY=str(tmp_path / "examples"),
    )
    assert run["state"] == "success"
    (file,) = (tmp_path / "examples" / "users").iterdir()
    (row,) = parquet.read_table(file).to_pylist()
    start = row["hour"]
    assert start in (hour, hour + timedelta(hours=1))
    users = {
        event["user_id"]
        for event in writer.events.values()
        if start <= event["event_time"] < start + timedelta(hours=1)
    }
    assert run["rows"] == row["users"] == len(users)
