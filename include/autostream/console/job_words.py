"""What pages show of Flink jobs: words and classes, no HTML. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from autostream.console import view
from autostream.console.job_rows import JobRow
from autostream.console.language import Translate
from autostream.console.resource_use import ResourceUse
from autostream.findings import Severity
from autostream.telemetry.job_records import GONE

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
