"""Flink's answers as typed values, of versions 1.18 to 2.3: what they have besides is left out, what came later may
be missing.

Only this module and `autostream.flink.rest` know what Flink's JSON looks like.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator


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
    changed_ms: int = Field(default=0, alias="last-modification")


class JobsOverview(_Answer):
    """`/jobs/overview`: all jobs that a cluster knows."""

    jobs: tuple[ListedJob, ...]


class JobVertex(_Answer):
    """A vertex as the page of its job has it."""

    id: str
    name: str
    parallelism: int
    max_parallelism: int = Field(default=-1, alias="maxParallelism")


class PlanInput(_Answer):
    """Where a node of a job's plan gets its rows from."""

    id: str
    ship_strategy: str = ""


class PlanNode(_Answer):
    """A node of a job's plan: one for each vertex."""

    id: str
    inputs: tuple[PlanInput, ...] = ()


class JobPlan(_Answer):
    """How the vertices of a job are connected; of a job that is being initialized it is empty."""

    nodes: tuple[PlanNode, ...] = ()


class StateTimes(_Answer):
    """When a job last came into a state; 0 where it never has."""

    running_ms: int = Field(default=0, alias="RUNNING")


class JobDetail(_Answer):
    """`/jobs/:id`: one job, its vertices and its plan."""

    name: str = ""
    state: str
    now_ms: int | None = Field(default=None, alias="now")
    job_type: str = Field(default="", alias="job-type")
    scheduler_type: str = Field(default="", alias="schedulerType")
    started_ms: int = Field(alias="start-time")
    timestamps: StateTimes = Field(default_factory=StateTimes)
    vertices: tuple[JobVertex, ...]
    plan: JobPlan = JobPlan()

    @model_validator(mode="before")
    @classmethod
    def _take_null_for_missing(cls, answer: Any) -> Any:
        """Of a job that is being initialized, what is not known yet is null."""
        return {k: v for k, v in answer.items() if v is not None} if isinstance(answer, dict) else answer


class SubtaskTotals(_Answer):
    """What a subtask has done since its attempt began; sources do not count what they read from outside."""

    read_records: int | None = Field(default=None, alias="read-records")
    written_records: int | None = Field(default=None, alias="write-records")


class Subtask(_Answer):
    """One subtask of a vertex, in its present attempt."""

    index: int = Field(default=0, alias="subtask")
    status: str
    attempt: int
    started_ms: int | None = Field(default=None, alias="start-time")
    totals: SubtaskTotals = Field(default_factory=SubtaskTotals, alias="metrics")
    task_manager_id: str = Field(default="", alias="taskmanager-id")
    endpoint: str = ""


class VertexDetail(_Answer):
    """`/jobs/:id/vertices/:id`: one vertex and its subtasks, at the time of the job manager's clock."""

    now_ms: int | None = Field(default=None, alias="now")
    subtasks: tuple[Subtask, ...]


class ExecutionConfig(_Answer):
    """How a job is executed; its global parameters."""

    restart_strategy: str | None = Field(default=None, alias="restart-strategy")
    user_config: dict[str, str | None] = Field(default_factory=dict, alias="user-config")


class JobConfig(_Answer):
    """`/jobs/:id/config`; of a job that is being initialized it is empty."""

    execution_config: ExecutionConfig | None = Field(default=None, alias="execution-config")


class Checkpoint(_Answer):
    """A checkpoint or savepoint in a job's history."""

    id: int
    status: str = ""
    checkpoint_type: str = ""
    acknowledged_ms: int | None = Field(default=None, alias="latest_ack_timestamp")
    triggered_ms: int | None = Field(default=None, alias="trigger_timestamp")
    duration_ms: int | None = Field(default=None, alias="end_to_end_duration")
    state_size_bytes: int | None = Field(default=None, alias="state_size")
    external_path: str | None = None
    failed_ms: int | None = Field(default=None, alias="failure_timestamp")
    failure_message: str | None = None


class RestoredCheckpoint(_Answer):
    """The checkpoint that a job last started from."""

    id: int
    restore_timestamp_ms: int = Field(alias="restore_timestamp")
    external_path: str | None = None


class LatestCheckpoints(_Answer):
    """The last checkpoint of each kind."""

    completed: Checkpoint | None = None
    savepoint: Checkpoint | None = None
    failed: Checkpoint | None = None
    restored: RestoredCheckpoint | None = None


