"""What going over the jobs of one cluster comes to, wherever their figures are from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from autostream.names import JobName
from autostream.telemetry.job_records import JobRecord
from autostream.telemetry.samples import JobSample


@dataclass(frozen=True)
class Sweep:
    """All jobs of a cluster, looked at once.

    Attributes:
        at_ms: When, by the collector's clock.
        samples: What they did since the sweep before; none where this is the first one.
        records: What is known of them besides.
        states: States of all jobs that the cluster shows, those that have ended or could not be read too.
        problems: What could not be read, in words.
    """

    at_ms: int
    samples: tuple[JobSample, ...]
    records: tuple[JobRecord, ...]
    states: Mapping[JobName, str]
    problems: tuple[str, ...] = ()


class SampleSource(Protocol):
    """Where the figures of one cluster's jobs are from. It is used in one thread."""

    @property
    def cluster(self) -> str:
        """The name of the cluster."""
        ...

    def sweep(self, *, longest_ms: int) -> Sweep:
        """Look at all jobs.

        Args:
            longest_ms: Sweeps that are further apart have a gap between them, of which nothing is said.

        Raises:
            ServiceError: Whoever is asked cannot be reached, or answers what is not understood.
            DeniedError: It does not accept the login.
        """
        ...

    def written(self, sweep: Sweep) -> None:
        """Learn that the samples of a sweep are in the database: the next ones begin there."""
        ...

    def forget(self) -> None:
        """Begin anew, as before the first sweep."""
        ...
