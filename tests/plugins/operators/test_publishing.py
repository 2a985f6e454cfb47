"""Complete hours as partitions: once, in order, without gaps. The tables are real, what Airflow keeps is not."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.comms import AssetEventDagRunReferenceResult
from airflow.sdk.execution_time.context import OutletEventAccessors, TriggeringAssetEventsAccessor
from airflow.sdk.execution_time.task_runner import _build_asset_profiles, _serialize_outlet_events
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from autostream.times import FOREVER_MS, parse_instant
from autostream_airflow.assets import table_hours_asset, table_watermark_asset
from autostream_airflow.operators.publishing import JudgePublicationsOperator, PublishHoursOperator
from tests.support.clocks import FakeClock

TABLE = "lake.db.t"
HOUR_MS = 3_600_000


def hour(number: int) -> str:
    return f"2026-11-23T{number:02}:00:00"


def ms(text: str) -> int:
    return parse_instant(f"2026-11-23T{text}Z")


class Events(list[Any]):
    """The events of an asset, as a task may ask for them."""

    def ascending(self, ascending: bool) -> "Events":
        return self if ascending else Events(reversed(self))

    def limit(self, limit: int) -> "Events":
        return Events(self[:limit])


class Store(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        assert value is not None
        self[key] = value


def _watched(table: str) -> AssetEventDagRunReferenceResult:
    """An event of a watcher, as Airflow gives it to the run that it has caused."""
    asset = table_watermark_asset(table)
    return AssetEventDagRunReferenceResult(
        asset={"name": asset.name, "uri": asset.uri, "extra": {}},
        extra={"from_trigger": True, "payload": {"table": table}},
        source_dag_id=None,
        source_task_id=None,
        source_run_id=None,
        source_map_index=None,
        source_aliases=[],
        timestamp="2026-11-23T00:00:00Z",
        partition_key=None,
    )


class Airflow:
    """What Airflow keeps between runs: the events of successful tasks, and the state stores of assets."""

    def __init__(self, *tables: str) -> None:
        self.tables = tables
        self.events: dict[str, Events] = {table: Events() for table in tables}
        self.stores: dict[str, Store] = {table: Store() for table in tables}

    def run(self, *, succeeds: bool = True, caused_by: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """Runs the task as the task runner does, and has the outlets' events registered as the API server does."""
        operator = PublishHoursOperator(task_id="publish", tables=self.tables)
        assets = {table: table_hours_asset(table) for table in self.tables}
        causes = TriggeringAssetEventsAccessor.build(_watched(table) for table in caused_by)
        context = {
            "outlet_events": OutletEventAccessors(),
            "inlet_events": {assets[table]: self.events[table] for table in self.tables},
            "asset_state_store": {assets[table]: self.stores[table] for table in self.tables},
            "triggering_asset_events": causes,
        }
        rows = operator.execute(context)
        if succeeds:
            emitted = list(_serialize_outlet_events(context["outlet_events"]))
            for profile in _build_asset_profiles(operator.outlets):
                mine = [event for event in emitted if event["dest_asset_key"]["name"] == profile.name]
                for event in mine or [{}]:
                    table = str(profile.name).removeprefix("hours:")
                    kept = SimpleNamespace(partition_key=event.get("partition_key"), extra=event.get("extra"))
                    self.events[table].append(kept)
        return rows

    def keys(self, table: str = TABLE) -> list[str]:
        return [event.partition_key for event in self.events[table]]


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Callable[[str], None]:
    def set_it(text: str) -> None:
        clock.ms = ms(text)

    set_it("23:59")
    for name in ("PUBLISH_FROM", "PUBLISH_HOURS_PER_RUN"):
        monkeypatch.delenv(f"AUTOSTREAM_WATERMARK__{name}", raising=False)
    return set_it


@pytest.fixture
def advance(lake: SqlCatalog, make_table: Callable[..., Table]) -> Callable[..., None]:
    tables: dict[str, Table] = {}

    def to(text: str | int, name: str = "t") -> None:
        value = str(ms(text) if isinstance(text, str) else text)
        if name not in tables:
            tables[name] = make_table(name, checkpoints=0)
        tables[name].transaction().set_properties({"autostream.watermark": value}).commit_transaction()

    return to


