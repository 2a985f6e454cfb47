"""Samples rolled up: what several of them come to in a longer interval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from autostream.telemetry.figures import JOB_FIGURES, VERTEX_FIGURES, Figure, Rollup, tidy
from autostream.telemetry.samples import JobSample, VertexSample

STEP_MS: Final = 900_000
"""Length of the longer intervals: 15 minutes. They begin at multiples of it."""

_Values = Mapping[str, float]


def step_of(at_ms: int) -> int:
    """Return when the interval began that a sample taken at an instant belongs to; its end is part of it."""
    return (at_ms - 1) // STEP_MS * STEP_MS


def rolled_up(samples: Iterable[JobSample]) -> list[JobSample]:
    """Return what samples of one job come to in intervals of `STEP_MS`.

    Only samples that follow each other without a gap and belong to one life are put together: gaps stay gaps, and no
    mean is of two lives.

    Args:
        samples: Of one job, the oldest first.
    """
    return [_merged(run) for run in _runs(samples)]


def _runs(samples: Iterable[JobSample]) -> Iterable[Sequence[JobSample]]:
    run: list[JobSample] = []
    for sample in samples:
        if run and not _continues(run[-1], sample):
            yield run
            run = []
        run.append(sample)
    if run:
        yield run


def _continues(before: JobSample, sample: JobSample) -> bool:
    return (
        sample.from_ms == before.at_ms
        and step_of(sample.at_ms) == step_of(before.at_ms)
        and (sample.job_id, sample.shared) == (before.job_id, before.shared)
        and [v.vertex_id for v in sample.vertices] == [v.vertex_id for v in before.vertices]
    )


def _merged(run: Sequence[JobSample]) -> JobSample:
    last = run[-1]
    lengths = [max(sample.at_ms - sample.from_ms, 1) for sample in run]
    figures, largest = _values(JOB_FIGURES, [(s.figures, s.largest) for s in run], lengths)
    vertices = []
    for index, vertex in enumerate(last.vertices):
        seen = [(sample.vertices[index].figures, sample.vertices[index].largest) for sample in run]
        values, maxima = _values(VERTEX_FIGURES, seen, lengths)
        vertices.append(VertexSample(vertex.vertex_id, vertex.name, values, maxima))
    return JobSample(
        job=last.job,
        job_id=last.job_id,
        from_ms=run[0].from_ms,
        at_ms=last.at_ms,
        state=last.state,
        shared=last.shared,
        figures=figures,
        missing=last.missing,
        vertices=tuple(vertices),
        largest=largest,
    )


def _values(
    known: Mapping[str, Figure], seen: Sequence[tuple[_Values, _Values]], lengths: Sequence[int]
) -> tuple[dict[str, float], dict[str, float]]:
    series: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for (values, maxima), length in zip(seen, lengths, strict=True):
        for name, value in values.items():
            series[name].append((length, value, max(value, maxima.get(name, value))))
    figures, largest = {}, {}
    for name, points in series.items():
        rollup = known[name].rollup if name in known else Rollup.MEAN
        values_only = [value for _, value, _ in points]
        if rollup is Rollup.SUM:
            figures[name] = sum(values_only)
        elif rollup is Rollup.LAST:
            figures[name] = values_only[-1]
        else:
            mean = sum(length * value for length, value, _ in points) / sum(length for length, _, _ in points)
            figures[name] = min(max(tidy(mean), min(values_only)), max(values_only))  # rounding may lead outside
            largest[name] = max(maximum for _, _, maximum in points)
    return figures, largest
