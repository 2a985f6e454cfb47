"""The figures that are known of jobs and of their vertices: name, unit and meaning, each declared once.

A figure that a cluster, a version or a job does not have is missing from a sample. It is never zero instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Unit(StrEnum):
    """What a figure counts."""

    CORES = "cores"
    BYTES = "bytes"
    SHARE = "share"
    """Between 0 and 1."""
    MILLISECONDS = "milliseconds"
    PER_SECOND = "per second"
    COUNT = "count"


class Rollup(StrEnum):
    """What several samples of a figure come to in a longer interval."""

    MEAN = "mean"
    """The mean by time; the largest one is kept beside it."""
    SUM = "sum"
    LAST = "last"


@dataclass(frozen=True)
class Figure:
    """One thing that is measured.

    Attributes:
        name: What it is called in samples, in JSON, in CSV and in rules, with its unit where the unit is not plain.
        unit: What it counts.
        meaning: What it is, in words.
        rollup: What several samples come to.
        caution: Why rescaling and budgets may not rely on it; empty where they may.
    """

    name: str
    unit: Unit
    meaning: str
    rollup: Rollup = Rollup.MEAN
    caution: str = ""


_OF_A_MINUTE: Final = "Flink's mean of the last minute"
_OWN_MEANING: Final = "depends on what its sources tell"


_JOB: Final = (
    Figure("cpu_cores_used", Unit.CORES, "CPU time of its task managers' processes over wall time"),
    Figure(
        "cpu_cores",
        Unit.CORES,
        "cores that its task managers are allotted; where nothing says how many, Flink takes slots for cores",
        Rollup.LAST,
    ),
    Figure("heap_used_bytes", Unit.BYTES, "heap in use"),
    Figure("heap_bytes", Unit.BYTES, "largest heap that its task managers may have", Rollup.LAST),
    Figure("managed_used_bytes", Unit.BYTES, "managed memory in use: state backend, sorting, Python"),
    Figure("managed_bytes", Unit.BYTES, "managed memory allotted", Rollup.LAST),
    Figure("metaspace_used_bytes", Unit.BYTES, "metaspace in use"),
    Figure("metaspace_bytes", Unit.BYTES, "largest metaspace", Rollup.LAST),
    Figure(
        "direct_used_bytes",
        Unit.BYTES,
        "direct buffers in use",
        caution="network buffers are part of it, and allocated at the start",
    ),
    Figure("direct_bytes", Unit.BYTES, "direct memory allotted: framework, task and network", Rollup.LAST),
    Figure("network_used_bytes", Unit.BYTES, "network buffers in use"),
    Figure("network_bytes", Unit.BYTES, "network buffers allotted", Rollup.LAST),
    Figure("memory_bytes", Unit.BYTES, "total process memory that its task managers are allotted", Rollup.LAST),
    Figure(
        "container_limit_bytes",
        Unit.BYTES,
        "limit of its containers, where Kubernetes tells it",
        Rollup.LAST,
        caution="is told by Kubernetes only",
    ),
    Figure("gc_share", Unit.SHARE, "time in garbage collection over wall time, mean of its task managers"),
    Figure("gc_share_max", Unit.SHARE, "the same of the task manager that collects most"),
    Figure("task_managers", Unit.COUNT, "task managers that run its tasks", Rollup.LAST),
    Figure(
        "slots",
        Unit.COUNT,
        "slots that it occupies, and its part of the idle ones on the same task managers",
        Rollup.LAST,
    ),
    Figure("slots_used", Unit.COUNT, "slots that it occupies", Rollup.LAST),
    Figure("busy_share_max", Unit.SHARE, "busy time of the busiest subtask", caution=_OF_A_MINUTE),
    Figure(
        "back_pressured_share_max",
        Unit.SHARE,
        "back-pressured time of the subtask that waits most",
        caution=_OF_A_MINUTE,
    ),
    Figure("records_in_per_second", Unit.PER_SECOND, "records that its sources read"),
    Figure("records_out_per_second", Unit.PER_SECOND, "records that its sinks receive"),
    Figure("pending_records", Unit.COUNT, "records that its sources have not read yet, as they report it"),
    Figure(
        "event_time_lag_ms",
        Unit.MILLISECONDS,
        "how far its sources are behind, by the time in the records",
        caution=_OWN_MEANING,
    ),
    Figure(
        "watermark_lag_ms",
        Unit.MILLISECONDS,
        "how far its lowest watermark is behind the clock",
        caution="depends on how the job makes watermarks",
    ),
    Figure("checkpoint_duration_ms", Unit.MILLISECONDS, "duration of the last completed checkpoint"),
    Figure("checkpoint_size_bytes", Unit.BYTES, "size of the last completed checkpoint"),
    Figure("checkpoint_age_ms", Unit.MILLISECONDS, "time since the last completed checkpoint"),
    Figure("checkpoints_completed", Unit.COUNT, "checkpoints completed since the sample before", Rollup.SUM),
    Figure("checkpoints_failed", Unit.COUNT, "checkpoints failed since the sample before", Rollup.SUM),
    Figure("restarts", Unit.COUNT, "restarts since the sample before, without changes of parallelism", Rollup.SUM),
)

_VERTEX: Final = (
    Figure("parallelism", Unit.COUNT, "subtasks", Rollup.LAST),
    Figure("busy_share", Unit.SHARE, "busy time, mean of its subtasks over the interval"),
    Figure("busy_share_max", Unit.SHARE, "busy time of the busiest subtask", caution=_OF_A_MINUTE),
    Figure("busy_share_min", Unit.SHARE, "busy time of the least busy subtask", caution=_OF_A_MINUTE),
    Figure("back_pressured_share", Unit.SHARE, "time that it waits for those behind it, mean of its subtasks"),
    Figure("back_pressured_share_max", Unit.SHARE, "the same of the subtask that waits most", caution=_OF_A_MINUTE),
    Figure("idle_share", Unit.SHARE, "time that it waits for input, mean of its subtasks"),
    Figure("records_in_per_second", Unit.PER_SECOND, "records received, all subtasks"),
    Figure(
        "records_in_per_second_max",
        Unit.PER_SECOND,
        "records received by the subtask that receives most",
        caution=_OF_A_MINUTE,
    ),
    Figure("records_out_per_second", Unit.PER_SECOND, "records emitted, all subtasks"),
    Figure("pending_records", Unit.COUNT, "records that a source has not read yet, all subtasks"),
    Figure(
        "watermark_lag_ms",
        Unit.MILLISECONDS,
        "how far its watermark is behind the clock",
        caution="depends on how the job makes watermarks",
    ),
)

JOB_FIGURES: Final = {figure.name: figure for figure in _JOB}
"""Figures of a job, by name. Of processes that jobs share, each job has the share of its slots."""

VERTEX_FIGURES: Final = {figure.name: figure for figure in _VERTEX}
"""Figures of a vertex, by name."""


def tidy(value: float) -> float:
    """Return a number with the six digits that count, whole numbers as they are: so figures are measured and kept."""
    number = float(value)
    return number if number.is_integer() else float(f"{number:.6g}")


def markdown() -> str:
    """Return the tables of all figures for the documentation."""
    lines: list[str] = []
    for heading, figures in (("Of a job", JOB_FIGURES), ("Of a vertex", VERTEX_FIGURES)):
        lines += [f"### {heading}", "", "| figure | unit | meaning | in longer intervals | rely on it |"]
        lines += ["| --- | --- | --- | --- | --- |"]
        for figure in figures.values():
            relied_on = f"no: {figure.caution}" if figure.caution else "yes"
            cells = (f"`{figure.name}`", figure.unit, figure.meaning, figure.rollup.name.lower(), relied_on)
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)
