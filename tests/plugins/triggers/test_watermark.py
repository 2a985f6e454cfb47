"""The trigger behind the sensor: real event loops, whose time jumps."""

import asyncio
import json
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent
from structlog.testing import capture_logs

from autostream.times import clock_replaced
from autostream.watermark.waiting import MarkReading
from autostream_airflow.triggers import watermark as module
from autostream_airflow.triggers.watermark import WatermarkTrigger
from tests.plugins.triggers.conftest import Tables
from tests.support.clocks import LoopClock, run_at_once

TABLE = "lake.db.t"
UNTIL = 1_795_399_200_000  # 2026-11-23T02:00:00Z
MINUTE = 60_000

Logged = list[MutableMapping[str, Any]]


async def fire(trigger: WatermarkTrigger) -> dict[str, Any]:
    events = [event async for event in trigger.run()]
    assert [type(event) for event in events] == [TriggerEvent]
    payload: dict[str, Any] = events[0].payload
    json.dumps(payload)
    return payload


@pytest.fixture
def logged() -> Iterator[Logged]:
    """What the triggerer would write into the task's log."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture
def clock() -> Iterator[LoopClock]:
    """The time of day goes with the loop's."""
    with clock_replaced(LoopClock(UNTIL)) as clock:
        yield clock


def test_it_can_be_made_again_elsewhere_and_keeps_no_secret() -> None:
    trigger = WatermarkTrigger(
        tables=("lake.db.a", "lake.db.b"),
        until_ms=UNTIL,
        lateness_ms=5 * MINUTE,
        quantifier="any",
        writers=("one",),
        time_zone="Europe/Berlin",
        poll_seconds=12.5,
        deadline_ms=UNTIL + 1,
        said="what was said",
    )
    path, kwargs = trigger.serialize()
    assert path == "autostream_airflow.triggers.watermark.WatermarkTrigger"
    assert len(json.dumps(kwargs)) < 500
    assert WatermarkTrigger(**json.loads(json.dumps(kwargs))).serialize() == (path, kwargs)


def test_it_fires_when_the_watermark_is_there_and_tells_each_step_once(tables: Tables, logged: Logged) -> None:
    tables.set(TABLE, UNTIL - MINUTE)

    async def main() -> dict[str, Any]:
        waiting = asyncio.create_task(fire(WatermarkTrigger(tables=[TABLE], until_ms=UNTIL, poll_seconds=30)))
        await asyncio.sleep(100)
        tables.set(TABLE, UNTIL - MINUTE // 2)
        await asyncio.sleep(100)
        assert not waiting.done()
        tables.set(TABLE, UNTIL)
        return await waiting

    event = run_at_once(main())
    assert event["status"] == "met"
    assert event["answer"]["watermark_ms"] == UNTIL
    assert [entry["event"] for entry in logged] == [
        f"{TABLE}: watermark 01:59, need 02:00 UTC, 1 min short",
        f"{TABLE}: watermark 01:59:30, need 02:00 UTC, 30 s short",
    ]


def test_what_the_task_has_said_is_not_said_again(tables: Tables, logged: Logged, clock: LoopClock) -> None:
    tables.set(TABLE, UNTIL - MINUTE)
    said = f"{TABLE}: watermark 01:59, need 02:00 UTC, 1 min short"
    trigger = WatermarkTrigger(tables=[TABLE], until_ms=UNTIL, deadline_ms=UNTIL + MINUTE, said=said)
    assert run_at_once(fire(trigger)) == {"status": "late"}
    assert logged == []


def test_it_is_over_at_the_deadline_though_nothing_changes(tables: Tables, clock: LoopClock) -> None:
    tables.set(TABLE, None)

    async def main() -> int:
        trigger = WatermarkTrigger(tables=[TABLE], until_ms=UNTIL, deadline_ms=UNTIL + 90 * MINUTE, poll_seconds=3600)
        assert await fire(trigger) == {"status": "late"}
        return clock.now_ms()

    assert run_at_once(main()) == UNTIL + 90 * MINUTE


def test_it_is_over_at_the_deadline_though_no_table_could_be_read(
    tables: Tables, clock: LoopClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(table: str) -> MarkReading:
        await asyncio.sleep(10_000_000)
        raise AssertionError

    monkeypatch.setattr(tables, "read", hang)
    from autostream_airflow.polling import Polling

    monkeypatch.setattr(module, "shared_polling", lambda: Polling(hang))
    trigger = WatermarkTrigger(tables=[TABLE], until_ms=UNTIL, deadline_ms=UNTIL + MINUTE)
    assert run_at_once(fire(trigger)) == {"status": "late"}


def test_a_table_that_is_dropped_fails_who_waits_for_it(tables: Tables) -> None:
    tables.set(TABLE, 0)

    async def main() -> dict[str, Any]:
        waiting = asyncio.create_task(fire(WatermarkTrigger(tables=[TABLE], until_ms=UNTIL)))
        await asyncio.sleep(100)
        del tables[TABLE]
        return await waiting

    assert run_at_once(main()) == {"status": "failed", "message": f"Table {TABLE} does not exist."}


def test_a_catalog_that_is_down_is_an_explanation_and_waited_for(tables: Tables, logged: Logged) -> None:
    tables[TABLE] = MarkReading(None, "no answer from http://catalog")

    async def main() -> dict[str, Any]:
        waiting = asyncio.create_task(fire(WatermarkTrigger(tables=[TABLE], until_ms=UNTIL)))
        await asyncio.sleep(3600)
        tables.set(TABLE, UNTIL)
        return await waiting

    assert run_at_once(main())["status"] == "met"
    assert [entry["event"] for entry in logged] == [
        f"{TABLE}: could not read its watermark, need 2026-11-23 02:00 UTC (no answer from http://catalog)"
    ]


@pytest.mark.parametrize(("quantifier", "met_with"), [("any", 1), ("all", 2)])
def test_several_tables(tables: Tables, quantifier: str, met_with: int) -> None:
    names = ["lake.db.a", "lake.db.b"]
    for name in names:
        tables.set(name, 0)

    async def main() -> int:
        trigger = WatermarkTrigger(tables=names, until_ms=UNTIL, quantifier=quantifier)
        waiting = asyncio.create_task(fire(trigger))
        for number, name in enumerate(names, start=1):
            tables.set(name, UNTIL)
            await asyncio.sleep(100)
            if waiting.done():
                return number
        raise AssertionError("it still waits")

    assert run_at_once(main()) == met_with


def test_triggers_of_one_table_share_a_look(tables: Tables) -> None:
    tables.set(TABLE, UNTIL)

    async def main() -> list[dict[str, Any]]:
        return await asyncio.gather(
            *(fire(WatermarkTrigger(tables=[TABLE], until_ms=UNTIL - number)) for number in range(100))
        )

    assert {event["status"] for event in run_at_once(main())} == {"met"}
    assert tables.looks == 1


def test_one_that_is_cancelled_leaves(tables: Tables) -> None:
    tables.set(TABLE, 0)

    async def main() -> None:
        waiting = asyncio.create_task(fire(WatermarkTrigger(tables=[TABLE], until_ms=UNTIL)))
        await asyncio.sleep(100)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    run_at_once(main())  # the fixture looks whether a poller is left
