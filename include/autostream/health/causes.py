"""From what is wrong with a job to why: which finding tells of which symptom. Pure.

One finding has one cause. What follows from it is told with it and counted with it: a skewed job is not I/O-bound as
well, and checkpoints that fail because the job restarts are no finding of their own. The sum of all deductions is the
sum of all symptoms' costs, however they are told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from autostream.health.job_view import JobView
from autostream.health.sizing import Direction, lean
from autostream.health.symptoms import CONFIGURATION, Symptom

IO_BOUND_CPU: Final = 0.3
"""Busy threads that use less CPU than this share of their time wait for something else."""
CPU_BOUND_CPU: Final = 0.8
"""A job that uses more than this share of its slots' cores is held up by CPU."""

_LOAD: Final = ("busy", "back-pressure", "lag", "lag-growth")
_MEMORY: Final = ("gc-high", "heap-full", "metaspace-full", "direct-full", "container")
_HOLD_UP: Final = ("io-bound", "cpu-bound", "skew", "saturated-operator")
SCALED_UP: Final = frozenset({"io-bound", "cpu-bound", "saturated-operator", "lag-growing"})
"""Ids of findings about jobs that need more."""
_FAILURES: Final = ("restarts", "failed", "failed-checkpoints", "checkpoint-age")
_AGAIN: Final = 3
"""A job that restarts so often in a window is hardly ever done with catching up."""
_ALWAYS: Final[Mapping[str, str]] = dict.fromkeys(_MEMORY, "memory-too-small") | {"skew": "skew"}
_LATE_CHECKPOINTS: Final = CONFIGURATION + "checkpoint-interval"
_THEMSELVES: Final = ("no-input", "watermark-missing")
UNSIZED: Final = frozenset({"no-input", "restarting", "skew", "lag-high"})
"""Ids of findings about jobs that another size would not help, or of which nobody knows what they need."""
WASTE: Final = frozenset({"over-provisioned-parallelism", "cpu-over-allotted", "memory-over-allotted", "idle-slots"})
"""Ids of findings about what is asked for in vain."""


def causes_of(view: JobView, symptoms: Sequence[Symptom]) -> dict[str, str]:
    """Return under which finding each symptom is told, by the symptom's name."""
    levels = {symptom.name: symptom.level for symptom in symptoms}
    load = _cause_of_load(view, levels)
    return {name: _cause(name, view, levels, load) for name in levels}


def _cause_of_load(view: JobView, levels: Mapping[str, float]) -> str | None:
    """Return why a job is at its limit or behind; None where it is not."""
    if not any(name in levels for name in _LOAD):
        return None
    if "failed" in levels or ("restarts" in levels and ("busy" not in levels or view.window.restarts >= _AGAIN)):
        return "restarting"  # it reads nothing while it restarts, and catches up after that
    if levels.get("gc-high", 0.0) >= 0.5:
        return "memory-too-small"
    if "skew" in levels:
        return "skew"
    if "cpu-high" in levels or cpu_of_slots(view) >= CPU_BOUND_CPU:
        return "cpu-bound"
    if (share := cpu_of_work(view)) is not None and share <= IO_BOUND_CPU and _works_or_waits(levels):
        return "io-bound"
    if "busy" in levels or "back-pressure" in levels:
        return "saturated-operator"
    return "lag-growing" if "lag-growth" in levels else "lag-high"


def _works_or_waits(levels: Mapping[str, float]) -> bool:
    """Say whether a job does what it can: it is busy, or falls behind. A lag that does not grow may be an old one."""
    return "busy" in levels or "lag-growth" in levels


def cpu_of_work(view: JobView) -> float | None:
    """Return the CPU that is used over that which busy threads could use; None where CPU is not known.

    Where nothing is busy, as of sources that wait for what they read (FLINK-33306), all allotted cores count.
    """
    used, cores = view.value("cpu_cores_used"), view.value("cpu_cores")
    if used is None or not cores:
        return None
    busy = view.busy_threads if (view.busy or 0.0) >= 0.8 else None
    return used / (min(cores, max(busy, view.busy or 0.0)) if busy else cores)


