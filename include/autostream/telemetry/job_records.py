"""What is known of a job besides its figures: whose it is, which life it is in, how it is set up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from autostream.flink.job_settings import JobSettings
from autostream.names import JobName

GONE: Final = "GONE"
"""The state of a job that its cluster does not know any more."""


@dataclass(frozen=True)
class KnownJob:
    """A job as last seen, without how it is set up: what a list of thousands of jobs has of each.

    Attributes:
        job: Its name.
        job_id: Its present life.
        state: `RUNNING`, `RESTARTING`, `FAILED` and so on; `GONE` where its cluster does not know it any more.
        team: Whose it is; None where nobody said.
        owner: Who answers for it; None where nobody said.
        started_ms: When this life began, by its job manager's clock.
        seen_ms: When it was last seen, by the collector's clock.
    """

    job: JobName
    job_id: str
    state: str
    team: str | None
    owner: str | None
    started_ms: int
    seen_ms: int


@dataclass(frozen=True)
class JobRecord(KnownJob):
    """A job as last seen.

    Attributes:
        settings: How it is set up.
    """

    settings: JobSettings
