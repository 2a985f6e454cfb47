"""One poller a table, however many wait for it; time is the loop's, and jumps."""

import asyncio
import contextvars
import threading
from collections.abc import Callable

import pytest

from autostream.watermark.marks import TableMark
from autostream.watermark.polling import THREADS_OF_A_CATALOG, Polling, ThreadedReading, Watch, polling_of_this_loop
from autostream.watermark.waiting import MarkReading
from tests.support.clocks import run_at_once

TABLE = "lake.db.t"


def mark(watermark_ms: int, table: str = TABLE) -> MarkReading:
    return MarkReading(TableMark(table, None, watermark_ms))


DOWN = MarkReading(None, "catalog is down")


class Catalog:
    """Tables whose readings a test sets, and when each was looked at."""

    def __init__(self) -> None:
        self.now: dict[str, MarkReading | Exception] = {}
        self.looks: list[tuple[float, str]] = []

    async def read(self, table: str) -> MarkReading:
        self.looks.append((asyncio.get_running_loop().time() - 1000.0, table))
        reading = self.now.get(table, mark(0, table))
        if isinstance(reading, Exception):
            raise reading
        return reading

    def times(self, table: str = TABLE) -> list[float]:
        return [round(at, 3) for at, looked_at in self.looks if looked_at == table]


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture
def polling(catalog: Catalog) -> Polling:
    return Polling(catalog.read, chance=lambda: 0.5)


async def first(watch: Watch) -> dict[str, MarkReading]:
    with watch:
        return await watch.changed()


def test_many_who_wait_cost_one_look(catalog: Catalog, polling: Polling) -> None:
    async def main() -> list[dict[str, MarkReading]]:
        return await asyncio.gather(*(first(polling.watch([TABLE], interval_seconds=30)) for _ in range(200)))

    assert run_at_once(main()) == [{TABLE: mark(0)}] * 200
    assert catalog.times() == [0.0]


def test_all_are_told_of_a_change_and_of_nothing_else(catalog: Catalog, polling: Polling) -> None:
    async def wait(told: list[dict[str, MarkReading]]) -> None:
        with polling.watch([TABLE], interval_seconds=30) as watch:
            while True:
                told.append(await watch.changed())

    async def main() -> list[list[dict[str, MarkReading]]]:
        told: list[list[dict[str, MarkReading]]] = [[] for _ in range(120)]
        tasks = [asyncio.create_task(wait(one)) for one in told]
        await asyncio.sleep(100)
        catalog.now[TABLE] = mark(7)
        await asyncio.sleep(100)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return told

    assert run_at_once(main()) == [[{TABLE: mark(0)}, {TABLE: mark(7)}]] * 120
    assert catalog.times() == [0, 30, 60, 90, 120, 150, 180]


def test_the_poller_ends_with_the_last_who_waits(catalog: Catalog, polling: Polling) -> None:
    async def main() -> set[str]:
        with polling.watch([TABLE], interval_seconds=10) as one:
            await one.changed()
            with polling.watch([TABLE], interval_seconds=10) as other:
                await other.changed()
            await asyncio.sleep(25)
            assert list(polling.pollers) == [TABLE]
        assert polling.pollers == {}
        await asyncio.sleep(100)
        return {task.get_name() for task in asyncio.all_tasks()} & {f"poll {TABLE}"}

    assert run_at_once(main()) == set()
    assert catalog.times() == [0, 10, 20]