@pytest.fixture
def airflow() -> Airflow:
    return Airflow(TABLE)


def test_each_hour_once_in_order_and_without_gaps(airflow: Airflow, advance: Callable[..., None]) -> None:
    for watermark in ("01:10", "01:59:59.999", "02:00", "02:30", "05:15", "05:15", "06:00"):
        advance(watermark)
        airflow.run()
    assert airflow.keys() == [hour(number) for number in (1, 2, 3, 4, 5)]


def test_many_hours_of_one_run_are_in_order(airflow: Airflow, advance: Callable[..., None]) -> None:
    """A set of strings would have any order, another one in each process."""
    advance("00:10")
    airflow.run()
    advance("20:00")
    (row,) = airflow.run()
    assert row["hours"] == airflow.keys() == [hour(number) for number in range(20)]
    assert airflow.events[TABLE][0].extra == {
        "table": TABLE,
        "watermark_ms": ms("20:00"),
        "published_until_ms": ms("20:00"),
    }


def test_catching_up_is_bounded_and_goes_on(
    airflow: Airflow, advance: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSTREAM_WATERMARK__PUBLISH_HOURS_PER_RUN", "4")
    advance("00:10")
    airflow.run()
    advance("10:00")
    published = [len(airflow.run()[0]["hours"]) for _ in range(5)]
    assert published == [4, 4, 2, 0, 0]
    assert airflow.keys() == [hour(number) for number in range(10)]


def test_a_run_that_breaks_off_has_announced_nothing_and_loses_nothing(
    airflow: Airflow, advance: Callable[..., None]
) -> None:
    advance("00:10")
    airflow.run()
    advance("03:00")
    for _ in range(3):
        airflow.run(succeeds=False)
    assert airflow.keys() == []
    airflow.run()
    assert airflow.keys() == [hour(0), hour(1), hour(2)]


def test_nothing_complete_is_no_event_at_all(airflow: Airflow, advance: Callable[..., None]) -> None:
    """An outlet without a word from its task gets an event without a partition, which starts unpartitioned DAGs."""
    advance("00:10")
    (row,) = airflow.run()
    assert row["status"] == "nothing-new"
    assert airflow.events[TABLE] == []


def test_a_table_that_is_new_starts_with_the_hour_that_its_watermark_is_in(
    airflow: Airflow, advance: Callable[..., None]
) -> None:
    advance("07:10")
    airflow.run()
    advance("09:05")  # two hours later, still without any event
    airflow.run()
    assert airflow.keys() == [hour(7), hour(8)]


def test_one_whose_writer_has_ended_by_then_starts_with_the_present_hour(
    airflow: Airflow, advance: Callable[..., None], now: Callable[[str], None]
) -> None:
    now("05:30")
    advance(FOREVER_MS)
    airflow.run()
    now("06:10")
    airflow.run()
    assert airflow.keys() == [hour(5)]


def test_or_with_the_hour_that_is_configured(
    airflow: Airflow, advance: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSTREAM_WATERMARK__PUBLISH_FROM", "2026-11-23T05:00Z")
    advance("07:10")
    airflow.run()
    monkeypatch.setenv("AUTOSTREAM_WATERMARK__PUBLISH_FROM", "2026-11-23T00:00Z")  # it is not new any more
    airflow.run()
    assert airflow.keys() == [hour(5), hour(6)]


def test_a_start_that_is_no_time_fails_at_once(
    airflow: Airflow, advance: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSTREAM_WATERMARK__PUBLISH_FROM", "yesterday")
    with pytest.raises(AirflowFailException, match=r"watermark\.publish_from: Invalid time 'yesterday'"):
        airflow.run()


def test_events_that_were_cleaned_away_repeat_nothing(airflow: Airflow, advance: Callable[..., None]) -> None:
    for watermark in ("00:10", "02:00", "03:00", "03:01"):
        advance(watermark)
        airflow.run()
    airflow.events[TABLE].clear()
    advance("04:00")
    airflow.run()
    assert airflow.keys() == [hour(3)]


def test_a_state_store_that_was_lost_repeats_nothing(airflow: Airflow, advance: Callable[..., None]) -> None:
    for watermark in ("00:10", "02:00"):
        advance(watermark)
        airflow.run()
    airflow.stores[TABLE].clear()
    advance("03:00")
    airflow.run()
    assert airflow.keys() == [hour(0), hour(1), hour(2)]


@pytest.mark.parametrize("key", [hour(0), "2030-01-01T00:00:00", "eu", None])
def test_an_event_made_by_hand_changes_nothing(airflow: Airflow, advance: Callable[..., None], key: str | None) -> None:
    for watermark in ("00:10", "02:00"):
        advance(watermark)
        airflow.run()
    airflow.events[TABLE].append(SimpleNamespace(partition_key=key, extra=None))
    advance("03:00")
    airflow.run()
    assert airflow.keys() == [hour(0), hour(1), key, hour(2)]


def test_a_watermark_that_was_set_back_repeats_nothing(airflow: Airflow, advance: Callable[..., None]) -> None:
    for watermark in ("00:10", "03:00", "01:00", "02:30", "04:00"):
        advance(watermark)
        airflow.run()
    assert airflow.keys() == [hour(number) for number in range(4)]


def test_an_hour_that_is_not_over_is_not_published_though_the_writer_has_ended(
    airflow: Airflow, advance: Callable[..., None], now: Callable[[str], None]
) -> None:
    now("01:30")
    advance("00:10")
    airflow.run()
    advance(FOREVER_MS)
    airflow.run()
    assert airflow.keys() == [hour(0)]
    now("02:00")
    airflow.run()
    assert airflow.keys() == [hour(0), hour(1)]


def test_one_table_holds_up_no_other(advance: Callable[..., None]) -> None:
    airflow = Airflow("lake.db.none", TABLE, "lake.db.silent")
    advance("00:10")
    advance(-(2**63), "silent")
    airflow.run()
    advance("01:00")
    rows = {row["table"]: row for row in airflow.run()}
    assert {table: row["status"] for table, row in rows.items()} == {
        "lake.db.none": "failed",
        TABLE: "published",
        "lake.db.silent": "unknown",
    }
    assert airflow.keys() == [hour(0)]
    with pytest.raises(
        AirflowFailException, match=r"1 of 3 tables failed:\nlake\.db\.none: failed: Table lake\.db\.none"
    ):
        JudgePublicationsOperator(task_id="report", rows=list(rows.values())).execute({})


def test_a_run_that_a_table_has_caused_looks_at_that_table(advance: Callable[..., None]) -> None:
    airflow = Airflow("lake.db.a", "lake.db.b")
    for name in ("a", "b"):
        advance("00:10", name)
    assert len(airflow.run()) == 2
    for name in ("a", "b"):
        advance("01:00", name)
    assert [row["table"] for row in airflow.run(caused_by=("lake.db.b",))] == ["lake.db.b"]
    assert (airflow.keys("lake.db.a"), airflow.keys("lake.db.b")) == ([], [hour(0)])
    assert len(airflow.run(caused_by=("lake.db.elsewhere",))) == 2


def test_the_report_of_nothing(advance: Callable[..., None]) -> None:
    assert list(JudgePublicationsOperator(task_id="judge", rows=[]).lines()) == [
        "No tables. Name tables in watermark.publish_tables."
    ]
    JudgePublicationsOperator(task_id="report", rows=[]).execute({})
    with pytest.raises(AirflowFailException, match="Nothing was published"):
        JudgePublicationsOperator(task_id="report", rows=None).execute({})


def test_rows_as_a_table_of_text(airflow: Airflow, advance: Callable[..., None]) -> None:
    advance("00:10")
    airflow.run()
    advance("02:00")
    assert list(JudgePublicationsOperator(task_id="judge", rows=airflow.run()).lines()) == [
        "table      status     watermark             hours  published until       error",
        "lake.db.t  published  2026-11-23T02:00:00Z  2      2026-11-23T02:00:00Z",
    ]
