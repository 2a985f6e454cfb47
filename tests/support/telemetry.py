"""Samples and records of Flink jobs as tests want them, and their way into a database."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from autostream.flink.job_settings import JobSettings
from autostream.names import JobName
from autostream.store.database import Database, open_database
from autostream.telemetry.job_records import JobRecord
from autostream.telemetry.log import TelemetryLog
from autostream.telemetry.samples import JobSample, VertexSample

MINUTE = 60_000


def job_record(job: str = "prod/orders", **fields: Any) -> JobRecord:
    """A running job of team trade, unless `fields` say otherwise."""
    known: dict[str, Any] = {
        "job_id": "a" * 32,
        "state": "RUNNING",
        "team": "trade",
        "owner": "ann",
        "started_ms": 0,
        "seen_ms": 0,
        "settings": JobSettings(),
    }
    return JobRecord(job=JobName.parse(job), **known | fields)


def job_samples(
    job: str = "prod/orders",
    *,
    until_ms: int,
    minutes: int,
    figures: Callable[[int], Mapping[str, float]] | Mapping[str, float],
    vertices: Mapping[str, Mapping[str, float]] | None = None,
    **fields: Any,
) -> list[JobSample]:
    """A sample for each of so many minutes, the last one taken at `until_ms`.

    Args:
        job: `CLUSTER/NAME`.
        until_ms: When the last one was taken.
        minutes: How many.
        figures: Those of each sample, or what makes them of its number: 0 for the oldest.
        vertices: Figures of each vertex, by its id and name at once.
        fields: Of `JobSample`: `job_id`, `state`, `shared`, `missing`.
    """
    return [
        JobSample(
            job=JobName.parse(job),
            from_ms=until_ms - (minutes - number) * MINUTE,
            at_ms=until_ms - (minutes - number - 1) * MINUTE,
            figures=dict(figures(number) if callable(figures) else figures),
            vertices=tuple(VertexSample(name, name, dict(its)) for name, its in (vertices or {}).items()),
            **{"job_id": "a" * 32, "state": "RUNNING"} | fields,
        )
        for number in range(minutes)
    ]


def fill_telemetry(
    samples: Iterable[JobSample] = (), records: Iterable[JobRecord] = (), *, database: Database | None = None
) -> None:
    """Write samples and records into a database: by default the configured one, which is the test's own."""
    with (database or open_database()).write() as connection:
        log = TelemetryLog(connection)
        log.put(records)
        log.add(samples)
