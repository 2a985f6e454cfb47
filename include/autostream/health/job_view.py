"""One job as it is judged: its figures over a window, checked, and what follows from several of them. Pure.

What comes from clusters may be wrong: a figure that is negative, infinite or not a number counts as unknown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from autostream.health.job_facts import NO_FACTS, JobFacts
from autostream.telemetry.job_records import JobRecord
from autostream.telemetry.windows import JobWindow, Summary, VertexWindow

LEAST_SAMPLES: Final = 3
"""Of fewer samples nothing is concluded about growth."""
CATCH_UP_SECONDS: Final = 1800
"""In what time a job should have caught up with what waits (Flink's autoscaler: `catch-up.duration`)."""
HARMFUL_BUSY: Final = 0.6
"""How busy the busiest subtask has to be for that others have less to do to be a harm."""
MOST_DEMAND: Final = 10.0
"""More than this many times the present throughput is not asked for at once: it is measured again after that."""


@dataclass(frozen=True)
class Lag:
    """How far the sources of a job are behind.

    Attributes:
        seconds: By time; infinite where records wait and none are read.
        growth: By how much the lag grows, over what is read meanwhile; 0 where it shrinks, None where that is unknown.
        pending: Records that wait; None where only times are known.
        pending_growth: Records a second by which these grow; negative where they shrink.
        rate: Records a second that are read; None where that is unknown.
        known_by: The figure that this is from.
    """

    seconds: float
    growth: float | None
    pending: float | None
    pending_growth: float | None
    rate: float | None
    known_by: str

    @property
    def grows(self) -> bool:
        """Whether it is worth a word, and grows."""
        return self.seconds >= 30 and (self.growth or 0.0) >= 0.05


@dataclass(frozen=True)
class JobView:
    """A job, and what was measured of it.

    Attributes:
        window: Its figures.
        record: What it is.
        facts: What others know of it.
    """

    window: JobWindow
    record: JobRecord
    facts: JobFacts = NO_FACTS

    def figure(self, name: str) -> Summary | None:
        """Return a figure of the job; None where it is not known."""
        return _believable(self.window.figures, name)

    def value(self, name: str) -> float | None:
        """Return the value of a figure over the window; None where it is not known."""
        found = self.figure(name)
        return None if found is None else found.value

    def share(self, used: str, size: str) -> float | None:
        """Return one figure over another; None where one is not known, or there is nothing to share."""
        part, whole = self.value(used), self.value(size)
        return None if part is None or not whole else part / whole

    @property
    def minutes(self) -> float:
        """How much time the samples cover."""
        return max(0, self.window.covered_ms) / 60_000

    @cached_property
    def busiest(self) -> tuple[VertexWindow, float] | None:
        """The vertex with the busiest subtask, and how busy that is; None where nothing is known."""
        busy = [(v, s.value) for v in self.window.vertices if (s := vertex_figure(v, "busy_share_max"))]
        return max(busy, key=lambda found: found[1]) if busy else None

    @cached_property
    def busy(self) -> float | None:
        """How busy the busiest subtask is."""
        known = [self.busiest[1]] if self.busiest else []
        job = self.value("busy_share_max")
        return max([*known, *([] if job is None else [job])], default=None)

    @cached_property
    def busy_threads(self) -> float | None:
        """How many threads are busy on average: of all vertices, as far as known."""
        threads = [
            busy.value * subtasks.value
            for vertex in self.window.vertices
            if (busy := vertex_figure(vertex, "busy_share")) and (subtasks := vertex_figure(vertex, "parallelism"))
        ]
        return sum(threads) if threads else None

    @cached_property
    def cpu(self) -> float | None:
        """Cores used over cores allotted."""
        return self.share("cpu_cores_used", "cpu_cores")

    @cached_property
    def gc(self) -> float | None:
        """Time in garbage collection, of the task manager that collects most where that is known."""
        known = [value for name in ("gc_share", "gc_share_max") if (value := self.value(name)) is not None]
        return max(known, default=None)

    @cached_property
    def skew(self) -> tuple[VertexWindow, float, str] | None:
        """The vertex whose subtasks differ most, its most over its mean, and of what: `records` or `busy time`.

        Where the busiest subtask has time left, that others have more is no harm.
        """
        found = [
            (vertex, ratio, of)
            for vertex in self.window.vertices
            if (subtasks := vertex_figure(vertex, "parallelism")) and subtasks.value >= 2 and _works(vertex)
            for ratio, of in (
                (_most_over_mean(vertex, "records_in_per_second", subtasks.value), "records"),
                (_most_over_mean(vertex, "busy_share", 1.0), "busy time"),
            )
            if ratio is not None
        ]
        return max(found, key=lambda one: one[1]) if found else None

    @cached_property
    def lags(self) -> tuple[Lag, ...]:
        """How far its sources are behind, by each figure that tells it; the worst first, none where it is not known."""
        found = []
        rate = self.value("records_in_per_second")
        pending, behind = self.figure("pending_records"), self.figure("event_time_lag_ms")
        if pending and rate is not None:
            growth = _growth(pending)
            seconds = pending.last / rate if rate else (math.inf if pending.last else 0.0)
            share = None if growth is None else _over(max(0.0, growth), rate)
            found.append(Lag(seconds, share, pending.last, growth, rate, "pending_records"))
        if behind:
            growth = _growth(behind)
            share = None if growth is None else max(0.0, growth) / 1000
            found.append(Lag(behind.last / 1000, share, None, None, rate, "event_time_lag_ms"))
        return tuple(sorted(found, key=lambda lag: (lag.grows, lag.seconds), reverse=True))

    @property
    def lag(self) -> Lag | None:
        """The worst of its lags; None where none is known."""
        return self.lags[0] if self.lags else None

    @cached_property
    def demand(self) -> float:
        """By what the present throughput has to be multiplied to keep up and to catch up; 1 where it does, or unknown.

        With a lag, what is read now is what the job can read, however busy it says it is (FLINK-33306).
        """
        lag = self.lag
        if lag is None or not self.falls_behind:
            return 1.0
        if lag.pending is not None and lag.pending_growth is not None:
            needed = max(0.0, lag.pending_growth) + lag.pending / CATCH_UP_SECONDS
            return min(MOST_DEMAND, 1.0 + _over(needed, lag.rate or 0.0))
        keeps = 1.0 - min(lag.growth or 0.0, 0.9)  # seconds of the records' time that it reads in a second
        return min(MOST_DEMAND, (1.0 + lag.seconds / CATCH_UP_SECONDS) / keeps)

    @property
    def falls_behind(self) -> bool:
        """Whether its lag grows."""
        return self.lag is not None and self.lag.grows

    @cached_property
    def parallelism(self) -> int | None:
        """The most subtasks of a vertex; None where nobody knows."""
        measured = [round(s.last) for v in self.window.vertices if (s := vertex_figure(v, "parallelism"))]
        return max(measured, default=max((v.parallelism for v in self.record.settings.vertices), default=0)) or None


def vertex_figure(vertex: VertexWindow, name: str) -> Summary | None:
    """Return a figure of a vertex; None where it is not known."""
    return _believable(vertex.figures, name)


def operator_name(vertex: VertexWindow) -> str:
    """Return what a vertex is called in sentences."""
    return vertex.name if len(vertex.name) <= 80 else f"{vertex.name[:79]}…"


def _believable(figures: Mapping[str, Summary], name: str) -> Summary | None:
    found = figures.get(name)
    if found is None:
        return None
    numbers = (found.value, found.smallest, found.largest, found.first, found.last)
    return found if all(math.isfinite(number) and number >= 0 for number in numbers) else None


def _works(vertex: VertexWindow) -> bool:
    busy = vertex_figure(vertex, "busy_share_max")
    return busy is not None and busy.value >= HARMFUL_BUSY


def _growth(figure: Summary) -> float | None:
    return figure.growth_per_second if figure.samples >= LEAST_SAMPLES else None


def _over(part: float, whole: float) -> float:
    if whole > 0:
        return part / whole
    return math.inf if part > 0 else 0.0


def _most_over_mean(vertex: VertexWindow, name: str, subtasks: float) -> float | None:
    """Return the most of a subtask over the mean: the figure is a sum over `subtasks`, or a mean where that is 1."""
    most, whole = vertex_figure(vertex, f"{name}_max"), vertex_figure(vertex, name)
    if most is None or whole is None or whole.value <= 0:
        return None
    return max(1.0, most.value * subtasks / whole.value)