class CheckpointCounts(_Answer):
    """How many checkpoints there were since this job manager runs the job."""

    completed: int
    failed: int = 0
    in_progress: int = 0


class Checkpoints(_Answer):
    """`/jobs/:id/checkpoints`; a job without checkpointing has no such page."""

    counts: CheckpointCounts | None = None
    latest: LatestCheckpoints | None = None
    history: tuple[Checkpoint, ...]


class RetainedCheckpoints(_Answer):
    """Whether checkpoints stay when their job does not."""

    enabled: bool
    delete_on_cancellation: bool


class CheckpointsConfig(_Answer):
    """`/jobs/:id/checkpoints/config`; a job without checkpointing has no such page."""

    interval_ms: int | None = Field(default=None, alias="interval")
    timeout_ms: int | None = Field(default=None, alias="timeout")
    externalization: RetainedCheckpoints | None = None
    state_backend: str | None = None
    tolerable_failed_checkpoints: int | None = None
    unaligned_checkpoints: bool | None = None


class ConfigurationEntry(_Answer):
    """A setting in `/jobmanager/config`; Flink hides the values of those that it takes for secrets."""

    key: str
    value: str


class Resources(_Answer):
    """What a task manager, or a slot of it, is allotted."""

    cpu_cores: float | None = Field(default=None, alias="cpuCores")


class Memory(_Answer):
    """The parts of a task manager's memory, in bytes; those that Flink does not know are missing or below zero."""

    framework_heap: int | None = Field(default=None, alias="frameworkHeap")
    task_heap: int | None = Field(default=None, alias="taskHeap")
    framework_off_heap: int | None = Field(default=None, alias="frameworkOffHeap")
    task_off_heap: int | None = Field(default=None, alias="taskOffHeap")
    network: int | None = Field(default=None, alias="networkMemory")
    managed: int | None = Field(default=None, alias="managedMemory")
    metaspace: int | None = Field(default=None, alias="jvmMetaspace")
    overhead: int | None = Field(default=None, alias="jvmOverhead")
    process: int | None = Field(default=None, alias="totalProcessMemory")


class AllocatedSlot(_Answer):
    """A slot that a job occupies."""

    job_id: str = Field(alias="jobId")


class ListedTaskManager(_Answer):
    """A task manager as the list of all has it."""

    id: str
    slots: int = Field(alias="slotsNumber")
    free_slots: int = Field(alias="freeSlots")
    total: Resources = Field(default_factory=Resources, alias="totalResource")
    memory: Memory = Field(default_factory=Memory, alias="memoryConfiguration")


class TaskManagers(_Answer):
    """`/taskmanagers`."""

    task_managers: tuple[ListedTaskManager, ...] = Field(alias="taskmanagers")


class TaskManagerDetail(_Answer):
    """`/taskmanagers/:id`."""

    allocated_slots: tuple[AllocatedSlot, ...] = Field(default=(), alias="allocatedSlots")


class Metric(_Answer):
    """One metric; without a value in the list of what there is."""

    id: str
    value: str | int | float = ""


UNASSIGNED: Final = "(unassigned)"
"""In place of the id of a task manager: these subtasks run nowhere yet."""


class VertexTaskManager(_Answer):
    """A task manager that runs subtasks of a vertex."""

    id: str = Field(default=UNASSIGNED, alias="taskmanager-id")


class VertexTaskManagers(_Answer):
    """`/jobs/:id/vertices/:id/taskmanagers`."""

    task_managers: tuple[VertexTaskManager, ...] = Field(alias="taskmanagers")


class AggregatedMetric(_Answer):
    """One metric of all subtasks that have it; text where it is not a number."""

    id: str
    min: str | float | None = None
    max: str | float | None = None
    avg: str | float | None = None
    sum: str | float | None = None


class JobException(_Answer):
    """A failure that Flink remembers: of one task, or of the whole job where no task is named."""

    name: str = Field(default="", alias="exceptionName")
    stack_trace: str = Field(default="", alias="stacktrace")
    at_ms: int = Field(default=0, alias="timestamp")
    task: str | None = Field(default=None, alias="taskName")
    endpoint: str | None = None
    task_manager_id: str | None = Field(default=None, alias="taskManagerId")
    concurrent: tuple[JobException, ...] = Field(default=(), alias="concurrentExceptions")


class ExceptionHistory(_Answer):
    """The failures that Flink remembers, the newest first; `truncated`: there are more than were asked for."""

    entries: tuple[JobException, ...] = ()
    truncated: bool = False


