"""The trigger of asset watchers, by itself and in Airflow's own manager of shared streams; time jumps."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog
from airflow.triggers.base import BaseEventTrigger
from airflow.triggers.shared_stream import AdvanceItem, AdvanceOutcome, SharedStreamManager

from autostream.errors import UsageError
from autostream.times import FOREVER_MS, clock_replaced, parse_instant
from autostream.watermark.waiting import MarkReading
from autostream_airflow.assets import table_watermark_asset
from autostream_airflow.triggers import windows as module
from autostream_airflow.triggers.windows import CompleteWindows, WatermarkWindowTrigger
from tests.plugins.triggers.conftest import Tables
from tests.support.clocks import LoopClock, run_at_once

TABLE = "lake.db.t"


def ms(text: str) -> int:
    return parse_instant(f"2026-11-23T{text}Z")


def key(hour: int) -> str:
    return f"2026-11-23T{hour:02}:00:00"


class Store(dict[str, Any]):
    """The state store of one asset."""

    async def aget(self, name: str) -> Any:
        return self.get(name)

    async def aset(self, name: str, value: Any) -> None:
        self[name] = value


class Triggerer:
    """What the triggerer does with a watcher: Airflow's own streams, an event stored or not, and confirmed then."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.stored: list[str] = []
        self.storing = True

    async def run(self, *, seconds: float, **kwargs: Any) -> None:
        manager = SharedStreamManager(log=structlog.get_logger(), ack_timeout=300.0)
        trigger = WatermarkWindowTrigger(table=TABLE, **kwargs)
        trigger.asset_state_store = self.store
        watching = asyncio.create_task(self._watch(manager, trigger))
        await asyncio.sleep(seconds)
        assert not watching.done(), watching.result()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await manager.stop_all()

    async def _watch(self, manager: SharedStreamManager, trigger: BaseEventTrigger) -> None:
        stream_key = trigger.shared_stream_key()
        stream = manager.subscribe(trigger_id=1, trigger=trigger, key=stream_key)
        try:
            async for event in trigger.filter_shared_stream(stream):
                number = manager.bind_pending_event(trigger_id=1, key=stream_key)
                json.dumps(event.payload)
                if self.storing:
                    self.stored.append(event.payload["key"])
                    asyncio.get_running_loop().call_later(2.0, manager.confirm_persisted, [number])
        finally:
            await manager.unsubscribe(1, stream_key)


@pytest.fixture(autouse=True)
def clock(tables: Tables) -> Iterator[LoopClock]:
    """The time of day is 12:00 when a loop starts, and goes with it."""
    with clock_replaced(LoopClock(ms("12:00"))) as clock:
        yield clock


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def triggerer(store: Store) -> Triggerer:
    return Triggerer(store)


def changing(tables: Tables, *watermarks: str | int, every: float = 60.0) -> Any:
    """Sets the watermark from time to time."""

    async def change() -> None:
        for watermark in watermarks:
            tables.set(TABLE, ms(watermark) if isinstance(watermark, str) else watermark)
            await asyncio.sleep(every)

    return change()


def test_it_can_be_made_again_elsewhere() -> None:
    trigger = WatermarkWindowTrigger(table=TABLE, window="day", time_zone="Europe/Berlin", poll_seconds=3)
    path, kwargs = trigger.serialize()
    assert path == "autostream_airflow.triggers.windows.WatermarkWindowTrigger"
    assert WatermarkWindowTrigger(**json.loads(json.dumps(kwargs))).serialize() == (path, kwargs)
    with pytest.raises(UsageError, match="Unknown window 'week'"):
        WatermarkWindowTrigger(table=TABLE, window="week")


def test_an_event_for_each_hour_in_order_from_the_last_complete_one_on(
    tables: Tables, triggerer: Triggerer, store: Store
) -> None:
    async def main() -> None:
        await asyncio.gather(
            triggerer.run(seconds=400), changing(tables, "01:10", "01:50", "02:00", "02:59:59.999", "05:10")
        )

    run_at_once(main())
    assert triggerer.stored == [key(hour) for hour in (0, 1, 2, 3, 4)]
    assert store == {module.CURSOR: ms("05:00")}


def test_a_restart_neither_loses_nor_repeats(tables: Tables, triggerer: Triggerer) -> None:
    async def main() -> None:
        for hour in range(1, 6):
            tables.set(TABLE, ms(f"{hour:02}:10"))
            await triggerer.run(seconds=60)
            await triggerer.run(seconds=60)
        tables.set(TABLE, ms("09:00"))  # while it was down
        await triggerer.run(seconds=60)

    run_at_once(main())
    assert triggerer.stored == [key(hour) for hour in range(9)]


def test_an_event_that_was_not_stored_is_fired_again(tables: Tables, triggerer: Triggerer, store: Store) -> None:
    async def main() -> None:
        tables.set(TABLE, ms("01:10"))
        await triggerer.run(seconds=60)
        triggerer.storing = False  # the triggerer dies before its events are stored
        tables.set(TABLE, ms("03:10"))
        await triggerer.run(seconds=60)
        assert store == {module.CURSOR: ms("01:00")}
        triggerer.storing = True
        await triggerer.run(seconds=60)

    run_at_once(main())
    assert triggerer.stored == [key(0), key(1), key(2)]


