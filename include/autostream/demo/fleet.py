"""Three stand-in Flink jobs with an hour of samples, for the demonstration without Flink.

What they use and do is made up, and the same each time; how they are judged is not. The samples are those that
`autostream flink watch` would take of such jobs, in a database of the demo's own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autostream import times
from autostream.config.root import Settings
from autostream.config.sections.database import DatabaseSettings
from autostream.config.sections.health import HealthSettings
from autostream.flink.job_settings import JobSettings, TaskManagerSettings, VertexSettings
from autostream.health.assessing import assess_jobs
from autostream.health.health_changes import HealthEntry
from autostream.health.health_report import HealthReport
from autostream.health.log import HealthLog
from autostream.names import JobName
from autostream.sizes import GIB, MIB
from autostream.store.database import open_database
from autostream.telemetry.job_records import JobRecord
from autostream.telemetry.log import TelemetryLog
from autostream.telemetry.samples import JobSample, VertexSample

CLUSTER: Final = "stand-in"
MINUTES: Final = 60
DATABASE: Final = "autostream.db"
CONFIGURATION: Final = "autostream.toml"

_MINUTE_MS: Final = 60_000
_NOISE: Final = 0.03
_EACH: Final = TaskManagerSettings(
    cpu_cores=2.0,
    slots=2,
    process_memory_bytes=4 * GIB,
    heap_bytes=1536 * MIB,
    managed_bytes=GIB,
    network_bytes=256 * MIB,
    metaspace_bytes=256 * MIB,
    off_heap_bytes=128 * MIB,
    overhead_bytes=512 * MIB,
)


@dataclass(frozen=True)
class StandIn:
    """A job that is made up.

    Attributes:
        name: Its name.
        team: Whose it is.
        task_managers: How many it has, of two slots each.
        busy: Busy time of its slowest operator's subtasks.
        cores: Cores that it uses.
        heap: The share of its heap in use.
        managed: The share of its managed memory in use.
        gc: The share of time that it spends in garbage collection.
        rate: Records that it reads each second.
        pending: Records that wait at the end of the hour.
        arriving: Records that come each second.
        operators: Names of its vertices.
    """

    name: str
    team: str
    task_managers: int
    busy: float
    cores: float
    heap: float
    managed: float
    gc: float
    rate: float
    pending: float
    arriving: float
    operators: tuple[str, ...]

    @property
    def parallelism(self) -> int:
        """Its subtasks: all of its slots are used."""
        return 2 * self.task_managers


STAND_INS: Final = (
    StandIn(
        "orders-enrich", "trade", 1, busy=0.99, cores=0.18, heap=0.7, managed=0.72, gc=0.055, rate=1900.0,
        pending=1_450_000.0, arriving=2250.0,
        operators=("Source: orders", "look up customers", "orders_enriched: Writer"),
    ),
    StandIn(
        "clicks-sessions", "web", 2, busy=0.58, cores=2.4, heap=0.72, managed=0.7, gc=0.055, rate=18_000.0,
        pending=900.0, arriving=18_000.0, operators=("Source: clicks", "sessions", "click_sessions: Writer"),
    ),
    StandIn(
        "users-backfill", "web", 6, busy=0.07, cores=0.8, heap=0.35, managed=0.1, gc=0.01, rate=650.0,
        pending=20.0, arriving=650.0, operators=("Source: users", "clean", "users: Writer"),
    ),
)  # fmt: skip
"""One that waits for what it calls and falls behind, one that is well, one that has far more than it needs."""


def show_fleet(directory: Path) -> HealthReport:
    """Write down the stand-ins' last hour, and return how they are: judged as `autostream flink health` does.

    The file `autostream.toml` in the directory has other commands, and the pages, find the same. It is for an hour: by
    then the samples are old.
    """
    settings = settings_in(directory)
    now_ms = times.now_ms()
    database = open_database(settings.database)
    database.close()  # of a demo before this one, whose file is gone
    (directory / DATABASE).unlink(missing_ok=True)
    with database.write() as connection:
        log = TelemetryLog(connection)
        log.put(record_of(job, now_ms) for job in STAND_INS)
        log.add(sample for job in STAND_INS for sample in samples_of(job, now_ms))
    report = assess_jobs(settings)
    with database.write() as connection:
        HealthLog(connection).add(HealthEntry.of(health, at_ms=report.at_ms) for health in report.jobs)
    write_configuration(directory, settings)
    return report


def settings_in(directory: Path) -> Settings:
    """Return a configuration with a database in a directory, and with samples that may be as old as an hour."""
    return Settings(
        database=DatabaseSettings(url=f"sqlite:///{directory.resolve() / DATABASE}"),
        health=HealthSettings(window_seconds=MINUTES * 60, stale_after_seconds=MINUTES * 60),
    )


def write_configuration(directory: Path, settings: Settings) -> None:
    """Write the file by which other commands find the same, while the samples are not too old."""
    (directory / CONFIGURATION).write_text(
        f"[database]\nurl = {json.dumps(settings.database.url)}\n\n[health]\n"
        f"window_seconds = {settings.health.window_seconds}\n"
        f"stale_after_seconds = {settings.health.stale_after_seconds}\n",
        encoding="utf-8",
    )


def record_of(job: StandIn, now_ms: int) -> JobRecord:
    """Return what would be known of a stand-in besides its figures."""
    vertices = tuple(
        VertexSettings(vertex_id=f"{number:032x}", name=name, parallelism=job.parallelism, max_parallelism=128)
        for number, name in enumerate(job.operators)
    )
    return JobRecord(
        JobName(CLUSTER, job.name),
        _job_id(job),
        "RUNNING",
        job.team,
        None,
        now_ms - 3 * times.DAY_MS,
        now_ms,
        JobSettings(
            flink_version="2.3.0",
            deployment="application",
            platform="kubernetes",
            scheduler="adaptive",
            checkpointing=True,
            checkpoint_interval_ms=_MINUTE_MS,
            checkpoint_timeout_ms=10 * _MINUTE_MS,
            unaligned_checkpoints=False,
            checkpoints_retained=True,
            state_backend="hashmap",
            vertices=vertices,
            task_manager=_EACH,
        ),
    )


def samples_of(job: StandIn, now_ms: int) -> Iterator[JobSample]:
    """Yield a sample for each minute of the last hour, the last one taken at `now_ms`."""
    chance = random.Random(job.name)

    def about(value: float) -> float:
        return value * chance.uniform(1 - _NOISE, 1 + _NOISE)

    for minute in range(1, MINUTES + 1):
        at_ms = now_ms - (MINUTES - minute) * _MINUTE_MS
        waiting = job.pending - (job.arriving - job.rate) * (MINUTES - minute) * 60
        busy = min(about(job.busy), 1.0)
        yield JobSample(
            job=JobName(CLUSTER, job.name),
            job_id=_job_id(job),
            from_ms=at_ms - _MINUTE_MS,
            at_ms=at_ms,
            state="RUNNING",
            figures=_figures(job, busy, about(job.cores), about(job.heap), max(about(waiting), 0.0)),
            vertices=tuple(_vertex(job, number, name, busy) for number, name in enumerate(job.operators)),
        )


def _figures(job: StandIn, busy: float, cores: float, heap: float, waiting: float) -> Mapping[str, float]:
    count = float(job.task_managers)
    heap_bytes, managed_bytes = count * (_EACH.heap_bytes or 0), count * (_EACH.managed_bytes or 0)
    return {
        "cpu_cores_used": cores,
        "cpu_cores": count * (_EACH.cpu_cores or 0.0),
        "heap_used_bytes": heap * heap_bytes,
        "heap_bytes": heap_bytes,
        "managed_used_bytes": job.managed * managed_bytes,
        "managed_bytes": managed_bytes,
        "metaspace_used_bytes": count * 110 * MIB,
        "metaspace_bytes": count * (_EACH.metaspace_bytes or 0),
        "memory_bytes": count * (_EACH.process_memory_bytes or 0),
        "gc_share": job.gc,
        "gc_share_max": job.gc,
        "task_managers": count,
        "slots": float(job.parallelism),
        "slots_used": float(job.parallelism),
        "busy_share_max": busy,
        "back_pressured_share_max": 0.05,
        "records_in_per_second": job.rate,
        "records_out_per_second": job.rate,
        "pending_records": waiting,
        "checkpoint_duration_ms": 2400.0,
        "checkpoint_size_bytes": 300.0 * MIB,
        "checkpoint_age_ms": 31_000.0,
        "checkpoints_completed": 1.0,
        "checkpoints_failed": 0.0,
        "restarts": 0.0,
    }


def _vertex(job: StandIn, number: int, name: str, busy: float) -> VertexSample:
    """Return a vertex; the second one is where the work is."""
    share = busy if number == 1 else busy / 6
    return VertexSample(
        f"{number:032x}",
        name,
        {
            "parallelism": float(job.parallelism),
            "busy_share": share * 0.98,
            "busy_share_max": share,
            "busy_share_min": share * 0.95,
            "records_in_per_second": job.rate,
            "records_in_per_second_max": job.rate / job.parallelism * 1.04,
            "records_out_per_second": job.rate,
        },
    )


def _job_id(job: StandIn) -> str:
    return job.name.encode().hex().ljust(32, "0")[:32]
