"""Whether a Flink job still runs, and for how long its present attempt has."""

from __future__ import annotations

from dataclasses import dataclass

from autostream.flink.job_states import ENDED_STATES
from autostream.flink.models import JobDetail, VertexDetail
from autostream.flink.rest import FlinkRest


@dataclass(frozen=True)
class JobRun:
    """A job as its cluster sees it.

    Attributes:
        job_id: 32 hexadecimal digits.
        name: Its name.
        state: `RUNNING`, `RESTARTING`, `FAILED` and so on.
        committer_age_ms: For how long the attempts of its Iceberg committers have run (of all its subtasks, where none
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


def find_job(rest: FlinkRest, job_id: str) -> JobRun | None:
    """Return a job; None if the cluster does not know it.

    Raises:
        ServiceError: The cluster cannot be reached, or answers something else.
        DeniedError: It does not accept the login.
    """
    job = rest.read(f"/jobs/{job_id}", JobDetail)
    return None if job is None else JobRun(job_id, job.name, job.state, _committer_age(rest, job_id, job))


def _committer_age(rest: FlinkRest, job_id: str, job: JobDetail) -> int | None:
    committers = [v for v in job.vertices if "iceberg" in v.name.lower() and "commit" in v.name.lower()]
    ages = []
    for vertex in committers or job.vertices:
        path = f"/jobs/{job_id}/vertices/{vertex.id}"
        detail = rest.read(path, VertexDetail)
        for subtask in detail.subtasks if detail else ():
            if subtask.status != "RUNNING":
                continue
            if detail is None or detail.now_ms is None or subtask.started_ms is None:
                raise rest.not_understood(path, "it does not say when a subtask started")
            ages.append(detail.now_ms - subtask.started_ms)
    return max(ages, default=None)
