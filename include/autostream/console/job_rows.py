"""The list of Flink jobs: what a row has, which rows were asked for, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from autostream.console.resource_use import ResourceUse, lag_seconds
from autostream.console.sorting import Sorts, sort_by
from autostream.findings import Severity
from autostream.flink.job_states import ENDED_STATES
from autostream.health.health_changes import HealthEntry
from autostream.telemetry.job_records import GONE, KnownJob

ANY_STATE: Final = "any"
"""Asks for jobs in any state, also for those that have ended."""
_PAST_STATES: Final = ENDED_STATES - {"FAILED"} | {GONE}


@dataclass(frozen=True)
class JobRow:
    """What is known of one job.

    Attributes:
        listed: Whose it is, and its state.
        health: How it was when it was last judged; None where it was not judged lately.
        figures: Its last sample, of the figures of `resource_use.FIGURES`; empty where there is none of late.
    """

    listed: KnownJob
    health: HealthEntry | None = None
    figures: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def name(self) -> str:
        """Its name, CLUSTER/NAME."""
        return str(self.listed.job)

    @property
    def has_ended(self) -> bool:
        """Whether it will not run again, and nobody waits for it to: one that has failed is still somebody's worry."""
        return self.listed.state in _PAST_STATES

    @property
    def score(self) -> int | None:
        """Its score."""
        return self.health.score if self.health else None

    @cached_property
    def use(self) -> ResourceUse:
        """What it uses and what it is allotted."""
        return ResourceUse.of(self.figures)

    @property
    def lag_seconds(self) -> float | None:
        """How far its sources are behind."""
        return lag_seconds(self.figures)

    @property
    def findings(self) -> list[tuple[str, Severity]]:
        """The ids of what was found, and how bad each is; the dearest first."""
        if self.health is None:
            return []
        costs, severities = self.health.deductions, self.health.severities
        return [(name, severities[name]) for name in sorted(costs, key=lambda name: (-costs[name], name))]


@dataclass(frozen=True)
class JobFilter:
    """Which jobs were asked for.

    Attributes:
        q: A part of their names, whatever its case; empty for all.
        team: Only those of this team; empty for all.
        without_team: Only those without a team.
        cluster: Only those of this cluster; empty for all.
        state: Only those in this state; empty for all that have not ended, `ANY_STATE` for all.
    """

    q: str = ""
    team: str = ""
    without_team: bool = False
    cluster: str = ""
    state: str = ""

    def has(self, row: JobRow) -> bool:
        """Say whether a job was asked for."""
        listed = row.listed
        return (
            self.q.strip().lower() in row.name.lower()
            and (not self.team or listed.team == self.team)
            and not (self.without_team and listed.team)
            and (not self.cluster or listed.job.cluster == self.cluster)
            and self._has_state(row)
        )

    def _has_state(self, row: JobRow) -> bool:
        if self.state == ANY_STATE:
            return True
        return row.listed.state == self.state if self.state else not row.has_ended


SORTS: Final[Sorts[JobRow]] = {
    "job": lambda row: row.name,
    "team": lambda row: row.listed.team,
    "state": lambda row: row.listed.state,
    "score": lambda row: row.score,
    "cpu": lambda row: row.use.cpu_cores_used,
    "memory": lambda row: row.use.memory_used_bytes,
    "lag": lambda row: row.lag_seconds,
}
"""What rows can be sorted by, by its name."""


def choose_jobs(rows: Iterable[JobRow], wanted: JobFilter, sort: str) -> list[JobRow]:
    """Return the jobs that were asked for, in an order.

    Args:
        rows: All jobs.
        wanted: Which.
        sort: See `sort_by`: by a key of `SORTS`.

    Raises:
        UsageError: There is no such order.
    """
    return sort_by(filter(wanted.has, rows), sort, SORTS, name=lambda row: row.name)
