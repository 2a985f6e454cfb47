"""`python -m benchmarks.telemetry_size`: how much the database keeps of each job and day, and how fast it is asked.

Jobs of three vertices, a sample a minute, figures that wander as real ones do. The first job is kept for 90 days, the
others for as many as --days says.
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import create_engine, func, select, text

from autostream.names import JobName
from autostream.store.database import Database
from autostream.telemetry.figures import JOB_FIGURES, VERTEX_FIGURES, Figure, Rollup, Unit, tidy
from autostream.telemetry.log import Keeping, TelemetryLog
from autostream.telemetry.rollups import STEP_MS
from autostream.telemetry.rows import SampleBlockRow
from autostream.telemetry.samples import JobSample, VertexSample
from autostream.times import DAY_MS

_MINUTE: Final = 60_000
TODAY: Final = 1_795_824_000_000
_LARGE: Final = {Unit.BYTES: 4e9, Unit.SHARE: 1.0, Unit.MILLISECONDS: 30_000, Unit.PER_SECOND: 20_000}


def _wandering(figure: Figure, source: random.Random) -> Iterator[float]:
    """Give values that wander: allotments stay, counts are small, the rest changes by a few per cent."""
    large = _LARGE.get(figure.unit, 4.0)
    value = source.uniform(0.2, 0.8)
    while True:
        if figure.rollup is Rollup.SUM:
            yield float(source.random() < 0.02)
            continue
        if figure.rollup is Rollup.MEAN:
            value = min(max(value + source.gauss(0, 0.02), 0.01), 1.0)
        yield float(round(value * large)) if figure.unit in (Unit.BYTES, Unit.MILLISECONDS) else tidy(value * large)


def samples_of_days(
    job: JobName, days: int, seed: int, *, until_ms: int = TODAY, every_ms: int = _MINUTE
) -> Iterator[list[JobSample]]:
    """Give the samples of each day, the last of which ends at an instant."""
    source = random.Random(seed)
    absent = {"container_limit_bytes", "event_time_lag_ms"}
    of_job = {name: _wandering(figure, source) for name, figure in JOB_FIGURES.items() if name not in absent}
    of_vertices = [{name: _wandering(figure, source) for name, figure in VERTEX_FIGURES.items()} for _ in range(3)]
    for day in range(days, 0, -1):
        begin = until_ms - day * DAY_MS
        yield [
            JobSample(
                job=job,
                job_id=f"{seed:032x}",
                from_ms=begin + number * every_ms,
                at_ms=begin + (number + 1) * every_ms,
                state="RUNNING",
                figures={name: next(values) for name, values in of_job.items()},
                missing={"event_time_lag_ms": "no source tells currentEmitEventTimeLag or currentFetchEventTimeLag"},
                vertices=tuple(
                    VertexSample(f"{vertex:032x}", f"operator {vertex}", {n: next(v) for n, v in its.items()})
                    for vertex, its in enumerate(of_vertices)
                ),
            )
            for number in range(DAY_MS // every_ms)
        ]


def _bytes(database: Database) -> int:
    if database.is_sqlite:
        with database.write() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql("BEGIN")
        return os.path.getsize(str(database.url.database))
    server = create_engine(database.url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("VACUUM FULL autostream_flink_sample"))
        size = int(connection.scalar(text("SELECT pg_total_relation_size('autostream_flink_sample')")) or 0)
    server.dispose()
    return size


def _rows(database: Database, step_ms: int) -> int:
    with database.read() as connection:
        query = select(func.count()).select_from(SampleBlockRow).where(SampleBlockRow.step_ms == step_ms)
        return connection.scalar(query) or 0


def _best_ms(call: Callable[[], object]) -> float:
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        call()
        took.append(time.perf_counter() - begun)
    return min(took) * 1000


def _measure(database: Database, jobs: int, days: int) -> None:
    names = [JobName("prod", f"job-{number}") for number in range(jobs)]
    empty = _bytes(database)
    begun = time.perf_counter()
    for number, job in enumerate(names):
        for day in samples_of_days(job, days, number):
            with database.write() as connection:
                TelemetryLog(connection).add(day)
    seconds = time.perf_counter() - begun
    raw_rows, raw_bytes = _rows(database, 0), _bytes(database) - empty
    job_days = jobs * days
    kind = database.url.get_backend_name()
    print(f"| {kind} | as taken | {raw_rows / job_days:.0f} | {raw_bytes / job_days / 1000:.0f} |")
    begun = time.perf_counter()
    keeping = Keeping(as_taken_days=0)
    for _ in names:
        with database.write() as connection:
            TelemetryLog(connection).roll_up_next(now_ms=TODAY + DAY_MS // 2, keeping=keeping)
    rolled_seconds = time.perf_counter() - begun
    rolled = _bytes(database) - empty
    print(f"| {kind} | 15 minutes | {_rows(database, STEP_MS) / job_days:.0f} | {rolled / job_days / 1000:.1f} |")
    rate, each_ms = jobs * days * 1440 / seconds, rolled_seconds / job_days * 1000
    print(f"\nWritten: {rate:,.0f} samples/s. Rolled up: {each_ms:.0f} ms for each job and day.")


def _measure_reading(database: Database) -> None:
    job = JobName("prod", "job-long")
    for number, day in enumerate(samples_of_days(job, 90, 7)):
        with database.write() as connection:
            log = TelemetryLog(connection)
            log.add(day)
            if number == 87:
                log.roll_up_next(now_ms=TODAY - 2 * DAY_MS + DAY_MS // 2, keeping=Keeping(as_taken_days=0))
    wanted: list[tuple[str, str | None]] = [(name, None) for name in [*JOB_FIGURES][:10]]
    with database.read() as connection:
        log = TelemetryLog(connection)
        since = TODAY - 90 * DAY_MS
        points = len(log.series(job, wanted, since_ms=since)[0])
        print(
            f"\nTen figures of one job for 90 days ({points:,} points): "
            f"{_best_ms(lambda: log.series(job, wanted, since_ms=since)):.0f} ms; for a day: "
            f"{_best_ms(lambda: log.series(job, wanted, since_ms=TODAY - DAY_MS)):.0f} ms. All samples of a day: "
            f"{_best_ms(lambda: log.samples(job, since_ms=TODAY - DAY_MS)):.0f} ms."
        )


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--database", default="", metavar="URL", help="an empty one; default: SQLite")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        database = Database(arguments.database or f"sqlite:///{Path(directory, 'samples.db')}")
        database.upgrade()
        print("| database | kept | rows for each job and day | kB for each job and day |\n| --- | --- | --- | --- |")
        _measure(database, arguments.jobs, arguments.days)
        _measure_reading(database)
        database.close()


if __name__ == "__main__":
    main()
