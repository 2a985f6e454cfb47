"""What pages show of Flink jobs: words and classes, no HTML. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from autostream.console import view
from autostream.console.job_rows import JobRow
from autostream.console.language import Translate
from autostream.console.resource_use import ResourceUse
from autostream.console.team_rows import TeamRow
from autostream.console.time_chart import Span, Spot, TimeChart
from autostream.findings import Severity
from autostream.flink.job_settings import JobSettings, TaskManagerSettings
from autostream.health.health_changes import HealthChange
from autostream.health.job_findings import JobFinding
from autostream.health.job_health import JobHealth
from autostream.telemetry.job_records import GONE
from autostream.telemetry.windows import JobWindow

_SEVERITIES: Final = {Severity.ERROR: "bad", Severity.WARNING: "waiting"}
_STATES: Final = {"RUNNING": "good", "FAILED": "bad", "FAILING": "bad", "FINISHED": "", "CANCELED": "", GONE: ""}
_GOOD_SCORE: Final = 80
_BAD_SCORE: Final = 60
_FINDINGS_A_ROW: Final = 3


def job_row(row: JobRow, now_ms: int, t: Translate) -> dict[str, Any]:
    """Return one row of the list of jobs."""
    listed, findings = row.listed, row.findings
    return {
        "job": row.name,
        "team": listed.team or "",
        "owner": listed.owner or "",
        "state": listed.state,
        "state_class": state_class(listed.state),
        "seen": view.ago(listed.seen_ms, now_ms, t),
        "score": score(row.score),
        "score_class": score_class(row.score),
        "cpu": cores_of(row.use, t),
        "memory": memory_of(row.use, t),
        "lag": lag(row.lag_seconds),
        "pending": pending(row.figures.get("pending_records"), t),
        "findings": finding_pills(findings[:_FINDINGS_A_ROW]),
        "more": len(findings) - _FINDINGS_A_ROW,
    }


def team_row(row: TeamRow, t: Translate) -> dict[str, Any]:
    """Return some jobs together: one row of the list of teams, or what stands above a list of jobs."""
    return {
        "team": row.team or "",
        "jobs": view.number(row.jobs),
        "without_score": view.number(row.without_score) if row.without_score else "",
        "unwell": view.number(row.unwell),
        "score": score(row.score),
        "score_class": score_class(row.score),
        "cpu": cores_of(row.use, t),
        "memory": memory_of(row.use, t),
        "slots": slots_of(row.use, t),
    }


def finding_pills(findings: Iterable[tuple[str, Severity]]) -> list[dict[str, str]]:
    """Return findings by their ids, each with its class."""
    return [{"id": name, "class": _SEVERITIES.get(severity, "")} for name, severity in findings]


def severity_class(severity: Severity) -> str:
    """Return the class of a severity."""
    return _SEVERITIES.get(severity, "")


def state_class(state: str) -> str:
    """Return the class of a job's state."""
    return _STATES.get(state, "waiting")


def score(value: int | None) -> str:
    """Return a score; a dash for None."""
    return view.number(value)


def score_class(value: int | None) -> str:
    """Return the class of a score."""
    if value is None:
        return ""
    return "good" if value >= _GOOD_SCORE else "waiting" if value >= _BAD_SCORE else "bad"


def cores_of(use: ResourceUse, t: Translate) -> str:
    """Return the cores in use and those allotted."""
    return _of(cores(use.cpu_cores_used), cores(use.cpu_cores), t)


def memory_of(use: ResourceUse, t: Translate) -> str:
    """Return the memory in use and that allotted."""
    return _of(view.size(use.memory_used_bytes), view.size(use.memory_bytes), t)


def slots_of(use: ResourceUse, t: Translate) -> str:
    """Return the slots in use and all of them."""
    return _of(view.number(use.slots_used), view.number(use.slots), t)


def cores(value: float | None) -> str:
    """Return cores: as many digits as say something; a dash for None."""
    if value is None:
        return view.NONE
    return f"{value:,.2f}" if value < 10 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def lag(seconds: float | None) -> str:
    """Return a lag; a dash for None."""
    return view.NONE if seconds is None else view.length(round(seconds) * 1000) if seconds >= 1 else "0 s"


def pending(records: float | None, t: Translate) -> str:
    """Return how many records wait; empty where that is not known, and where none do."""
    return t("jobs.pending", count=f"{records:,.0f}") if records else ""


