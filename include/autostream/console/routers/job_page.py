"""The page of one Flink job: its health with fixes, charts, vertices and settings, from the database alone."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse

from autostream.config import load_settings
from autostream.console import job_words, view
from autostream.console.guard import READ
from autostream.console.job_charts import RANGES, read_charts, span_of
from autostream.console.job_questions import job_name
from autostream.console.pages import Words, render
from autostream.health.assessing import assess_jobs
from autostream.store.database import open_database
from autostream.telemetry.log import TelemetryLog
from autostream.times import now_ms

router = APIRouter(dependencies=[READ], default_response_class=HTMLResponse, include_in_schema=False)


@router.get("/job")
def page(request: Request, name: str, t: Words, how_far: Annotated[str, Query(alias="range")] = "24h") -> Response:
    """Show how a job is, what to change, and what it used over time."""
    now = now_ms()
    job, span = job_name(name), span_of(how_far, now_ms=now)
    report = assess_jobs(load_settings(), job=job)
    health = report.jobs[0]
    with open_database().read() as connection:
        drawn = read_charts(TelemetryLog(connection), job, span)
    missing = health.window.missing if health.window else {}
    context = {
        "job": str(job),
        "mark": job_words.job_mark(health, now, t),
        "changed": job_words.changes(report.changes.get(job), report.trends.get(job), t),
        "findings": [job_words.finding(found, t) for found in health.findings],
        "charts": [job_words.chart(key, chart, drawn.span, missing, t) for key, chart in drawn.charts.items()],
        "range": how_far,
        "ranges": [*RANGES],
        "vertices": job_words.vertex_rows(health.record.settings, health.window, t),
        "settings": job_words.settings(health.record.settings, t),
        "parameters": sorted(health.record.settings.parameters.items()),
        "none": view.NONE,
    }
    return render(request, "job.html", context)
