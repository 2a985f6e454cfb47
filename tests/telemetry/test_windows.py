"""Windows: what samples of a job come to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.names import JobName
from autostream.telemetry.samples import JobSample, VertexSample
from autostream.telemetry.windows import window_of

JOB = JobName("prod", "orders")


def sample(
    minute: int, job_id: str = "a", *, seconds: int = 60, vertices: tuple[VertexSample, ...] = (), **figures: float
) -> JobSample:
    at_ms = minute * 60_000
    return JobSample(JOB, job_id, at_ms - seconds * 1000, at_ms, "RUNNING", figures=figures, vertices=vertices)


def test_no_samples_are_no_window() -> None:
    assert window_of([]) is None


def test_a_mean_is_weighted_by_time_and_a_gap_is_not_filled() -> None:
    window = window_of([sample(1, gc_share=0.1), sample(10, seconds=180, gc_share=0.5)])
    assert window is not None
    assert window.figures["gc_share"].value == pytest.approx((60 * 0.1 + 180 * 0.5) / 240)
    assert window.covered_ms == 240_000


def test_counts_are_added_and_sizes_are_the_last() -> None:
    window = window_of([sample(1, checkpoints_failed=2, slots=8), sample(2, checkpoints_failed=1, slots=4)])
    assert window is not None
    assert (window.figures["checkpoints_failed"].value, window.figures["slots"].value) == (3, 4)


def test_what_was_never_known_is_not_there() -> None:
    window = window_of([sample(1, slots=1)])
    assert window is not None
    assert "pending_records" not in window.figures


def test_a_new_life_begins_the_window_again() -> None:
    window = window_of([sample(1, "a", heap_used_bytes=9), sample(2, "b", heap_used_bytes=1)])
    assert window is not None
    assert (window.job_id, window.figures["heap_used_bytes"].largest, window.samples) == ("b", 1, 1)


def test_a_restart_cuts_the_window_and_is_counted() -> None:
    window = window_of(
        [
            sample(1, restarts=1, gc_share=0.9),
            sample(2, restarts=2, gc_share=0.9),
            sample(3, restarts=0, gc_share=0.1),
        ]
    )
    assert window is not None
    assert (window.restarts, window.samples, window.figures["gc_share"].largest) == (3, 1, 0.1)


def test_a_job_that_restarts_all_the_time_still_has_a_window() -> None:
    window = window_of([sample(1, restarts=1), sample(2, restarts=1)])
    assert window is not None
    assert (window.restarts, window.samples) == (2, 1)


def test_another_parallelism_begins_the_window_again() -> None:
    def at(parallelism: float) -> tuple[VertexSample, ...]:
        return (VertexSample("v", "map", {"parallelism": parallelism}),)

    samples = [sample(minute, vertices=at(2 if minute < 3 else 4), gc_share=minute / 10) for minute in range(1, 5)]
    window = window_of(samples)
    assert window is not None
    assert (window.restarts, window.samples, window.figures["gc_share"].smallest) == (0, 2, 0.3)
    unread = window_of([*samples, sample(5)])
    assert unread is not None
    assert unread.samples == 5  # of the last one nobody knows


def test_growth_is_from_the_first_sample_to_the_last() -> None:
    window = window_of([sample(1, pending_records=100), sample(2, pending_records=50), sample(3, pending_records=220)])
    assert window is not None
    assert window.figures["pending_records"].growth_per_second == 1.0


def test_vertices_are_those_of_the_last_sample() -> None:
    old, new = VertexSample("v1", "source", {"parallelism": 1}), VertexSample("v1", "source", {"parallelism": 4})
    window = window_of([sample(1, vertices=(old, VertexSample("v2", "gone"))), sample(2, vertices=(new,))])
    assert window is not None
    assert [(v.vertex_id, v.figures["parallelism"].value) for v in window.vertices] == [("v1", 4)]


@given(st.lists(st.floats(0, 1e15), min_size=1, max_size=30))
def test_a_mean_lies_between_the_smallest_and_the_largest(values: list[float]) -> None:
    window = window_of([sample(minute, heap_used_bytes=value) for minute, value in enumerate(values, 1)])
    assert window is not None
    figure = window.figures["heap_used_bytes"]
    assert figure.smallest == min(values) <= figure.value <= max(values) == figure.largest
    assert figure.samples == len(values)
