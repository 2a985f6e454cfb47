"""Watermarks: which subtask of which source holds them, and which is idle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.diagnosis.watermark_holders import (
    ENDED_MS,
    NONE_YET_MS,
    SourceSubtask,
    find_holders,
    watermark_of,
)
from autostream.findings import Severity
from autostream.times import FOREVER_MS

NOW = 1_795_420_871_000


def source(index: int, watermark_ms: int | None, *, idle: bool | None = None, name: str = "orders") -> SourceSubtask:
    return SourceSubtask(name, f"Source: {name}", index, watermark_ms, idle)


def test_the_subtask_that_is_furthest_behind_holds_all() -> None:
    sources = [source(0, NOW - 5_000), source(1, NOW - 3_600_000), source(2, NOW)]
    report = find_holders(sources, {"sum": NOW - 3_600_000}, fed={}, now_ms=NOW)
    assert [one.index for one in report.holders] == [1]
    (finding,) = report.findings
    assert (finding.id, finding.severity) == ("watermark-held", Severity.WARNING)
    assert finding.reason == (
        "Subtask 1 of 'Source: orders' holds the watermark at 2026-11-23T07:01:11Z, 1 h ago; others are up to 1 h "
        "ahead."
    )
    assert [one.index for one in report.sources] == [1, 0, 2]


def test_sources_that_are_even() -> None:
    (finding,) = find_holders([source(0, NOW - 5_000), source(1, NOW)], {}, fed={}, now_ms=NOW).findings
    assert (finding.id, finding.figures) == ("watermark-even", {"behind_ms": 5_000, "spread_ms": 5_000})


def test_an_idle_subtask_holds_nothing() -> None:
    report = find_holders([source(0, None, idle=True), source(1, NOW)], {}, fed={}, now_ms=NOW)
    assert [one.index for one in report.holders] == [1]
    assert "Subtask 0 of 'Source: orders' is idle" in report.findings[1].reason


def test_a_vertex_that_is_past_a_subtask_proves_that_it_is_idle() -> None:
    found = [source(0, None), source(1, NOW - 1_000)]
    held = find_holders(found, {"sum": None}, fed={"orders": None}, now_ms=NOW)
    assert [one.index for one in held.holders] == [0]
    assert "Subtask 0 of 'Source: orders' has sent no watermark yet: everything" in held.findings[0].reason
    assert "withIdleness" in held.findings[0].remedy
    past = find_holders(found, {"sum": NOW - 1_000}, fed={"orders": NOW - 1_000}, now_ms=NOW)
    assert [one.index for one in past.holders] == [1]
    assert past.sources[0].idle is True


def test_no_watermarks_at_all() -> None:
    (unknown,) = find_holders([], {}, fed={}, now_ms=NOW).findings
    assert unknown.id == "watermarks-unknown"
    (none,) = find_holders([source(0, None), source(1, None)], {"sum": None}, fed={}, now_ms=NOW).findings
    assert (none.id, none.severity) == ("watermark-missing", Severity.INFO)
    assert none.reason.startswith("Subtasks 0, 1 of 'Source: orders' have sent no watermark yet, and neither has any")


def test_sources_that_have_ended_hold_nothing() -> None:
    report = find_holders([source(0, FOREVER_MS), source(1, NOW, idle=True)], {}, fed={}, now_ms=NOW)
    assert report.holders == ()
    assert report.findings[0].id == "watermark-held-by-none"
    one = find_holders([source(0, FOREVER_MS), source(0, NOW, name="clicks")], {}, fed={}, now_ms=NOW)
    assert [holder.vertex_id for holder in one.holders] == ["clicks"]


@pytest.mark.parametrize(
    ("shown", "means"),
    [
        (None, None),
        (NONE_YET_MS, None),
        (float(NONE_YET_MS), None),
        (ENDED_MS, FOREVER_MS),
        (float(ENDED_MS), FOREVER_MS),
        (-5, -5),
        (NOW, NOW),
    ],
)
def test_what_flink_shows(shown: float | None, means: int | None) -> None:
    assert watermark_of(shown) == means


@given(
    st.lists(
        st.tuples(st.none() | st.integers(0, 10**13) | st.just(FOREVER_MS), st.none() | st.booleans()), max_size=8
    ),
    st.none() | st.integers(0, 10**13),
)
def test_holders_are_the_least_that_are_not_idle(
    subtasks: list[tuple[int | None, bool | None]], fed: int | None
) -> None:
    given = [source(index, mark, idle=idle) for index, (mark, idle) in enumerate(subtasks)]
    report = find_holders(given, {}, fed={"orders": fed}, now_ms=NOW)
    assert len(report.sources) == len(given)
    awake = [one for one in report.sources if not one.idle and (one.watermark_ms or 0) < FOREVER_MS]
    marks = [-1 if one.watermark_ms is None else one.watermark_ms for one in awake]
    assert {one.index for one in report.holders} == {
        one.index for one, mark in zip(awake, marks, strict=True) if mark == min(marks)
    }
    assert report.findings
