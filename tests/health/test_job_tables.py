"""What the tables of a job say of it: read once each, and not known where they cannot be read."""

from __future__ import annotations

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

import autostream
from tests.health.jobs import WELL, settings
from tests.support.clocks import FakeClock
from tests.support.telemetry import fill_telemetry, job_record, job_samples

SCHEMA = Schema(NestedField(1, "id", LongType(), required=True))
VERTICES = {"map": {"parallelism": 2.0, "busy_share": 0.6, "busy_share_max": 0.6}}


def found(clock: FakeClock, tables: str) -> list[str]:
    """The findings of a job that says that it writes to these tables."""
    its = settings(parameters={"autostream.watermark.table": tables})
    samples = job_samples(until_ms=clock.now_ms(), minutes=10, figures=WELL, vertices=VERTICES)
    fill_telemetry(samples, [job_record(settings=its)])
    return [finding.id for finding in autostream.health().jobs[0].findings]


@pytest.mark.parametrize(
    ("properties", "ids"),
    [
        ({}, []),
        ({"write.upsert.enabled": "true"}, ["configuration-not-compacted"]),
        ({"write.upsert.enabled": "true", "autostream.compaction.enabled": "true"}, []),
        ({"commit.retry.num-retries": "0"}, ["configuration-sink-retries"]),
    ],
)
def test_properties_of_the_table(
    lake: SqlCatalog, clock: FakeClock, properties: dict[str, str], ids: list[str]
) -> None:
    lake.create_table("db.orders", SCHEMA, properties=properties)
    assert found(clock, "lake.db.orders") == ids


def test_a_table_that_cannot_be_read_is_not_known(
    lake: SqlCatalog, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    lake.create_table("db.orders", SCHEMA, properties={"write.upsert.enabled": "true"})
    assert found(clock, "lake.db.gone, lake.db.orders, nowhere.db.t") == ["configuration-not-compacted"]
    assert "Table lake.db.gone is not judged" in caplog.text
    assert found(clock, "no table") == []
