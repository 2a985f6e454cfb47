"""Two looks at a vertex, compared. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from autostream.flink.metric_values import Aggregate
from autostream.telemetry.looks import VertexLook
from autostream.telemetry.metric_names import (
    BACK_PRESSURED,
    BUSY,
    EVENT_TIME_LAGS,
    IDLE,
    INPUT_WATERMARK,
    KAFKA_LAG,
    OUTPUT_WATERMARK,
    PENDING,
    RECORDS_IN,
    RECORDS_OUT,
    SENT,
    SOURCE,
    TASK_TIMES,
)

# Flink shows the smallest long before the first watermark, the largest one after the last. As doubles they are these,
# or near them.
_NO_WATERMARK: Final = -(2.0**62)
_LAST_WATERMARK: Final = 2.0**62
# Metrics of task managers are collected apart from those of the job manager, so a short interval of one may be a long
# one of the other. Only what cannot be is not believed.
_LEAST, _MOST = 0.1, 4.0
_GAUGES: Final = {"busy_share": BUSY, "idle_share": IDLE, "back_pressured_share": BACK_PRESSURED}


@dataclass(frozen=True)
class VertexReading:
    """What a vertex did between two looks.

    Attributes:
        figures: By names of `figures.VERTEX_FIGURES`, but for its parallelism.
        missing: Why figures are not there.
        read_per_second: Records that its sources have read.
        written_per_second: Records that writers of sinks in it have received.
        pending: Records that its sources have not read yet.
        event_time_lag_ms: How far its sources are behind, by the time in the records.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    read_per_second: float | None = None
    written_per_second: float | None = None
    pending: float | None = None
    event_time_lag_ms: float | None = None


def read_vertex(old: VertexLook | None, now: VertexLook, elapsed_ms: float, clock_ms: float | None) -> VertexReading:
    """Return what a vertex did between two looks.

    Args:
        old: The look before, of the same attempt; None where there is none.
        now: The present look.
        elapsed_ms: Time between the two collections of metrics.
        clock_ms: When the present metrics were collected, by the job manager's clock; None where that is not known.
            Watermarks are compared with it.
    """
    if old is None or not old.metrics or not now.metrics or old.parallelism != now.parallelism:
        return VertexReading(missing={"busy_share_max": f"{now.name[:60]!r} told no metrics"})
    task_ms = _task_ms(old, now)
    if task_ms is not None and task_ms <= 0:
        return VertexReading(missing={"busy_share_max": f"the metrics of {now.name[:60]!r} are old"})
    seconds = elapsed_ms / 1000
    if task_ms is not None and _LEAST * elapsed_ms <= task_ms / now.parallelism <= _MOST * elapsed_ms:
        seconds = task_ms / now.parallelism / 1000
    figures, missing = _shares(old, now, task_ms)
    read = _read_per_second(old, now, seconds)
    received = _rate(old, now, RECORDS_IN, seconds)
    figures |= _known(
        # Sources count what they read as the records of an operator, if at all.
        records_in_per_second=read if not now.inputs else received,
        records_in_per_second_max=_largest_rate(now, read if not now.inputs else received),
        records_out_per_second=_rate(old, now, RECORDS_OUT, seconds),
        pending_records=_pending(now),
        watermark_lag_ms=_watermark_lag_ms(now, clock_ms),
    )
    return VertexReading(
        figures=figures,
        missing=missing,
        read_per_second=read,
        written_per_second=_written_per_second(old, now, seconds),
        pending=_pending(now),
        event_time_lag_ms=_event_time_lag_ms(now),
    )


def sink_vertices(vertices: Sequence[VertexLook]) -> frozenset[str]:
    """Return the ids of the vertices that receive a job's results: the last ones but for those that commit them."""
    writing = [vertex for vertex in vertices if not _commits(vertex)]
    feeding = {source for vertex in writing for source in vertex.inputs}
    return frozenset(vertex.vertex_id for vertex in writing if vertex.vertex_id not in feeding)


def _commits(vertex: VertexLook) -> bool:
    return "ommitter" in vertex.name and bool(vertex.inputs)


def _task_ms(old: VertexLook, now: VertexLook) -> float | None:
    """Return for how long its tasks have run between the two collections, all together; None where they do not tell."""
    grown = [_growth(old, now, metric) for metric in TASK_TIMES.values()]
    known = [value for value in grown if value is not None]
    return sum(known) if len(known) == len(grown) else None


