"""Scores of teams and of the platform: means of their jobs' scores, weighted by what these are allotted. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from autostream.health.job_health import JobHealth
from autostream.sizes import GIB

BYTES_A_CORE: Final = 4 * GIB
"""As much memory weighs as much as a core: the ratio that machines are mostly built with."""


@dataclass(frozen=True)
class TeamScore:
    """How the jobs of a team are, or those of all.

    Attributes:
        team: Its name; None for jobs without a team, and for all jobs together.
        score: The mean of its jobs' scores, weighted by cores and memory; None where none of them has one.
        confidence: The mean of their confidences likewise, in which jobs without a score count as 0.
        jobs: How many there are.
        unknown: How many of them have no score.
        cpu_cores: Cores allotted to them, as far as known.
        memory_bytes: Memory likewise.
        frees_cpu_cores: What all fixes would give back.
        frees_memory_bytes: Memory likewise.
    """

    team: str | None
    score: int | None
    confidence: float
    jobs: int
    unknown: int
    cpu_cores: float
    memory_bytes: int
    frees_cpu_cores: float
    frees_memory_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "team": self.team,
            "score": self.score,
            "confidence": self.confidence,
            "jobs": self.jobs,
            "unknown": self.unknown,
            "cpu_cores": round(self.cpu_cores, 3),
            "memory_bytes": self.memory_bytes,
            "frees": {"cpu_cores": round(self.frees_cpu_cores, 3), "memory_bytes": self.frees_memory_bytes},
        }


def team_scores(jobs: Iterable[JobHealth]) -> tuple[TeamScore, ...]:
    """Return the score of each team, by name; jobs without a team come last."""
    by_team: dict[str | None, list[JobHealth]] = defaultdict(list)
    for job in jobs:
        by_team[job.record.team].append(job)
    teams = sorted(by_team, key=lambda team: (team is None, team or ""))
    return tuple(score_of(team, by_team[team]) for team in teams)


def score_of(team: str | None, jobs: Sequence[JobHealth]) -> TeamScore:
    """Return the score of some jobs together."""
    weights = [resource_weight(job) for job in jobs]
    total = math.fsum(weights)
    sure = math.fsum(job.confidence * weight for job, weight in zip(jobs, weights, strict=True))
    current = [job.proposal.current for job in jobs if job.proposal]
    frees = [finding.frees for job in jobs for finding in job.findings]
    return TeamScore(
        team=team,
        score=weighted_score(zip((job.score for job in jobs), weights, strict=True)),
        confidence=round(sure / total, 2) if total else 0.0,
        jobs=len(jobs),
        unknown=sum(job.score is None for job in jobs),
        cpu_cores=math.fsum(has.cpu_cores or 0.0 for has in current),
        memory_bytes=sum(has.memory_bytes or 0 for has in current),
        frees_cpu_cores=math.fsum(freed.cpu_cores for freed in frees),
        frees_memory_bytes=sum(freed.memory_bytes for freed in frees),
    )


def resource_weight(job: JobHealth) -> float:
    """Return how much a job counts: its cores, and its memory in units of what comes with a core; at least 1."""
    has = job.proposal.current if job.proposal else None
    return weight_of(has.cpu_cores, has.memory_bytes) if has else 1.0


def weight_of(cpu_cores: float | None, memory_bytes: int | None) -> float:
    """Return how much a job counts that is allotted this; None where that is not known."""
    return max(1.0, (cpu_cores or 0.0) + (memory_bytes or 0) / BYTES_A_CORE)


def weighted_score(scores: Iterable[tuple[int | None, float]]) -> int | None:
    """Return the mean of scores, each with its weight; those that are None do not count, and of none it is None."""
    judged = [(score, weight) for score, weight in scores if score is not None]
    known = math.fsum(weight for _, weight in judged)
    return round(math.fsum(score * weight for score, weight in judged) / known) if known else None
