"""Ten thousand triggers that wait for a thousand tables: from a publication to the event of who waited for it.

The triggers are real ones on one event loop, as the triggerer runs them; the tables are in an SQLite catalog; another
process publishes a watermark in each, one after the other, by a commit of table properties.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

TABLES = 1000
TRIGGERS = 10_000
POLL_SECONDS = 30.0
PUBLISHING_SECONDS = 90.0

_UNTIL_MS = 1_795_399_200_000
_NAMESPACE = "db"
_TICK_SECONDS = 0.005
_MOST_SECONDS = 600.0
Turn = tuple[float, float]
"""How late the loop was, and how long it had worked itself: less, where others had the processor."""

_TITLE = "### waiting: "


def measure(*, poll_seconds: float = POLL_SECONDS) -> None:
    """Measure in a process of its own, for the figure of memory, and print a section of the report."""
    with tempfile.TemporaryDirectory() as directory:
        uri, warehouse = f"sqlite:///{directory}/catalog.db", f"file://{directory}/warehouse"
        connection = {"conn_type": "iceberg", "extra": {"type": "sql", "uri": uri, "warehouse": warehouse}}
        root = Path(__file__).parents[1]
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
            "AIRFLOW_HOME": f"{directory}/airflow",
            "AIRFLOW_CONN_LAKE": json.dumps(connection),
            "PYTHONPATH": os.pathsep.join((str(root), str(root / "include"), str(root / "plugins"))),
        }
        command = [sys.executable, "-m", "benchmarks.waiting", uri, warehouse, str(poll_seconds)]
        output = Path(directory, "output")  # ten thousand triggers log a lot
        with output.open("w") as file:
            subprocess.run(command, env=environment, stdout=file, check=True)
        _, mark, report = output.read_text().partition(_TITLE)
        print(f"\n{mark}{report}", flush=True)


def main(uri: str, warehouse: str, poll_seconds: float) -> None:
    """Make the tables, wait, print."""
    subprocess.run([sys.executable, "-c", _MAKE, uri, warehouse], check=True)
    # What is imported already is no matter of the waiting: a triggerer has it after its first trigger.
    from autostream_airflow.triggers.watermark import WatermarkTrigger

    before = resource.getrusage(resource.RUSAGE_SELF)
    triggers = [
        WatermarkTrigger(tables=[_name(number % TABLES)], until_ms=_UNTIL_MS, poll_seconds=poll_seconds)
        for number in range(TRIGGERS)
    ]
    started = time.monotonic()
    collections = _timed_collections()
    waited, starting, turns, first_round = asyncio.run(_wait(triggers, uri, warehouse))
    lags, works = zip(*turns, strict=True)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"\n{_TITLE}{TRIGGERS:,} triggers on {TABLES:,} tables, looked at every {poll_seconds:g} s; a publication "
        f"in each of them within {PUBLISHING_SECONDS:g} s\n"
    )
    print(f"Publication to event: p50 {_share(waited, 50):.1f} s, p99 {_share(waited, 99):.1f} s, ", end="")
    print(f"most {max(waited):.1f} s; events: {len(waited):,}.")
    print(f"The first look at all tables was over after {first_round:.1f} s.")
    print(
        f"Event loop late, once all waited: p99.9 {_share(lags, 99.9) * 1000:.0f} ms, most {max(lags) * 1000:.0f} ms "
        f"({len(lags):,} looks at the clock), in which it worked for at most {max(works) * 1000:.0f} ms; while they "
        f"started: {max(lag for lag, _ in starting) * 1000:.0f} ms, of which collections of garbage took up to "
        f"{max(collections) * 1000:.0f} ms."
    )
    print(
        f"Peak memory {after.ru_maxrss / 1024:.0f} MB, of which {(after.ru_maxrss - before.ru_maxrss) / 1024:.0f} MB "
        f"for waiting; CPU {cpu:.0f} s in {time.monotonic() - started:.0f} s."
    )


async def _wait(triggers: Sequence, uri: str, warehouse: str) -> tuple[list[float], list[Turn], list[Turn], float]:
    from autostream_airflow.polling import shared_polling

    loop = asyncio.get_running_loop()
    turns: list[Turn] = []
    ticker = loop.create_task(_tick(turns))
    tasks = []
    for number, trigger in enumerate(triggers):
        tasks.append(loop.create_task(_events(trigger)))
        if number % 50 == 49:  # as the triggerer starts them
            await asyncio.sleep(0)
    started = loop.time()
    pollers = shared_polling().pollers
    while len(pollers) < TABLES or any(poller.reading is None for poller in pollers.values()):
        await asyncio.sleep(0.1)
    first_round = loop.time() - started
    starting, turns[:] = list(turns), []
    publisher = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PUBLISH, uri, warehouse, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await publisher.communicate()
    published = dict(json.loads(output))
    async with asyncio.timeout(_MOST_SECONDS):
        fired = await asyncio.gather(*tasks)
    ticker.cancel()
    assert all(event["status"] == "met" for _, _, event in fired)
    assert not pollers
    return [at - published[table] for table, at, event in fired], starting, turns, first_round


async def _events(trigger) -> tuple[str, float, dict]:
    async for event in trigger.run():
        fired = trigger.tables[0], time.time(), event.payload
    return fired


async def _tick(turns: list[Turn]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due, worked = loop.time() + _TICK_SECONDS, time.thread_time()
        await asyncio.sleep(_TICK_SECONDS)
        turns.append((loop.time() - due, time.thread_time() - worked))


def _timed_collections() -> list[float]:
    """Return what gets the seconds of each full collection of garbage."""
    seconds = [0.0]
    began = 0.0

    def note(phase: str, info: dict) -> None:
        nonlocal began
        if info["generation"] == 2 and phase == "start":
            began = time.perf_counter()
        elif info["generation"] == 2:
            seconds.append(time.perf_counter() - began)

    gc.callbacks.append(note)
    return seconds


def _name(number: int) -> str:
    return f"lake.{_NAMESPACE}.t{number:04}"


def _share(values: Sequence[float], percent: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


_MAKE = f"""
import sys
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, TimestamptzType
from autostream.catalogs.opening import open_catalog
catalog = open_catalog("lake", {{"type": "sql", "uri": sys.argv[1], "warehouse": sys.argv[2]}})
catalog.create_namespace("{_NAMESPACE}")
schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "at", TimestamptzType()))
for number in range({TABLES}):
    name = ("{_NAMESPACE}", f"t{{number:04}}")
    catalog.create_table(name, schema, properties={{"autostream.watermark": "{_UNTIL_MS - 60_000}"}})
"""

_PUBLISH = f"""
import json, sys, time
from autostream.catalogs.opening import open_catalog
catalog = open_catalog("lake", {{"type": "sql", "uri": sys.argv[1], "warehouse": sys.argv[2]}})
published, started = [], time.monotonic()
for number in range({TABLES}):
    time.sleep(max(0.0, started + number * {PUBLISHING_SECONDS / TABLES} - time.monotonic()))
    table = catalog.load_table(("{_NAMESPACE}", f"t{{number:04}}"))
    table.transaction().set_properties({{"autostream.watermark": "{_UNTIL_MS}"}}).commit_transaction()
    published.append([f"lake.{_NAMESPACE}.t{{number:04}}", time.time()])
print(json.dumps(published))
"""

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
