"""How far a job has got: its life, its checkpoints, and the watermarks of its operators."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from autostream.flink.job_states import ENDED_STATES
from autostream.flink.models import (
    Checkpoints,
    CheckpointsConfig,
    ClusterConfig,
    JobConfig,
    JobDetail,
    JobsOverview,
    LatestCheckpoints,
    Metric,
    VertexDetail,
)
from autostream.flink.rest import FlinkRest

_WATERMARK: Final = "currentInputWatermark"
# Together they are the time since the task began to run, to the millisecond: a clock that each attempt starts again.
_TASK_TIMES: Final = ("accumulateBusyTimeMs", "accumulateIdleTimeMs", "accumulateBackPressuredTimeMs")
# Metrics a request: each is asked for by name, and job managers do not take URLs of any length.
_METRICS_A_REQUEST: Final = 60


@dataclass(frozen=True)
class JobSummary:
    """A job as the list of all jobs has it.

    Attributes:
        job_id: 32 hexadecimal digits.
        name: Its name.
        state: `RUNNING`, `FINISHED` and so on.
        started_ms: When its job manager began to run it.
    """

    job_id: str
    name: str
    state: str
    started_ms: int = 0

    @property
    def ended(self) -> bool:
        """Whether it will never run again."""
        return self.state in ENDED_STATES


@dataclass(frozen=True)
class Vertex:
    """A part of a job whose operators run in the same tasks.

    Attributes:
        vertex_id: its id.
        name: the names of its operators, chained by `->`.
        parallelism: how many subtasks it has.
        exchanges: ids of the vertices that it gets its rows from, and how these are handed on: `HASH`, `FORWARD`.
    """

    vertex_id: str
    name: str
    parallelism: int
    exchanges: tuple[tuple[str, str], ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Ids of the vertices that it gets its rows from."""
        return tuple(vertex_id for vertex_id, _ in self.exchanges)


@dataclass(frozen=True)
class Life:
    """What a job shows of its life, which ends when any of its tasks starts again, and another one begins.

    Attributes:
        state: `RUNNING`, `RESTARTING` and so on.
        attempts: of each vertex, by its id, the attempt of each subtask.
        statuses: of each vertex likewise, the status of each subtask.
        restarts: how often the job has restarted; None where its metrics do not say.
        restored: id and time of the checkpoint that it last started from; None where it started from none.
        completed: how many checkpoints have completed since this job manager runs it; None where the job makes none.
        started_ms: when this job manager began to run it; differs after another one has, or again under the same id.
        vertices: what it is made of.
        unaligned: whether its checkpoints can be unaligned; None where Flink does not say.
        flink_version: of its job manager, where they can.
    """

    state: str
    attempts: Mapping[str, tuple[int, ...]]
    statuses: Mapping[str, tuple[str, ...]]
    restarts: int | None
    restored: tuple[int, int] | None
    completed: int | None
    started_ms: int = 0
    vertices: tuple[Vertex, ...] = ()
    unaligned: bool | None = None
    flink_version: str = ""

    @property
    def running(self) -> bool:
        """Whether every task runs, or has come to the end of its input."""
        alive = {status for statuses in self.statuses.values() for status in statuses} <= {"RUNNING", "FINISHED"}
        return self.state == "RUNNING" and alive

    @property
    def over(self) -> bool:
        """Whether the job will never run again."""
        return self.state in ENDED_STATES

    @property
    def recoverable(self) -> bool:
        """Whether there is a checkpoint that whatever comes next would have to start from, and so show."""
        return bool(self.completed) or self.restored is not None

    def same_as(self, other: Life) -> bool:
        """Say whether two looks at a job show the same life: nothing has started again in between.

        The number of restarts counts where both know it: a job that has ended shows no metrics.
        """
        known = self.restarts is not None and other.restarts is not None
        return (
            self.started_ms == other.started_ms
            and self.attempts == other.attempts
            and self.restored == other.restored
            and (self.vertices, self.unaligned) == (other.vertices, other.unaligned)
            and (not known or self.restarts == other.restarts)
        )


@dataclass(frozen=True)
class TaskMetrics:
    """What one subtask shows of an operator.

    Attributes:
        watermark_ms: the operator's input watermark as Flink has it; None where it does not show one.
        task_ms: for how long the task had run when this was collected; None where it does not show it.
        over: whether the task has come to the end of its input; it has no metrics then.
    """

    watermark_ms: int | None
    task_ms: int | None
    over: bool = False


