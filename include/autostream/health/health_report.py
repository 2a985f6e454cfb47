"""How jobs are at one moment: judged one by one, added up by team, compared with the day before. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from autostream.health.health_changes import HealthChange
from autostream.health.job_health import JobHealth
from autostream.health.team_scores import TeamScore, score_of, team_scores
from autostream.names import JobName
from autostream.notices import Notice
from autostream.times import iso


@dataclass(frozen=True)
class HealthReport:
    """How some jobs are.

    Attributes:
        at_ms: When they were judged.
        jobs: The worst first; those without a score last.
        changes: What has changed of each since the day before, as far as that is known.
        trends: Which way each score goes over a week, as far as that is known.
        notices: What people are told, where it was written down how all jobs are.
    """

    at_ms: int
    jobs: tuple[JobHealth, ...]
    changes: Mapping[JobName, HealthChange] = field(default_factory=dict)
    trends: Mapping[JobName, str] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()

    @cached_property
    def teams(self) -> tuple[TeamScore, ...]:
        """The score of each team that has one of the jobs."""
        return team_scores(self.jobs)

    @cached_property
    def platform(self) -> TeamScore:
        """The score of all of the jobs together."""
        return score_of(None, self.jobs)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "jobs": [self._job(job) for job in self.jobs],
            "teams": [team.to_dict() for team in self.teams],
            "platform": {name: value for name, value in self.platform.to_dict().items() if name != "team"},
            "at": iso(self.at_ms),
            "at_ms": self.at_ms,
        }

    def _job(self, job: JobHealth) -> dict[str, Any]:
        change = self.changes.get(job.record.job)
        more = {"trend": self.trends.get(job.record.job), "since_yesterday": change.to_dict() if change else None}
        return job.to_dict() | more


def worst_jobs_first(jobs: list[JobHealth]) -> tuple[JobHealth, ...]:
    """Return jobs in the order in which people want to read of them."""
    return tuple(sorted(jobs, key=lambda job: (job.score is None, job.score or 0, job.record.job)))
