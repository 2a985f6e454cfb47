"""Flink's answers as typed values, of versions 1.18 to 2.3: what they have besides is left out, what came later may
be missing.

Only this module and `autostream.flink.rest` know what Flink's JSON looks like.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    """Base of what Flink answers."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class ClusterConfig(_Answer):
    """`/config`: by how much answers about jobs may be old, and the version."""

    refresh_interval_ms: float = Field(alias="refresh-interval")
    flink_version: str = Field(default="", alias="flink-version")


class ClusterOverview(_Answer):
    """`/overview`: the cluster in numbers."""

    task_managers: int = Field(alias="taskmanagers")
    slots_total: int = Field(alias="slots-total")
    slots_available: int = Field(alias="slots-available")
    jobs_running: int = Field(alias="jobs-running")
    flink_version: str = Field(default="", alias="flink-version")


class ListedJob(_Answer):
    """A job as the list of all jobs has it."""

    job_id: str = Field(alias="jid")
    name: str
    state: str
    started_ms: int = Field(default=0, alias="start-time")


class JobsOverview(_Answer):
    """`/jobs/overview`: all jobs that a cluster knows."""

    jobs: tuple[ListedJob, ...]


class JobVertex(_Answer):
    """A vertex as the page of its job has it."""

    id: str
    name: str
    parallelism: int


class PlanInput(_Answer):
    """Where a node of a job's plan gets its rows from."""

    id: str
    ship_strategy: str = ""


class PlanNode(_Answer):
    """A node of a job's plan: one for each vertex."""

    id: str
    inputs: tuple[PlanInput, ...] = ()


class JobPlan(_Answer):
    """How the vertices of a job are connected."""

    nodes: tuple[PlanNode, ...]


class JobDetail(_Answer):
    """`/jobs/:id`: one job, its vertices and its plan."""

    name: str = ""
    state: str
    started_ms: int = Field(alias="start-time")
    vertices: tuple[JobVertex, ...]
    plan: JobPlan


class Subtask(_Answer):
    """One subtask of a vertex, in its present attempt."""

    status: str
    attempt: int
    started_ms: int | None = Field(default=None, alias="start-time")


class VertexDetail(_Answer):
    """`/jobs/:id/vertices/:id`: one vertex and its subtasks, at the time of the job manager's clock."""

    now_ms: int | None = Field(default=None, alias="now")
    subtasks: tuple[Subtask, ...]


class ExecutionConfig(_Answer):
    """How a job is executed; its global parameters."""

    user_config: dict[str, str | None] = Field(default_factory=dict, alias="user-config")


class JobConfig(_Answer):
    """`/jobs/:id/config`."""

    execution_config: ExecutionConfig = Field(default_factory=ExecutionConfig, alias="execution-config")


class Checkpoint(_Answer):
    """A checkpoint or savepoint in a job's history."""

    id: int
    status: str = ""
    checkpoint_type: str = ""


class RestoredCheckpoint(_Answer):
    """The checkpoint that a job last started from."""

    id: int
    restore_timestamp_ms: int = Field(alias="restore_timestamp")


class LatestCheckpoints(_Answer):
    """The last checkpoint of each kind."""

    completed: Checkpoint | None = None
    savepoint: Checkpoint | None = None
    failed: Checkpoint | None = None
    restored: RestoredCheckpoint | None = None


class CheckpointCounts(_Answer):
    """How many checkpoints there were since this job manager runs the job."""

    completed: int


class Checkpoints(_Answer):
    """`/jobs/:id/checkpoints`; a job without checkpointing has no such page."""

    counts: CheckpointCounts | None = None
    latest: LatestCheckpoints | None = None
    history: tuple[Checkpoint, ...]


class CheckpointsConfig(_Answer):
    """`/jobs/:id/checkpoints/config`."""

    unaligned_checkpoints: bool | None = None


class Metric(_Answer):
    """One metric; without a value in the list of what there is."""

    id: str
    value: str | int | float = ""