def cpu_of_slots(view: JobView) -> float:
    """Return the cores used over those of the slots that the job occupies; 0 where that is not known."""
    slots, used = view.value("slots"), view.value("slots_used")
    if view.cpu is None:
        return 0.0
    return view.cpu * slots / used if slots and used and used < slots else view.cpu


def _cause(name: str, view: JobView, levels: Mapping[str, float], load: str | None) -> str:
    if name.startswith(CONFIGURATION):
        late = name == _LATE_CHECKPOINTS and _barriers_wait(view, levels)
        return load if load is not None and late else name
    if name in _LOAD:
        return load or "saturated-operator"
    if name in _ALWAYS:
        return _ALWAYS[name]
    if name == "cpu-high":
        return load if load in ("memory-too-small", "skew") else "cpu-bound"
    restarting = "restarts" in levels or "failed" in levels
    if name in _FAILURES:
        return _cause_of_failure(name, view, levels, load, restarting=restarting)
    if restarting:  # it reads little, and its figures are of a few minutes
        return "restarting"
    if name == "watermark-stalled":
        return load if load in _HOLD_UP else name
    return name if name in _THEMSELVES else _cause_of_waste(name, view, levels, load)


def _cause_of_failure(
    name: str, view: JobView, levels: Mapping[str, float], load: str | None, *, restarting: bool
) -> str:
    if restarting:
        return "checkpoints-failing" if _restarts_by_checkpoints(view, levels) else "restarting"
    if "failed-checkpoints" in levels:
        waits = (view.value("back_pressured_share_max") or 0.0) >= 0.5
        return load if load is not None and waits and _barriers_wait(view, levels) else "checkpoints-failing"
    return load if load is not None and _barriers_wait(view, levels) else "checkpoint-too-old"


def _barriers_wait(view: JobView, levels: Mapping[str, float]) -> bool:
    """Say whether checkpoints take long because barriers wait behind records, which nothing lets them overtake.

    Before a busy operator the buffers are full of records, long before those that fill them are back-pressured.
    """
    waits = (view.value("back_pressured_share_max") or 0.0) >= 0.5
    return view.record.settings.unaligned_checkpoints is False and (waits or "busy" in levels)


def _restarts_by_checkpoints(view: JobView, levels: Mapping[str, float]) -> bool:
    """Say whether a job restarts because its checkpoints fail: as many as it tolerates fail before each restart."""
    tolerable, failed = view.record.settings.tolerable_failed_checkpoints, view.value("checkpoints_failed")
    if "failed-checkpoints" not in levels or tolerable is None or failed is None:
        return False
    return failed > tolerable and not view.value("checkpoints_completed")


def _cause_of_waste(name: str, view: JobView, levels: Mapping[str, float], load: str | None) -> str:
    if "no-input" in levels:
        return "no-input"
    if name in ("memory-low", "gc-low"):
        if any(symptom in levels for symptom in _MEMORY):
            return "memory-too-small"
        other = None if load else _takes_the_memory(view, levels)
        return other or "memory-over-allotted"
    return load or _cause_of_idle(name, levels)


def _takes_the_memory(view: JobView, levels: Mapping[str, float]) -> str | None:
    """Return the finding with whose task managers all memory goes that is too much; None where each has too much."""
    proposal = lean(view)
    if proposal is None or proposal.steps_of("memory-low"):
        return None
    return next(
        (_cause_of_idle(name, levels) for name in ("idle-slots", "busy-low", "cpu-low") if name in levels), None
    )


def _cause_of_idle(name: str, levels: Mapping[str, float]) -> str:
    if name == "idle-slots":
        return "idle-slots"
    if "busy-low" in levels:
        return "over-provisioned-parallelism"
    return "idle-slots" if "idle-slots" in levels else "cpu-over-allotted"


def direction_of(causes: set[str]) -> Direction:
    """Return what a job needs that has these findings."""
    if causes & UNSIZED:
        return Direction.KEEP
    if "memory-too-small" in causes:
        return Direction.MORE_MEMORY
    if causes & SCALED_UP:
        return Direction.MORE
    return Direction.LESS if causes & WASTE else Direction.KEEP
