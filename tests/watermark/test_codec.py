"""What properties say of a table's watermark, and how reports, retirements and resets change them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autostream.errors import ConflictError, UsageError
from autostream.times import FOREVER_MS, parse_instant
from autostream.watermark.codec import (
    NOT_YET_MS,
    RESET,
    STATE_PREFIX,
    WATERMARK,
    WRITER_PREFIX,
    Change,
    Event,
    Kind,
    Report,
    advance,
    describe,
    read_properties,
    reset,
    retire,
)
from autostream.watermark.marks import Source, Status, TableMark, WriterMark

NOW = parse_instant("2026-11-25T02:00Z")
T = parse_instant("2026-11-25T01:00Z")
MINUTE = 60_000
ACTIVE, CATCHING_UP, RETIRED = Status.ACTIVE, Status.CATCHING_UP, Status.RETIRED

Properties = dict[str, str]


def read(properties: Mapping[str, str]) -> TableMark:
    return read_properties("lake.db.t", properties)


def apply(properties: Properties, change: Change) -> Properties:
    return {**properties, **change.changed}


def reported(*reports: tuple[str, int | None], onto: Properties | None = None, now_ms: int = NOW) -> Properties:
    """Properties after reports, one by one."""
    properties = onto or {}
    for name, watermark in reports:
        properties = apply(properties, advance(properties, [Report(name, watermark)], now_ms=now_ms))
    return properties


def told(change: Change) -> list[tuple[Kind, str | None, int | None]]:
    return [(event.kind, event.writer, event.watermark_ms) for event in change.events]


def statuses(properties: Properties) -> dict[str, tuple[int | None, Status]]:
    return {writer.name: (writer.watermark_ms, writer.status) for writer in read(properties).writers}


# ------------------------------------------------------------------------------------------------ one by one


def test_nothing_is_known_of_a_table_without_properties() -> None:
    mark = read({"write.format.default": "parquet", "autostream.watermark.column": "at"})
    assert (mark.source, mark.watermark_ms, mark.writers, mark.problems) == (None, None, (), ())


def test_the_first_report() -> None:
    change = advance({}, [Report("a", T, "job", 7, 99)], now_ms=NOW)
    assert change.changed == {
        WATERMARK: str(T),
        WRITER_PREFIX + "a": str(T),
        STATE_PREFIX + "a": f'{{"recorded-at-ms":{NOW},"job-id":"job"}}',
    }
    assert change.events == (
        Event(Kind.JOIN, "a", T, NOW, job_id="job", checkpoint_id=7, snapshot_id=99),
        Event(Kind.ADVANCE, None, T, NOW),
    )
    mark = read(change.changed)
    assert (mark.source, mark.watermark_ms, mark.ended) == (Source.WRITERS, T, False)


def test_the_table_waits_for_its_slowest_writer() -> None:
    properties = reported(("a", None), ("b", None), ("a", T + 5))
    assert read(properties).watermark_ms is None
    properties = reported(("b", T), onto=properties)
    assert read(properties).watermark_ms == T
    properties = reported(("b", T + 9), onto=properties)
    assert read(properties).watermark_ms == T + 5


def test_a_writer_that_is_registered_holds_back_only_a_table_of_which_nothing_is_known() -> None:
    properties = reported(("a", T), ("b", None))
    assert read(properties).watermark_ms == T
    assert statuses(properties)["b"] == (None, CATCHING_UP)
    assert read(reported(("a", T + 1), onto=properties)).watermark_ms == T + 1


def test_a_new_writer_that_is_behind_catches_up_first() -> None:
    properties = reported(("a", T), ("b", T - 5))
    assert (read(properties).watermark_ms, statuses(properties)["b"]) == (T, (T - 5, CATCHING_UP))
    properties = reported(("a", T + 10), ("b", T + 1), onto=properties)
    assert (read(properties).watermark_ms, statuses(properties)["b"]) == (T + 10, (T + 1, CATCHING_UP))

    change = advance(properties, [Report("b", T + 10)], now_ms=NOW)
    assert told(change) == [(Kind.JOIN, "b", T + 10)]
    properties = apply(properties, change)
    assert read(reported(("a", T + 20), onto=properties)).watermark_ms == T + 10


@pytest.mark.parametrize("watermark", [T, T - 1, -5, None])
def test_a_report_that_is_not_ahead_changes_nothing(watermark: int | None) -> None:
    properties = reported(("a", T), ("b", T + 1))
    assert advance(properties, [Report("a", watermark)], now_ms=NOW + MINUTE) == Change()
    assert not advance(properties, [], now_ms=NOW + MINUTE)


def test_who_does_not_advance_may_say_why() -> None:
    properties = reported(("a", T))
    change = advance(properties, [Report("a", None, "job", note="its job is RESTARTING")], now_ms=NOW + MINUTE)
    assert change.changed == {
        STATE_PREFIX + "a": f'{{"recorded-at-ms":{NOW},"job-id":"job","note":"its job is RESTARTING"}}'
    }
    assert change.events == ()
    assert advance(apply(properties, change), [Report("a", None)], now_ms=NOW) == Change()
    properties = reported(("a", T + 1), onto=apply(properties, change))
    found = read(properties).writer("a")
    assert found is not None
    assert (found.note, found.job_id) == ("", "job")


def test_a_writer_that_has_ended_holds_nothing_back() -> None:
    properties = reported(("a", T), ("b", FOREVER_MS))
    assert read(reported(("a", T + 1), onto=properties)).watermark_ms == T + 1
    ended = read(reported(("a", FOREVER_MS), onto=properties))
    assert (ended.watermark_ms, ended.ended) == (FOREVER_MS, True)


def test_a_retired_writer_holds_nothing_back_and_the_table_moves_on_at_once() -> None:
    properties = reported(("a", T), ("b", T + 5))
    change = retire(properties, "a", now_ms=NOW + 1, by="alice@desk", reason="moved to Kafka")
    assert change.events == (
        Event(Kind.RETIRE, "a", T, NOW + 1, by="alice@desk", note="moved to Kafka"),
        Event(Kind.ADVANCE, None, T + 5, NOW + 1),
    )
    properties = apply(properties, change)
    found = read(properties).writer("a")
    assert found is not None
    assert (found.status, found.note) == (RETIRED, "retired by alice@desk: moved to Kafka")
    assert retire(properties, "a", now_ms=NOW + 2, by="bob@desk", reason="again") == Change()
    with pytest.raises(UsageError, match=r"The table has no writer 'c'\. It has: a, b\."):
        retire(properties, "c", now_ms=NOW, by="", reason="")
    with pytest.raises(UsageError, match=r"It has: none\."):
        retire({}, "c", now_ms=NOW, by="", reason="")


def test_the_last_writer_may_retire() -> None:
    properties = reported(("a", T))
    properties = apply(properties, retire(properties, "a", now_ms=NOW, by="me", reason="done"))
    assert read(properties).watermark_ms == T


def test_a_retired_writer_comes_back_when_it_advances_and_catches_up_first() -> None:
    properties = reported(("a", T), ("b", T + 5))
    properties = apply(properties, retire(properties, "a", now_ms=NOW, by="me", reason="slow"))
    for watermark in (None, T - 1, T):
        assert advance(properties, [Report("a", watermark, "job-2")], now_ms=NOW) == Change()
    properties = reported(("a", T + 1), onto=properties)
    assert statuses(properties)["a"] == (T + 1, CATCHING_UP)
    properties = reported(("a", T + 6), onto=properties)
    assert statuses(properties)["a"] == (T + 6, ACTIVE)


# ------------------------------------------------------------------------------------------------ idle writers


def idle(properties: Properties, *reports: Report, after_minutes: float, limit_minutes: float = 10) -> Change:
    return advance(
        properties, reports, now_ms=round(NOW + after_minutes * MINUTE), retire_after_ms=limit_minutes * MINUTE
    )


def test_a_writer_that_does_not_advance_is_retired_when_its_time_is_up() -> None:
    properties = reported(("a", T), ("b", T + 5))
    assert idle(properties, after_minutes=10) == Change()
    change = idle(properties, Report("b", T + 9), after_minutes=10.5)
    assert told(change) == [(Kind.ADVANCE, "b", T + 9), (Kind.RETIRE, "a", T), (Kind.ADVANCE, None, T + 9)]
    assert change.events[1].note == "retired: it had not advanced for 10 min 30 s"
    properties = apply(properties, change)
    assert statuses(properties) == {"a": (T, RETIRED), "b": (T + 9, ACTIVE)}


def test_who_goes_on_reporting_the_same_is_retired_once() -> None:
    properties = reported(("a", T))
    properties = apply(properties, idle(properties, Report("a", T), after_minutes=11))
    for minutes in (12, 13, 100):
        assert idle(properties, Report("a", T, "job-2", note="idle"), after_minutes=minutes) == Change()


def test_a_report_in_time_saves_from_retirement() -> None:
    change = idle(reported(("a", T)), Report("a", T + 1), after_minutes=11)
    assert told(change) == [(Kind.ADVANCE, "a", T + 1), (Kind.ADVANCE, None, T + 1)]


def test_a_writer_that_never_reports_is_retired_as_well() -> None:
    properties = reported(("a", None), ("b", T))
    assert read(properties).watermark_ms is None
    change = idle(properties, Report("b", T + 1), after_minutes=11)
    assert told(change) == [(Kind.ADVANCE, "b", T + 1), (Kind.RETIRE, "a", None), (Kind.ADVANCE, None, T + 1)]


@pytest.mark.parametrize(
    "properties",
    [
        pytest.param(reported(("a", T), now_ms=NOW + 600 * MINUTE), id="recorded by a clock that is ahead"),
        pytest.param(reported(("a", FOREVER_MS)), id="ended"),
        pytest.param({WRITER_PREFIX + "a": str(T), WATERMARK: str(T)}, id="nobody says when"),
        pytest.param(
            {WRITER_PREFIX + "a": str(T), WATERMARK: str(T), STATE_PREFIX + "a": '{"recorded-at-ms":true}'},
            id="nobody knows when",
        ),
    ],
)
def test_who_is_not_idle(properties: Properties) -> None:
    assert idle(properties, after_minutes=60) == Change()


def test_nobody_is_retired_by_default() -> None:
    assert advance(reported(("a", T)), [], now_ms=NOW + 10**12) == Change()


# ------------------------------------------------------------------------------------------------ resets


def test_a_table_is_set_back_with_all_of_its_writers() -> None:
    properties = reported(("a", T), ("b", T + 5), ("late", T - 3), ("gone", T + 7), ("ended", FOREVER_MS))
    properties = apply(properties, retire(properties, "gone", now_ms=NOW, by="me", reason="x"))
    back = T - 10
    change = reset(properties, back, now_ms=NOW + 1, by="me@here", reason="rolled back")
    assert told(change) == [
        (Kind.RESET, "a", back),
        (Kind.RESET, "b", back),
        (Kind.RESET, "ended", back),
        (Kind.RESET, "gone", back),
        (Kind.RESET, "late", back),
        (Kind.RESET, None, back),
    ]
    assert {(event.by, event.note, event.at_ms) for event in change.events} == {("me@here", "rolled back", NOW + 1)}
    properties = apply(properties, change)
    assert read(properties).watermark_ms == back
    assert statuses(properties)["gone"] == (back, RETIRED)
    assert json.loads(properties[RESET]) == {
        "at-ms": NOW + 1,
        "by": "me@here",
        "reason": "rolled back",
        "from-ms": T,
        "to-ms": back,
    }
    # What they report from then on is true; what they said before is not.
    properties = reported(("a", back + 4), ("b", back + 2), ("ended", back + 3), ("late", back + 2), onto=properties)
    assert read(properties).watermark_ms == back + 2


def test_a_writer_is_set_back_and_the_table_with_it() -> None:
    properties = reported(("a", T), ("b", T + 5))
    properties = apply(properties, retire(properties, "a", now_ms=NOW, by="me", reason="x"))
    change = reset(properties, T - 10, writer="a", now_ms=NOW, by="me", reason="reload")
    assert told(change) == [(Kind.RESET, "a", T - 10), (Kind.RESET, None, T - 10)]
    properties = apply(properties, change)
    assert read(properties).watermark_ms == T - 10
    assert statuses(properties) == {"a": (T - 10, ACTIVE), "b": (T + 5, ACTIVE)}
    assert json.loads(properties[RESET])["writer"] == "a"


@pytest.mark.parametrize(
    ("to_ms", "writer"),
    [
        (T, None),
        (T + 1, None),
        (T + 1, "a"),
        (T - 2, "behind"),  # it is further back itself, and the table does not wait for it
    ],
)
def test_a_reset_that_sets_nothing_back_is_refused(to_ms: int, writer: str | None) -> None:
    properties = reported(("a", T), ("behind", T - 5))
    with pytest.raises(ConflictError, match=r"Nothing goes back to 2026.*: the watermark is 2026-11-25T01:00:00Z\."):
        reset(properties, to_ms, writer=writer, now_ms=NOW, by="me", reason="x")


def test_nothing_can_be_set_back_where_nothing_is_known() -> None:
    with pytest.raises(ConflictError, match="the watermark is not known"):
        reset({}, T, now_ms=NOW, by="me", reason="x")
    with pytest.raises(UsageError, match="The table has no writer 'a'"):
        reset({}, T, writer="a", now_ms=NOW, by="me", reason="x")


def test_a_watermark_that_nobody_reports_can_be_set_back() -> None:
    properties = apply({WATERMARK: str(T)}, reset({WATERMARK: str(T)}, T - 1, now_ms=NOW, by="me", reason="x"))
    assert read(properties).watermark_ms == T - 1


# ------------------------------------------------------------------------------------------------ new runs of the ended


def ran(writer: str, job_id: str, *, started_ms: int = NOW, watermark_ms: int | None = None) -> Report:
    return Report(writer, watermark_ms, job_id, started_ms=started_ms)


def ended_at(watermark_ms: int | None, **others: int) -> dict[str, str]:
    """Properties of a table whose writer ``w``, job-1, has ended after a watermark."""
    properties = reported(*others.items())
    for reached in (watermark_ms, FOREVER_MS):
        report = Report("w", reached, "job-1")
        properties = apply(properties, advance(properties, [report], now_ms=NOW))
    return properties


@pytest.mark.parametrize("proved", [None, T + 1], ids=["nothing proved yet", "proved more"])
def test_a_new_run_takes_its_writer_and_its_table_back(proved: int | None) -> None:
    properties = ended_at(T)
    assert read(properties).ended
    change = advance(properties, [ran("w", "job-2", watermark_ms=proved)], now_ms=NOW + 9)
    mark = read(apply(properties, change))
    assert mark.watermark_ms == (proved or T)
    assert mark.writers == (WriterMark("w", proved or T, NOW + 9, job_id="job-2"),)
    resets = [(event.writer, event.watermark_ms, event.by) for event in change.events if event.kind is Kind.RESET]
    assert resets == [("w", T, "recorder"), (None, T, "recorder")]
    record = json.loads(change.changed[RESET])
    assert (record["from-ms"], record["to-ms"], record["writer"]) == (FOREVER_MS, T, "w")


def test_a_table_goes_back_to_where_the_writer_that_had_ended_was() -> None:
    """It was called complete further than that on its word."""
    properties = ended_at(T, other=T + 50)
    assert read(properties).watermark_ms == T + 50
    mark = read(apply(properties, advance(properties, [ran("w", "job-2")], now_ms=NOW)))
    assert mark.watermark_ms == T


def test_one_that_was_further_does_not_take_its_table_back() -> None:
    properties = ended_at(T + 50, other=T)
    change = advance(properties, [ran("w", "job-2")], now_ms=NOW)
    assert read(apply(properties, change)).watermark_ms == T
    assert [event.watermark_ms for event in change.events if event.writer is None] == [T]


@pytest.mark.parametrize("forget", [True, False], ids=["recorded before there was a record of it", "none was proved"])
def test_where_it_was_may_not_be_known(forget: bool) -> None:
    properties = ended_at(T if forget else None)
    if forget:
        properties[STATE_PREFIX + "w"] = '{"job-id":"job-1"}'
    properties = apply(properties, advance(properties, [ran("w", "job-2")], now_ms=NOW))
    mark = read(properties)
    assert (mark.watermark_ms, mark.writers[0].watermark_ms) == (None, None)
    assert properties[WATERMARK] == str(NOT_YET_MS)
    properties = apply(properties, advance(properties, [ran("w", "job-2", watermark_ms=T)], now_ms=NOW))
    assert read(properties).watermark_ms == T


@pytest.mark.parametrize(
    "report",
    [
        Report("w", None, "job-2", note="its job is FAILED"),  # an earlier one that is still listed
        ran("w", "job-1", started_ms=NOW - 1),  # the one that has ended, not gone yet
        ran("w", "job-1", started_ms=NOW - 1, watermark_ms=T + 1),
        ran("w", "job-2", watermark_ms=FOREVER_MS),  # it has ended as well
        Report("w", T + 5),  # a person, who is told of `reset`
    ],
)
def test_what_is_no_new_run(report: Report) -> None:
    properties = ended_at(T)
    assert read(apply(properties, advance(properties, [report], now_ms=NOW + 5))).ended


def test_a_retired_writer_that_runs_again_does_not_take_its_table_back() -> None:
    properties = ended_at(T, other=T + 50)
    properties = apply(properties, retire(properties, "w", now_ms=NOW, by="me", reason="x"))
    mark = read(apply(properties, advance(properties, [ran("w", "job-2")], now_ms=NOW)))
    assert mark.watermark_ms == T + 50
    assert mark.writer("w") == replace(mark.writers[1], watermark_ms=T, status=Status.RETIRED)


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
    assert (mark.watermark_ms, mark.source) == (None, Source.WRITERS)
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
    assert "is still to come, so it does not count. `autostream watermark reset` sets it back" in mark.problems[0]
    back = apply({key: text}, reset({key: text}, T, now_ms=NOW, by="ann", reason="by hand"))
    assert read_properties("lake.db.t", back, latest_ms=NOW) == read(back)
    assert read(back).watermark_ms == T


def test_what_was_recorded_by_force_counts_until_it_is_set_back() -> None:
    properties = apply({}, advance({}, [Report("a", NOW + 2 * MINUTE, forced=True)], now_ms=NOW))
    assert read_properties("lake.db.t", properties, latest_ms=NOW).watermark_ms == NOW + 2 * MINUTE
    later = {**properties, WATERMARK: str(NOW + 2 * MINUTE + 1)}
    assert read_properties("lake.db.t", later, latest_ms=NOW).problems
    retired = apply(properties, retire(properties, "a", now_ms=NOW, by="ann", reason="gone"))
    assert read_properties("lake.db.t", retired, latest_ms=NOW).watermark_ms == NOW + 2 * MINUTE
    back = apply(properties, reset(properties, T, now_ms=NOW, by="ann", reason="wrong"))
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
    assert mark.problems == (f"table property {STATE_PREFIX}a is {state!r}, which is no JSON object",)


@pytest.mark.parametrize("status", ["asleep", "", None, [], {}, 7, True])
def test_a_writer_of_unknown_status_counts(status: Any) -> None:
    mark = read({WRITER_PREFIX + "a": str(T), STATE_PREFIX + "a": json.dumps({"status": status})})
    assert (mark.writers[0].status, mark.watermark_ms) == (ACTIVE, T)
    assert mark.problems == (
        f"table property {STATE_PREFIX}a has status {status!r}, which is none; it counts as active",
    )


def test_what_a_state_may_leave_out_or_get_wrong() -> None:
    state = {"recorded-at-ms": "yesterday", "job-id": None, "note": None, "of-the-future": 1}
    found = read({WRITER_PREFIX + "a": str(T), STATE_PREFIX + "a": json.dumps(state)}).writers[0]
    assert (found.recorded_at_ms, found.job_id, found.note) == (None, "", "")


def test_what_is_not_reported_is_left_as_it_is_written() -> None:
    properties = {WRITER_PREFIX + "a": str(T), STATE_PREFIX + "a": '{ "of-the-future": 1 }', WATERMARK: str(T)}
    assert advance(properties, [], now_ms=NOW) == Change()
    assert STATE_PREFIX + "a" not in advance(properties, [Report("b", T)], now_ms=NOW).changed


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
    with pytest.raises(UsageError, match=r"cannot be a writer's name|has 129 characters\. The most is 128"):
        Report(name, T)


@pytest.mark.parametrize("watermark", [FOREVER_MS + 1, 2**63 - 1, NOT_YET_MS, T * 1000])
def test_reports_of_what_is_no_time_are_refused(watermark: int) -> None:
    with pytest.raises(UsageError, match=f"Writer a: {watermark} is no watermark"):
        Report("a", watermark)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event(Kind.ADVANCE, None, T, NOW), "table: advance, 2026-11-25 01:00 UTC"),
        (Event(Kind.JOIN, "a", None, NOW), "writer a: join, not known yet"),
        (
            Event(Kind.RETIRE, "a", T, NOW, by="me", note="too slow"),
            "writer a: retire, 2026-11-25 01:00 UTC (too slow)",
        ),
    ],
)
def test_an_event_in_a_few_words(event: Event, text: str) -> None:
    assert describe(event) == text


# ------------------------------------------------------------------------------------------------ a model


@dataclass
class Model:
    """What a table and its writers are worth, kept without any properties."""

    table: int | None = None
    writers: dict[str, tuple[int | None, Status]] = field(default_factory=dict)

    def report(self, reports: Mapping[str, int | None]) -> list[tuple[Kind, str | None, int | None]]:
        events: list[tuple[Kind, str | None, int | None]] = []
        known = self.table
        for name, watermark in reports.items():
            value, status = self.writers.get(name, (None, None))
            best = max((v for v in (value, watermark) if v is not None), default=None)
            if status is RETIRED and best == value:
                continue
            if status is not ACTIVE:
                status = ACTIVE if known is None or (best is not None and best >= known) else CATCHING_UP
            if self.writers.get(name) != (best, status):
                joins = self.writers.get(name, (None, None))[1] is not status
                events.append((Kind.JOIN if joins else Kind.ADVANCE, name, best))
            self.writers[name] = (best, status)
        return events + self.settle()

    def retire(self, name: str) -> list[tuple[Kind, str | None, int | None]]:
        value, status = self.writers[name]
        self.writers[name] = (value, RETIRED)
        return [] if status is RETIRED else [(Kind.RETIRE, name, value), *self.settle()]

    def reset(self, to: int) -> bool:
        before = self.table, dict(self.writers)
        for name, (value, status) in self.writers.items():
            self.writers[name] = (None if value is None else min(value, to), status)
        self.table = None if self.table is None else min(self.table, to)
        return before != (self.table, self.writers)

    def settle(self) -> list[tuple[Kind, str | None, int | None]]:
        values = [value for value, status in self.writers.values() if status is ACTIVE]
        if values and None not in values and (self.table is None or min(values) > self.table):  # type: ignore[type-var]
            self.table = min(values)  # type: ignore[type-var]
            return [(Kind.ADVANCE, None, self.table)]
        return []


NAMES = st.sampled_from(["a", "b", "c.d"])
TIMES = st.integers(-3, 12) | st.just(FOREVER_MS)
STEPS = st.one_of(
    st.tuples(st.just("report"), st.dictionaries(NAMES, TIMES | st.none(), min_size=1)),
    st.tuples(st.just("retire"), NAMES),
    st.tuples(st.just("reset"), st.integers(-3, 12)),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_any_history(steps: list[tuple[str, Any]]) -> None:
    properties: Properties = {}
    model = Model()
    for step, argument in steps:
        before = read(properties).watermark_ms
        if step == "report":
            change = advance(properties, [Report(*item) for item in argument.items()], now_ms=NOW)
            assert told(change) == model.report(argument)
        elif step == "retire" and argument in model.writers:
            change = retire(properties, argument, now_ms=NOW, by="me", reason="x")
            assert told(change) == model.retire(argument)
        elif step == "reset":
            if not model.reset(argument):
                with pytest.raises(ConflictError):
                    reset(properties, argument, now_ms=NOW, by="me", reason="x")
                continue
            change = reset(properties, argument, now_ms=NOW, by="me", reason="x")
            assert told(change)[-1] == (Kind.RESET, None, model.table)
        else:
            continue
        properties = apply(properties, change)
        mark = read(properties)
        assert (mark.watermark_ms, mark.problems, statuses(properties)) == (model.table, (), model.writers)
        assert bool(change) == bool(change.events)
        if step != "reset" and before is not None:
            assert mark.watermark_ms is not None
            assert mark.watermark_ms >= before


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([WATERMARK, WRITER_PREFIX + "a", STATE_PREFIX + "a"]), st.text(max_size=20)))
def test_any_text_can_be_read_and_reported_upon(properties: Properties) -> None:
    mark = read(properties)
    after = read(reported(("a", T), onto=properties))
    assert after.writer("a") is not None
    assert mark.watermark_ms is None or (after.watermark_ms or 0) >= mark.watermark_ms
