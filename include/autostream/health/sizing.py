"""What a job should be given: one proposal a job, from which all fixes take their numbers. Pure.

A proposal is never below what any sample of the window used. Parallelism follows DS2, as Flink's autoscaler has it:
subtasks x busy time x demand over the utilisation that is aimed at. Memory of pools that are in use leaves a reserve.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from autostream.health.job_view import JobView, operator_name, vertex_figure
from autostream.sizes import MIB

TARGET_USE: Final = 0.7
"""The utilisation of CPU and of busy time that proposals aim at (Flink's autoscaler: `utilization.target`)."""
FULL_HEAP: Final = 0.8
"""How full heap and managed memory may be at most after a change."""
SMALLEST_TASK_MANAGER: Final = 1728 * MIB
"""What Flink gives a task manager where nobody asks for anything: below it nothing is to be gained."""
_SMALLEST_HEAP: Final = 256 * MIB
_SMALLEST_CORES: Final = 0.5
_STEP: Final = 64 * MIB
_LEAST_SAVING: Final = 0.1
_HARMLESS_GC: Final = 0.05
_MOST_HEAP_GROWTH: Final = 2.0
_RESERVING_BACKENDS: Final = ("rocksdb", "forst")
_DEDICATED: Final = ("application", "kubernetes")


class Direction(StrEnum):
    """What a job needs."""

    KEEP = "keep"
    LESS = "less"
    MORE = "more"
    MORE_MEMORY = "more-memory"


@dataclass(frozen=True)
class JobResources:
    """What a job has, or should have. None: not known.

    Attributes:
        parallelism: The most subtasks of a vertex.
        slots: Slots that it occupies.
        task_managers: How many task managers run it; None too where these run other jobs.
        slots_per_task_manager: Slots of each.
        cpu_cores: Cores of all of them; of task managers that are shared, those of its slots.
        memory_bytes: Process memory likewise.
        heap_bytes: Heap of each task manager.
        managed_bytes: Managed memory of each.
        metaspace_bytes: Metaspace of each.
        off_heap_bytes: Off-heap memory of each.
        process_bytes: All memory of each.
    """

    parallelism: int
    slots: int | None = None
    task_managers: int | None = None
    slots_per_task_manager: int | None = None
    cpu_cores: float | None = None
    memory_bytes: int | None = None
    heap_bytes: int | None = None
    managed_bytes: int | None = None
    metaspace_bytes: int | None = None
    off_heap_bytes: int | None = None
    process_bytes: int | None = None

    def to_dict(self) -> dict[str, float | int]:
        """Return the four that rescaling and budgets count, as far as they are known."""
        shown = {
            "parallelism": self.parallelism,
            "task_managers": self.task_managers,
            "cpu_cores": self.cpu_cores,
            "memory_bytes": self.memory_bytes,
        }
        return {name: value for name, value in shown.items() if value is not None}


@dataclass(frozen=True)
class OperatorParallelism:
    """A vertex that should have more subtasks, while the rest of its job has enough.

    Attributes:
        vertex_id: Its id.
        name: The names of its operators.
        current: Its subtasks.
        target: What it should have.
    """

    vertex_id: str
    name: str
    current: int
    target: int


@dataclass(frozen=True)
class ResourceStep:
    """A part of a proposal that one finding asks for.

    Attributes:
        cause: The finding's id.
        before: What the job has before this step.
        after: And after it.
    """

    cause: str
    before: JobResources
    after: JobResources


@dataclass(frozen=True)
class ResourceProposal:
    """What a job has, and what it should have.

    Attributes:
        current: What it has.
        steps: What leads from there to the target, each asked for by one finding.
        capped_by: The max parallelism that keeps the proposal below what is needed; None where it does not.
        alone: The one vertex that needs more subtasks, where the job as a whole does not.
    """

    current: JobResources
    steps: tuple[ResourceStep, ...] = ()
    capped_by: int | None = None
    alone: OperatorParallelism | None = None

    @property
    def target(self) -> JobResources:
        """What it should have."""
        return self.steps[-1].after if self.steps else self.current

    def steps_of(self, cause: str) -> tuple[ResourceStep, ...]:
        """Return the steps that a finding asks for."""
        return tuple(step for step in self.steps if step.cause == cause)


def present_resources(view: JobView) -> JobResources | None:
    """Return what a job has; None where not even its parallelism is known."""
    if view.parallelism is None:
        return None
    each = view.record.settings.task_manager
    slots = _rounded(view.value("slots"))
    task_managers = None if view.window.shared else _rounded(view.value("task_managers"))
    per_task_manager = each.slots or (slots // task_managers if slots and task_managers else None)
    cores, memory = view.value("cpu_cores"), view.value("memory_bytes")
    return JobResources(
        parallelism=view.parallelism,
        slots=_rounded(view.value("slots_used")),
        task_managers=task_managers or None,
        slots_per_task_manager=per_task_manager,
        cpu_cores=cores,
        memory_bytes=None if memory is None else round(memory),
        heap_bytes=_each(view.value("heap_bytes"), task_managers) or each.heap_bytes,
        managed_bytes=_each(view.value("managed_bytes"), task_managers) or each.managed_bytes,
        metaspace_bytes=_each(view.value("metaspace_bytes"), task_managers) or each.metaspace_bytes,
        off_heap_bytes=each.off_heap_bytes,
        process_bytes=_each(memory, task_managers) or each.process_memory_bytes,
    )


def propose(view: JobView, direction: Direction, told: Mapping[str, str]) -> ResourceProposal | None:
    """Return what a job should be given; None where it is not known what it has.

    Args:
        view: The job.
        direction: What it needs.
        told: The finding that tells of each symptom: only what a finding asks for is proposed.
    """
    current = present_resources(view)
    if current is None:
        return None
    if direction is Direction.MORE_MEMORY:
        return _stepwise(current, ("memory-too-small", lambda now: _with_more_memory(view, now)))
    memory = told.get("memory-low") or told.get("gc-low")
    less_memory = (memory, lambda now: _with_less_memory(view, now, current))
    if direction is Direction.MORE:
        return _more(view, current, _main_load(told), less_memory)
    if direction is Direction.KEEP:
        return _stepwise(current, less_memory)
    parallel, cores = told.get("busy-low"), told.get("cpu-low")
    return _stepwise(
        current,
        (told.get("idle-slots") or parallel or cores or memory, lambda now: _fitted(view, current, now.parallelism)),
        (parallel, lambda now: _fitted(view, current, min(now.parallelism, _least_parallelism(view, current)))),
        (cores, lambda now: _with_fewer_cores(view, now)),
        less_memory,
    )


def lean(view: JobView) -> ResourceProposal | None:
    """Return the most that could be given back at the present throughput; None where it is not known what there is.

    The steps' causes are the symptoms that they would be told with.
    """
    return propose(view, Direction.LESS, {name: name for name in ("idle-slots", "busy-low", "cpu-low", "memory-low")})


def _main_load(told: Mapping[str, str]) -> str:
    return next(told[name] for name in ("busy", "lag-growth", "lag", "back-pressure", "cpu-high") if name in told)


def _stepwise(
    current: JobResources, *steps: tuple[str | None, Callable[[JobResources], JobResources]]
) -> ResourceProposal:
    """Return the proposal of these steps: of those that a finding asks for, and that change anything."""
    now, taken = current, []
    for cause, change in steps:
        after = now if cause is None else change(now)
        if cause is not None and after != now:
            taken.append(ResourceStep(cause, now, after))
            now = after
    return ResourceProposal(current, tuple(taken))


def is_dedicated(view: JobView) -> bool:
    """Say whether a job's task managers run nothing else, so that what it does not use is of use to nobody."""
    return view.record.settings.deployment in _DEDICATED and not view.window.shared


def reserves_managed_memory(view: JobView) -> bool:
    """Say whether a state backend takes all managed memory at once, so that what is in use says nothing of a need."""
    backend = (view.record.settings.state_backend or "rocksdb").lower()
    used = view.share("managed_used_bytes", "managed_bytes")
    return used is not None and used >= 0.99 and any(name in backend for name in _RESERVING_BACKENDS)


# ------- less
def _least_parallelism(view: JobView, current: JobResources) -> int:
    """Return the least parallelism that carries what is done now; the present one where too little is known."""
    cores, most = _cores_needed(view), view.figure("busy_share_max")
    busy = [vertex_figure(vertex, "busy_share_max") for vertex in view.window.vertices]
    if cores is None or not current.cpu_cores or not any(busy) or (None in busy and most is None):
        return current.parallelism
    needed = []
    for vertex, share in zip(view.window.vertices, busy, strict=True):
        own, upper = vertex_figure(vertex, "parallelism"), share or most
        if upper is not None:
            subtasks = own.last if own else current.parallelism
            needed.append(max(upper.value / TARGET_USE, min(1.0, upper.largest)) * subtasks)
    if None in busy:  # a task computes in one thread, mostly: what does not say how busy it is needs one for each core
        needed.append(cores)
    used, slots = current.slots or current.parallelism, view.value("slots")
    if not is_dedicated(view):  # single slots are given back, and their cores
        slots_kept = used - max(slots or 0, used) * (1 - cores / current.cpu_cores)
        needed.append(slots_kept * current.parallelism / used)
    return max(1, math.ceil(max(needed) - 1e-9))


def _cores_needed(view: JobView) -> float | None:
    """Return the cores that keep CPU at the use that is aimed at, and carry the highest sample."""
    cores = view.figure("cpu_cores_used")
    return None if cores is None else max(cores.value / TARGET_USE, cores.largest)


def _fitted(view: JobView, current: JobResources, parallelism: int) -> JobResources:
    """Return the resources of another parallelism, on task managers as they are: whole ones, or single slots."""
    used, there, each = current.slots, current.task_managers, current.slots_per_task_manager
    if not used:
        return replace(current, parallelism=parallelism)
    slots = max(parallelism, math.ceil(used * parallelism / current.parallelism - 1e-9))
    if there and each:
        wanted = math.ceil(slots / each)
        wanted = max(wanted, there) if slots > used else min(there, max(wanted, _task_managers_by_use(view, current)))
        if wanted != there or is_dedicated(view):
            return _scaled(current, parallelism, slots, wanted / there, task_managers=wanted)
    if view.window.shared:
        return _scaled(current, parallelism, slots, slots / used, task_managers=None)
    if is_dedicated(view):
        return replace(current, parallelism=parallelism, slots=slots)
    freed = max(0, used - slots) / max(view.value("slots") or used, used)
    return _scaled(current, parallelism, slots, 1 - freed, task_managers=there)


def _task_managers_by_use(view: JobView, current: JobResources) -> int:
    """Return how many task managers carry what is used of CPU, heap and managed memory; all where one is not known."""
    there, cores = current.task_managers or 1, _cores_needed(view)
    if cores is None or not current.cpu_cores:
        return there
    wanted = math.ceil(cores * there / current.cpu_cores - 1e-9)
    for pool in ("heap", "managed"):
        used, size = view.figure(f"{pool}_used_bytes"), view.value(f"{pool}_bytes")
        if size is None or used is None:
            return there
        if size == 0 or (pool == "managed" and reserves_managed_memory(view)):
            continue
        wanted = max(wanted, math.ceil(max(used.value / FULL_HEAP, used.largest) * there / size - 1e-9))
    return max(1, min(wanted, there))


def _with_fewer_cores(view: JobView, resources: JobResources) -> JobResources:
    cores = _cores_needed(view)
    if cores is None or not resources.cpu_cores or not resources.task_managers or not has_real_cores(view):
        return resources
    steps = math.ceil(cores / resources.task_managers / _SMALLEST_CORES - 1e-9)
    each = max(1, steps) * _SMALLEST_CORES
    return replace(resources, cpu_cores=min(resources.cpu_cores, each * resources.task_managers))


def has_real_cores(view: JobView) -> bool:
    """Say whether its task managers are given cores: else Flink takes each slot for one, and nothing is to be freed."""
    return is_dedicated(view) and not view.record.settings.task_manager.cpu_cores_are_slots


def _with_less_memory(view: JobView, resources: JobResources, current: JobResources) -> JobResources:
    """Return smaller task managers. More of them than now may each hold as much as now."""
    process, count = resources.process_bytes, resources.task_managers
    task_managers = min(count, current.task_managers or count) if count else None
    heap = view.figure("heap_used_bytes")
    if not task_managers or not process or not resources.heap_bytes or heap is None or not is_dedicated(view):
        return resources
    new_heap = _stepped(max(_SMALLEST_HEAP, heap.value / FULL_HEAP / task_managers, heap.largest / task_managers))
    managed, new_managed = view.figure("managed_used_bytes"), resources.managed_bytes
    if managed is not None and new_managed is not None and not reserves_managed_memory(view):
        needed = max(managed.value / FULL_HEAP, managed.largest) / task_managers
        new_managed = min(new_managed, _stepped(needed) if needed else 0)
    new_heap = min(new_heap, resources.heap_bytes)
    saved = resources.heap_bytes - new_heap + (resources.managed_bytes or 0) - (new_managed or 0)
    if process - saved < SMALLEST_TASK_MANAGER:  # the heap keeps what would save too much
        kept = min(saved, SMALLEST_TASK_MANAGER - (process - saved))
        new_heap, saved = new_heap + kept, saved - kept
    if saved < process * _LEAST_SAVING:
        return resources
    return replace(
        resources,
        heap_bytes=new_heap,
        managed_bytes=new_managed,
        process_bytes=process - saved,
        memory_bytes=None if resources.memory_bytes is None else resources.memory_bytes - saved * (count or 1),
    )


# ------- more
def _more(
    view: JobView,
    current: JobResources,
    cause: str,
    less_memory: tuple[str | None, Callable[[JobResources], JobResources]],
) -> ResourceProposal:
    wanted = max(current.parallelism, _wanted_parallelism(view, current))
    # What has fewer subtasks, such as a committer with one, may have to.
    limits = (v.max_parallelism for v in view.record.settings.vertices if v.parallelism >= current.parallelism)
    limit = min((limit for limit in limits if limit), default=wanted)
    parallelism = max(current.parallelism, min(wanted, limit))
    return replace(
        _stepwise(
            current,
            (cause, lambda now: now if parallelism == now.parallelism else _fitted(view, current, parallelism)),
            (cause, lambda now: _with_more_cores(view, now)),
            less_memory,
        ),
        capped_by=limit if parallelism < wanted else None,
        alone=_wanted_of_one(view, current) if parallelism == current.parallelism else None,
    )


def _wanted_parallelism(view: JobView, current: JobResources) -> int:
    """Return the parallelism at which the busiest vertex would be busy for the share of time that is aimed at."""
    vertex, busy = view.busiest or (None, view.busy)
    subtasks = float(current.parallelism)
    if vertex is not None and (own := vertex_figure(vertex, "parallelism")):
        subtasks = own.last
    if view.falls_behind or busy is None:
        # What holds it up is what is busy; where nothing is, it is the sources, which wait for what they read.
        if (busy or 0.0) < TARGET_USE:
            subtasks = float(current.parallelism)
        busy = 1.0
    return math.ceil(subtasks * busy * view.demand / TARGET_USE - 1e-9)


def _wanted_of_one(view: JobView, current: JobResources) -> OperatorParallelism | None:
    """Return what a single vertex should have, where others of the job have as many subtasks already."""
    if view.busiest is None:
        return None
    vertex, wanted = view.busiest[0], _wanted_parallelism(view, current)
    own = vertex_figure(vertex, "parallelism")
    if own is None or not own.last < wanted <= current.parallelism:
        return None
    return OperatorParallelism(vertex.vertex_id, operator_name(vertex), round(own.last), wanted)


def _with_more_cores(view: JobView, resources: JobResources) -> JobResources:
    """Return resources whose cores suffice for the demand, where task managers are given cores."""
    cores = view.figure("cpu_cores_used")
    if cores is None or not resources.cpu_cores or not resources.task_managers or not has_real_cores(view):
        return resources
    needed = max(cores.value * view.demand / TARGET_USE, cores.largest)
    each = math.ceil(needed / resources.task_managers / _SMALLEST_CORES - 1e-9) * _SMALLEST_CORES
    return replace(resources, cpu_cores=max(resources.cpu_cores, each * resources.task_managers))


def _with_more_memory(view: JobView, current: JobResources) -> JobResources:
    """Return task managers with more of what is too small: heap by garbage collection, metaspace, direct memory."""
    grown = current
    heap_full = _least_share(view, "heap_used_bytes", "heap_bytes")
    if current.heap_bytes and ((view.gc or 0.0) >= 0.08 or (heap_full or 0.0) >= 0.85):
        factor = min(_MOST_HEAP_GROWTH, max(1.25, (view.gc or 0.0) / _HARMLESS_GC, (heap_full or 0.0) / 0.6))
        grown = replace(grown, heap_bytes=_stepped(current.heap_bytes * factor))
    metaspace = view.share("metaspace_used_bytes", "metaspace_bytes")
    if current.metaspace_bytes and metaspace is not None and metaspace >= 0.9:
        grown = replace(grown, metaspace_bytes=_stepped(current.metaspace_bytes * metaspace / TARGET_USE))
    direct, size = view.share("direct_used_bytes", "direct_bytes"), view.value("direct_bytes")
    if current.off_heap_bytes is not None and size and direct is not None and direct >= 0.95:
        each = size / (current.task_managers or 1)
        grown = replace(grown, off_heap_bytes=current.off_heap_bytes + _stepped(each * (direct / FULL_HEAP - 1)))
    more = sum(
        (new or 0) - (old or 0)
        for new, old in (
            (grown.heap_bytes, current.heap_bytes),
            (grown.metaspace_bytes, current.metaspace_bytes),
            (grown.off_heap_bytes, current.off_heap_bytes),
        )
    )
    return replace(
        grown,
        process_bytes=None if current.process_bytes is None else current.process_bytes + more,
        memory_bytes=None
        if current.memory_bytes is None
        else current.memory_bytes + more * (current.task_managers or 1),
    )


def _least_share(view: JobView, used: str, size: str) -> float | None:
    """Return the least sample of a figure over another one: what garbage collection does not free."""
    part, whole = view.figure(used), view.value(size)
    return None if part is None or not whole else part.smallest / whole


# ------- numbers
def _scaled(
    current: JobResources, parallelism: int, slots: int, factor: float, *, task_managers: int | None
) -> JobResources:
    return replace(
        current,
        parallelism=parallelism,
        slots=slots,
        task_managers=task_managers,
        cpu_cores=None if current.cpu_cores is None else current.cpu_cores * factor,
        memory_bytes=None if current.memory_bytes is None else round(current.memory_bytes * factor),
    )


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def _each(total: float | None, count: int | None) -> int | None:
    return None if total is None or not count else round(total / count)


def _stepped(size_bytes: float) -> int:
    return math.ceil(size_bytes / _STEP) * _STEP
