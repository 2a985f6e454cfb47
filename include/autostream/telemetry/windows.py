"""What samples of a job come to over a window: the input of everything that judges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from autostream.names import JobName
from autostream.telemetry.figures import JOB_FIGURES, VERTEX_FIGURES, Figure, Rollup
from autostream.telemetry.samples import JobSample


@dataclass(frozen=True)
class Summary:
    """One figure over a window.

    Attributes:
        value: Mean by time, sum or last value, as the figure's `rollup` says.
        smallest: The smallest sample.
        largest: The largest sample.
        first: The first sample.
        last: The last sample.
        first_ms: When the first one was taken.
        last_ms: When the last one was taken.
        samples: How many there were.
    """

    value: float
    smallest: float
    largest: float
    first: float
    last: float
    first_ms: int
    last_ms: int
    samples: int

    @property
    def growth_per_second(self) -> float | None:
        """By how much it grew from the first sample to the last, a second; None of fewer than two samples."""
        seconds = (self.last_ms - self.first_ms) / 1000
        return (self.last - self.first) / seconds if seconds > 0 else None


@dataclass(frozen=True)
class VertexWindow:
    """One vertex over a window.

    Attributes:
        vertex_id: Its id.
        name: The names of its operators.
        figures: Summaries by names of `figures.VERTEX_FIGURES`.
    """

    vertex_id: str
    name: str
    figures: Mapping[str, Summary] = field(default_factory=dict)


@dataclass(frozen=True)
class JobWindow:
    """One life of a job over a window. What happened before its last restart is not in it.

    Attributes:
        job: Its name.
        job_id: Its life.
        from_ms: When the first interval began.
        to_ms: When the last one ended.
        covered_ms: Time that the intervals cover: gaps are not in it.
        samples: How many intervals there are.
        state: As last seen.
        shared: Whether its task managers run other jobs too.
        figures: Summaries by names of `figures.JOB_FIGURES`; what was never known is not there.
        missing: Why figures are not there, by name, as last told.
        vertices: In the order of the job's plan.
        restarts: Restarts in the whole window that was asked for, also those before `from_ms`.
    """

    job: JobName
    job_id: str
    from_ms: int
    to_ms: int
    covered_ms: int
    samples: int
    state: str
    shared: bool = False
    figures: Mapping[str, Summary] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    vertices: tuple[VertexWindow, ...] = ()
    restarts: int = 0


def window_of(samples: Sequence[JobSample]) -> JobWindow | None:
    """Return what samples of one job come to; None where there are none.

    Only the samples since the last restart, change of parallelism or change of the job's id are summarised: a mean over
    two configurations would be true of neither. Restarts are counted over all samples.

    Args:
        samples: Of one job, the oldest first.
    """
    if not samples:
        return None
    last = samples[-1]
    current = _since_last_cut(samples)
    restarts = sum(sample.figures.get("restarts", 0.0) for sample in samples)
    return JobWindow(
        job=last.job,
        job_id=last.job_id,
        from_ms=current[0].from_ms,
        to_ms=last.at_ms,
        covered_ms=sum(sample.at_ms - sample.from_ms for sample in current),
        samples=len(current),
        state=last.state,
        shared=any(sample.shared for sample in current),
        figures=_summaries(JOB_FIGURES, ((s.from_ms, s.at_ms, s.figures) for s in current)),
        missing=last.missing,
        vertices=_vertex_windows(current),
        restarts=round(restarts),
    )


def _since_last_cut(samples: Sequence[JobSample]) -> Sequence[JobSample]:
    last = samples[-1]
    subtasks = _subtasks(last)
    for index in range(len(samples) - 1, -1, -1):
        sample = samples[index]
        rescaled = any(subtasks.get(vertex, count) != count for vertex, count in _subtasks(sample).items())
        if sample.job_id != last.job_id or rescaled:
            return samples[index + 1 :]
        if sample.figures.get("restarts", 0.0) > 0:
            # The interval in which it restarted holds both attempts: only what came after it counts, if there is any.
            return samples[index + 1 :] or samples[index:]
    return samples


def _subtasks(sample: JobSample) -> dict[str, float]:
    return {one.vertex_id: count for one in sample.vertices if (count := one.figures.get("parallelism"))}


def _vertex_windows(samples: Sequence[JobSample]) -> tuple[VertexWindow, ...]:
    measured: dict[str, list[tuple[int, int, Mapping[str, float]]]] = defaultdict(list)
    for sample in samples:
        for vertex in sample.vertices:
            measured[vertex.vertex_id].append((sample.from_ms, sample.at_ms, vertex.figures))
    return tuple(
        VertexWindow(vertex.vertex_id, vertex.name, _summaries(VERTEX_FIGURES, measured[vertex.vertex_id]))
        for vertex in samples[-1].vertices
    )


def _summaries(
    figures: Mapping[str, Figure], measured: Iterable[tuple[int, int, Mapping[str, float]]]
) -> dict[str, Summary]:
    series: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
    for from_ms, at_ms, values in measured:
        for name, value in values.items():
            series[name].append((from_ms, at_ms, value))
    return {name: _summary(figure, series[name]) for name, figure in figures.items() if name in series}


def _summary(figure: Figure, points: Sequence[tuple[int, int, float]]) -> Summary:
    values = [value for _, _, value in points]
    if figure.rollup is Rollup.SUM:
        total = sum(values)
    elif figure.rollup is Rollup.LAST:
        total = values[-1]
    else:
        weights = [max(at_ms - from_ms, 1) for from_ms, at_ms, _ in points]
        mean = sum(weight * value for weight, value in zip(weights, values, strict=True)) / sum(weights)
        total = min(max(mean, min(values)), max(values))  # rounding may lead outside
    return Summary(
        value=total,
        smallest=min(values),
        largest=max(values),
        first=values[0],
        last=values[-1],
        first_ms=points[0][1],
        last_ms=points[-1][1],
        samples=len(values),
    )
