"""Samples packed into blocks come back as they were."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.names import JobName
from autostream.telemetry.blocks import outline_of, pack_samples, unpack, unpack_one, unpack_series
from autostream.telemetry.figures import JOB_FIGURES, VERTEX_FIGURES, tidy
from autostream.telemetry.samples import JobSample, VertexSample

JOB = JobName("prod", "orders/enrich")
TIMES = st.integers(0, 2**42)
# Fractions are kept with six digits.
NUMBERS = st.one_of(
    st.integers(-(2**53), 2**53).map(float), st.floats(1e-30, 1e30).map(tidy), st.floats(-1e30, -1e-30).map(tidy)
)
TEXTS = st.text(max_size=5)


def values_of(names: list[str]) -> st.SearchStrategy[dict[str, float]]:
    return st.dictionaries(st.sampled_from(names), NUMBERS, max_size=4)


VERTICES = st.builds(
    VertexSample,
    vertex_id=TEXTS,
    name=TEXTS,
    figures=values_of([*VERTEX_FIGURES]),
    largest=values_of([*VERTEX_FIGURES]),
)
SAMPLES = st.builds(
    JobSample,
    job=st.just(JOB),
    job_id=st.sampled_from(["a", "b\0\ud800"]),
    from_ms=TIMES,
    at_ms=TIMES,
    state=st.sampled_from(["RUNNING", "RESTARTING"]),
    shared=st.booleans(),
    figures=values_of([*JOB_FIGURES]),
    missing=st.dictionaries(TEXTS, TEXTS, max_size=2),
    vertices=st.lists(VERTICES, max_size=2, unique_by=lambda vertex: vertex.vertex_id).map(tuple),
    largest=values_of([*JOB_FIGURES]),
)


@given(st.lists(SAMPLES, max_size=6), st.integers(1, 3))
def test_samples_come_back_as_they_were(samples: list[JobSample], times: int) -> None:
    several = [sample for sample in samples for _ in range(times)]

    blocks = pack_samples(several)

    assert [s for b in blocks for s in unpack(JOB, outline_of(b.outline.to_text()), b.numbers)] == several
    assert len(blocks) <= max(1, len(samples))


@given(st.lists(SAMPLES, min_size=1, max_size=4), st.data())
def test_series_are_what_the_samples_say(samples: list[JobSample], data: st.DataObject) -> None:
    vertex = data.draw(st.sampled_from([v.vertex_id for s in samples for v in s.vertices] or ["none"]))
    wanted: list[tuple[str, str | None]] = [(name, None) for name in JOB_FIGURES] + [
        (n, vertex) for n in VERTEX_FIGURES
    ]

    found: list[list[tuple[int, int, float, float]]] = [[] for _ in wanted]
    for block in pack_samples(samples):
        for points, more in zip(found, unpack_series(block.outline, block.numbers, tuple(wanted)), strict=True):
            points += more

    for (name, vertex_id), points in zip(wanted, found, strict=True):
        expected = []
        for sample in samples:
            parts = [sample] if vertex_id is None else [v for v in sample.vertices if v.vertex_id == vertex_id]
            expected += [
                (sample.from_ms, sample.at_ms, part.figures[name], part.largest.get(name, part.figures[name]))
                for part in parts
                if name in part.figures
            ]
        known = {(begin, end): value for begin, end, value, _ in points}
        assert known == pytest.approx({(begin, end): value for begin, end, value, _ in expected})


@pytest.mark.parametrize("value", [float("nan")])
def test_what_is_not_a_number_is_not_there(value: float) -> None:
    sample = JobSample(JOB, "a", 0, 1, "RUNNING", figures={"cpu_cores": value, "slots": 2.0})

    (block,) = pack_samples([sample])

    assert unpack(JOB, block.outline, block.numbers) == [replace(sample, figures={"slots": 2.0})]


@given(SAMPLES)
def test_the_figures_of_one_sample_are_what_it_says(sample: JobSample) -> None:
    (block,) = pack_samples([sample])
    places = {name: block.outline.column(name) for name in JOB_FIGURES}

    found = unpack_one(block.numbers, {name: place for name, place in places.items() if place is not None})

    assert found == sample.figures