def _of(used: str, allotted: str, t: Translate) -> str:
    if used == allotted == view.NONE:
        return view.NONE
    return t("jobs.used_of", used=used, allotted=allotted)


def job_mark(health: JobHealth, now_ms: int, t: Translate) -> dict[str, Any]:
    """Return what stands at the top of a job's page."""
    record = health.record
    return {
        "score": score(health.score),
        "score_class": score_class(health.score),
        "known": health.score is not None,
        "sure": view.share(health.confidence),
        "unknown": health.unknown,
        "state": record.state,
        "state_class": state_class(record.state),
        "team": record.team or "",
        "owner": record.owner or "",
        "job_id": record.job_id,
        "started": view.ago(record.started_ms, now_ms, t) if record.started_ms else "",
        "seen": view.ago(record.seen_ms, now_ms, t),
        "window": view.length(health.window_seconds * 1000),
    }


def finding(found: JobFinding, t: Translate) -> dict[str, Any]:
    """Return one finding of a job's page; its sentences are in English."""
    frees = [f"{t('jobs.cores', count=cores(found.frees.cpu_cores))}"] if found.frees.cpu_cores else []
    frees += [view.size(found.frees.memory_bytes)] if found.frees.memory_bytes else []
    return {
        "id": found.id,
        "class": severity_class(found.severity),
        "severity": t(f"severity.{found.severity.value}"),
        "deduction": f"{found.deduction:.0f}" if found.deduction >= 0.5 else "",
        "reason": found.reason,
        "fix": found.remedy,
        "frees": ", ".join(frees),
    }


def changes(change: HealthChange | None, trend: str | None, t: Translate) -> list[str]:
    """Return what has changed of a job's health since yesterday, and which way it goes."""
    said = [t(f"job.trend.{trend}")] if trend else []
    if change is None:
        return said
    if change.score:
        said.append(t("job.since_yesterday", points=f"{change.score:+d}"))
    if change.began:
        said.append(t("job.began", findings=", ".join(change.began)))
    if change.ended:
        said.append(t("job.ended", findings=", ".join(change.ended)))
    return said


def chart(key: str, drawn: TimeChart | None, span: Span, missing: Mapping[str, str], t: Translate) -> dict[str, Any]:
    """Return one chart of a job's page, with what is said beside it.

    Args:
        key: Of `JobCharts.charts`.
        drawn: The chart; None where nothing is known.
        span: The time that it is about.
        missing: Why figures are not known.
        t: The reader's language.
    """
    write = _UNITS[key]
    if drawn is None:
        why = next((missing[name] for name in _MADE_OF[key] if name in missing), "")
        return {"key": key, "title": t(f"job.chart.{key}"), "chart": None, "why": why}
    used, allotted = drawn.used_series, drawn.allotted_series
    last = write(used.last)
    if allotted is not None:
        last = t("jobs.used_of", used=last, allotted=write(allotted.last))
    return {
        "key": key,
        "title": t(f"job.chart.{key}"),
        "chart": drawn,
        "last": last,
        "mean": write(used.mean),
        "largest": write(used.most),
        "most": write(drawn.most),
        "spots": [_spot(spot, write, t) for spot in drawn.spots if spot.used is not None],
        "times": [view.instant(ms - ms % 60_000) for ms in (span.from_ms, span.middle_ms, span.to_ms)],
    }


def _spot(spot: Spot, write: Callable[[float | None], str], t: Translate) -> dict[str, Any]:
    """Return a part of a chart with what it says where a pointer rests on it."""
    value = write(spot.used)
    if spot.allotted is not None:
        value = t("jobs.used_of", used=value, allotted=write(spot.allotted))
    said = t("job.spot", begin=view.instant(spot.from_ms), value=value)
    if spot.restarts:
        said = t("job.spot_restarts", said=said, count=spot.restarts)
    return {"x": spot.x, "width": spot.width, "said": said}


def vertex_rows(settings: JobSettings, window: JobWindow | None, t: Translate) -> list[dict[str, Any]]:
    """Return the rows of a job's vertices: those that were measured, else those that its plan has."""
    most = {vertex.vertex_id: vertex.max_parallelism for vertex in settings.vertices}
    if window is None or not window.vertices:
        return [
            _vertex_row(v.name, {"parallelism": float(v.parallelism)}, v.max_parallelism, t) for v in settings.vertices
        ]
    return [
        _vertex_row(v.name, {name: s.value for name, s in v.figures.items()}, most.get(v.vertex_id), t)
        for v in window.vertices
    ]


