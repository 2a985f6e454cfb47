"""What samples come to in intervals of 15 minutes."""

from hypothesis import given
from hypothesis import strategies as st

from autostream.telemetry.rollups import STEP_MS, rolled_up, step_of
from autostream.telemetry.samples import JobSample
from tests.support.telemetry import MINUTE, job_samples

T0 = 1_795_860_000_000 // STEP_MS * STEP_MS


def of(minutes: int, until_ms: int, job_id: str = "a", **figures: float) -> list[JobSample]:
    return job_samples(until_ms=until_ms, minutes=minutes, figures=figures, job_id=job_id)


def test_means_are_by_time_sums_are_added_and_the_last_value_stays() -> None:
    long, short = (
        JobSample(JOB, "a", T0, T0 + 3 * MINUTE, "RUNNING", figures={"cpu_cores_used": 1, "restarts": 1, "slots": 4}),
        JobSample(JOB, "a", T0 + 3 * MINUTE, T0 + 4 * MINUTE, "RUNNING", figures={"cpu_cores_used": 5, "restarts": 2}),
    )

    (together,) = rolled_up([long, short])

    assert together.figures == {"cpu_cores_used": 2, "restarts": 3, "slots": 4}
    assert together.largest == {"cpu_cores_used": 5}
    assert (together.from_ms, together.at_ms) == (T0, T0 + 4 * MINUTE)


JOB = of(1, T0)[0].job


def test_a_gap_stays_a_gap_and_a_new_life_is_another_interval() -> None:
    samples = [*of(2, T0 + 2 * MINUTE), *of(2, T0 + 6 * MINUTE), *of(2, T0 + 8 * MINUTE, job_id="b")]

    assert [(s.from_ms - T0, s.at_ms - T0, s.job_id) for s in rolled_up(samples)] == [
        (0, 2 * MINUTE, "a"),
        (4 * MINUTE, 6 * MINUTE, "a"),
        (6 * MINUTE, 8 * MINUTE, "b"),
    ]


def test_intervals_end_at_quarters_of_an_hour() -> None:
    samples = of(40, T0 + 40 * MINUTE, slots=1)

    assert [s.at_ms - T0 for s in rolled_up(samples)] == [15 * MINUTE, 30 * MINUTE, 40 * MINUTE]
    assert step_of(T0) == T0 - STEP_MS
    assert step_of(T0 + 1) == T0


CUTS = st.lists(st.tuples(st.integers(1, 20 * MINUTE), st.booleans(), st.floats(0, 1e9)), max_size=30)


@given(CUTS)
def test_no_time_is_lost_or_made_and_means_stay_between_the_values(cuts: list[tuple[int, bool, float]]) -> None:
    samples, at_ms = [], T0
    for length, gap, value in cuts:
        if not gap:
            figures = {"gc_share": value, "restarts": value}
            samples.append(JobSample(JOB, "a", at_ms, at_ms + length, "RUNNING", figures=figures))
        at_ms += length

    longer = rolled_up(samples)

    assert sum(s.at_ms - s.from_ms for s in longer) == sum(s.at_ms - s.from_ms for s in samples)
    assert sum(s.figures["restarts"] for s in longer) - sum(s.figures["restarts"] for s in samples) < 1
    for interval in longer:
        within = [s.figures["gc_share"] for s in samples if interval.from_ms <= s.from_ms < interval.at_ms]
        assert min(within) <= interval.figures["gc_share"] <= interval.largest["gc_share"] == max(within)


@given(CUTS)
def test_rolling_up_twice_changes_nothing(cuts: list[tuple[int, bool, float]]) -> None:
    samples, at_ms = [], T0
    for length, gap, value in cuts:
        if not gap:
            samples.append(JobSample(JOB, "a", at_ms, at_ms + length, "RUNNING", figures={"gc_share": value}))
        at_ms += length

    assert rolled_up(rolled_up(samples)) == rolled_up(samples)
