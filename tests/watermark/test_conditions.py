"""Conditions are met or not, and say why in a sentence."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from autostream.errors import UsageError
from autostream.times import FOREVER_MS, parse_instant
from autostream.watermark.conditions import Answer, Condition, Quantifier, judge
from autostream.watermark.marks import MarkSource, TableMark, WriterMark, WriterStatus, slowest

A, B = "lake.db.a", "lake.db.b"


def ms(text: str) -> int:
    return parse_instant(f"2026-11-25T{text}Z" if "T" not in text else text)


def writer(name: str, watermark: str | None, **details: Any) -> WriterMark:
    return WriterMark(name, None if watermark is None else ms(watermark), **details)


def mark(watermark: str | None, *writers: WriterMark, table: str = A, **details: Any) -> TableMark:
    source = details.pop("source", MarkSource.WRITERS if writers else None)
    return TableMark(table, source, None if watermark is None else ms(watermark), writers, **details)


def judged(until: str, *marks: TableMark, tables: tuple[str, ...] = (A,), **condition: Any) -> Answer:
    return judge(Condition(tables, ms(until), **condition), {mark.table: mark for mark in marks})


SLOW = writer("ingest", "01:47", job_id="7f3a", recorded_at_ms=ms("01:50"), note="its job is RESTARTING")


@pytest.mark.parametrize(
    ("until", "found", "condition", "met", "explanation"),
    [
        ("02:00", mark("02:00"), {}, True, "watermark 02:00, need 02:00 UTC: complete"),
        ("02:00", mark("02:00:01"), {}, True, "watermark 02:00:01, need 02:00 UTC: complete"),
        ("02:00", mark("01:59:59.999"), {}, False, "watermark 01:59:59, need 02:00 UTC, 1 ms short"),
        (
            "02:00",
            mark("01:47", SLOW, writer("fast", "01:59")),
            {"lateness_ms": 300_000},
            False,
            "watermark 01:47, need 02:05 UTC (02:00 + 5 min), 18 min short, held back by writer ingest "
            "(job 7f3a, there since 01:50, its job is RESTARTING)",
        ),
        (
            "02:00",
            mark("02:04", writer("x", "02:04")),
            {"lateness_ms": 300_000},
            False,
            "watermark 02:04, need 02:05 UTC (02:00 + 5 min), 1 min short, held back by writer x",
        ),
        (
            "02:00",
            mark("02:05", writer("x", "02:05")),
            {"lateness_ms": 300_000},
            True,
            "watermark 02:05, need 02:05 UTC (02:00 + 5 min): complete",
        ),
        (
            "2026-11-26T00:00Z",
            mark("23:00"),
            {"lateness_ms": 600_000},
            False,
            "watermark 2026-11-25 23:00, need 2026-11-26 00:10 UTC (00:00 + 10 min), 1 h 10 min short",
        ),
        (
            "2026-11-20T00:00Z",
            mark("02:00"),
            {},
            True,
            "watermark 2026-11-25 02:00, need 2026-11-20 00:00 UTC: complete",
        ),
        (
            "2026-11-26T00:00Z",
            mark("22:30"),
            {"zone": ZoneInfo("Europe/Berlin")},
            False,
            "watermark 2026-11-25 23:30, need 2026-11-26 01:00 Europe/Berlin, 1 h 30 min short",
        ),
        (
            "02:00",
            mark("9999-12-31T23:59:59.999Z", writer("x", "9999-12-31T23:59:59.999Z")),
            {},
            True,
            "watermark the end of all data, need 2026-11-25 02:00 UTC: complete",
        ),
        (
            "02:00",
            mark("01:00", source=MarkSource.COLUMN),
            {},
            False,
            "watermark 01:00, estimated from a column's bounds, need 02:00 UTC, 1 h short",
        ),
        (
            "02:00",
            mark("02:00", source=MarkSource.COLUMN),
            {},
            True,
            "watermark 02:00, estimated from a column's bounds, need 02:00 UTC: complete",
        ),
        (
            "02:00",
            mark(None),
            {},
            False,
            "its watermark is not known, need 2026-11-25 02:00 UTC: no writer reports a watermark",
        ),
        (
            "02:00",
            mark(None, problems=("table property x is 'y', which is no time",)),
            {},
            False,
            "its watermark is not known, need 2026-11-25 02:00 UTC: table property x is 'y', which is no time",
        ),
        (
            "02:00",
            mark(None, writer("x", None, status=WriterStatus.RETIRED)),
            {},
            False,
            "its watermark is not known, need 2026-11-25 02:00 UTC: none of its writers is active",
        ),
        (
            "02:00",
            mark(None, writer("x", "03:00"), writer("y", None, job_id="7f3a", recorded_at_ms=ms("01:00"))),
            {},
            False,
            "its watermark is not known, need 2026-11-25 02:00 UTC, held back by writer y "
            "(job 7f3a, it has not reported yet)",
        ),
        (
            "02:00",
            mark(
                "01:00",
                writer("x", "00:30", status=WriterStatus.CATCHING_UP),
                writer("y", "00:10", status=WriterStatus.RETIRED),
            ),
            {},
            False,
            "watermark 01:00, need 02:00 UTC, 1 h short",
        ),
    ],
)
def test_the_answer_of_a_table(
    until: str, found: TableMark, condition: dict[str, Any], met: bool, explanation: str
) -> None:
    answer = judged(until, found, **condition)
    assert (answer.met, answer.explanation) == (met, f"{A}: {explanation}")
    assert answer.known is (found.watermark_ms is not None)
    assert answer.watermark_ms == found.watermark_ms


def test_a_table_that_could_not_be_read() -> None:
    answer = judged("02:00")
    assert (answer.met, answer.known, answer.held_back_by) == (False, False, None)
    assert answer.explanation == f"{A}: could not read its watermark, need 2026-11-25 02:00 UTC"


TWO = (writer("x", "03:00"), SLOW)


@pytest.mark.parametrize(
    ("names", "met", "held_back_by", "explanation"),
    [
        (("x",), True, None, "watermark 03:00, need 02:00 UTC: complete"),
        (
            ("x", "ingest"),
            False,
            "ingest",
            "watermark 01:47, need 02:00 UTC, 13 min short, held back by writer ingest "
            "(job 7f3a, there since 01:50, its job is RESTARTING)",
        ),
        (
            ("x", "nobody"),
            False,
            "nobody",
            "its watermark is not known, need 2026-11-25 02:00 UTC, held back by writer nobody "
            "(it has not reported yet)",
        ),
    ],
)
def test_named_writers(names: tuple[str, ...], met: bool, held_back_by: str | None, explanation: str) -> None:
    answer = judged("02:00", mark("01:47", *TWO), writers=names)
    assert (answer.met, answer.held_back_by, answer.explanation) == (met, held_back_by, f"{A}: {explanation}")


@pytest.mark.parametrize("status", WriterStatus)
def test_a_named_writer_counts_whatever_the_table_thinks_of_it(status: WriterStatus) -> None:
    found = mark("03:00", writer("x", "01:00", status=status), writer("y", "03:00"))
    answer = judged("02:00", found, writers=("x",))
    assert (answer.met, answer.watermark_ms, answer.held_back_by) == (False, ms("01:00"), "x")


SHORT_A = f"{A}: watermark 01:47, need 02:00 UTC, 13 min short"
SHORT_B = f"{B}: watermark 01:50, need 02:00 UTC, 10 min short"


@pytest.mark.parametrize(
    ("quantifier", "a", "b", "met", "watermark", "explanation"),
    [
        (
            Quantifier.ALL,
            "02:00",
            "02:30",
            True,
            "02:00",
            f"all 2 tables are complete; the last one: {A}: watermark 02:00, need 02:00 UTC: complete",
        ),
        (Quantifier.ALL, "01:47", "02:30", False, "01:47", SHORT_A),
        (Quantifier.ALL, "01:47", "01:50", False, "01:47", f"{SHORT_A}; {SHORT_B}"),
        (
            Quantifier.ALL,
            "01:47",
            None,
            False,
            None,
            f"{SHORT_A}; {B}: its watermark is not known, need 2026-11-25 02:00 UTC: no writer reports a watermark",
        ),
        (Quantifier.ANY, "01:47", "02:30", True, "02:30", f"{B}: watermark 02:30, need 02:00 UTC: complete"),
        (Quantifier.ANY, "01:47", "01:50", False, "01:50", f"{SHORT_A}; {SHORT_B}"),
        (
            Quantifier.ANY,
            None,
            "01:50",
            False,
            "01:50",
            f"{A}: its watermark is not known, need 2026-11-25 02:00 UTC: no writer reports a watermark; {SHORT_B}",
        ),
    ],
)
def test_several_tables(
    quantifier: Quantifier, a: str | None, b: str | None, met: bool, watermark: str | None, explanation: str
) -> None:
    answer = judged("02:00", mark(a), mark(b, table=B), tables=(A, B), quantifier=quantifier)
    assert (answer.met, answer.explanation) == (met, explanation)
    assert answer.watermark_ms == (None if watermark is None else ms(watermark))
    assert [part.explanation.split(":")[0] for part in answer.parts] == [A, B]


def test_an_invalid_condition() -> None:
    with pytest.raises(UsageError, match="at least one table"):
        Condition((), 0)
    with pytest.raises(UsageError, match="Invalid lateness of -1 ms: it must be 0 or more"):
        Condition((A,), 0, lateness_ms=-1)


def test_nothing_later_than_the_end_of_all_data_is_needed() -> None:
    assert Condition((A,), FOREVER_MS, lateness_ms=1).need_ms == FOREVER_MS
    assert judged("9999-12-31T23:59:59Z", mark("9999-12-31T23:59:59.999Z"), lateness_ms=10**9).met


def test_an_answer_as_json() -> None:
    assert judged("02:00", mark("01:47", SLOW)).to_dict() == {
        "met": False,
        "known": True,
        "need": "2026-11-25T02:00:00Z",
        "need_ms": ms("02:00"),
        "watermark": "2026-11-25T01:47:00Z",
        "watermark_ms": ms("01:47"),
        "held_back_by": "ingest",
        "explanation": f"{SHORT_A}, held back by writer ingest (job 7f3a, there since 01:50, its job is RESTARTING)",
    }


@pytest.mark.parametrize(
    ("writers", "name"),
    [
        ([], None),
        ([writer("x", "01:00", status=WriterStatus.RETIRED)], None),
        ([writer("x", "01:00"), writer("y", "00:30")], "y"),
        ([writer("x", "1960-01-01T00:00Z"), writer("y", None)], "y"),
        ([writer("x", "01:00", recorded_at_ms=9), writer("y", "01:00", recorded_at_ms=5)], "y"),
    ],
)
def test_the_slowest_writer(writers: list[WriterMark], name: str | None) -> None:
    found = slowest(writers)
    assert (found.name if found else None) == name
