"""How reports, retirements and resets change the properties of a table's watermark."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autostream.errors import ConflictError, UsageError
from autostream.times import FOREVER_MS, parse_instant
from autostream.watermark.changes import WatermarkChange, WriterReport, apply_reports, reset_watermark, retire_writer
from autostream.watermark.codec import NOT_YET_MS, RESET, STATE_PREFIX, WATERMARK, WRITER_PREFIX, read_properties
from autostream.watermark.events import EventKind, WatermarkEvent, describe_event
from autostream.watermark.marks import MarkSource, TableMark, WriterMark, WriterStatus

NOW = parse_instant("2026-11-25T02:00Z")
T = parse_instant("2026-11-25T01:00Z")
MINUTE = 60_000
ACTIVE, CATCHING_UP, RETIRED = WriterStatus.ACTIVE, WriterStatus.CATCHING_UP, WriterStatus.RETIRED

Properties = dict[str, str]


def read(properties: Mapping[str, str]) -> TableMark:
    return read_properties("lake.db.t", properties)


def apply(properties: Properties, change: WatermarkChange) -> Properties:
    return {**properties, **change.changed}


def reported(*reports: tuple[str, int | None], onto: Properties | None = None, now_ms: int = NOW) -> Properties:
    """Properties after reports, one by one."""
    properties = onto or {}
    for name, watermark in reports:
        properties = apply(properties, apply_reports(properties, [WriterReport(name, watermark)], now_ms=now_ms))
    return properties


def told(change: WatermarkChange) -> list[tuple[EventKind, str | None, int | None]]:
    return [(event.kind, event.writer, event.watermark_ms) for event in change.events]


def statuses(properties: Properties) -> dict[str, tuple[int | None, WriterStatus]]:
    return {writer.name: (writer.watermark_ms, writer.status) for writer in read(properties).writers}


# ------------------------------------------------------------------------------------------------ one by one


def test_the_first_report() -> None:
    change = apply_reports({}, [WriterReport("a", T, "job", 7, 99)], now_ms=NOW)
    assert change.changed == {
        WATERMARK: str(T),
        WRITER_PREFIX + "a": str(T),
        STATE_PREFIX + "a": f'{{"recorded-at-ms":{NOW},"job-id":"job"}}',
    }
    assert change.events == (
        WatermarkEvent(EventKind.JOIN, "a", T, NOW, job_id="job", checkpoint_id=7, snapshot_id=99),
        WatermarkEvent(EventKind.ADVANCE, None, T, NOW),
    )
    mark = read(change.changed)
    assert (mark.source, mark.watermark_ms, mark.ended) == (MarkSource.WRITERS, T, False)


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

    change = apply_reports(properties, [WriterReport("b", T + 10)], now_ms=NOW)
    assert told(change) == [(EventKind.JOIN, "b", T + 10)]
    properties = apply(properties, change)
    assert read(reported(("a", T + 20), onto=properties)).watermark_ms == T + 10


@pytest.mark.parametrize("watermark", [T, T - 1, -5, None])
def test_a_report_that_is_not_ahead_changes_nothing(watermark: int | None) -> None:
    properties = reported(("a", T), ("b", T + 1))
    assert apply_reports(properties, [WriterReport("a", watermark)], now_ms=NOW + MINUTE) == WatermarkChange()
    assert not apply_reports(properties, [], now_ms=NOW + MINUTE)


def test_who_does_not_advance_may_say_why() -> None:
    properties = reported(("a", T))
    change = apply_reports(
        properties, [WriterReport("a", None, "job", note="its job is RESTARTING")], now_ms=NOW + MINUTE
    )
    assert change.changed == {
        STATE_PREFIX + "a": f'{{"recorded-at-ms":{NOW},"job-id":"job","note":"its job is RESTARTING"}}'
    }
    assert change.events == ()
    assert apply_reports(apply(properties, change), [WriterReport("a", None)], now_ms=NOW) == WatermarkChange()
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
    change = retire_writer(properties, "a", now_ms=NOW + 1, by="alice@desk", reason="moved to Kafka")
    assert change.events == (
        WatermarkEvent(EventKind.RETIRE, "a", T, NOW + 1, by="alice@desk", note="moved to Kafka"),
        WatermarkEvent(EventKind.ADVANCE, None, T + 5, NOW + 1),
    )
    properties = apply(properties, change)
    found = read(properties).writer("a")
    assert found is not None
    assert (found.status, found.note) == (RETIRED, "retired by alice@desk: moved to Kafka")
    assert retire_writer(properties, "a", now_ms=NOW + 2, by="bob@desk", reason="again") == WatermarkChange()
    with pytest.raises(UsageError, match=r"The table has no writer 'c'\. Writers: a, b\."):
        retire_writer(properties, "c", now_ms=NOW, by="", reason="")
    with pytest.raises(UsageError, match=r"Writers: none\."):
        retire_writer({}, "c", now_ms=NOW, by="", reason="")


def test_the_last_writer_may_retire() -> None:
    properties = reported(("a", T))
    properties = apply(properties, retire_writer(properties, "a", now_ms=NOW, by="me", reason="done"))
    assert read(properties).watermark_ms == T


def test_a_retired_writer_comes_back_when_it_advances_and_catches_up_first() -> None:
    properties = reported(("a", T), ("b", T + 5))
    properties = apply(properties, retire_writer(properties, "a", now_ms=NOW, by="me", reason="slow"))
    for watermark in (None, T - 1, T):
        assert apply_reports(properties, [WriterReport("a", watermark, "job-2")], now_ms=NOW) == WatermarkChange()
    properties = reported(("a", T + 1), onto=properties)
    assert statuses(properties)["a"] == (T + 1, CATCHING_UP)
    properties = reported(("a", T + 6), onto=properties)
    assert statuses(properties)["a"] == (T + 6, ACTIVE)


# ------------------------------------------------------------------------------------------------ idle writers


def idle(
    properties: Properties, *reports: WriterReport, after_minutes: float, limit_minutes: float = 10
) -> WatermarkChange:
    return apply_reports(
        properties, reports, now_ms=round(NOW + after_minutes * MINUTE), retire_after_ms=limit_minutes * MINUTE
    )


def test_a_writer_that_does_not_advance_is_retired_when_its_time_is_up() -> None:
    properties = reported(("a", T), ("b", T + 5))
    assert idle(properties, after_minutes=10) == WatermarkChange()
    change = idle(properties, WriterReport("b", T + 9), after_minutes=10.5)
    assert told(change) == [
        (EventKind.ADVANCE, "b", T + 9),
        (EventKind.RETIRE, "a", T),
        (EventKind.ADVANCE, None, T + 9),
    ]
    assert change.events[1].note == "retired: it had not advanced for 10 min 30 s"
    properties = apply(properties, change)
    assert statuses(properties) == {"a": (T, RETIRED), "b": (T + 9, ACTIVE)}


def test_who_goes_on_reporting_the_same_is_retired_once() -> None:
    properties = reported(("a", T))
    properties = apply(properties, idle(properties, WriterReport("a", T), after_minutes=11))
    for minutes in (12, 13, 100):
        assert idle(properties, WriterReport("a", T, "job-2", note="idle"), after_minutes=minutes) == WatermarkChange()


def test_a_report_in_time_saves_from_retirement() -> None:
    change = idle(reported(("a", T)), WriterReport("a", T + 1), after_minutes=11)
    assert told(change) == [(EventKind.ADVANCE, "a", T + 1), (EventKind.ADVANCE, None, T + 1)]


def test_a_writer_that_never_reports_is_retired_as_well() -> None:
    properties = reported(("a", None), ("b", T))
    assert read(properties).watermark_ms is None
    change = idle(properties, WriterReport("b", T + 1), after_minutes=11)
    assert told(change) == [
        (EventKind.ADVANCE, "b", T + 1),
        (EventKind.RETIRE, "a", None),
        (EventKind.ADVANCE, None, T + 1),
    ]


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
    assert idle(properties, after_minutes=60) == WatermarkChange()


def test_no_writer_is_retired_by_default() -> None:
    assert apply_reports(reported(("a", T)), [], now_ms=NOW + 10**12) == WatermarkChange()


# ------------------------------------------------------------------------------------------------ resets


def test_a_table_is_set_back_with_all_of_its_writers() -> None:
    properties = reported(("a", T), ("b", T + 5), ("late", T - 3), ("gone", T + 7), ("ended", FOREVER_MS))
    properties = apply(properties, retire_writer(properties, "gone", now_ms=NOW, by="me", reason="x"))
    back = T - 10
    change = reset_watermark(properties, back, now_ms=NOW + 1, by="me@here", reason="rolled back")
    assert told(change) == [
        (EventKind.RESET, "a", back),
        (EventKind.RESET, "b", back),
        (EventKind.RESET, "ended", back),
        (EventKind.RESET, "gone", back),
        (EventKind.RESET, "late", back),
        (EventKind.RESET, None, back),
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
    properties = apply(properties, retire_writer(properties, "a", now_ms=NOW, by="me", reason="x"))
    change = reset_watermark(properties, T - 10, writer="a", now_ms=NOW, by="me", reason="reload")
    assert told(change) == [(EventKind.RESET, "a", T - 10), (EventKind.RESET, None, T - 10)]
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
    with pytest.raises(
        ConflictError, match=r"Cannot set anything back to 2026.*: the watermark is 2026-11-25T01:00:00Z\."
    ):
        reset_watermark(properties, to_ms, writer=writer, now_ms=NOW, by="me", reason="x")


def test_nothing_can_be_set_back_where_nothing_is_known() -> None:
    with pytest.raises(ConflictError, match="the watermark is not known"):
        reset_watermark({}, T, now_ms=NOW, by="me", reason="x")
    with pytest.raises(UsageError, match="The table has no writer 'a'"):
        reset_watermark({}, T, writer="a", now_ms=NOW, by="me", reason="x")


def test_a_watermark_without_writers_can_be_set_back() -> None:
    properties = apply(
        {WATERMARK: str(T)}, reset_watermark({WATERMARK: str(T)}, T - 1, now_ms=NOW, by="me", reason="x")
    )
    assert read(properties).watermark_ms == T - 1


# ------------------------------------------------------------------------------------------------ new runs of the ended


def ran(writer: str, job_id: str, *, started_ms: int = NOW, watermark_ms: int | None = None) -> WriterReport:
    return WriterReport(writer, watermark_ms, job_id, started_ms=started_ms)


def ended_at(watermark_ms: int | None, **others: int) -> dict[str, str]:
    """Properties of a table whose writer ``w``, job-1, has ended after a watermark."""
    properties = reported(*others.items())
    for reached in (watermark_ms, FOREVER_MS):
        report = WriterReport("w", reached, "job-1")
        properties = apply(properties, apply_reports(properties, [report], now_ms=NOW))
    return properties


@pytest.mark.parametrize("proved", [None, T + 1], ids=["nothing proved yet", "proved more"])
def test_a_new_run_takes_its_writer_and_its_table_back(proved: int | None) -> None:
    properties = ended_at(T)
    assert read(properties).ended
    change = apply_reports(properties, [ran("w", "job-2", watermark_ms=proved)], now_ms=NOW + 9)
    mark = read(apply(properties, change))
    assert mark.watermark_ms == (proved or T)
    assert mark.writers == (WriterMark("w", proved or T, NOW + 9, job_id="job-2"),)
    resets = [(event.writer, event.watermark_ms, event.by) for event in change.events if event.kind is EventKind.RESET]
    assert resets == [("w", T, "recorder"), (None, T, "recorder")]
    record = json.loads(change.changed[RESET])
    assert (record["from-ms"], record["to-ms"], record["writer"]) == (FOREVER_MS, T, "w")


def test_a_table_goes_back_to_where_the_writer_that_had_ended_was() -> None:
    """It was called complete further than that on its word."""
    properties = ended_at(T, other=T + 50)
    assert read(properties).watermark_ms == T + 50
    mark = read(apply(properties, apply_reports(properties, [ran("w", "job-2")], now_ms=NOW)))
    assert mark.watermark_ms == T


def test_one_that_was_further_does_not_take_its_table_back() -> None:
    properties = ended_at(T + 50, other=T)
    change = apply_reports(properties, [ran("w", "job-2")], now_ms=NOW)
    assert read(apply(properties, change)).watermark_ms == T
    assert [event.watermark_ms for event in change.events if event.writer is None] == [T]


@pytest.mark.parametrize("forget", [True, False], ids=["recorded before there was a record of it", "none was proved"])
def test_where_it_was_may_not_be_known(forget: bool) -> None:
    properties = ended_at(T if forget else None)
    if forget:
        properties[STATE_PREFIX + "w"] = '{"job-id":"job-1"}'
    properties = apply(properties, apply_reports(properties, [ran("w", "job-2")], now_ms=NOW))
    mark = read(properties)
    assert (mark.watermark_ms, mark.writers[0].watermark_ms) == (None, None)
    assert properties[WATERMARK] == str(NOT_YET_MS)
    properties = apply(properties, apply_reports(properties, [ran("w", "job-2", watermark_ms=T)], now_ms=NOW))
    assert read(properties).watermark_ms == T


@pytest.mark.parametrize(
    "report",
    [
        WriterReport("w", None, "job-2", note="its job is FAILED"),  # an earlier one that is still listed
        ran("w", "job-1", started_ms=NOW - 1),  # the one that has ended, not gone yet
        ran("w", "job-1", started_ms=NOW - 1, watermark_ms=T + 1),
        ran("w", "job-2", watermark_ms=FOREVER_MS),  # it has ended as well
        WriterReport("w", T + 5),  # a person, who is told of `reset_watermark`
    ],
)
def test_what_is_no_new_run(report: WriterReport) -> None:
    properties = ended_at(T)
    assert read(apply(properties, apply_reports(properties, [report], now_ms=NOW + 5))).ended


def test_a_retired_writer_that_runs_again_does_not_take_its_table_back() -> None:
    properties = ended_at(T, other=T + 50)
    properties = apply(properties, retire_writer(properties, "w", now_ms=NOW, by="me", reason="x"))
    mark = read(apply(properties, apply_reports(properties, [ran("w", "job-2")], now_ms=NOW)))
    assert mark.watermark_ms == T + 50
    assert mark.writer("w") == replace(mark.writers[1], watermark_ms=T, status=WriterStatus.RETIRED)


@pytest.mark.parametrize("watermark", [FOREVER_MS + 1, 2**63 - 1, NOT_YET_MS, T * 1000])
def test_reports_of_what_is_no_time_are_refused(watermark: int) -> None:
    with pytest.raises(UsageError, match=f"Invalid watermark {watermark} of writer a"):
        WriterReport("a", watermark)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (WatermarkEvent(EventKind.ADVANCE, None, T, NOW), "table: advance, 2026-11-25 01:00 UTC"),
        (WatermarkEvent(EventKind.JOIN, "a", None, NOW), "writer a: join, not known yet"),
        (
            WatermarkEvent(EventKind.RETIRE, "a", T, NOW, by="me", note="too slow"),
            "writer a: retire, 2026-11-25 01:00 UTC (too slow)",
        ),
    ],
)
def test_an_event_in_a_few_words(event: WatermarkEvent, text: str) -> None:
    assert describe_event(event) == text


# ------------------------------------------------------------------------------------------------ a model


@dataclass
class Model:
    """What a table and its writers are worth, kept without any properties."""

    table: int | None = None
    writers: dict[str, tuple[int | None, WriterStatus]] = field(default_factory=dict)

    def report(self, reports: Mapping[str, int | None]) -> list[tuple[EventKind, str | None, int | None]]:
        events: list[tuple[EventKind, str | None, int | None]] = []
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
                events.append((EventKind.JOIN if joins else EventKind.ADVANCE, name, best))
            self.writers[name] = (best, status)
        return events + self.settle()

    def retire(self, name: str) -> list[tuple[EventKind, str | None, int | None]]:
        value, status = self.writers[name]
        self.writers[name] = (value, RETIRED)
        return [] if status is RETIRED else [(EventKind.RETIRE, name, value), *self.settle()]

    def reset(self, to: int) -> bool:
        before = self.table, dict(self.writers)
        for name, (value, status) in self.writers.items():
            self.writers[name] = (None if value is None else min(value, to), status)
        self.table = None if self.table is None else min(self.table, to)
        return before != (self.table, self.writers)

    def settle(self) -> list[tuple[EventKind, str | None, int | None]]:
        values = [value for value, status in self.writers.values() if status is ACTIVE]
        if values and None not in values and (self.table is None or min(values) > self.table):  # type: ignore[type-var]
            self.table = min(values)  # type: ignore[type-var]
            return [(EventKind.ADVANCE, None, self.table)]
        return []


NAMES = st.sampled_from(["a", "b", "c.d"])
TIMES = st.integers(-3, 12) | st.just(FOREVER_MS)
STEPS = st.one_of(
    st.tuples(st.just("report"), st.dictionaries(NAMES, TIMES | st.none(), min_size=1)),
    st.tuples(st.just("retire"), NAMES),
    st.tuples(st.just("reset"), st.integers(-3, 12)),
)


@pytest.mark.usefixtures("untraced")
@settings(max_examples=400, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_any_history(steps: list[tuple[str, Any]]) -> None:
    properties: Properties = {}
    model = Model()
    for step, argument in steps:
        before = read(properties).watermark_ms
        if step == "report":
            change = apply_reports(properties, [WriterReport(*item) for item in argument.items()], now_ms=NOW)
            assert told(change) == model.report(argument)
        elif step == "retire" and argument in model.writers:
            change = retire_writer(properties, argument, now_ms=NOW, by="me", reason="x")
            assert told(change) == model.retire(argument)
        elif step == "reset":
            if not model.reset(argument):
                with pytest.raises(ConflictError):
                    reset_watermark(properties, argument, now_ms=NOW, by="me", reason="x")
                continue
            change = reset_watermark(properties, argument, now_ms=NOW, by="me", reason="x")
            assert told(change)[-1] == (EventKind.RESET, None, model.table)
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
