"""What a job uses of what it is allotted, and how far it is behind, from the figures of one sample. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

MEMORY_POOLS: Final = ("heap_used_bytes", "managed_used_bytes", "metaspace_used_bytes", "direct_used_bytes")
"""What the memory in use is the sum of; of the first one it has to be known."""

FIGURES: Final = (
    "cpu_cores_used",
    "cpu_cores",
    *MEMORY_POOLS,
    "memory_bytes",
    "slots_used",
    "slots",
    "pending_records",
    "records_in_per_second",
    "event_time_lag_ms",
)
"""The figures that this is made of."""


@dataclass(frozen=True)
class ResourceUse:
    """What is used and what is allotted; None: it is not known.

    Attributes:
        cpu_cores_used: Cores in use.
        cpu_cores: Cores allotted.
        memory_used_bytes: Heap, managed memory, metaspace and direct memory in use, as far as they are known.
        memory_bytes: Process memory allotted: these pools and the JVM's own.
        slots_used: Slots that it occupies.
        slots: Slots of its task managers that are its own or idle.
    """

    cpu_cores_used: float | None = None
    cpu_cores: float | None = None
    memory_used_bytes: int | None = None
    memory_bytes: int | None = None
    slots_used: int | None = None
    slots: int | None = None

    @classmethod
    def of(cls, figures: Mapping[str, float]) -> ResourceUse:
        """Return what figures of a job say."""
        return cls(
            figures.get("cpu_cores_used"),
            figures.get("cpu_cores"),
            memory_used_bytes(figures),
            _rounded(figures.get("memory_bytes")),
            _rounded(figures.get("slots_used")),
            _rounded(figures.get("slots")),
        )


def sum_of(uses: Iterable[ResourceUse]) -> ResourceUse:
    """Return what several jobs use together. Of each resource only jobs count of which both values are known."""
    known = list(uses)
    cpu = [(u.cpu_cores_used, u.cpu_cores) for u in known if u.cpu_cores_used is not None and u.cpu_cores is not None]
    memory = [
        (u.memory_used_bytes, u.memory_bytes)
        for u in known
        if u.memory_used_bytes is not None and u.memory_bytes is not None
    ]
    slots = [(u.slots_used, u.slots) for u in known if u.slots_used is not None and u.slots is not None]
    return ResourceUse(
        cpu_cores_used=sum(used for used, _ in cpu) if cpu else None,
        cpu_cores=sum(size for _, size in cpu) if cpu else None,
        memory_used_bytes=sum(used for used, _ in memory) if memory else None,
        memory_bytes=sum(size for _, size in memory) if memory else None,
        slots_used=sum(used for used, _ in slots) if slots else None,
        slots=sum(size for _, size in slots) if slots else None,
    )


def memory_used_bytes(figures: Mapping[str, float]) -> int | None:
    """Return the memory in use; None where the heap is not known, which is the most of it."""
    if MEMORY_POOLS[0] not in figures:
        return None
    return round(sum(figures.get(pool, 0.0) for pool in MEMORY_POOLS))


def lag_seconds(figures: Mapping[str, float]) -> float | None:
    """Return how far sources are behind: by what waits at the present pace, or by the time in records if that is more.

    None where neither is known, and where records wait and none are read.
    """
    known = []
    waiting, pace = figures.get("pending_records"), figures.get("records_in_per_second")
    if waiting is not None and (pace or not waiting):
        known.append(waiting / pace if pace else 0.0)
    if (behind_ms := figures.get("event_time_lag_ms")) is not None:
        known.append(behind_ms / 1000)
    return max(known, default=None)


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)
