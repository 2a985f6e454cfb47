"""Hours as Airflow's own partitions: the keys that are announced are those that its mappers wait for."""

import pytest
from airflow.partition_mappers.base import RollupMapper
from airflow.partition_mappers.temporal import StartOfDayMapper, StartOfHourMapper
from airflow.partition_mappers.window import DayWindow

from autostream.times import parse_instant
from autostream.watermark.partitions import complete_windows, partition_key_of
from autostream.watermark.windows import WindowKind
from autostream_airflow.assets import published_tables, table_hours_asset

HOURS = [
    partition_key_of(window, WindowKind.HOUR)
    for window in complete_windows(
        WindowKind.HOUR,
        parse_instant("2026-11-23T00:00Z"),
        parse_instant("2026-11-24T00:00Z"),
        now_ms=parse_instant("2026-11-25"),
        limit=100,
    )
]


def test_a_day_waits_for_the_24_hours_that_are_announced() -> None:
    day = RollupMapper(upstream_mapper=StartOfDayMapper(), window=DayWindow())
    assert len(HOURS) == 24
    assert {day.to_downstream(key) for key in HOURS} == {"2026-11-23"}
    assert set(day.to_upstream("2026-11-23")) == set(HOURS)


def test_an_hour_is_an_hour() -> None:
    assert StartOfHourMapper().to_downstream(HOURS[1]) == "2026-11-23T01"


def test_the_asset_of_a_tables_hours() -> None:
    asset = table_hours_asset("lake.db.orders")
    assert (asset.name, asset.uri) == ("hours:lake.db.orders", "autostream://hours/lake/db/orders")


def test_the_published_tables_are_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_WATERMARK__PUBLISH_TABLES", "lake.db.a, lake.db.b")
    assert published_tables() == ("lake.db.a", "lake.db.b")
