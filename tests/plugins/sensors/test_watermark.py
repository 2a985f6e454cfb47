"""The sensor on a real table, in every mode; time is a test's."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from autostream import times
from autostream.errors import UsageError
from autostream.watermark.waiting import Outcome, step
from autostream_airflow.hooks.catalog import open_mark_reader
from autostream_airflow.sensors import watermark as module
from autostream_airflow.sensors.watermark import WatermarkSensor
from tests.support.clocks import FakeClock

TABLE = "lake.db.t"
HOUR = datetime(2026, 11, 23, 2, tzinfo=UTC)
UNTIL = int(HOUR.timestamp() * 1000)
MINUTE = 60_000
MODES = [{"deferrable": True}, {"deferrable": False, "mode": "poke"}, {"deferrable": False, "mode": "reschedule"}]


class Ti(SimpleNamespace):
    max_tries = 0


class Store(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


def run_of(**what: Any) -> SimpleNamespace:
    nothing = {"partition_key": None, "partition_date": None, "data_interval_end": None, "run_id": "manual__1"}
    return SimpleNamespace(**nothing | what)


@pytest.fixture
def context() -> dict[str, Any]:
    return {"ti": Ti(), "task_state_store": Store(), "dag_run": run_of(data_interval_end=HOUR)}


@pytest.fixture
def table(lake: SqlCatalog, make_table: Callable[..., Table]) -> Table:
    return make_table("t", checkpoints=1, **{"autostream.watermark.writer.ingest": str(UNTIL - 13 * MINUTE)})


def advance(table: Table, watermark_ms: int) -> None:
    table.transaction().set_properties({"autostream.watermark.writer.ingest": str(watermark_ms)}).commit_transaction()


class World:
    """Runs a sensor's task as Airflow would, starting its process again and again; pauses take no time."""

    def __init__(self, context: dict[str, Any], clock: FakeClock) -> None:
        clock.ms = UNTIL
        self.context, self.clock = context, clock
        self.log: list[str] = []
        self.pauses = clock.slept
        self.starts = 0

    def run(self, **kwargs: Any) -> dict[str, Any]:
        while True:
            sensor = WatermarkSensor(task_id="wait", **kwargs)
            self._listen(sensor)
            self.starts += 1
            try:
                return sensor.execute(self.context)
            except AirflowRescheduleException as again:
                self.context["task_reschedule_count"] = self.context.get("task_reschedule_count", 0) + 1
                times.sleep((again.reschedule_date - times.now()).total_seconds())
            except TaskDeferred as deferred:
                return self._triggerer(sensor, deferred)

    def _triggerer(self, sensor: WatermarkSensor, deferred: TaskDeferred) -> dict[str, Any]:
        """What the trigger does, one look after the other; the real one is tested elsewhere."""
        assert deferred.method_name == "execute_complete"
        trigger, reader = deferred.trigger, open_mark_reader()
        condition, told = trigger._condition(), trigger.said
        while True:
            times.sleep(min(trigger.poll_seconds, (trigger.deadline_ms - times.now_ms()) / 1000))
            if times.now_ms() >= trigger.deadline_ms:
                event: dict[str, Any] = {"status": "late"}
                break
            found = step(condition, {table: reader.read(table) for table in condition.tables}, told=told)
            if found.outcome is Outcome.MET:
                event = {"status": "met", "answer": found.answer.to_dict()}
                break
            if found.news:
                told = found.explanation
                self.log.append(told)
        self.starts += 1
        return sensor.execute_complete(self.context, event)

    def _listen(self, sensor: WatermarkSensor) -> None:
        lines = self.log

        class Log:
            def info(self, template: str, *values: Any) -> None:
                lines.append(template % values)

            def warning(self, line: str) -> None:
                """Airflow's, that an operator is called by a test."""

        sensor._cached_logger = Log()


