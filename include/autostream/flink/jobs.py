"""Whether a Flink job still runs, and for how long its present attempt has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autostream.errors import ServiceError
from autostream.flink.progress import ENDED_STATES
from autostream.flink.rest import FlinkRest


@dataclass(frozen=True)
class JobRun:
    """A job as its cluster sees it.

    Attributes:
        job_id: 32 hexadecimal digits.
        name: its name.
        state: ``RUNNING``, ``RESTARTING``, ``FAILED`` and so on.
        committer_age_ms: for how long the attempts of its Iceberg committers have run (of all its subtasks, where none
            is called so): the oldest of them, by the cluster's own clock; None if none runs.
    """

    job_id: str
    name: str
    state: str
    committer_age_ms: int | None

    @property
    def ended(self) -> bool:
        """Whether it will never run again."""
        return self.state in ENDED_STATES


class FlinkCluster:
    """A job manager's REST interface."""

    def __init__(self, url: str) -> None:
        """Take its address, such as ``http://jobmanager:8081``."""
        self._rest = FlinkRest(url)
        self.url = self._rest.url

    def job(self, job_id: str) -> JobRun | None:
        """Return a job; None if the cluster does not know it.

        Raises:
            ServiceError: the cluster cannot be reached, or answers something else.
        """
        job = self._rest.get(f"/jobs/{job_id}")
        if job is None:
            return None
        try:
            return JobRun(job_id, str(job["name"]), str(job["state"]), self._committer_age(job_id, job))
        except (KeyError, TypeError, ValueError) as error:
            raise ServiceError(
                f"Flink at {self.url} describes job {job_id} in a way that is not understood: {error!r}."
            ) from error

    def _committer_age(self, job_id: str, job: Mapping[str, Any]) -> int | None:
        vertices = job["vertices"]
        committers = [v for v in vertices if "iceberg" in v["name"].lower() and "commit" in v["name"].lower()]
        ages = []
        for vertex in committers or vertices:
            detail = self._rest.get(f"/jobs/{job_id}/vertices/{vertex['id']}")
            for subtask in detail["subtasks"] if detail else ():
                if subtask["status"] == "RUNNING":
                    ages.append(int(detail["now"]) - int(subtask["start-time"]))
        return max(ages, default=None)
