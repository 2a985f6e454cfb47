"""What a cluster tells of one job: its settings, vertices and attempts, task managers and slots, checkpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from autostream.flink import models
from autostream.flink.fleet_jobs import FleetJob
from autostream.flink.job_settings import JobSettings
from autostream.flink.kubernetes_objects import Deployment
from autostream.flink.progress import whole_number
from autostream.flink.rest import FlinkRest
from autostream.flink.settings_reading import read_cluster_setup, read_job_settings, task_manager_ids
from autostream.flink.task_managers import slots_by_job
from autostream.masking import mask
from autostream.times import iso


@dataclass(frozen=True)
class VertexReport:
    """One vertex at this moment.

    Attributes:
        vertex_id: Its id.
        name: The names of its operators, chained by `->`.
        parallelism: How many subtasks it has.
        max_parallelism: The most that it may have; None where Flink does not tell.
        statuses: How many of its subtasks are in each status.
        attempt: The highest attempt of a subtask: how often it has been started again; None where it has none.
    """

    vertex_id: str
    name: str
    parallelism: int
    max_parallelism: int | None
    statuses: Mapping[str, int]
    attempt: int | None


@dataclass(frozen=True)
class UsedTaskManager:
    """A task manager that runs some of the job's tasks.

    Attributes:
        task_manager_id: Its id; in Kubernetes, the name of its pod.
        slots: How many slots it has.
        slots_used: How many of them the job occupies.
        slots_of_others: How many of them other jobs occupy.
    """

    task_manager_id: str
    slots: int
    slots_used: int
    slots_of_others: int


@dataclass(frozen=True)
class CheckpointReport:
    """A checkpoint, or one that failed.

    Attributes:
        checkpoint_id: Its id.
        at_ms: When it was triggered, or when it failed.
        duration_ms: How long it took.
        size_bytes: Size of the job's state in it.
        path: Where it is.
        failure: Why it failed; empty where it did not.
    """

    checkpoint_id: int
    at_ms: int | None = None
    duration_ms: int | None = None
    size_bytes: int | None = None
    path: str | None = None
    failure: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "id": self.checkpoint_id,
            "at": iso(self.at_ms),
            "at_ms": self.at_ms,
            "duration_ms": self.duration_ms,
            "size_bytes": self.size_bytes,
            "path": self.path,
            "failure": self.failure or None,
        }


@dataclass(frozen=True)
class JobReport:
    """One job at this moment.

    Attributes:
        life: Its name, id, state, team and owner.
        settings: How it is set up.
        vertices: In the order of its plan.
        task_managers: Those that run its tasks.
        restarts: How often it has restarted since its job manager runs it; None where its metrics do not say.
        completed: Checkpoints completed since then; None where it makes none.
        failed: Checkpoints failed since then; None where it makes none.
        last_completed: The last completed checkpoint.
        last_failed: The last checkpoint that failed.
        restored: The checkpoint that it last started from.
        now_ms: The time by its job manager's clock; None where Flink does not tell.
        missing: What is not known, and why.
        deployment: What Kubernetes says of its cluster; None of one that Kubernetes discovery has not found.
    """

    life: FleetJob
    settings: JobSettings
    vertices: tuple[VertexReport, ...]
    task_managers: tuple[UsedTaskManager, ...]
    restarts: int | None = None
    completed: int | None = None
    failed: int | None = None
    last_completed: CheckpointReport | None = None
    last_failed: CheckpointReport | None = None
    restored: CheckpointReport | None = None
    now_ms: int | None = None
    missing: tuple[str, ...] = ()
    deployment: Deployment | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        checkpoints = {
            "completed": self.completed,
            "failed": self.failed,
            "last_completed": self.last_completed.to_dict() if self.last_completed else None,
            "last_failed": self.last_failed.to_dict() if self.last_failed else None,
            "restored": self.restored.to_dict() if self.restored else None,
        }
        return {
            **self.life.to_dict(),
            "restarts": self.restarts,
            "settings": self.settings.model_dump(mode="json", exclude={"vertices"}),
            "vertices": [
                {**vars(vertex), "statuses": dict(vertex.statuses), "inputs": self._inputs_of(vertex.vertex_id)}
                for vertex in self.vertices
            ],
            "task_managers": [vars(one) for one in self.task_managers],
            "checkpoints": checkpoints,
            "kubernetes": self.deployment.to_dict() if self.deployment else None,
            "missing": list(self.missing),
        }

    def _inputs_of(self, vertex_id: str) -> list[dict[str, str]]:
        inputs = next((vertex.inputs for vertex in self.settings.vertices if vertex.vertex_id == vertex_id), ())
        return [{"vertex_id": source, "exchange": exchange} for source, exchange in inputs]


def read_report(rest: FlinkRest, life: FleetJob) -> JobReport | None:
    """Ask a cluster about a job: 8 requests, two a vertex and one a task manager; None where it does not know the job.

    Raises:
        ServiceError: The cluster cannot be reached, or answers what is not understood.
        DeniedError: It does not accept the login.
    """
    path = f"/jobs/{life.job_id}"
    cluster = read_cluster_setup(rest)
    settings = read_job_settings(rest, life.job_id, cluster)
    if settings is None:
        return None
    vertices = []
    now_ms = None
    for vertex in settings.vertices:
        detail = rest.read(f"{path}/vertices/{vertex.vertex_id}", models.VertexDetail)
        subtasks = detail.subtasks if detail else ()
        now_ms = (detail.now_ms if detail else None) or now_ms
        vertices.append(
            VertexReport(
                vertex_id=vertex.vertex_id,
                name=vertex.name,
                parallelism=vertex.parallelism,
                max_parallelism=vertex.max_parallelism,
                statuses=Counter(subtask.status for subtask in subtasks),
                attempt=max((subtask.attempt for subtask in subtasks), default=None),
            )
        )
    used = task_manager_ids(rest, life.job_id, [v.vertex_id for v in settings.vertices]) if not life.ended else set()
    task_managers = []
    for one in cluster.task_managers:
        if one.task_manager_id in used:
            slots = slots_by_job(rest, one.task_manager_id)
            own = slots.pop(life.job_id, 0)
            task_managers.append(UsedTaskManager(one.task_manager_id, one.slots, own, sum(slots.values())))
    checkpoints = rest.read(f"{path}/checkpoints", models.Checkpoints)
    counts = checkpoints.counts if checkpoints else None
    latest = (checkpoints.latest if checkpoints else None) or models.LatestCheckpoints()
    report = JobReport(
        life=life,
        settings=settings,
        vertices=tuple(vertices),
        task_managers=tuple(task_managers),
        restarts=_restarts(rest, path),
        completed=counts.completed if counts else None,
        failed=counts.failed if counts else None,
        last_completed=_checkpoint(latest.completed),
        last_failed=_checkpoint(latest.failed),
        restored=_restored(latest.restored),
        now_ms=now_ms,
    )
    return replace(report, missing=tuple(_missing(report, configuration=cluster.configuration)))


def _restarts(rest: FlinkRest, path: str) -> int | None:
    metrics = rest.read(f"{path}/metrics", list[models.Metric], {"get": "numRestarts"}) or []
    try:
        return next((whole_number(metric.value) for metric in metrics if metric.id == "numRestarts"), None)
    except ValueError:
        raise rest.not_understood(f"{path}/metrics", "numRestarts is not a number") from None


def _checkpoint(found: models.Checkpoint | None) -> CheckpointReport | None:
    if found is None:
        return None
    failed = found.failed_ms is not None
    return CheckpointReport(
        checkpoint_id=found.id,
        at_ms=found.failed_ms if failed else found.triggered_ms,
        duration_ms=found.duration_ms,
        size_bytes=found.state_size_bytes,
        path=_path(found.external_path),
        failure=mask(found.failure_message or "Flink does not say why.") if failed else "",
    )


def _restored(found: models.RestoredCheckpoint | None) -> CheckpointReport | None:
    if found is None:
        return None
    return CheckpointReport(found.id, at_ms=found.restore_timestamp_ms, path=_path(found.external_path))


def _path(external_path: str | None) -> str | None:
    """Return where a checkpoint is; None of one in memory, which is at `<checkpoint-not-externally-addressable>`."""
    return None if not external_path or external_path.startswith("<") else mask(external_path)


def _missing(report: JobReport, *, configuration: Mapping[str, str] | None) -> Iterator[str]:
    """Yield what is not known of a job, and why."""
    settings, task_manager = report.settings, report.settings.task_manager
    if configuration is None:
        yield "Deployment and scheduler: the cluster does not answer /jobmanager/config."
    elif settings.scheduler is None:
        yield "Scheduler: this version of Flink does not say what schedules a batch job."
    if settings.flink_version is None:
        yield "Version: the cluster's build does not know its own."
    if task_manager.slots is None:
        yield "Cores, memory and slots: no task manager is registered with the cluster."
    elif task_manager.cpu_cores_are_slots:
        yield "Cores: the cluster configures none, so Flink takes each slot for a core."
    if settings.checkpointing is False:
        yield "Checkpoints: the job makes none by itself."
    if report.restarts is None and not report.life.ended:
        yield "Restarts: the job's metrics do not show numRestarts (yet)."
