"""REST about one Flink job: its health, its settings, its figures over time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from autostream.config import load_settings
from autostream.console.guard import READ
from autostream.console.job_answers import JobHealthAnswer, JobMetricsPage, JobSettingsAnswer
from autostream.console.job_questions import Job, job_name, since_instant
from autostream.console.paging import Cursor, Limit, cursor_of, key_of
from autostream.console.problems import declared
from autostream.errors import NotFoundError
from autostream.health.assessing import assess_jobs
from autostream.store.database import open_database
from autostream.telemetry.job_metrics import read_job_metrics
from autostream.telemetry.log import TelemetryLog
from autostream.times import now_ms, parse_instant

router = APIRouter(prefix="/api/jobs", tags=["jobs"], dependencies=[READ], responses=declared(404))


@router.get("/health")
def health(
    job: Job, window_seconds: Annotated[int | None, Query(ge=60, le=86_400, description="Over how long.")] = None
) -> JobHealthAnswer:
    """Judge a job by its last samples: its score, and findings with reasons and fixes."""
    report = assess_jobs(load_settings(), job=job_name(job), window_seconds=window_seconds)
    return JobHealthAnswer.model_validate(report.to_dict()["jobs"][0])


@router.get("/settings")
def settings(job: Job) -> JobSettingsAnswer:
    """Say how a job is set up."""
    name = job_name(job)
    with open_database().read() as connection:
        record = TelemetryLog(connection).record(name)
    if record is None:
        raise NotFoundError(f"Nothing is known of job {name}. GET /api/jobs lists those that are known.")
    return JobSettingsAnswer(job=str(name), job_id=record.job_id, settings=record.settings)


@router.get("/metrics")
def metrics(
    job: Job,
    since: Annotated[str, Query(description="How far back, such as 24h, or an instant.")] = "24h",
    until: Annotated[str | None, Query(description="Up to when: an instant. Without it: until now.")] = None,
    figure: Annotated[list[str] | None, Query(description="Only these figures; may be repeated.")] = None,
    vertex: Annotated[
        str | None, Query(description="Figures of this vertex: its id, its name, or the beginning of its name.")
    ] = None,
    limit: Limit = 1000,
    cursor: Cursor = None,
) -> JobMetricsPage:
    """Give the figures of a job over time: as they were sampled lately, in steps of 15 minutes before."""
    begin = key_of(cursor, int)
    found = read_job_metrics(
        job_name(job),
        since_ms=since_instant(since, now_ms=now_ms()) if begin is None else begin,
        until_ms=parse_instant(until) if until else None,
        figures=figure or (),
        vertex=vertex,
    ).to_dict()
    samples = found["samples"]
    next_cursor = cursor_of(samples[limit - 1]["at_ms"]) if len(samples) > limit else None
    return JobMetricsPage.model_validate(found | {"samples": samples[:limit], "next_cursor": next_cursor})