def test_one_who_is_cancelled_leaves(polling: Polling) -> None:
    async def main() -> None:
        task = asyncio.create_task(first(polling.watch(["lake.db.slow"], interval_seconds=10)))
        await asyncio.sleep(0)
        assert list(polling.pollers) == ["lake.db.slow"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_at_once(main())
    assert polling.pollers == {}


def test_who_comes_later_gets_what_is_known_and_the_shortest_interval_counts(
    catalog: Catalog, polling: Polling
) -> None:
    async def main() -> None:
        with polling.watch([TABLE], interval_seconds=60) as patient:
            await patient.changed()
            await asyncio.sleep(15)
            with polling.watch([TABLE], interval_seconds=20) as hasty:
                assert await hasty.changed() == {TABLE: mark(0)}
                assert catalog.times() == [0]
                await asyncio.sleep(30)
            await asyncio.sleep(100)

    run_at_once(main())
    assert catalog.times() == [0, 20, 40, 60, 120]


def test_one_who_waits_for_several_tables_learns_of_each(catalog: Catalog, polling: Polling) -> None:
    async def main() -> list[dict[str, MarkReading]]:
        told = []
        with polling.watch(["a", "b", "a"], interval_seconds=10) as watch:
            while not told or len(told[-1]) < 2:
                told.append(await watch.changed())
            catalog.now["b"] = mark(5, "b")
            told.append(await watch.changed())
        return told

    assert run_at_once(main())[-1] == {"a": mark(0, "a"), "b": mark(5, "b")}
    assert catalog.times("a") == catalog.times("b") == [0, 10]


def test_failures_are_told_and_backed_off_from_up_to_a_cap(catalog: Catalog, polling: Polling) -> None:
    catalog.now[TABLE] = DOWN

    async def main() -> list[MarkReading]:
        told = []
        with polling.watch([TABLE], interval_seconds=10) as watch:
            told.append((await watch.changed())[TABLE])
            await asyncio.sleep(220)
            catalog.now[TABLE] = mark(1)
            told.append((await watch.changed())[TABLE])
            await asyncio.sleep(15)
        return told

    assert run_at_once(main()) == [DOWN, mark(1)]
    assert catalog.times() == [0, 20, 60, 120, 180, 240, 250]


def test_who_looks_seldom_looks_no_more_seldom_after_failures(catalog: Catalog, polling: Polling) -> None:
    catalog.now[TABLE] = DOWN

    async def main() -> None:
        with polling.watch([TABLE], interval_seconds=600) as watch:
            await watch.changed()
            await asyncio.sleep(1500)

    run_at_once(main())
    assert catalog.times() == [0, 600, 1200]


def test_a_defect_of_reading_ends_no_poller(catalog: Catalog, polling: Polling) -> None:
    catalog.now[TABLE] = ZeroDivisionError("oops")

    async def main() -> list[MarkReading]:
        with polling.watch([TABLE], interval_seconds=30) as watch:
            told = [(await watch.changed())[TABLE]]
            catalog.now[TABLE] = mark(1)
            return [*told, (await watch.changed())[TABLE]]

    assert run_at_once(main()) == [MarkReading(None, "ZeroDivisionError: oops"), mark(1)]


def test_pauses_differ_by_the_jitter(catalog: Catalog) -> None:
    drawn = iter([0.0, 1.0, 0.5, 0.5])
    polling = Polling(catalog.read, chance=lambda: next(drawn))

    async def main() -> None:
        with polling.watch([TABLE], interval_seconds=100) as watch:
            await watch.changed()
            await asyncio.sleep(250)

    run_at_once(main())
    assert catalog.times() == [0, 90, 200]


def test_a_poller_runs_outside_of_the_context_of_who_came_first(catalog: Catalog) -> None:
    whose = contextvars.ContextVar("whose", default="nobody")
    seen = []

    async def read(table: str) -> MarkReading:
        seen.append(whose.get())
        return mark(0)

    async def main() -> None:
        whose.set("the first")
        await first(Polling(read).watch([TABLE], interval_seconds=1))

    run_at_once(main())
    assert seen == ["nobody"]


def test_others_get_their_turn_while_many_are_told(catalog: Catalog, polling: Polling) -> None:
    """Ten thousand who wait for one table do not hold up the loop until all are told."""

    async def main() -> tuple[int, int]:
        tasks = [asyncio.create_task(first(polling.watch([TABLE], interval_seconds=30))) for _ in range(1000)]
        turns = 0
        while not all(task.done() for task in tasks):
            turns += 1
            await asyncio.sleep(0)
        return turns, len(catalog.looks)

    turns, looks = run_at_once(main())
    assert turns >= 1000 / 50
    assert looks == 1


def test_a_slow_catalog_leaves_threads_to_others() -> None:
    """With every thread asked for by one catalog that does not answer, another one is read all the same."""
    answer = threading.Event()
    busy: list[str] = []

    def look(table: str) -> MarkReading:
        busy.append(table)
        if table.startswith("hung."):
            answer.wait(30)
        return mark(0, table)

    async def main() -> None:
        read = ThreadedReading(look)
        hung = [asyncio.create_task(read(f"hung.db.t{number}")) for number in range(50)]
        await asyncio.sleep(0)
        assert await read("lake.db.t") == mark(0, "lake.db.t")
        assert len([table for table in busy if table.startswith("hung.")]) <= THREADS_OF_A_CATALOG
        answer.set()
        await asyncio.gather(*hung)

    asyncio.run(main())
    assert len(busy) == 51


def test_all_of_one_loop_share_a_polling() -> None:
    made: list[int] = []

    def read() -> Callable[[str], MarkReading]:
        made.append(1)
        return mark_of_nothing

    async def main() -> bool:
        return polling_of_this_loop(read) is polling_of_this_loop(read)

    assert asyncio.run(main())
    assert asyncio.run(main())
    assert made == [1, 1], "once for each loop"


def mark_of_nothing(table: str) -> MarkReading:
    return mark(0, table)