def list_jobs(rest: FlinkRest) -> list[JobSummary]:
    """Return all jobs that a cluster knows.

    Raises:
        ServiceError: It cannot be reached, or answers what is not understood.
    """
    listed = rest.require("/jobs/overview", JobsOverview).jobs
    return [JobSummary(job.job_id, job.name, job.state, job.started_ms) for job in listed]


def refresh_seconds(rest: FlinkRest) -> float:
    """Return by how much the cluster's answers about jobs and checkpoints may be old."""
    return rest.require("/config", ClusterConfig).refresh_interval_ms / 1000


def job_parameters(rest: FlinkRest, job_id: str) -> dict[str, str] | None:
    """Return the global parameters that a job was given; None where they are not known, or not yet.

    A job that is being initialized does not tell its parameters, nor does one that is not there.
    """
    config = rest.read(f"/jobs/{job_id}/config", JobConfig)
    if config is None or config.execution_config is None:
        return None
    return {key: value for key, value in config.execution_config.user_config.items() if value is not None}


def read_vertices(rest: FlinkRest, job_id: str) -> list[Vertex]:
    """Return the vertices of a job; none for a job that is not there."""
    job = rest.read(f"/jobs/{job_id}", JobDetail)
    return [] if job is None else _vertices(rest, job_id, job)


def read_life(rest: FlinkRest, job_id: str) -> Life | None:
    """Look at a job's life: 4 or 5 requests and one a vertex; None where the cluster does not know the job.

    Raises:
        ServiceError: The cluster cannot be reached, or answers what is not understood.
    """
    path = f"/jobs/{job_id}"
    job = rest.read(path, JobDetail)
    if job is None:
        return None
    checkpoints = rest.read(f"{path}/checkpoints", Checkpoints)  # a job without checkpointing has no such page
    if checkpoints is not None and checkpoints.counts is None:
        raise rest.not_understood(f"{path}/checkpoints", "counts: Field required")
    restarts = rest.read(f"{path}/metrics", list[Metric], {"get": "numRestarts"}) or []
    subtasks = {}
    for vertex in job.vertices:
        detail = rest.read(f"{path}/vertices/{vertex.id}", VertexDetail)
        if detail is None:
            return None
        subtasks[vertex.id] = detail.subtasks
    # After the others: all pages of a job grow old together, so this one is not older than they are.
    unaligned = _unaligned(rest.read(f"{path}/checkpoints/config", CheckpointsConfig), checkpoints)
    config = None if unaligned is False else rest.read("/config", ClusterConfig)
    restored = checkpoints.latest.restored if checkpoints and checkpoints.latest else None
    return Life(
        state=job.state,
        attempts={vertex: tuple(s.attempt for s in found) for vertex, found in subtasks.items()},
        statuses={vertex: tuple(s.status for s in found) for vertex, found in subtasks.items()},
        restarts=next((whole_number(metric.value) for metric in restarts if metric.id == "numRestarts"), None),
        restored=(restored.id, restored.restore_timestamp_ms) if restored else None,
        completed=checkpoints.counts.completed if checkpoints and checkpoints.counts else None,
        started_ms=job.started_ms,
        vertices=tuple(_vertices(rest, job_id, job)),
        unaligned=unaligned,
        flink_version=config.flink_version if config else "",
    )


def largest_checkpoint_id(rest: FlinkRest, job_id: str) -> int | None:
    """Return the largest id among the checkpoints that a job lists, those in progress too; None without the job."""
    checkpoints = rest.read(f"/jobs/{job_id}/checkpoints", Checkpoints)
    return None if checkpoints is None else largest_id(checkpoints)


def was_stopped(rest: FlinkRest, job_id: str) -> bool | None:
    """Say whether a job that is FINISHED has not ended by itself: it was stopped with a savepoint, to go on from there.

    None where the cluster does not know the job any more. The answer may be older than that the job is FINISHED.

    Raises:
        ServiceError: The cluster cannot be reached, or answers what is not understood.
    """
    checkpoints = rest.read(f"/jobs/{job_id}/checkpoints", Checkpoints)
    if checkpoints is None:
        # Of a job without checkpointing nobody can say more than that it is there.
        return None if rest.get(f"/jobs/{job_id}") is None else True
    done = [entry for entry in checkpoints.history if entry.status == "COMPLETED"]
    last = max(done, key=lambda entry: entry.id, default=None)
    return last is not None and last.checkpoint_type == "SYNC_SAVEPOINT"


