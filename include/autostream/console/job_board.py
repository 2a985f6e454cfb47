"""What is known of all Flink jobs, from the database alone: no cluster is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from autostream.config import load_settings
from autostream.console.job_rows import JobRow
from autostream.console.resource_use import FIGURES
from autostream.health.log import HealthLog
from autostream.store.database import open_database
from autostream.telemetry.log import TelemetryLog
from autostream.times import now_ms


@dataclass(frozen=True)
class JobBoard:
    """All jobs that the database knows, in no order.

    Attributes:
        rows: The jobs, also those that have ended.
        now_ms: When this was read.
    """

    rows: tuple[JobRow, ...]
    now_ms: int

    @property
    def teams(self) -> list[str]:
        """The teams that have jobs, by name."""
        return sorted({row.listed.team for row in self.rows if row.listed.team})

    @property
    def clusters(self) -> list[str]:
        """The clusters that have jobs, by name."""
        return sorted({row.listed.job.cluster for row in self.rows})

    @property
    def states(self) -> list[str]:
        """The states that jobs are in, by name."""
        return sorted({row.listed.state for row in self.rows})


def read_board() -> JobBoard:
    """Return what is known of all jobs.

    Figures and scores that are too old to say something of the present are left out.

    Raises:
        ServiceError: The database cannot be reached, or fails.
    """
    now, settings = now_ms(), load_settings()
    with open_database().read() as connection:
        log = TelemetryLog(connection)
        listed = log.listed()
        figures = log.latest(FIGURES, since_ms=now - settings.health.stale_after_seconds * 1000)
        health = HealthLog(connection).latest(before_ms=now)
    return JobBoard(tuple(JobRow(each, health.get(each.job), figures.get(each.job, {})) for each in listed), now)


Board = Annotated[JobBoard, Depends(read_board)]
"""What is known of all jobs: the type of a route's parameter."""
