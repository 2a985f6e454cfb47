"""What is wrong with a job, each thing measured on its own and weighed by its ladder. Pure.

The score is made of these alone: each costs what its ladder says, whatever the others are, so that the score neither
depends on an order nor on which cause is named. `causes` only decides under which finding a symptom is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from autostream.health.configuration_traps import traps_of
from autostream.health.job_view import JobView
from autostream.health.ladders import Ladder
from autostream.health.sizing import has_real_cores, is_dedicated, lean

FAILED_STATES: Final = frozenset({"FAILED", "FAILING"})
CONFIGURATION: Final = "configuration-"
"""How the ids of findings about traps begin."""

# Operators of SQL and of the DataStream API that give no results, or never clean up, until a watermark passes.
_NEEDS_WATERMARK: Final = re.compile(
    r"GroupWindowAggregate|GlobalWindowAggregate|LocalWindowAggregate|WindowAggregate|WindowJoin|WindowRank|WindowTopN|"
    r"WindowDeduplicate|IntervalJoin|TemporalJoin|TemporalSort|MatchRecognize|(Tumbling|Sliding|Session|Event)\w*EventTime"
)


@dataclass(frozen=True)
class Symptom:
    """One thing that is wrong.

    Attributes:
        name: The ladder's name; of a trap in the configuration the finding's id.
        level: How much of the ladder it has reached.
        cost: The points that it costs.
        figures: What it was concluded from, by their names.
        says: Of a trap: what it is, in words.
        remedy: Of a trap: what to do about it.
    """

    name: str
    level: float
    cost: float
    figures: Mapping[str, float]
    says: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Reading:
    """A value to be weighed, and the figures that it is made of."""

    value: float
    figures: Mapping[str, float]


def symptoms_of(view: JobView, ladders: Mapping[str, Ladder]) -> tuple[Symptom, ...]:
    """Return all that is wrong with a job. What is not known is not wrong."""
    found = []
    for name, read in READINGS.items():
        ladder = ladders[name]
        reading = read(view) if ladder.weight > 0 else None
        if reading is not None and (level := ladder.level(reading.value)) > 0:
            found.append(Symptom(name, level, ladder.weight * level, reading.figures))
    weight = ladders["configuration"].weight
    if weight > 0:
        found += [
            Symptom(CONFIGURATION + trap.name, 1.0, weight, trap.figures, trap.reason, trap.remedy)
            for trap in traps_of(view)
        ]
    return tuple(found)


# ------- load
def read_busy(view: JobView) -> Reading | None:
    """Return how busy the busiest subtask is."""
    return None if view.busy is None else Reading(view.busy, {"busy": view.busy})


def read_back_pressure(view: JobView) -> Reading | None:
    """Return how long the subtask waits that waits most for those behind it."""
    return _plain(view, "back_pressured_share_max", "back_pressured")


def read_skew(view: JobView) -> Reading | None:
    """Return by how much the most loaded subtask of a vertex exceeds the mean."""
    if view.skew is None:
        return None
    vertex, ratio, _ = view.skew
    subtasks = vertex.figures["parallelism"].last
    return Reading(ratio, {"most_over_mean": ratio, "parallelism": subtasks})


def read_lag(view: JobView) -> Reading | None:
    """Return how far sources are behind, in seconds."""
    return Reading(max(lag.seconds for lag in view.lags), _lag_figures(view)) if view.lags else None


def read_lag_growth(view: JobView) -> Reading | None:
    """Return by how much the lag grows over what is read meanwhile; a lag below 30 s is none."""
    growth = [lag.growth for lag in view.lags if lag.growth is not None and lag.seconds >= 30]
    return Reading(max(growth), _lag_figures(view)) if growth else None


def read_cpu_high(view: JobView) -> Reading | None:
    """Return the cores used over those allotted."""
    return None if view.cpu is None else Reading(view.cpu, _cpu_figures(view))


# ------- memory
def read_gc(view: JobView) -> Reading | None:
    """Return the time in garbage collection."""
    return None if view.gc is None else Reading(view.gc, {"gc_share": view.gc})


def read_heap_full(view: JobView) -> Reading | None:
    """Return the least heap that was in use over its size: what garbage collection does not free."""
    used, size = view.figure("heap_used_bytes"), view.value("heap_bytes")
    if used is None or not size:
        return None
    return Reading(used.smallest / size, {"heap_used_bytes": used.smallest, "heap_bytes": size})


def read_metaspace(view: JobView) -> Reading | None:
    """Return the metaspace in use over its size."""
    return _share(view, "metaspace_used_bytes", "metaspace_bytes")


def read_direct(view: JobView) -> Reading | None:
    """Return the direct memory in use over its size."""
    return _share(view, "direct_used_bytes", "direct_bytes")


def read_container(view: JobView) -> Reading | None:
    """Return the process memory that Flink plans with over the limit of its containers."""
    return _share(view, "memory_bytes", "container_limit_bytes")


# ------- failures
def read_restarts(view: JobView) -> Reading:
    """Return the restarts within the window."""
    return Reading(float(view.window.restarts), {"restarts": float(view.window.restarts)})


def read_failed(view: JobView) -> Reading:
    """Return 1 where the job has failed for good."""
    return Reading(float(view.record.state in FAILED_STATES), {"restarts": float(view.window.restarts)})


def read_failed_checkpoints(view: JobView) -> Reading | None:
    """Return the share of checkpoints that failed."""
    failed, completed = view.value("checkpoints_failed"), view.value("checkpoints_completed")
    if failed is None or completed is None or failed <= 0:
        return None
    return Reading(failed / (failed + completed), {"checkpoints_failed": failed, "checkpoints_completed": completed})


def read_checkpoint_age(view: JobView) -> Reading | None:
    """Return the age of the last good checkpoint in intervals; without one, the time that was seen."""
    interval = view.record.settings.checkpoint_interval_ms
    if not interval or view.record.settings.checkpointing is False:
        return None
    age, completed = view.figure("checkpoint_age_ms"), view.value("checkpoints_completed")
    if age is not None:
        age_ms = age.last
    elif completed == 0 and "checkpoint_age_ms" in view.window.missing:
        age_ms = float(view.window.covered_ms)
    else:
        return None
    return Reading(age_ms / interval, {"checkpoint_age_ms": age_ms, "checkpoint_interval_ms": float(interval)})


# ------- input and watermarks
def read_no_input(view: JobView) -> Reading | None:
    """Return for how many minutes nothing was read while nothing waits."""
    read = view.figure("records_in_per_second")
    waiting = view.value("pending_records")
    if read is None or read.largest > 0 or (waiting or 0.0) > 0:
        return None
    return Reading(view.minutes, {"records_in_per_second": 0.0, "minutes": view.minutes})


def read_watermark_stalled(view: JobView) -> Reading | None:
    """Return the minutes that a watermark is behind which did not move in the window, while records came in."""
    lag, read = view.figure("watermark_lag_ms"), view.value("records_in_per_second")
    if lag is None or lag.samples < 3 or not read:
        return None
    growth = lag.growth_per_second
    if growth is None or growth < 950:  # it moves: each second that passes leaves it less than a second further behind
        return None
    return Reading(lag.last / 60_000, {"watermark_lag_ms": lag.last})


def read_watermark_missing(view: JobView) -> Reading | None:
    """Return 1 where a job computes by watermarks, or somebody waits for them, and it shows none while it reads."""
    if view.figure("watermark_lag_ms") is not None or "watermark_lag_ms" not in view.window.missing:
        return None
    needed = view.facts.needs_watermark or any(_NEEDS_WATERMARK.search(v.name) for v in view.window.vertices)
    reads = view.value("records_in_per_second")
    return Reading(1.0, {"records_in_per_second": reads}) if needed and reads else None


# ------- waste: what is asked for in vain, as far as it can be given back
def read_busy_low(view: JobView) -> Reading | None:
    """Return how busy the busiest subtask is, where fewer subtasks would do."""
    proposal = lean(view)
    if view.busy is None or proposal is None or proposal.target.parallelism >= proposal.current.parallelism:
        return None
    return Reading(view.busy, {"busy": view.busy, "parallelism": float(proposal.current.parallelism)})


def read_cpu_low(view: JobView) -> Reading | None:
    """Return the cores used over those allotted, where fewer would do."""
    proposal = lean(view)
    if view.cpu is None or proposal is None or not has_real_cores(view):
        return None
    now, then = proposal.current.cpu_cores, proposal.target.cpu_cores
    return Reading(view.cpu, _cpu_figures(view)) if now is not None and then is not None and then < now else None


def read_memory_low(view: JobView) -> Reading | None:
    """Return the heap and managed memory in use over their size, where less would do."""
    heap, heap_size = view.value("heap_used_bytes"), view.value("heap_bytes")
    managed, managed_size = view.value("managed_used_bytes"), view.value("managed_bytes")
    if heap is None or managed is None or not heap_size or managed_size is None or not _memory_would_do(view):
        return None
    used, size = heap + managed, heap_size + managed_size
    return Reading(used / size, {"memory_used_bytes": used, "memory_pools_bytes": size})


def read_gc_low(view: JobView) -> Reading | None:
    """Return the time in garbage collection, where less memory would do: what never fills was asked for in vain."""
    if view.gc is None or view.value("gc_share_max") is None or not _memory_would_do(view):
        return None
    return Reading(view.gc, {"gc_share": view.gc})


def read_idle_slots(view: JobView) -> Reading | None:
    """Return the idle slots over all, where fewer task managers would do."""
    proposal = lean(view)
    slots, used = view.value("slots"), view.value("slots_used")
    if proposal is None or not slots or used is None or used > slots:
        return None
    if not proposal.steps_of("idle-slots"):
        return None
    return Reading((slots - used) / slots, {"slots": slots, "slots_used": used})


READINGS: Final[Mapping[str, Callable[[JobView], Reading | None]]] = {
    "busy": read_busy,
    "back-pressure": read_back_pressure,
    "skew": read_skew,
    "lag": read_lag,
    "lag-growth": read_lag_growth,
    "cpu-high": read_cpu_high,
    "gc-high": read_gc,
    "heap-full": read_heap_full,
    "metaspace-full": read_metaspace,
    "direct-full": read_direct,
    "container": read_container,
    "restarts": read_restarts,
    "failed": read_failed,
    "failed-checkpoints": read_failed_checkpoints,
    "checkpoint-age": read_checkpoint_age,
    "no-input": read_no_input,
    "watermark-stalled": read_watermark_stalled,
    "watermark-missing": read_watermark_missing,
    "busy-low": read_busy_low,
    "cpu-low": read_cpu_low,
    "memory-low": read_memory_low,
    "gc-low": read_gc_low,
    "idle-slots": read_idle_slots,
}
"""What each ladder weighs, by its name; traps in the configuration are found by themselves."""


# ------- figures
def _plain(view: JobView, figure: str, called: str) -> Reading | None:
    value = view.value(figure)
    return None if value is None else Reading(value, {called: value})


def _share(view: JobView, used: str, size: str) -> Reading | None:
    share = view.share(used, size)
    if share is None:
        return None
    return Reading(share, {name: value for name in (used, size) if (value := view.value(name)) is not None})


def _memory_would_do(view: JobView) -> bool:
    """Say whether less memory would do."""
    proposal = lean(view)
    if proposal is None:
        return False
    now, then = proposal.current.memory_bytes, proposal.target.memory_bytes
    return is_dedicated(view) and now is not None and then is not None and then < now


def _cpu_figures(view: JobView) -> dict[str, float]:
    return {name: value for name in ("cpu_cores_used", "cpu_cores") if (value := view.value(name)) is not None}


def _lag_figures(view: JobView) -> dict[str, float]:
    lag = view.lag
    if lag is None:
        return {}
    shown = {
        "lag_seconds": lag.seconds,
        "pending_records": lag.pending,
        "lag_growth_per_second": lag.pending_growth,
        "records_in_per_second": lag.rate,
    }
    return {name: value for name, value in shown.items() if value is not None and value != float("inf")}