def _shares(old: VertexLook, now: VertexLook, task_ms: float | None) -> tuple[dict[str, float], dict[str, str]]:
    """Return the shares of time: means by counters, which miss nothing, the extremes by gauges of the last minute."""
    figures: dict[str, float] = {}
    missing: dict[str, str] = {}
    for name, metric in _GAUGES.items():
        gauge = now.metrics.get(metric)
        grown = _growth(old, now, TASK_TIMES[name])
        if gauge is None:
            why = f"{now.name[:60]!r} tells no {metric}, as sources of the old kind"
            missing |= dict.fromkeys((name, f"{name}_max"), why)
            continue
        mean = grown / task_ms if grown is not None and task_ms else _share(gauge.mean)
        figures[name] = mean
        alone = now.parallelism == 1
        if name != "idle_share":
            figures[f"{name}_max"] = mean if alone else max(_share(gauge.largest), mean)
        if name == "busy_share":
            figures[f"{name}_min"] = mean if alone else min(_share(gauge.smallest), mean)
    return figures, missing


def _share(per_second_ms: float) -> float:
    return min(max(per_second_ms / 1000, 0.0), 1.0)


def _read_per_second(old: VertexLook, now: VertexLook, seconds: float) -> float | None:
    """Return the records that its source operators have read: what they count as read, else what they have emitted."""
    operators = {name.rpartition(".")[0] for name in now.metrics if name.startswith(SOURCE)}
    rates = []
    for operator in operators:
        counted = [_rate(old, now, f"{operator}.{metric}", seconds) for metric in (RECORDS_IN, RECORDS_OUT)]
        known = [rate for rate in counted if rate is not None]
        if known:
            rates.append(max(known))
    return sum(rates) if rates else (_rate(old, now, RECORDS_OUT, seconds) if not now.inputs else None)


def _written_per_second(old: VertexLook, now: VertexLook, seconds: float) -> float | None:
    writers = [name.removesuffix(SENT) for name in now.metrics if name.endswith(SENT)]
    rates = []
    for writer in writers:
        rate = _rate(old, now, f"{writer}.{RECORDS_IN}", seconds)
        rates.append(_rate(old, now, f"{writer}{SENT}", seconds) if rate is None else rate)
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known and len(known) == len(rates) else None


def _largest_rate(now: VertexLook, all_subtasks: float | None) -> float | None:
    """Return what the subtask receives that receives most: Flink's mean of the last minute, which begins at zero."""
    gauge = _largest_gauge(now)
    return None if gauge is None else max(gauge, (all_subtasks or 0.0) / max(now.parallelism, 1))


def _largest_gauge(now: VertexLook) -> float | None:
    if now.inputs:
        gauge = now.metrics.get(f"{RECORDS_IN}PerSecond")
        return gauge.largest if gauge else None
    emitted = f"{RECORDS_OUT}PerSecond"
    rates = [m.largest for name, m in now.metrics.items() if name.startswith(SOURCE) and name.endswith(emitted)]
    return max(rates, default=None)


def _pending(now: VertexLook) -> float | None:
    for suffix in (PENDING, KAFKA_LAG):
        # Below zero is what is not known, in any of the subtasks.
        shown = [metric for name, metric in now.metrics.items() if name.endswith(suffix)]
        told = [metric.total for metric in shown if min(metric.smallest, metric.total) >= 0]
        if told:
            return sum(told)
    return None


def _event_time_lag_ms(now: VertexLook) -> float | None:
    for suffix in EVENT_TIME_LAGS:
        # -1 stands for no event time; the largest long for what no clock would show.
        told = [m.largest for name, m in now.metrics.items() if name.endswith(suffix) and 0 <= m.largest < 2.0**53]
        if told:
            return max(told)
    return None


def _watermark_lag_ms(now: VertexLook, clock_ms: float | None) -> float | None:
    if now.inputs:
        shown = [now.metrics[INPUT_WATERMARK]] if INPUT_WATERMARK in now.metrics else []
    else:
        shown = [m for n, m in now.metrics.items() if n.startswith(SOURCE) and n.endswith(OUTPUT_WATERMARK)]
    lowest = min((metric.smallest for metric in shown), default=None)
    if clock_ms is None or lowest is None or not _NO_WATERMARK < lowest < _LAST_WATERMARK:
        return None
    return max(clock_ms - lowest, 0.0)


def _growth(old: VertexLook, now: VertexLook, name: str) -> float | None:
    """Return by how much a counter of all subtasks has grown; None where it is not known, or went back."""
    first: Aggregate | None = old.metrics.get(name)
    last: Aggregate | None = now.metrics.get(name)
    return last.total - first.total if first and last and last.total >= first.total else None


def _rate(old: VertexLook, now: VertexLook, name: str, seconds: float) -> float | None:
    grown = _growth(old, now, name)
    return None if grown is None else grown / seconds


def _known(**figures: float | None) -> dict[str, float]:
    return {name: value for name, value in figures.items() if value is not None}
