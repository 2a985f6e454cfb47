"""What one look at a cluster shows: counters and gauges as they are, before two looks are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from autostream.flink.job_settings import TaskManagerSettings
from autostream.flink.metric_values import Aggregate
from autostream.names import JobName

RUNNING: Final = "RUNNING"
"""The state of a job whose tasks run."""


@dataclass(frozen=True)
class VertexLook:
    """One vertex.

    Attributes:
        vertex_id: Its id.
        name: The names of its operators.
        parallelism: Its subtasks.
        inputs: Ids of the vertices that it gets its rows from; none of a source.
        metrics: By Flink's names; what is not known is not there.
    """

    vertex_id: str
    name: str
    parallelism: int
    inputs: tuple[str, ...] = ()
    metrics: Mapping[str, Aggregate] = field(default_factory=dict)


@dataclass(frozen=True)
class JobLook:
    """One job.

    Attributes:
        job: Its name.
        job_id: Its life.
        state: `RUNNING`, `RESTARTING` and so on.
        started_ms: When its job manager began to run it; differs after another one has.
        running_since_ms: When its present attempt began to run, by the job manager's clock; None where it does not run.
        metrics: By Flink's names; what is not known is not there.
        vertices: In the order of its plan.
        dedicated: Whether its cluster is there for it alone.
        clock_offset_ms: By how much the job manager's clock is ahead of the collector's; None where it does not tell.
        last_checkpoint_ms: When its last checkpoint completed, by the job manager's clock; None where none has.
        stale: Whether Flink has collected nothing new since the look before.
    """

    job: JobName
    job_id: str
    state: str
    started_ms: int
    running_since_ms: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    vertices: tuple[VertexLook, ...] = ()
    dedicated: bool = False
    clock_offset_ms: int | None = None
    last_checkpoint_ms: int | None = None
    stale: bool = False

    @property
    def attempt(self) -> object:
        """What differs between two attempts to run the job."""
        return self.job_id, self.started_ms, self.running_since_ms, self.metrics.get("numRestarts")

    @property
    def clock_ms(self) -> float | None:
        """When Flink collected the metrics, by the job manager's clock; None where they do not tell."""
        uptime = self.metrics.get("uptime", self.metrics.get("runningTime"))
        return None if self.running_since_ms is None or uptime is None else self.running_since_ms + uptime


@dataclass(frozen=True)
class TaskManagerLook:
    """One task manager.

    Attributes:
        task_manager_id: Its id.
        slots: How many slots it has.
        settings: What it is allotted.
        slots_by_job: How many of them each job occupies, by job id; None where that is not known.
        metrics: By Flink's names; what is not known is not there.
        stale: Whether Flink has collected nothing new since the look before.
    """

    task_manager_id: str
    slots: int
    settings: TaskManagerSettings = field(default_factory=TaskManagerSettings)
    slots_by_job: Mapping[str, int] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    stale: bool = False


@dataclass(frozen=True)
class ClusterLook:
    """A cluster at one instant.

    Attributes:
        at_ms: When it was looked at, by the collector's clock.
        jobs: Jobs that have not ended, by job id.
        task_managers: Task managers by id.
        container_limit_bytes: What Kubernetes gives the container of each task manager; None where it does not tell.
    """

    at_ms: int
    jobs: Mapping[str, JobLook] = field(default_factory=dict)
    task_managers: Mapping[str, TaskManagerLook] = field(default_factory=dict)
    container_limit_bytes: float | None = None