@pytest.mark.parametrize(("acked", "kept"), [((1, 1, 0, 1), "02:00"), ((0, 1), None)])
def test_nothing_is_remembered_beyond_an_event_that_was_lost(
    store: Store, acked: tuple[int, ...], kept: str | None
) -> None:
    windows = CompleteWindows(WatermarkWindowTrigger(table=TABLE), store)
    batch = [
        AdvanceItem(ms(f"{hour:02}:00"), AdvanceOutcome(acked=one, failed=1 - one))
        for hour, one in enumerate(acked, start=1)
    ]
    with pytest.raises(RuntimeError, match=r"did not store an event of lake\.db\.t"):
        asyncio.run(windows.advance(batch))
    assert store.get(module.CURSOR) == (ms(kept) if kept else None)


def test_many_hours_come_in_portions(tables: Tables, triggerer: Triggerer, store: Store, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "MOST_AT_A_LOOK", 3)
    store[module.CURSOR] = ms("00:00")
    tables.set(TABLE, ms("10:30"))
    run_at_once(triggerer.run(seconds=120))
    assert triggerer.stored == [key(hour) for hour in range(10)]


def test_of_a_writer_that_has_ended_hours_come_as_they_are_over(tables: Tables, triggerer: Triggerer) -> None:
    tables.set(TABLE, FOREVER_MS)
    run_at_once(triggerer.run(seconds=2 * 3600 + 60))
    assert triggerer.stored == [key(11), key(12), key(13)]


def test_days_begin_at_midnight_of_the_zone(tables: Tables, triggerer: Triggerer) -> None:
    async def main() -> None:
        watching = triggerer.run(seconds=200, window="day", time_zone="Asia/Tokyo")
        await asyncio.gather(watching, changing(tables, "10:00", "11:30"))

    run_at_once(main())
    assert triggerer.stored == ["2026-11-22"]


def test_what_cannot_be_read_is_waited_for(tables: Tables, triggerer: Triggerer) -> None:
    async def main() -> None:
        watching = asyncio.create_task(triggerer.run(seconds=7000))
        await asyncio.sleep(1000)  # there is no such table
        tables[TABLE] = MarkReading(None, "the catalog is down")
        await asyncio.sleep(1000)
        tables.set(TABLE, None)
        await asyncio.sleep(1000)
        tables.set(TABLE, ms("03:00"))
        await watching

    run_at_once(main())
    assert triggerer.stored == [key(2)]


def test_assets_that_share_a_trigger_have_no_store(tables: Tables) -> None:
    class Several(Store):
        async def aget(self, name: str) -> Any:
            raise ValueError("Task has 2 concrete inlets and outlets — use context[...]")

    triggerer = Triggerer(Several())
    tables.set(TABLE, ms("03:00"))
    run_at_once(triggerer.run(seconds=60))
    assert triggerer.stored == [key(2)]

    class Broken(Store):
        async def aget(self, name: str) -> Any:
            raise ValueError("no backend")

    with pytest.raises(ValueError, match="no backend"):
        run_at_once(Triggerer(Broken()).run(seconds=60))


def test_without_acknowledgements_it_runs_by_itself(tables: Tables) -> None:
    tables.set(TABLE, ms("03:00"))

    async def first(events: AsyncIterator[Any]) -> Any:
        async for event in events:
            payload = event.payload
            break
        await events.aclose()  # type: ignore[attr-defined]
        return payload

    assert run_at_once(first(WatermarkWindowTrigger(table=TABLE).run())) == {
        "table": TABLE,
        "window": "hour",
        "key": key(2),
        "start": "2026-11-23T02:00:00Z",
        "start_ms": ms("02:00"),
        "end": "2026-11-23T03:00:00Z",
        "end_ms": ms("03:00"),
        "watermark_ms": ms("03:00"),
    }


def test_many_watchers_of_a_table_cost_one_poll_loop(tables: Tables, store: Store) -> None:
    tables.set(TABLE, ms("03:00"))
    watchers = [Triggerer(Store()) for _ in range(20)]

    async def main() -> None:
        await asyncio.gather(*(one.run(seconds=5, poll_seconds=10 + number) for number, one in enumerate(watchers)))

    run_at_once(main())
    assert [one.stored for one in watchers] == [[key(2)]] * 20
    assert tables.looks == 1


def test_the_asset_of_a_tables_windows() -> None:
    asset = table_watermark_asset("lake.db.t")
    assert (asset.name, asset.uri) == ("watermark:hour:lake.db.t", "autostream://watermark/hour/lake/db/t")
    (watcher,) = asset.watchers
    assert watcher.trigger.serialize()[1]["table"] == "lake.db.t"
    tokyo = table_watermark_asset("lake.db.t", window="day", time_zone="Asia/Tokyo")
    assert tokyo.name == "watermark:day:Asia/Tokyo:lake.db.t"
