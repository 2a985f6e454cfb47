"""How a job is: its score, how much of it is known, and its findings. Pure.

The score is 100 less all deductions, and not below 0. What is not known costs nothing; it lowers the confidence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from autostream.health.advice import conclude
from autostream.health.job_facts import NO_FACTS, JobFacts
from autostream.health.job_findings import JobFinding
from autostream.health.job_view import LEAST_SAMPLES, JobView
from autostream.health.ladders import LADDERS, Ladder
from autostream.health.sizing import ResourceProposal
from autostream.health.symptoms import FAILED_STATES, symptoms_of
from autostream.telemetry.job_records import JobRecord
from autostream.telemetry.windows import JobWindow

# What is wanted of a job to judge it, and how much of the confidence hangs on it. One of several figures is enough.
_WANTED: Final[Mapping[tuple[str, ...], float]] = {
    ("cpu_cores_used",): 2.0,
    ("busy_share_max",): 2.0,
    ("pending_records", "event_time_lag_ms"): 2.0,
    ("heap_used_bytes",): 1.0,
    ("gc_share", "gc_share_max"): 1.0,
    ("slots_used",): 1.0,
    ("checkpoint_age_ms", "checkpoints_completed"): 1.0,
}


@dataclass(frozen=True)
class JobHealth:
    """How a job is.

    Attributes:
        record: The job.
        window_seconds: The length of time that was looked at.
        score: From 0 to 100; None where nothing was measured.
        confidence: From 0 to 1: how much of what should be known is, of how much of the window, and how recently.
        findings: The dearest first.
        proposal: What it should be given; None where it is not known what it has.
        window: The figures; None where there are none.
        unknown: Why the score is None, or the confidence is low; empty where all is known.
    """

    record: JobRecord
    window_seconds: int
    score: int | None
    confidence: float
    findings: tuple[JobFinding, ...] = ()
    proposal: ResourceProposal | None = None
    window: JobWindow | None = None
    unknown: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        proposal = self.proposal
        return {
            "job": str(self.record.job),
            "job_id": self.record.job_id,
            "team": self.record.team,
            "owner": self.record.owner,
            "state": self.record.state,
            "score": self.score,
            "confidence": self.confidence,
            "unknown": self.unknown,
            "window_seconds": self.window_seconds,
            "findings": [finding.to_dict() for finding in self.findings],
            "current": proposal.current.to_dict() if proposal else None,
            "proposed": proposal.target.to_dict() if proposal else None,
        }


def judge_job(
    record: JobRecord,
    window: JobWindow | None,
    *,
    now_ms: int,
    window_seconds: int,
    stale_after_seconds: int = 300,
    facts: JobFacts = NO_FACTS,
    ladders: Mapping[str, Ladder] = LADDERS,
) -> JobHealth:
    """Return how a job is.

    Args:
        record: The job.
        window: What was measured of it; None where nothing was.
        now_ms: The present.
        window_seconds: The length of the window that was asked for.
        stale_after_seconds: Figures whose last sample is older than this say nothing of the job as it is now.
        facts: What others know of it.
        ladders: What costs how much.
    """
    age_ms = None if window is None else now_ms - window.to_ms
    if window is None or age_ms is None or age_ms > stale_after_seconds * 1000:
        why = "nothing was measured in the window"
        if age_ms is not None:
            why = f"the last sample is {age_ms // 1000} s old, which is more than {stale_after_seconds} s"
        if record.state not in FAILED_STATES:
            return JobHealth(record, window_seconds, None, 0.0, unknown=f"{why[0].upper()}{why[1:]}.")
        window = JobWindow(record.job, record.job_id, now_ms, now_ms, 0, 0, record.state)
    view = JobView(window, record, facts)
    symptoms = symptoms_of(view, ladders)
    failed = record.state in FAILED_STATES
    confidence, unknown = (1.0, "") if failed else _confidence(view, window_seconds)
    cost = math.fsum(symptom.cost for symptom in symptoms)
    findings, proposal = conclude(view, symptoms)
    measured = bool(view.window.figures) or bool(symptoms)
    return JobHealth(
        record=record,
        window_seconds=window_seconds,
        score=max(0, round(100 - cost)) if measured else None,
        confidence=confidence,
        findings=findings,
        proposal=proposal,
        window=window,
        unknown=unknown,
    )


def _confidence(view: JobView, window_seconds: int) -> tuple[float, str]:
    """Return how much is known, and what is not: figures, time that samples cover, number of samples."""
    missing, known = [], 0.0
    for figures, weight in _WANTED.items():
        if any(_is_known(view, name) for name in figures):
            known += weight
        elif not (figures[0].startswith("checkpoint") and view.record.settings.checkpointing is False):
            missing.append(figures[0])
        else:
            known += weight
    share = known / math.fsum(_WANTED.values())
    covered = min(1.0, view.window.covered_ms / 1000 / window_seconds) if window_seconds > 0 else 1.0
    enough = min(1.0, view.window.samples / LEAST_SAMPLES)
    parts = [f"not known: {', '.join(missing)}"] if missing else []
    if covered < 0.8:
        parts.append(f"samples cover {covered * 100:.0f} % of the window")
    if enough < 1:
        parts.append(f"there are only {view.window.samples} samples")
    text = "; ".join(parts)
    return round(max(0.0, share * covered * enough), 2), f"{text[:1].upper()}{text[1:]}." if text else ""


def _is_known(view: JobView, name: str) -> bool:
    return view.busy is not None if name == "busy_share_max" else view.figure(name) is not None