def _vertex_row(name: str, figures: Mapping[str, float], at_most: int | None, t: Translate) -> dict[str, Any]:
    parallelism, lag_ms = figures.get("parallelism"), figures.get("watermark_lag_ms")
    of_most = t("job.at_most", count=view.number(at_most)) if at_most else ""
    return {
        "operators": name,
        "parallelism": view.NONE if parallelism is None else f"{parallelism:,.0f}",
        "at_most": of_most,
        "busy": _mean_and_most(figures, "busy_share"),
        "back_pressured": _mean_and_most(figures, "back_pressured_share"),
        "records_in": per_second(figures.get("records_in_per_second")),
        "records_out": per_second(figures.get("records_out_per_second")),
        "watermark_lag": view.NONE if lag_ms is None else lag(lag_ms / 1000),
    }


def _mean_and_most(figures: Mapping[str, float], name: str) -> str:
    mean, most = figures.get(name), figures.get(f"{name}_max")
    if mean is None or most is None or f"{mean:.0%}" == f"{most:.0%}":
        return view.share(most if mean is None else mean)
    return f"{view.share(mean)} ({view.share(most)})"


def per_second(value: float | None) -> str:
    """Return a rate; a dash for None."""
    return view.NONE if value is None else f"{value:,.0f}/s" if value >= 10 else f"{value:.2g}/s"


def settings(known: JobSettings, t: Translate) -> list[tuple[str, str]]:
    """Return how a job is set up, each with its name; what is not known is left out."""
    each = known.task_manager
    checkpointing = known.checkpoint_interval_ms
    rows: list[tuple[str, str | None]] = [
        ("flink", known.flink_version),
        ("deployment", " · ".join(filter(None, (known.deployment, known.platform))) or None),
        ("scheduler", known.scheduler),
        ("checkpoints", None if checkpointing is None else view.length(checkpointing)),
        ("timeout", None if known.checkpoint_timeout_ms is None else view.length(known.checkpoint_timeout_ms)),
        ("unaligned", _yes_or_no(known.unaligned_checkpoints, t)),
        ("retained", _yes_or_no(known.checkpoints_retained, t)),
        ("tolerable", _count(known.tolerable_failed_checkpoints)),
        ("state_backend", known.state_backend),
        ("restart_strategy", known.restart_strategy),
        ("task_manager", _task_manager(each, t)),
    ]
    if known.checkpointing is False:
        rows[3] = ("checkpoints", t("job.none"))
    return [(t(f"job.setting.{name}"), value) for name, value in rows if value]


def _task_manager(each: TaskManagerSettings, t: Translate) -> str:
    parts = [
        t("job.slots", count=each.slots) if each.slots else "",
        t("jobs.cores", count=cores(each.cpu_cores)) if each.cpu_cores and not each.cpu_cores_are_slots else "",
        view.size(each.process_memory_bytes) if each.process_memory_bytes else "",
    ]
    return ", ".join(filter(None, parts))


def _yes_or_no(value: bool | None, t: Translate) -> str | None:
    return None if value is None else t("job.yes") if value else t("job.no")


def _count(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def _bytes(value: float | None) -> str:
    return view.size(None if value is None else round(value))


def _records(value: float | None) -> str:
    return view.NONE if value is None else f"{value:,.0f}"


def _milliseconds(value: float | None) -> str:
    return lag(None if value is None else value / 1000)


def _slots(value: float | None) -> str:
    return view.NONE if value is None else f"{value:,.1f}".removesuffix(".0")


_UNITS: Final[Mapping[str, Callable[[float | None], str]]] = {
    "cpu": cores,
    "memory": _bytes,
    "pending": _records,
    "behind": _milliseconds,
    "slots": _slots,
}
_MADE_OF: Final = {
    "cpu": ("cpu_cores_used", "cpu_cores"),
    "memory": ("heap_used_bytes",),
    "pending": ("pending_records", "event_time_lag_ms"),
    "behind": ("event_time_lag_ms",),
    "slots": ("slots_used", "slots"),
}
