"""How a job is set up, as far as its cluster tells: read once in a job's life, and kept with it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field


class _Value(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class VertexSettings(_Value):
    """One vertex of a job's plan.

    Attributes:
        vertex_id: Its id.
        name: The names of its operators, chained by `->`.
        parallelism: Its subtasks when this was read.
        max_parallelism: The most that its state can be spread over; None where Flink does not tell.
        inputs: Ids of the vertices that it gets its rows from, with how these are handed on: `HASH`, `FORWARD`.
    """

    vertex_id: str
    name: str
    parallelism: int
    max_parallelism: int | None = None
    inputs: tuple[tuple[str, str], ...] = ()


class TaskManagerSettings(_Value):
    """What each of a job's task managers is allotted. None: Flink does not tell.

    Attributes:
        cpu_cores: Cores: what Kubernetes or `taskmanager.numberOfTaskSlots`' default gives it.
        cpu_cores_are_slots: Whether Flink has only made the number of slots the number of cores.
        slots: Task slots.
        process_memory_bytes: All of its memory; the following are parts of it.
        heap_bytes: Task and framework heap.
        managed_bytes: Managed memory.
        network_bytes: Network buffers.
        metaspace_bytes: Metaspace.
        off_heap_bytes: Task and framework off-heap memory.
        overhead_bytes: The JVM's overhead.
    """

    cpu_cores: float | None = None
    cpu_cores_are_slots: bool = False
    slots: int | None = None
    process_memory_bytes: int | None = None
    heap_bytes: int | None = None
    managed_bytes: int | None = None
    network_bytes: int | None = None
    metaspace_bytes: int | None = None
    off_heap_bytes: int | None = None
    overhead_bytes: int | None = None


class JobSettings(_Value):
    """How a job is set up. None: its cluster does not tell.

    Attributes:
        flink_version: Version of its job manager.
        deployment: `session` or `application`.
        platform: Where it runs: `kubernetes`, `yarn` or `standalone`.
        scheduler: `default`, `adaptive` or another that `jobmanager.scheduler` names.
        checkpointing: Whether it makes checkpoints.
        checkpoint_interval_ms: Time between two checkpoints.
        checkpoint_timeout_ms: After which a checkpoint fails.
        unaligned_checkpoints: Whether barriers may overtake records.
        checkpoints_retained: Whether the last checkpoint stays when the job is cancelled.
        tolerable_failed_checkpoints: How many may fail in a row before the job restarts.
        state_backend: Name of its state backend.
        restart_strategy: As Flink words it.
        parameters: The job's own parameters (`/jobs/:id/config`); secrets among them are masked.
        vertices: In the order of its plan.
        task_manager: What each of its task managers is allotted.
    """

    flink_version: str | None = None
    deployment: str | None = None
    platform: str | None = None
    scheduler: str | None = None
    checkpointing: bool | None = None
    checkpoint_interval_ms: int | None = None
    checkpoint_timeout_ms: int | None = None
    unaligned_checkpoints: bool | None = None
    checkpoints_retained: bool | None = None
    tolerable_failed_checkpoints: int | None = None
    state_backend: str | None = None
    restart_strategy: str | None = None
    parameters: Mapping[str, str] = Field(default_factory=dict)
    vertices: tuple[VertexSettings, ...] = ()
    task_manager: TaskManagerSettings = TaskManagerSettings()