@pytest.fixture
def world(context: dict[str, Any], clock: FakeClock) -> World:
    return World(context, clock)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_complete_passes_at_once(world: World, table: Table, mode: dict[str, Any]) -> None:
    advance(table, UNTIL)
    answer = world.run(table=TABLE, **mode)
    assert (world.starts, world.pauses) == (1, [])
    assert world.log == [f"{TABLE}: watermark 02:00, need 02:00 UTC: complete"]
    assert answer["met"]
    assert answer["watermark_ms"] == UNTIL
    assert world.context["task_state_store"] == {}


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_says_the_same_once(world: World, table: Table, mode: dict[str, Any]) -> None:
    world.clock.then = {3: lambda: advance(table, UNTIL - 5 * MINUTE), 5: lambda: advance(table, UNTIL)}
    answer = world.run(table=TABLE, poke_interval=30, **mode)
    assert world.log == [
        f"{TABLE}: watermark 01:47, need 02:00 UTC, 13 min short, held back by writer ingest",
        f"{TABLE}: watermark 01:55, need 02:00 UTC, 5 min short, held back by writer ingest",
        f"{TABLE}: watermark 02:00, need 02:00 UTC: complete",
    ]
    assert answer["met"]
    assert world.pauses == pytest.approx([30] * 5, abs=0.2)
    assert world.context["task_state_store"] == {}


@pytest.mark.parametrize("mode", MODES)
def test_a_time_out_says_what_was_waited_for_and_who_was_late(
    world: World, table: Table, mode: dict[str, Any], told: Callable[[], list[dict[str, Any]]]
) -> None:
    with pytest.raises(AirflowSensorTimeout) as late:
        world.run(table=TABLE, timeout=100, poke_interval=30, lateness="5 min", **mode)
    assert str(late.value) == (
        "Not complete in time, after 1 min 40 s (allowed: 1 min 40 s): "
        f"{TABLE}: watermark 01:47, need 02:05 UTC (02:00 + 5 min), 18 min short, held back by writer ingest"
    )
    assert sum(world.pauses) == pytest.approx(100, abs=1)
    assert world.context["task_state_store"] == {}
    (notice,) = told()
    assert (notice["kind"], notice["fields"]["waited"]) == ("wait-timed-out", "1 min 40 s")
    assert notice["fields"]["waiter"].endswith(".wait")


@pytest.mark.parametrize("mode", MODES)
def test_a_soft_time_out_is_a_skip(world: World, table: Table, mode: dict[str, Any]) -> None:
    with pytest.raises(AirflowSkipException, match=r"held back by writer ingest"):
        world.run(table=TABLE, timeout=100, soft_fail=True, **mode)


@pytest.mark.parametrize("mode", MODES)
def test_complete_at_the_last_look_is_complete(world: World, table: Table, mode: dict[str, Any]) -> None:
    world.clock.then = {2: lambda: advance(table, UNTIL)}
    assert world.run(table=TABLE, timeout=60, poke_interval=30, **mode)["met"]


@pytest.mark.parametrize("mode", MODES)
def test_time_that_an_earlier_try_has_spent_counts(world: World, table: Table, mode: dict[str, Any]) -> None:
    kept = {"began_ms": UNTIL - 90_000, "max_tries": 0, "said": ""}
    world.context["task_state_store"].set(module.RECORD, kept)
    with pytest.raises(AirflowSensorTimeout):
        world.run(table=TABLE, timeout=100, poke_interval=30, **mode)
    assert world.pauses == pytest.approx([10], abs=0.2)


def test_a_task_that_was_cleared_has_its_whole_time(world: World, table: Table) -> None:
    kept = {"began_ms": UNTIL - 90_000, "max_tries": 0, "said": ""}
    world.context["task_state_store"].set(module.RECORD, kept)
    world.context["ti"].max_tries = 1
    with pytest.raises(AirflowSensorTimeout):
        world.run(table=TABLE, timeout=100, poke_interval=30, deferrable=False)
    assert sum(world.pauses) == pytest.approx(100)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("soft_fail", [False, True])
def test_a_table_that_does_not_exist_fails_at_once(
    world: World, table: Table, mode: dict[str, Any], soft_fail: bool
) -> None:
    with pytest.raises(AirflowFailException, match=r"Table lake\.db\.none does not exist"):
        world.run(table="lake.db.none", soft_fail=soft_fail, **mode)
    assert world.pauses == []


