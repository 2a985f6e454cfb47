"""Teams, and any other jobs together: their score and what they use. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autostream.console.job_rows import JobRow
from autostream.console.resource_use import ResourceUse, sum_of
from autostream.findings import Severity
from autostream.health.team_scores import weight_of, weighted_score


@dataclass(frozen=True)
class TeamRow:
    """Some jobs together.

    Attributes:
        team: Whose they are; None for jobs without a team, and for jobs of several teams.
        jobs: How many there are.
        without_score: How many of them have no score.
        unwell: How many of them have a warning or an error.
        score: The mean of their scores, weighted by the cores and the memory that they are allotted.
        use: What they use together, and what they are allotted.
    """

    team: str | None
    jobs: int
    without_score: int
    unwell: int
    score: int | None
    use: ResourceUse

    @classmethod
    def of(cls, team: str | None, rows: Sequence[JobRow]) -> TeamRow:
        """Return jobs together."""
        return cls(
            team,
            len(rows),
            sum(row.score is None for row in rows),
            sum(any(severity in (Severity.ERROR, Severity.WARNING) for _, severity in row.findings) for row in rows),
            weighted_score((row.score, _weight(row)) for row in rows),
            sum_of(row.use for row in rows),
        )


def teams_of(rows: Iterable[JobRow]) -> list[TeamRow]:
    """Return the teams by name; jobs without a team come last. Jobs that have ended do not count."""
    by_team: dict[str | None, list[JobRow]] = defaultdict(list)
    for row in rows:
        if not row.has_ended:
            by_team[row.listed.team].append(row)
    names = sorted(by_team, key=lambda team: (team is None, team or ""))
    return [TeamRow.of(team, by_team[team]) for team in names]


def _weight(row: JobRow) -> float:
    return weight_of(row.health.cpu_cores, row.health.memory_bytes) if row.health else 1.0
