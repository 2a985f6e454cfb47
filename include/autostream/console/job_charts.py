"""The charts of a Flink job over time, from the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from autostream.console.resource_use import MEMORY_POOLS
from autostream.console.time_chart import Happenings, Point, Span, TimeChart, time_chart
from autostream.errors import UsageError
from autostream.names import JobName
from autostream.spelling import one_of
from autostream.telemetry.log import FigurePoint, TelemetryLog
from autostream.times import DAY_MS

_HOUR_MS: Final = 3_600_000
RANGES: Final = {
    "1h": _HOUR_MS,
    "6h": 6 * _HOUR_MS,
    "24h": DAY_MS,
    "7d": 7 * DAY_MS,
    "30d": 30 * DAY_MS,
    "90d": 90 * DAY_MS,
}
"""How far back charts may go, by what it is called."""

_FIGURES: Final = (
    "cpu_cores_used",
    "cpu_cores",
    *MEMORY_POOLS,
    "memory_bytes",
    "pending_records",
    "event_time_lag_ms",
    "slots_used",
    "slots",
    "restarts",
    "checkpoints_completed",
    "checkpoints_failed",
)


@dataclass(frozen=True)
class JobCharts:
    """What is drawn of a job.

    Attributes:
        span: The time that it is about.
        charts: Under `cpu`, `memory`, `pending` or `behind`, and `slots`; None where nothing is known.
    """

    span: Span
    charts: Mapping[str, TimeChart | None]


def span_of(name: str, *, now_ms: int) -> Span:
    """Return the time up to now that a name of `RANGES` stands for.

    Raises:
        UsageError: There is no such name.
    """
    if name not in RANGES:
        raise UsageError(f"Invalid range {name!r}. {one_of(name, RANGES, 'There are')}")
    return Span(now_ms - RANGES[name], now_ms)


def read_charts(log: TelemetryLog, job: JobName, span: Span) -> JobCharts:
    """Return what is drawn of a job."""
    wanted = [(figure, None) for figure in _FIGURES]
    series = log.series(job, wanted, since_ms=span.from_ms, until_ms=span.to_ms)
    points: Mapping[str, Sequence[FigurePoint]] = dict(zip(_FIGURES, series, strict=True))
    happened = Happenings.of(
        span,
        restarts=points["restarts"],
        completed=points["checkpoints_completed"],
        failed=points["checkpoints_failed"],
    )

    def drawn(used: Sequence[Point], allotted: str | None = None) -> TimeChart | None:
        return time_chart(span, used, points[allotted] if allotted else None, happened)

    behind = "pending" if points["pending_records"] or not points["event_time_lag_ms"] else "behind"
    return JobCharts(
        span,
        {
            "cpu": drawn(points["cpu_cores_used"], "cpu_cores"),
            "memory": drawn(_memory(points), "memory_bytes"),
            behind: drawn(points["pending_records" if behind == "pending" else "event_time_lag_ms"]),
            "slots": drawn(points["slots_used"], "slots"),
        },
    )


def _memory(points: Mapping[str, Sequence[FigurePoint]]) -> list[FigurePoint]:
    """Return the memory in use where the heap is known; its largest samples are not known, only those of the pools."""
    sums: dict[int, float] = defaultdict(float)
    for pool in MEMORY_POOLS:
        for _, at_ms, value, _ in points[pool]:
            sums[at_ms] += value
    return [(from_ms, at_ms, sums[at_ms], sums[at_ms]) for from_ms, at_ms, _, _ in points[MEMORY_POOLS[0]]]
