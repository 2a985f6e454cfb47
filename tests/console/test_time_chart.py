"""Where the lines of a chart over time stand."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.console.time_chart import HEIGHT, WIDTH, Happenings, Point, Series, Span, time_chart

SPAN = Span(0, 240_000)
"""A slot is a second long."""


def point(begin: int, end: int, value: float, largest: float | None = None) -> Point:
    return begin, end, value, value if largest is None else largest


def test_a_slot_has_the_mean_by_time_and_the_largest_sample() -> None:
    series = Series.of([point(0, 500, 1.0), point(500, 600, 11.0, 20.0), point(2000, 5000, 3.0)], SPAN)

    assert series.means[:6] == (pytest.approx((500 + 1100) / 600), None, 3.0, 3.0, 3.0, None)
    assert series.peaks[:3] == (20.0, None, 3.0)
    assert (series.most, series.last) == (20.0, 3.0)


@given(
    st.lists(
        st.tuples(st.integers(-50_000, 300_000), st.integers(1, 90_000), st.floats(0, 1e9)), min_size=1, max_size=20
    )
)
def test_no_line_leaves_the_chart_and_gaps_stay_gaps(drawn: list[tuple[int, int, float]]) -> None:
    points = [point(begin, begin + length, value) for begin, length, value in drawn]
    series = Series.of(points, SPAN)
    chart = time_chart(SPAN, points)

    covered = {slot for slot in range(240) for p in points if p[0] < (slot + 1) * 1000 and p[1] > slot * 1000}
    assert {slot for slot, mean in enumerate(series.means) if mean is not None} == covered
    if chart is None:
        assert not covered
        return
    numbers = [(kind, float(number)) for kind, number in re.findall(r"([HV]|(?<=M)|(?<= ))(-?[\d.]+)", chart.used)]
    assert all(0 <= number <= (WIDTH if kind == "H" else max(HEIGHT, WIDTH)) for kind, number in numbers)
    # A line is begun once for each run of slots that are known.
    assert chart.used.count("M") == sum(slot - 1 not in covered for slot in covered)
    known = [mean for mean in series.means if mean is not None]
    assert min(p[2] for p in points) * 0.999 <= min(known)
    assert max(known) <= max(p[2] for p in points) * 1.001


def test_the_scale_has_what_is_allotted_and_lines_are_steps() -> None:
    chart = time_chart(SPAN, [point(0, 120_000, 1.0)], [point(0, 240_000, 2.0)])

    assert chart is not None
    assert chart.most == 2.0
    assert chart.allotted == "M0 0H960"
    assert chart.used == "M0 67H480"
    assert chart.peaks == ""
    assert (chart.spots[0].used, chart.spots[-1].used, chart.spots[-1].allotted) == (1.0, None, 2.0)


def test_restarts_and_checkpoints_are_marked_where_they_happened() -> None:
    minute = [point(60_000, 61_000, 2.0), point(61_000, 62_000, 0.0)]
    completed = [point(s * 1000, s * 1000 + 1000, 1.0) for s in (0, 1, 2, 9)]
    happened = Happenings.of(SPAN, restarts=minute, completed=completed, failed=[])

    chart = time_chart(SPAN, [point(0, 240_000, 0.0)], happened=happened)

    assert chart is not None
    assert [(mark.kind, mark.x, mark.width) for mark in chart.marks] == [
        ("completed", 0.0, 12.0),
        ("completed", 36.0, 4.0),
        ("restart", 240.0, 4.0),
    ]
    assert [spot.restarts for spot in chart.spots if spot.restarts] == [2]


def test_of_nothing_there_is_no_chart() -> None:
    assert time_chart(SPAN, []) is None
    assert time_chart(SPAN, [point(-2000, 0, 5.0)]) is None
