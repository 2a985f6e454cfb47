"""The jobs of all clusters as values: which lives of a job matter, and which one is meant. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from autostream.errors import NotFoundError, UsageError
from autostream.flink.job_states import ENDED_STATES
from autostream.names import JobName
from autostream.spelling import one_of
from autostream.times import iso

_MOST_IDS: Final = 5


@dataclass(frozen=True)
class FleetJob:
    """One life of a job: what it is called, whose it is, and how it is.

    Attributes:
        job: Its name.
        job_id: 32 hexadecimal digits.
        state: `RUNNING`, `RESTARTING`, `FAILED` and so on.
        started_ms: When this life began, by its job manager's clock.
        team: Whose it is; None where nobody said.
        owner: Who answers for it; None where nobody said.
        note: What else is to be known of it.
    """

    job: JobName
    job_id: str
    state: str
    started_ms: int | None = None
    team: str | None = None
    owner: str | None = None
    note: str = ""

    @property
    def ended(self) -> bool:
        """Whether this life will never run again."""
        return self.state in ENDED_STATES

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "job": str(self.job),
            "cluster": self.job.cluster,
            "name": self.job.name,
            "job_id": self.job_id,
            "state": self.state,
            "team": self.team,
            "owner": self.owner,
            "started": iso(self.started_ms),
            "started_ms": self.started_ms,
            "note": self.note or None,
        }


@dataclass(frozen=True)
class UnreadCluster:
    """A cluster whose jobs are not known.

    Attributes:
        cluster: Its name.
        error: Why.
    """

    cluster: str
    error: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"cluster": self.cluster, "error": self.error}


@dataclass(frozen=True)
class FleetListing:
    """The jobs of several clusters.

    Attributes:
        jobs: By team, then by name; those without a team come last.
        errors: Which clusters could not be asked.
    """

    jobs: tuple[FleetJob, ...]
    errors: tuple[UnreadCluster, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {"jobs": [job.to_dict() for job in self.jobs], "errors": [one.to_dict() for one in self.errors]}


def by_team(jobs: Iterable[FleetJob]) -> tuple[FleetJob, ...]:
    """Return jobs in the order in which they are listed."""
    return tuple(sorted(jobs, key=lambda job: (job.team is None, job.team or "", job.job, -(job.started_ms or 0))))


def present_lives(jobs: Iterable[FleetJob]) -> list[FleetJob]:
    """Return of each name the lives that have not ended; where all have, the one that began last."""
    lives: dict[JobName, list[FleetJob]] = {}
    for job in jobs:
        lives.setdefault(job.job, []).append(job)
    return [job for same in lives.values() for job in _present(same)]


def with_doubles_noted(jobs: Sequence[FleetJob]) -> list[FleetJob]:
    """Return jobs of which each that shares its name with another one that has not ended says so."""
    running = Counter(job.job for job in jobs if not job.ended)
    return [_noted(job, running[job.job]) if not job.ended and running[job.job] > 1 else job for job in jobs]


def _noted(job: FleetJob, count: int) -> FleetJob:
    words = f"One of {count} jobs of this name. Tell them apart by job id: {job.job_id}."
    return replace(job, note=f"{words} {job.note}".strip())


def choose_life(jobs: Sequence[FleetJob], name: JobName, *, job_id: str | None = None) -> FleetJob:
    """Return the life of a job that is meant: the one that has not ended, else the last one.

    Args:
        jobs: All that its cluster knows.
        name: The job's name.
        job_id: Which life, where there are several that run under one name; the beginning of an id is enough.

    Raises:
        NotFoundError: The cluster knows no such job.
        UsageError: Several jobs of this name have not ended, and no id says which one is meant.
    """
    lives = [job for job in jobs if job.job == name]
    if not lives:
        known = {str(job.job) for job in jobs}
        raise NotFoundError(f"There is no job {str(name)!r}. {one_of(str(name), sorted(known), 'Jobs of the cluster')}")
    if job_id:
        wanted = [job for job in lives if job.job_id.startswith(job_id.lower())]
        if len(wanted) != 1:
            which = "no job" if not wanted else f"{len(wanted)} jobs"
            raise NotFoundError(f"Job {name} has {which} whose id begins with {job_id!r}. {_ids_of(lives)}")
        return wanted[0]
    present = _present(lives)
    if len(present) > 1:
        raise UsageError(
            f"{len(present)} jobs of cluster {name.cluster} run under the name {name.name!r}. Add --job-id with the id "
            f"of one of them. {_ids_of(present)}"
        )
    return present[0]


def _present(lives: Sequence[FleetJob]) -> list[FleetJob]:
    return [life for life in lives if not life.ended] or [max(lives, key=lambda life: life.started_ms or 0)]


def _ids_of(lives: Collection[FleetJob]) -> str:
    newest = sorted(lives, key=lambda life: -(life.started_ms or 0))
    shown = [f"{life.job_id} ({life.state}, since {iso(life.started_ms) or 'unknown'})" for life in newest[:_MOST_IDS]]
    more = f" and {len(newest) - _MOST_IDS} more" if len(newest) > _MOST_IDS else ""
    return f"Ids: {', '.join(shown)}{more}."
