"""What properties say of a table's watermark."""

import json
from typing import Any

import pytest

from autostream.errors import UsageError
from autostream.times import FOREVER_MS
from autostream.watermark.changes import WatermarkChange, WriterReport, apply_reports, reset_watermark, retire_writer
from autostream.watermark.codec import STATE_PREFIX, WATERMARK, WRITER_PREFIX, read_properties
from autostream.watermark.marks import MarkSource
from tests.watermark.test_changes import (
    ACTIVE,
    MINUTE,
    NOW,
    T,
    apply,
    read,
    reported,
)


def test_nothing_is_known_of_a_table_without_properties() -> None:
    mark = read({"write.format.default": "parquet", "autostream.watermark.column": "at"})
    assert (mark.source, mark.watermark_ms, mark.writers, mark.problems) == (None, None, (), ())


# ------------------------------------------------------------------------------------------------ garbage

GARBAGE = ["abc", "", " ", "1e300", "1764032400000000", "99999999999999999999", "-99999999999999999999", "9" * 5000]
GARBAGE += [
    "٣",
    "１２",
    "1_0",
    " 1",
    "+1",
    "0x10",
    "1.5",
    "NaN",
    "null",
    '{"ms": 1}',
    "2026-11-25T01:00:00Z",
    "\U0001f600",
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_is_a_problem_and_never_a_watermark(garbage: str) -> None:
    mark = read({WATERMARK: garbage})
    assert (mark.watermark_ms, mark.source) == (None, MarkSource.WRITERS)
    assert mark.problems == (f"table property {WATERMARK} is {garbage!r}, which is not a time in epoch milliseconds",)
    mark = read({WRITER_PREFIX + "a": garbage, WRITER_PREFIX + "b": str(T)})
    assert mark.watermark_ms is None
    assert mark.problems == (
        f"table property {WRITER_PREFIX}a is {garbage!r}, which is not a time in epoch milliseconds",
    )


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_does_not_take_back_what_was_promised(garbage: str) -> None:
    properties = {WATERMARK: str(T), WRITER_PREFIX + "a": garbage, WRITER_PREFIX + "b": str(T)}
    assert read(properties).watermark_ms == T
    properties = reported(("b", T + 1), onto=properties)
    assert read(properties).watermark_ms == T
    assert properties[WRITER_PREFIX + "a"] == garbage, "who wrote it still sees what is wrong"
    assert read(reported(("a", T + 3), onto=properties)).watermark_ms == T + 1


@pytest.mark.parametrize("key", [WATERMARK, WRITER_PREFIX + "a"])
@pytest.mark.parametrize("text", ["20261125020000", "99999999999999", str(NOW + 1), str(FOREVER_MS - 1)])
def test_a_time_that_is_still_to_come_is_a_problem_and_never_a_watermark(key: str, text: str) -> None:
    mark = read_properties("lake.db.t", {key: text}, latest_ms=NOW)
    assert mark.watermark_ms is None
    assert "is in the future, so it does not count. `autostream watermark reset` sets it back" in mark.problems[0]
    back = apply({key: text}, reset_watermark({key: text}, T, now_ms=NOW, by="ann", reason="by hand"))
    assert read_properties("lake.db.t", back, latest_ms=NOW) == read(back)
    assert read(back).watermark_ms == T


def test_what_was_recorded_by_force_counts_until_it_is_set_back() -> None:
    properties = apply({}, apply_reports({}, [WriterReport("a", NOW + 2 * MINUTE, forced=True)], now_ms=NOW))
    assert read_properties("lake.db.t", properties, latest_ms=NOW).watermark_ms == NOW + 2 * MINUTE
    later = {**properties, WATERMARK: str(NOW + 2 * MINUTE + 1)}
    assert read_properties("lake.db.t", later, latest_ms=NOW).problems
    retired = apply(properties, retire_writer(properties, "a", now_ms=NOW, by="ann", reason="gone"))
    assert read_properties("lake.db.t", retired, latest_ms=NOW).watermark_ms == NOW + 2 * MINUTE
    back = apply(properties, reset_watermark(properties, T, now_ms=NOW, by="ann", reason="wrong"))
    again = {**back, WATERMARK: properties[WATERMARK]}
    assert read_properties("lake.db.t", again, latest_ms=NOW).problems


@pytest.mark.parametrize(
    ("text", "watermark"),
    [(str(2**63 - 1), FOREVER_MS), (str(-(2**63)), None), ("-1", -1), ("0", 0), (str(FOREVER_MS), FOREVER_MS)],
)
def test_the_ends_of_time(text: str, watermark: int | None) -> None:
    mark = read({WRITER_PREFIX + "a": text})
    assert (mark.watermark_ms, mark.problems) == (watermark, ())


@pytest.mark.parametrize(
    "state", ["", "abc", "[]", "1", "null", '"active"', "[" * 3000, '{"recorded-at-ms": ' + "9" * 5000 + "}"]
)
def test_a_state_that_is_no_object_is_a_problem(state: str) -> None:
    mark = read({WRITER_PREFIX + "a": str(T), STATE_PREFIX + "a": state})
    assert mark.watermark_ms == T
    assert mark.problems == (f"table property {STATE_PREFIX}a is {state!r}, which is not a JSON object",)


@pytest.mark.parametrize("status", ["asleep", "", None, [], {}, 7, True])
def test_a_writer_of_unknown_status_counts(status: Any) -> None:
    mark = read({WRITER_PREFIX + "a": str(T), STATE_PREFIX + "a": json.dumps({"status": status})})
    assert (mark.writers[0].status, mark.watermark_ms) == (ACTIVE, T)
    assert mark.problems == (
        f"table property {STATE_PREFIX}a has the unknown status {status!r}, which counts as active",
    )


def test_what_a_state_may_leave_out_or_get_wrong() -> None:
    state = {"recorded-at-ms": "yesterday", "job-id": None, "note": None, "of-the-future": 1}
    found = read({WRITER_PREFIX + "a": str(T), STATE_PREFIX + "a": json.dumps(state)}).writers[0]
    assert (found.recorded_at_ms, found.job_id, found.note) == (None, "", "")


def test_what_is_not_reported_is_left_as_it_is_written() -> None:
    properties = {WRITER_PREFIX + "a": str(T), STATE_PREFIX + "a": '{ "of-the-future": 1 }', WATERMARK: str(T)}
    assert apply_reports(properties, [], now_ms=NOW) == WatermarkChange()
    assert STATE_PREFIX + "a" not in apply_reports(properties, [WriterReport("b", T)], now_ms=NOW).changed


def test_a_writer_of_which_only_the_state_is_left_holds_the_table_back() -> None:
    properties = {WRITER_PREFIX + "a": str(T), STATE_PREFIX + "b": "{}"}
    assert read(properties).watermark_ms is None


# ------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    "name", ["a.b.c", "orders of Köln", "入口", "a" * 128, "writer-state.x", "=;'\"", "job #1 (v2)"]
)
def test_names_that_are_read_back(name: str) -> None:
    properties = reported((name, T), ("other", T))
    assert [writer.name for writer in read(properties).writers] == sorted([name, "other"])
    assert read(properties).watermark_ms == T


@pytest.mark.parametrize("name", ["", " ", " a", "a ", "a\nb", "a\tb", "\x00", "a\u200b", "a" * 129])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"Invalid writer name|has 129 characters\. The most is 128"):
        WriterReport(name, T)
