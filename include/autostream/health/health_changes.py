"""What was written down of a job's health, what has changed since, and which way it goes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from autostream.findings import Severity
from autostream.health.job_health import JobHealth
from autostream.names import JobName
from autostream.times import iso

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
KEPT_EVERY_MS: Final = HOUR_MS
"""An entry is written when something has changed, and after so long in any case."""
_STEADY: Final = 5


@dataclass(frozen=True)
class HealthEntry:
    """A job's health at one time.

    Attributes:
        job: The job.
        at_ms: When it was judged.
        team: Whose it was.
        score: Its score; None where there was none.
        confidence: How sure that was.
        deductions: What each finding cost, by its id.
        severities: How bad each finding was, by its id.
        parallelism: The most subtasks of a vertex; None where not known; likewise:
        task_managers: Task managers.
        cpu_cores: Cores allotted.
        memory_bytes: Memory allotted.
    """

    job: JobName
    at_ms: int
    team: str | None
    score: int | None
    confidence: float
    deductions: Mapping[str, float] = field(default_factory=dict)
    severities: Mapping[str, Severity] = field(default_factory=dict)
    parallelism: int | None = None
    task_managers: int | None = None
    cpu_cores: float | None = None
    memory_bytes: int | None = None

    @classmethod
    def of(cls, health: JobHealth, *, at_ms: int) -> HealthEntry:
        """Return what is to be written down of a job's health."""
        has = health.proposal.current if health.proposal else None
        return cls(
            job=health.record.job,
            at_ms=at_ms,
            team=health.record.team,
            score=health.score,
            confidence=health.confidence,
            deductions={finding.id: finding.deduction for finding in health.findings},
            severities={finding.id: finding.severity for finding in health.findings},
            parallelism=has.parallelism if has else None,
            task_managers=has.task_managers if has else None,
            cpu_cores=has.cpu_cores if has else None,
            memory_bytes=has.memory_bytes if has else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "at": iso(self.at_ms),
            "at_ms": self.at_ms,
            "score": self.score,
            "confidence": self.confidence,
            "findings": {
                name: {"severity": self.severities[name].value, "deduction": cost}
                for name, cost in self.deductions.items()
            },
            "parallelism": self.parallelism,
            "task_managers": self.task_managers,
            "cpu_cores": self.cpu_cores,
            "memory_bytes": self.memory_bytes,
        }


@dataclass(frozen=True)
class HealthChange:
    """What has changed of a job.

    Attributes:
        since_ms: Since when.
        score: By how much the score has changed; None where one of the two is not known.
        began: Findings that there were not then, by id.
        ended: Findings that there are no longer.
        resources: What it had and has, of what has changed, by the names of `HealthEntry`.
    """

    since_ms: int
    score: int | None
    began: tuple[str, ...]
    ended: tuple[str, ...]
    resources: Mapping[str, tuple[float, float]]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "since": iso(self.since_ms),
            "since_ms": self.since_ms,
            "score": self.score,
            "began": list(self.began),
            "ended": list(self.ended),
            "resources": {name: {"before": before, "after": after} for name, (before, after) in self.resources.items()},
        }


def change_between(before: HealthEntry, after: HealthEntry) -> HealthChange:
    """Return what has changed from one entry of a job to a later one. What is not known has not changed."""
    resources = {}
    for name in ("parallelism", "task_managers", "cpu_cores", "memory_bytes"):
        had, has = getattr(before, name), getattr(after, name)
        if had is not None and has is not None and had != has:
            resources[name] = (had, has)
    known = before.score is not None and after.score is not None
    return HealthChange(
        since_ms=before.at_ms,
        score=(after.score or 0) - (before.score or 0) if known else None,
        began=tuple(sorted(set(after.deductions) - set(before.deductions))) if known else (),
        ended=tuple(sorted(set(before.deductions) - set(after.deductions))) if known else (),
        resources=resources,
    )


def is_worth_keeping(entry: HealthEntry, last: HealthEntry | None) -> bool:
    """Say whether an entry tells more than the one before it."""
    if last is None or entry.at_ms - last.at_ms >= KEPT_EVERY_MS:
        return True
    change = change_between(last, entry)
    known = (last.score is None) == (entry.score is None)
    same_team = last.team == entry.team
    return not (
        known and same_team and not change.score and not change.began and not change.ended and not change.resources
    )


def trend_of(entries: Sequence[HealthEntry]) -> str | None:
    """Return which way a score goes: `rising`, `falling` or `steady`; None of fewer than two that are known.

    The mean of the older half of the entries is compared with that of the newer half: less than five points is steady.

    Args:
        entries: Of one job, the oldest first.
    """
    scores = [entry.score for entry in entries if entry.score is not None]
    if len(scores) < 2:
        return None
    half = len(scores) // 2
    older, newer = scores[:half], scores[half:]
    grown = sum(newer) / len(newer) - sum(older) / len(older)
    return "steady" if abs(grown) < _STEADY else "rising" if grown > 0 else "falling"
