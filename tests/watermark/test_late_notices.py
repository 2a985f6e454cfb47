from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.notices import NoticeKind
from autostream.notify.wording import write_letter
from autostream.times import FOREVER_MS
from autostream.watermark.conditions import Condition, judge
from autostream.watermark.late_notices import LatenessWatch, wait_timed_out
from autostream.watermark.marks import MarkSource, TableMark, WriterMark

NOW = 1_795_572_000_000  # 2026-11-25T02:00Z
MINUTE = 60_000


def mark(behind_ms: int | None, **changes: Any) -> TableMark:
    reached = None if behind_ms is None else NOW - behind_ms
    writer = WriterMark("ingest", reached, job_id="job-1", note="its job has failed")
    values: dict[str, Any] = {"source": MarkSource.WRITERS, "watermark_ms": reached, "writers": (writer,)}
    return TableMark("lake.db.orders", **(values | changes))


def looks(*behind_ms: int | None, allowed_ms: int = 10 * MINUTE) -> list[str]:
    watch = LatenessWatch(allowed_ms)
    found = [watch.look(mark(behind), NOW) for behind in behind_ms]
    return ["" if notice is None else notice.kind.value.removeprefix("watermark-") for notice in found]


@pytest.mark.parametrize(
    ("behind", "told"),
    [
        ([0, 10 * MINUTE], ["", ""]),
        ([10 * MINUTE + 1, 11 * MINUTE], ["late", ""]),
        ([11 * MINUTE, 6 * MINUTE, 11 * MINUTE], ["late", "", ""]),  # near the limit, it is told once
        ([11 * MINUTE, 5 * MINUTE, 4 * MINUTE, 11 * MINUTE], ["late", "caught-up", "", "late"]),
        ([None, None], ["", ""]),  # what is not known is not judged
        ([11 * MINUTE, None, 11 * MINUTE, 0], ["late", "", "", "caught-up"]),
        ([-MINUTE], [""]),
    ],
)
def test_a_table_is_told_of_when_it_becomes_late_and_when_it_has_caught_up(
    behind: list[int | None], told: list[str]
) -> None:
    assert looks(*behind) == told


@given(st.lists(st.integers(0, 30 * MINUTE) | st.none()))
def test_late_and_caught_up_take_turns(behind: list[int | None]) -> None:
    told = [kind for kind in looks(*behind) if kind]
    assert told == (["late", "caught-up"] * len(told))[: len(told)]


def test_a_table_that_has_ended_is_not_late_and_some_tables_may_be() -> None:
    assert LatenessWatch(1).look(mark(None, watermark_ms=FOREVER_MS), NOW) is None
    assert looks(10**10, allowed_ms=0) == [""]


def test_a_late_table_is_told_with_who_holds_it_back() -> None:
    notice = LatenessWatch(10 * MINUTE).look(mark(75 * MINUTE), NOW)
    assert notice
    english, chinese = write_letter(notice), write_letter(notice, language="zh-CN")
    assert english.title == "Warning: lake.db.orders is 1 h 15 min behind"
    assert "is complete up to 2026-11-25 00:45 UTC, 1 h 15 min ago. Allowed is 10 min." in english.body
    assert "held back by writer ingest (job job-1" in english.body
    assert "写入者 ingest 最慢（作业 job-1，its job has failed）。" in chinese.body


def test_a_wait_in_vain() -> None:
    condition = Condition(("lake.db.orders", "lake.db.clicks"), NOW)
    answer = judge(condition, {"lake.db.orders": mark(75 * MINUTE)})
    notice = wait_timed_out(condition, answer, waited_seconds=600, waiter="report.wait", at_ms=NOW)
    body = write_letter(notice).body
    assert (
        "report.wait waited 10 min for lake.db.orders, lake.db.clicks to be complete up to 2026-11-25 02:00 UTC" in body
    )
    assert "The watermark is not known." in body
    assert notice.kind is NoticeKind.WAIT_TIMED_OUT
    alone = wait_timed_out(Condition(("lake.db.orders",), NOW), answer, waited_seconds=1, waiter="x", at_ms=NOW)
    assert (alone.subject, alone.link) == ("table lake.db.orders", "/tables/lake.db.orders")