def trigger_checkpoint(rest: FlinkRest, job_id: str) -> None:
    """Have a job make a checkpoint soon; when it is done is for others to see.

    Raises:
        ServiceError: The cluster cannot be reached, or refuses it.
    """
    rest.post(f"/jobs/{job_id}/checkpoints", {"checkpointType": "FULL"})


def metric_names(rest: FlinkRest, job_id: str, vertex_id: str) -> list[str]:
    """Return the names of the metrics of a vertex; at first, and of a vertex that is not there, none."""
    metrics = rest.read(f"/jobs/{job_id}/vertices/{vertex_id}/metrics", list[Metric])
    return [metric.id for metric in metrics or ()]


def watermark_operators(names: Iterable[str]) -> list[str]:
    """Return the operators, as metrics call them, that show an input watermark, given names of a vertex's metrics."""
    pattern = re.compile(rf"\d+\.(.+)\.{_WATERMARK}")
    return sorted({match[1] for name in names if (match := pattern.fullmatch(name))})


def read_metrics(
    rest: FlinkRest, job_id: str, vertex_id: str, operator: str, subtasks: Iterable[int]
) -> dict[int, TaskMetrics]:
    """Return what subtasks of a vertex show of one of its operators; asking also makes Flink collect metrics again.

    Raises:
        ServiceError: The cluster cannot be reached, or answers what is not understood.
    """
    path = f"/jobs/{job_id}/vertices/{vertex_id}/metrics"
    found: dict[str, int | None] = {}
    wanted = {n: (f"{n}.{operator}.{_WATERMARK}", *(f"{n}.{time}" for time in _TASK_TIMES)) for n in subtasks}
    names = [name for group in wanted.values() for name in group]
    for start in range(0, len(names), _METRICS_A_REQUEST):
        chosen = names[start : start + _METRICS_A_REQUEST]
        for metric in rest.read(path, list[Metric], {"get": ",".join(chosen)}) or ():
            try:
                found[metric.id] = whole_number(metric.value)
            except ValueError:
                raise rest.not_understood(path, f"{metric.id} is not a number") from None
    return {n: _task_metrics(found, watermark, times) for n, (watermark, *times) in wanted.items()}


def _task_metrics(found: Mapping[str, int | None], watermark: str, times: Iterable[str]) -> TaskMetrics:
    known = [value for value in map(found.get, times) if value is not None]
    return TaskMetrics(found.get(watermark), sum(known) if known else None)


def whole_number(value: str | float) -> int | None:
    """Return a metric as a whole number; None for NaN, which is how busy a source of the old kind is."""
    try:
        return int(value)  # a float would blur the large ones
    except (ValueError, OverflowError):
        number = float(value)
        return int(number) if math.isfinite(number) else None


def largest_id(checkpoints: Checkpoints) -> int:
    """Return the largest id in an answer about checkpoints; 0 where there was none."""
    latest = checkpoints.latest or LatestCheckpoints()
    last = (latest.completed, latest.savepoint, latest.failed, latest.restored)
    return max((entry.id for entry in (*checkpoints.history, *last) if entry is not None), default=0)


def _vertices(rest: FlinkRest, job_id: str, job: JobDetail) -> list[Vertex]:
    inputs = {node.id: node.inputs for node in job.plan.nodes}
    if missing := [vertex.id for vertex in job.vertices if vertex.id not in inputs]:
        raise rest.not_understood(f"/jobs/{job_id}", f"vertex {missing[0]} is not in the plan")
    return [
        Vertex(
            vertex_id=vertex.id,
            name=vertex.name,
            parallelism=vertex.parallelism,
            exchanges=tuple((edge.id, edge.ship_strategy) for edge in inputs[vertex.id]),
        )
        for vertex in job.vertices
    ]


def _unaligned(config: CheckpointsConfig | None, checkpoints: Checkpoints | None) -> bool | None:
    """Say whether checkpoints can be unaligned, by the job's settings and by those that it lists."""
    if checkpoints and any(entry.checkpoint_type == "UNALIGNED_CHECKPOINT" for entry in checkpoints.history):
        return True
    return None if config is None else config.unaligned_checkpoints