class JobExceptions(_Answer):
    """`/jobs/:id/exceptions`."""

    history: ExceptionHistory = Field(default_factory=ExceptionHistory, alias="exceptionHistory")


class SubtaskPressure(_Answer):
    """How a subtask spent its time lately, as shares; text where it is not a number."""

    index: int = Field(alias="subtask")
    back_pressured: str | float | None = Field(default=None, alias="ratio")
    idle: str | float | None = Field(default=None, alias="idleRatio")
    busy: str | float | None = Field(default=None, alias="busyRatio")


class BackPressure(_Answer):
    """`/jobs/:id/vertices/:id/backpressure`; `status` is `deprecated` while there are no figures yet."""

    status: str = ""
    subtasks: tuple[SubtaskPressure, ...] = ()


class CheckpointOfVertex(_Answer):
    """What became of one checkpoint in a vertex."""

    subtasks: int = Field(default=0, alias="num_subtasks")
    acknowledged: int = Field(default=0, alias="num_acknowledged_subtasks")
    duration_ms: int | None = Field(default=None, alias="end_to_end_duration")
    state_size_bytes: int | None = Field(default=None, alias="state_size")


class CheckpointDetail(Checkpoint):
    """`/jobs/:id/checkpoints/details/:id`: one checkpoint, vertex by vertex."""

    tasks: dict[str, CheckpointOfVertex] = Field(default_factory=dict)


class SnapshotTimes(_Answer):
    """The two parts of a subtask's own work for a checkpoint, in milliseconds."""

    synchronous_ms: int | None = Field(default=None, alias="sync")
    asynchronous_ms: int | None = Field(default=None, alias="async")


class Alignment(_Answer):
    """What a subtask did while barriers of some inputs had come and others had not."""

    duration_ms: int | None = Field(default=None, alias="duration")
    persisted_bytes: int | None = Field(default=None, alias="persisted")


class CheckpointOfSubtask(_Answer):
    """What became of one checkpoint in a subtask; one that has not acknowledged it has only its index and status."""

    index: int
    status: str = ""
    duration_ms: int | None = Field(default=None, alias="end_to_end_duration")
    state_size_bytes: int | None = Field(default=None, alias="state_size")
    snapshot: SnapshotTimes = Field(default_factory=SnapshotTimes, alias="checkpoint")
    alignment: Alignment = Field(default_factory=Alignment)
    start_delay_ms: int | None = Field(default=None, alias="start_delay")
    unaligned: bool = Field(default=False, alias="unaligned_checkpoint")
    aborted: bool = False


class CheckpointSubtasks(_Answer):
    """`/jobs/:id/checkpoints/details/:id/subtasks/:vertex`."""

    subtasks: tuple[CheckpointOfSubtask, ...] = ()


class DumpedThread(_Answer):
    """One thread of a dump, as Java writes it."""

    name: str = Field(default="", alias="threadName")
    text: str = Field(default="", alias="stringifiedThreadInfo")


class ThreadDump(_Answer):
    """`/taskmanagers/:id/thread-dump`, and the job manager's."""

    threads: tuple[DumpedThread, ...] = Field(default=(), alias="threadInfos")


TERMINATED: Final = -1
FLAME_GRAPHS_OFF: Final = -2
FLAME_GRAPH_NOT_READY: Final = -3


class FlameNode(_Answer):
    """A place in the code with what it has called: in how many samples it was seen."""

    name: str = ""
    value: int = 0
    children: tuple[FlameNode, ...] = ()


class FlameSamples(_Answer):
    """`/jobs/:id/vertices/:id/flamegraph`; below zero, `ended_ms` says why there are no data."""

    ended_ms: int = Field(default=FLAME_GRAPH_NOT_READY, alias="endTimestamp")
    data: FlameNode | None = None


class Profile(_Answer):
    """A run of the async-profiler."""

    status: str = ""
    mode: str = ""
    triggered_ms: int | None = Field(default=None, alias="triggerTime")
    finished_ms: int | None = Field(default=None, alias="finishedTime")
    duration_seconds: int | None = Field(default=None, alias="duration")
    message: str | None = None
    file: str | None = Field(default=None, alias="outputFile")


class Profiles(_Answer):
    """`/taskmanagers/:id/profiler`: the runs of the async-profiler on it, the newest first."""

    runs: tuple[Profile, ...] = Field(default=(), alias="profilingList")
