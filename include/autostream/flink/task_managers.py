"""The task managers of a cluster: what each is allotted, and which jobs occupy its slots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from autostream.flink import models
from autostream.flink.job_settings import TaskManagerSettings
from autostream.flink.rest import FlinkRest

_CPU_KEYS: Final = (
    "taskmanager.cpu.cores",
    "kubernetes.taskmanager.cpu",
    "kubernetes.taskmanager.cpu.amount",
    "yarn.containers.vcores",
)
"""Settings that give a task manager cores. Without any of them, Flink takes its slots for cores."""


@dataclass(frozen=True)
class TaskManager:
    """One task manager.

    Attributes:
        task_manager_id: Its id, as Flink has it; in Kubernetes, the name of its pod.
        slots: How many slots it has.
        free_slots: How many of them no job occupies.
        settings: What it is allotted.
    """

    task_manager_id: str
    slots: int
    free_slots: int
    settings: TaskManagerSettings


def list_task_managers(rest: FlinkRest, configuration: Mapping[str, str] | None = None) -> tuple[TaskManager, ...]:
    """Return the task managers that are registered with a cluster.

    Args:
        rest: The cluster.
        configuration: Settings of its job manager, which tell whether cores are only slots.

    Raises:
        ServiceError: The cluster cannot be reached, or answers what is not understood.
        DeniedError: It does not accept the login.
    """
    cores_given = any(_is_given((configuration or {}).get(key)) for key in _CPU_KEYS)
    listed = rest.require("/taskmanagers", models.TaskManagers).task_managers
    return tuple(
        TaskManager(found.id, found.slots, found.free_slots, _settings(found, cores_given=cores_given))
        for found in listed
    )


def slots_by_job(rest: FlinkRest, task_manager_id: str) -> dict[str, int]:
    """Return how many slots of a task manager each job occupies, by job id; none of one that has gone.

    Raises:
        ServiceError: The cluster cannot be reached, or answers what is not understood.
        DeniedError: It does not accept the login.
    """
    detail = rest.read(f"/taskmanagers/{quote(task_manager_id, safe='')}", models.TaskManagerDetail)
    return dict(Counter(slot.job_id for slot in detail.allocated_slots)) if detail else {}


def most_common(task_managers: Collection[TaskManager]) -> TaskManagerSettings:
    """Return what most of these task managers are allotted; nothing known of none."""
    counted = Counter(one.settings for one in task_managers)
    return counted.most_common(1)[0][0] if counted else TaskManagerSettings()


def _settings(found: models.ListedTaskManager, *, cores_given: bool) -> TaskManagerSettings:
    memory, cores = found.memory, found.total.cpu_cores
    return TaskManagerSettings(
        cpu_cores=cores if cores is not None and cores > 0 else None,
        cpu_cores_are_slots=not cores_given and cores == found.slots,
        slots=found.slots,
        process_memory_bytes=_sum(memory.process),
        heap_bytes=_sum(memory.framework_heap, memory.task_heap),
        managed_bytes=_sum(memory.managed),
        network_bytes=_sum(memory.network),
        metaspace_bytes=_sum(memory.metaspace),
        off_heap_bytes=_sum(memory.framework_off_heap, memory.task_off_heap),
        overhead_bytes=_sum(memory.overhead),
    )


def _sum(*parts: int | None) -> int | None:
    """Return what known parts come to; None where one of them is not known."""
    known = [part for part in parts if part is not None and part >= 0]
    return sum(known) if len(known) == len(parts) else None


def _is_given(text: str | None) -> bool:
    """Say whether a number of cores is set: Flink's defaults, where they are written down, are -1."""
    try:
        return text is not None and float(text) > 0
    except ValueError:
        return False
