"""`python -m benchmarks.job_pages`: how long the console takes for the pages of Flink jobs, of a large fleet.

All jobs have a history of 90 days: samples as they were taken of the last two days, steps of 15 minutes before, and a
judgement each hour. One job's history is written as the collector writes it, and copied to the others in the database.
"""

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import requests
import uvicorn
from sqlalchemy import text

from autostream import times
from autostream.console.alone import create_app_alone
from autostream.findings import Severity
from autostream.flink.job_settings import JobSettings, VertexSettings
from autostream.health.health_changes import HealthEntry
from autostream.health.log import HealthLog
from autostream.names import JobName
from autostream.store.database import open_database
from autostream.telemetry.job_records import JobRecord
from autostream.telemetry.log import Keeping, TelemetryLog
from autostream.telemetry.rollups import STEP_MS
from autostream.times import DAY_MS
from benchmarks.telemetry_size import TODAY, samples_of_days

_DAYS = 90
_HOUR_MS = 3_600_000
_NOW_MS = TODAY + 30_000
_FIRST = JobName("c0", "job-0")
_PATHS = {
    "all jobs": "/jobs",
    "those with a word, by cores": "/jobs?q=job-19&sort=-cpu",
    "`GET /api/jobs`, 1,000 of them": "/api/jobs?limit=1000",
    "teams": "/teams",
    "jobs of a team": "/jobs?team=team-1",
    "a job, 24 hours": "/job?name=c0/job-0",
    "a job, 7 days": "/job?name=c0/job-0&range=7d",
    "a job, 90 days": "/job?name=c0/job-0&range=90d",
    "`GET /api/jobs/metrics`, 24 hours": "/api/jobs/metrics?job=c0/job-0",
}


_COPY_SAMPLES = """
INSERT INTO autostream_flink_sample (job, step_ms, to_ms, from_ms, outline, numbers)
SELECT j.id, s.step_ms, s.to_ms, s.from_ms, s.outline, s.numbers FROM autostream_flink_job j, autostream_flink_sample s
WHERE s.job = :first AND j.id != :first ORDER BY j.id, s.step_ms, s.to_ms"""
_COPY_JUDGEMENTS = """
INSERT INTO autostream_job_health (name_digest, cluster, name, at_ms, team, score, confidence, findings, parallelism,
    task_managers, cpu_cores, memory_bytes)
SELECT j.name_digest, j.cluster, j.name, h.at_ms, j.team, h.score, h.confidence, h.findings, h.parallelism,
    h.task_managers, h.cpu_cores, h.memory_bytes FROM autostream_job_health h, autostream_flink_job j
WHERE j.id != :first ORDER BY h.at_ms"""


class _At(times.Clock):
    """The clock, as if it were shortly after the last sample."""

    def now_ms(self) -> int:
        return _NOW_MS


def _record(job: JobName, number: int) -> JobRecord:
    vertices = [
        VertexSettings(vertex_id=f"{vertex:032x}", name=f"operator {vertex}", parallelism=4, max_parallelism=128)
        for vertex in range(3)
    ]
    return JobRecord(
        job=job,
        job_id=f"{number:032x}",
        state="RUNNING",
        team=f"team-{number % 40}" if number % 41 else None,
        owner="ann",
        started_ms=TODAY - _DAYS * DAY_MS,
        seen_ms=TODAY,
        settings=JobSettings(flink_version="2.3.0", vertices=tuple(vertices), parameters={"a": "b"}),
    )


def _fill(jobs: int) -> None:
    names = [JobName(f"c{number % 20}", f"job-{number}") for number in range(jobs)]
    database = open_database()
    raw_ms = TODAY - 2 * DAY_MS
    with database.write() as connection:
        log = TelemetryLog(connection)
        log.put([_record(_FIRST, 0)])
        # Samples that are rolled up in the end may as well be 15 minutes long in the beginning.
        for day in samples_of_days(_FIRST, _DAYS - 2, 7, until_ms=raw_ms, every_ms=STEP_MS):
            log.add(day)
        log.roll_up_next(now_ms=raw_ms + DAY_MS // 2, keeping=Keeping(as_taken_days=0))
        for day in samples_of_days(_FIRST, 2, 7):
            log.add(day)
        log.roll_up_next(now_ms=_NOW_MS)
        log.put(_record(job, number) for number, job in enumerate(names))
        _judge(HealthLog(connection))
        first = {"first": connection.scalar(text("SELECT id FROM autostream_flink_job ORDER BY id LIMIT 1"))}
        connection.execute(text(_COPY_SAMPLES), first)
        connection.execute(text(_COPY_JUDGEMENTS), first)


def _judge(health: HealthLog) -> None:
    """Write down a judgement each hour; the last one a minute ago."""
    costs = {"io-bound": 20.0, "lag-growing": 12.0, "lag-unknown": 0.0}
    entry = HealthEntry(_FIRST, 0, None, 68, 0.9, costs, dict.fromkeys(costs, Severity.WARNING), 4, 2, 4.0, 8 << 30)
    for hour in range(_DAYS * 24):
        at_ms = TODAY - _DAYS * DAY_MS + hour * _HOUR_MS
        health.add([replace(entry, at_ms=at_ms, score=60 + hour % 30)])
    health.add([replace(entry, at_ms=TODAY - 60_000, score=10)])


@contextmanager
def _served() -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(create_app_alone(), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def _measure(address: str, runs: int) -> None:
    print("| page | wall ms, median | most | CPU ms, median | kB |\n| --- | --- | --- | --- | --- |")
    for label, path in _PATHS.items():
        wall, cpu, size = [], [], 0
        for _ in range(runs + 1):
            begun, used = time.perf_counter(), time.process_time()
            answer = requests.get(address + path, headers={"Accept": "text/html"}, timeout=60)
            wall.append((time.perf_counter() - begun) * 1000)
            cpu.append((time.process_time() - used) * 1000)
            if answer.status_code != requests.codes.ok:
                raise RuntimeError(f"{path}: {answer.status_code}")
            size = len(answer.content)
        # The first request compiles templates and statements.
        print(
            f"| {label} | {statistics.median(wall[1:]):.0f} | {max(wall[1:]):.0f} | {statistics.median(cpu[1:]):.0f} | "
            f"{size / 1000:.0f} |",
            flush=True,
        )


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--directory", type=Path, help="keep the database there, and use one that is there already")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, times.clock_replaced(_At()):
        directory = arguments.directory or Path(scratch)
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / f"jobs-{arguments.jobs}.db"
        os.environ["AUTOSTREAM_DATABASE__URL"] = f"sqlite:///{file}"
        os.environ["AUTOSTREAM_CONSOLE__REQUESTS_PER_MINUTE"] = "100000"
        if not file.exists():
            _fill(arguments.jobs)
        with _served() as address:
            print(f"{arguments.jobs:,} jobs, {_DAYS} days, {file.stat().st_size / 1e9:.1f} GB\n")
            _measure(address, arguments.runs)


if __name__ == "__main__":
    main()