@pytest.mark.parametrize("mode", MODES)
def test_a_catalog_that_is_down_is_waited_for(
    world: World, table: Table, lake: SqlCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", f"sqlite:///{tmp_path}/no/such/directory.db")

    def up() -> None:
        monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", lake.properties["uri"])
        advance(table, UNTIL)

    world.clock.then = {4: up}
    assert world.run(table=TABLE, **mode)["met"]
    assert len(world.log) == 2
    assert "could not read its watermark" in world.log[0]
    assert "Cannot open catalog 'lake'" in world.log[0]


def test_a_table_that_was_dropped_meanwhile_fails_the_task(context: dict[str, Any], table: Table) -> None:
    sensor = WatermarkSensor(task_id="wait", table=TABLE)
    with pytest.raises(AirflowFailException, match="it is gone"):
        sensor.execute_complete(context, {"status": "failed", "message": "it is gone"})


def test_airflows_own_end_of_a_deferral_is_our_time_out(context: dict[str, Any], table: Table) -> None:
    with pytest.raises(AirflowSensorTimeout, match="held back by writer ingest"):
        # Airflow calls it by the name `__fail__`, upon which the base class raises the time-out.
        WatermarkSensor(task_id="wait", table=TABLE, timeout=60).resume_execution(
            "__fail__", {"error": "Trigger timeout"}, context
        )


def test_the_deferral_is_longer_than_what_the_trigger_takes_to_end_it(
    context: dict[str, Any], table: Table, clock: FakeClock
) -> None:
    clock.ms = UNTIL
    with pytest.raises(TaskDeferred) as deferred:
        WatermarkSensor(task_id="wait", table=TABLE, timeout=600, poke_interval=0).execute(context)
    trigger = deferred.value.trigger
    assert trigger.deadline_ms == UNTIL + 600_000
    assert deferred.value.timeout == timedelta(seconds=600 + 120)
    assert trigger.poll_seconds == 1.0
    assert trigger.said.startswith(f"{TABLE}: watermark 01:47")


@pytest.mark.parametrize(
    ("run", "arguments", "until"),
    [
        ({"data_interval_end": HOUR}, {}, HOUR),
        ({"partition_key": "2026-11-23T01:00:00"}, {}, HOUR),
        ({"partition_key": "2026-11-23T01:00:00", "data_interval_end": datetime(2020, 1, 1, tzinfo=UTC)}, {}, HOUR),
        ({"partition_key": "2026-11-23"}, {}, datetime(2026, 11, 24, tzinfo=UTC)),
        ({"partition_key": "2026-11-23"}, {"window": "hour"}, datetime(2026, 11, 23, 1, tzinfo=UTC)),
        ({"partition_key": "2026-11-23T00:00:00"}, {"window": "day"}, datetime(2026, 11, 24, tzinfo=UTC)),
        ({"partition_key": "2026-10-25"}, {"time_zone": "Europe/Berlin"}, datetime(2026, 10, 25, 23, tzinfo=UTC)),
        ({"partition_key": "2026-11-23T02:00:00"}, {"time_zone": "Europe/Berlin"}, HOUR),
        # Midnight of UTC is within the day before of New York.
        (
            {"partition_key": "2026-11-23", "partition_date": datetime(2026, 11, 23, tzinfo=UTC)},
            {"time_zone": "America/New_York", "window": "day"},
            datetime(2026, 11, 24, 5, tzinfo=UTC),
        ),
        # Its midnight is skipped.
        ({"partition_key": "2026-04-24"}, {"time_zone": "Africa/Cairo"}, datetime(2026, 4, 24, 21, tzinfo=UTC)),
        ({}, {"until": "2026-04-24", "time_zone": "Africa/Cairo"}, datetime(2026, 4, 23, 22, tzinfo=UTC)),
        (
            {"partition_key": "eu|1", "partition_date": datetime(2026, 11, 23, 1, tzinfo=UTC)},
            {"window": "hour"},
            HOUR,
        ),
        ({}, {"until": "2026-11-23T02:00:00Z"}, HOUR),
        ({}, {"until": "2026-11-23T03:00", "time_zone": "Europe/Berlin"}, HOUR),
        ({}, {"until": str(UNTIL)}, HOUR),
        ({}, {"until": UNTIL}, HOUR),
        ({}, {"until": HOUR}, HOUR),
        ({"partition_key": "2026-11-20T01:00:00"}, {"until": "2026-11-23 02:00:00+00:00"}, HOUR),
    ],
)
def test_what_is_waited_for(run: dict[str, Any], arguments: dict[str, Any], until: datetime) -> None:
    sensor = WatermarkSensor(task_id="wait", table=TABLE, **arguments)
    assert sensor._condition({"dag_run": run_of(**run)}).until_ms == int(until.timestamp() * 1000)


@pytest.mark.parametrize(
    ("run", "arguments", "message"),
    [
        ({}, {}, r"run manual__1 has neither a partition nor a data interval"),
        ({"partition_key": "eu"}, {}, r"Invalid partition key 'eu'"),
        ({"partition_key": "eu"}, {"window": "hour"}, r"Invalid time 'eu'"),
        ({}, {"until": 1_764_036_420}, r"Invalid time '1764036420'"),
        ({}, {"until": "20261123020000"}, r"Invalid time '20261123020000'"),
        ({}, {"until": "soon"}, r"Task wait: Invalid time 'soon'"),
        ({}, {"until": "None"}, r"Invalid time 'None'"),
    ],
)
def test_a_run_without_an_end_fails_at_once(run: dict[str, Any], arguments: dict[str, Any], message: str) -> None:
    context = {"dag_run": run_of(**run), "ti": Ti(), "task_state_store": Store()}
    with pytest.raises(AirflowFailException, match=message):
        WatermarkSensor(task_id="wait", table=TABLE, **arguments).execute(context)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either `table` or `tables`"),
        ({"table": TABLE, "tables": [TABLE]}, "either `table` or `tables`"),
        ({"table": TABLE, "lateness": "some"}, "Invalid duration"),
        ({"table": TABLE, "window": "week"}, "Unknown window 'week'"),
        ({"table": TABLE, "time_zone": "Mars"}, "Unknown time zone 'Mars'"),
        ({"table": TABLE, "quantifier": "most"}, "'most' is not a valid Quantifier"),
    ],
)
def test_wrong_arguments_are_refused_when_the_dag_is_parsed(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((UsageError, ValueError), match=message):
        WatermarkSensor(task_id="wait", **arguments)


@pytest.mark.parametrize("tables", [[], [""], [None]])
def test_tables_that_are_none_fail_at_once(context: dict[str, Any], tables: list[Any]) -> None:
    with pytest.raises(AirflowFailException):
        WatermarkSensor(task_id="wait", tables=tables).execute(context)


@pytest.mark.parametrize("lateness", ["5min", 300, timedelta(minutes=5)])
def test_lateness_in_any_form(lateness: Any) -> None:
    assert WatermarkSensor(task_id="wait", table=TABLE, lateness=lateness).lateness_ms == 5 * MINUTE


def test_tables_and_end_are_templates() -> None:
    assert WatermarkSensor.template_fields == ("tables", "until")


def test_the_link_leads_to_the_tables_page(monkeypatch: pytest.MonkeyPatch) -> None:
    from autostream_airflow.links import TableLink

    sensor = WatermarkSensor(task_id="wait", tables=["lake.db.a b", TABLE])
    assert [type(link) for link in sensor.operator_extra_links] == [TableLink]
    monkeypatch.delenv("AUTOSTREAM_CONSOLE__URL", raising=False)
    assert TableLink().get_link(sensor, ti_key=None) == ""
    monkeypatch.setenv("AUTOSTREAM_CONSOLE__URL", "https://lake.example.com/")
    assert TableLink().get_link(sensor, ti_key=None) == "https://lake.example.com/tables/lake.db.a%20b"
