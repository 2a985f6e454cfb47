"""Filters that cannot be read or do not fit: the message says where, why, and what to write."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.expressions.parser import parse
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    TruncateTransform,
    YearTransform,
)
from pyiceberg.types import (
    DateType,
    DecimalType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
)

from autostream.errors import UsageError
from autostream.lake.engine.where.expression import bind_where, parse_where
from autostream.lake.engine.where.syntax_faults import find_fault

SCHEMA = Schema(
    NestedField(1, "id", LongType()),
    NestedField(2, "kind", StringType()),
    NestedField(3, "at", TimestamptzType()),
    NestedField(4, "local", TimestampType()),
    NestedField(5, "born", DateType()),
    NestedField(6, "price", DecimalType(9, 2)),
    NestedField(7, "st", StructType(NestedField(8, "x", LongType(), required=False))),
)
SPEC = PartitionSpec(
    PartitionField(3, 1000, DayTransform(), "at_day"),
    PartitionField(4, 1001, HourTransform(), "local_hour"),
    PartitionField(5, 1002, MonthTransform(), "born_month"),
    PartitionField(5, 1003, YearTransform(), "born_year"),
    PartitionField(1, 1004, BucketTransform(4), "id_bucket"),
    PartitionField(2, 1005, TruncateTransform(2), "kind_start"),
    PartitionField(2, 1006, IdentityTransform(), "sort"),
    PartitionField(99, 1007, DayTransform(), "gone"),
)


@pytest.mark.parametrize(
    ("where", "position", "reason", "repaired"),
    [
        ("id =", 4, "A value is expected here", None),
        ("", 0, "The filter is empty", None),
        ("id", 2, "One of =, !=", None),
        ('kind = "eu"', 7, "Double quotes are for columns. Write a text in single quotes: 'eu'", "kind = 'eu'"),
        ("kind = eu", 7, "Write a text in single quotes: 'eu'. Two columns cannot", "kind = 'eu'"),
        ("born=2026-11-23 and id=1", 5, "Write a date or time in single quotes: '2026-11-23'",
         "born='2026-11-23' and id=1"),
        ("at > 2026-11-23T07:00:00Z", 5, "'2026-11-23T07:00:00Z'", "at > '2026-11-23T07:00:00Z'"),
        ("at > 2026-11-23 07:00 OR id=1", 5, "'2026-11-23 07:00'", "at > '2026-11-23 07:00' OR id=1"),
        ("born > DATE '2026-11-23'", 7, "Leave out the type. Write '2026-11-23'", "born > '2026-11-23'"),
        ("id IN 5", 6, "A list in parentheses", None),
        ("id IN ()", 7, "A value is expected", None),
        ("id IN (1, 'x')", 10, "The values of a list must have one kind", None),
        ("id IN (1", 8, "A comma or a closing parenthesis", None),
        ("kind = 'eu", 7, "This quote is not closed", None),
        ("kind = ‘eu’", 7, "another kind of quote", None),
        ("id = NULL", 5, "Write IS NULL", None),
        ("id IS 5", 6, "NULL or NAN is expected", None),
        ("kind LIKE '%eu'", 10, "A pattern can have only one %, at its end", None),
        ("kind LIKE 5", 10, "A pattern in single quotes", None),
        ("kind ILIKE 'eu%'", 5, "Only LIKE is available", None),
        ("id NOT BETWEEN 1 AND 2", 7, "NOT BETWEEN is not available", None),
        ("id BETWEEN 1", 12, "AND is expected here", None),
        ("date(at) = '2026-11-23'", 0, "Functions are not available. Compare the column itself", None),
        ("at > now()", 5, "Functions are not available. Write the value itself", None),
        ("id = 1 && id = 2", 7, "Write AND", None),
        ("id = 1 || id = 2", 7, "Write OR", None),
        ("!id = 1", 0, "Write NOT", None),
        ("(id = 1", 7, "A closing parenthesis is expected", None),
        ("id = 1)", 6, "No parenthesis was opened", None),
        ("id = 1;", 6, "AND, OR or the end is expected", None),
        ("id = 1 AND", 10, "A comparison is expected here", None),
        ("id = 1e5", 5, "1e5 is not a number", None),
        ("my-id = 1", 0, 'in double quotes: "my-id"', '"my-id" = 1'),
        ("größe = 1", 0, 'in double quotes: "größe"', '"größe" = 1'),
        ("5 < 6", 4, "A comparison is expected", None),
        ("5 6", 2, "One of =, !=", None),
    ],
)  # fmt: skip
def test_the_first_fault_is_found(where: str, position: int, reason: str, repaired: str | None) -> None:
    with pytest.raises(Exception):  # noqa: B017
        parse(where)
    fault = find_fault(where)
    assert fault is not None
    assert (fault.position, fault.repaired) == (position, repaired)
    assert reason in fault.reason
    if repaired:
        assert find_fault(repaired) is None
    with pytest.raises(UsageError) as raised:
        parse_where(where)
    message = str(raised.value)
    assert message.startswith(f"Invalid filter (--where). {fault.reason}")
    assert len(message) < 300
    assert message.split("\n")[1:] == [f"    {where}", " " * (4 + position) + "^"]


@pytest.mark.parametrize(
    "where",
    [
        "id == 1 and kind <> 'it''s' or not (born >= '2026-11-23')",
        "id IN (1, 2) AND kind NOT IN ('a') AND price in (1.5, .5)",
        "kind LIKE 'a%' or kind not like 'b' or kind like 'a\\%b%'",
        "id BETWEEN 1 AND 2 and at IS NOT NULL and price is not nan",
        '5 < id and -1 <= st.x and "a b".c = true',
        "true",
        "not id is null",
    ],
)
def test_sound_filters_have_no_fault(where: str) -> None:
    parse(where)
    assert find_fault(where) is None


WORDS = "id kind = < IN ( ) , 'a' 5 -1.5 AND OR NOT LIKE BETWEEN IS NULL \" ' . && 2026-01-01 é"


@settings(max_examples=50)
@given(st.lists(st.sampled_from(WORDS.split())))
def test_a_filter_that_cannot_be_read_is_always_one_short_message(words: list[str]) -> None:
    where = " ".join(words)
    try:
        parse(where)
    except Exception:
        with pytest.raises(UsageError, match=r"^Invalid filter \(--where\)\. ") as raised:
            parse_where(where)
        assert len(str(raised.value).split("\n")[0]) < 220


def test_a_long_filter_is_shown_around_its_fault() -> None:
    where = "id = 1 AND " * 40 + "id = x AND " + "id = 1 AND " * 40 + "id = 1"
    with pytest.raises(UsageError) as raised:
        parse_where(where)
    _, line, caret = str(raised.value).split("\n")
    assert len(line) < 80
    assert line[caret.index("^")] == "x"


def misfit(where: str) -> str:
    with pytest.raises(UsageError) as raised:
        bind_where(parse_where(where), SCHEMA, [SPEC])
    return str(raised.value).removeprefix("The filter (--where) does not fit the table: ")


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("ID = 1", "unknown column ID. Columns: id, kind, at, local, born, price, st.x, st. Did you mean id?"),
        ("id = 1 OR NOT nothing = 1", "unknown column nothing. Columns: "),
        ("id = 'x'", "column id is of type long and cannot be compared with 'x'. Write, for example, 5."),
        ("kind = 5", "column kind is of type string and cannot be compared with 5. Write, for example, '5'."),
        ("at > '2026-11-23'", "compared with '2026-11-23'. Write, for example, '2026-11-23T00:00:00+00:00'."),
        ("local > 'x'", "Write, for example, '2026-11-23T07:30:00'."),
        ("born = 'soon'", "of type date and cannot be compared with 'soon'. Write, for example, '2026-11-23'."),
        ("id LIKE '5%'", "LIKE compares texts, and column id is of type long."),
        ("id IN ('a', 'b')", "compared with 'a', 'b'. Write"),
        ("at_day = '2026-11-23'", "at_day is a partition field of column at (its day). Compare the column instead: "
         "at >= '2026-11-23T00:00:00+00:00' AND at < '2026-11-24T00:00:00+00:00'"),
        ("at_day >= '2026-11-23'", "Compare the column instead: at >= '2026-11-23T00:00:00+00:00'"),
        ("at_day > '2026-11-23'", "Compare the column instead: at >= '2026-11-24T00:00:00+00:00'"),
        ("at_day < '2026-11-23'", "Compare the column instead: at < '2026-11-23T00:00:00+00:00'"),
        ("at_day <= '2026-11-23'", "Compare the column instead: at < '2026-11-24T00:00:00+00:00'"),
        ("at_day != '2026-11-23'", "at < '2026-11-23T00:00:00+00:00' OR at >= '2026-11-24T00:00:00+00:00'"),
        ("at_day = '2026-02-30'", "Compare the column instead: at >= '2026-11-23T07:30:00+00:00'"),
        ("at_day IS NULL", "Compare the column instead: at >= '2026-11-23T07:30:00+00:00'"),
        ("at_day = '9999-12-31'", "Compare the column instead: at >= "),
        ("local_hour = '2026-11-23-07'", "local >= '2026-11-23T07:00:00' AND local < '2026-11-23T08:00:00'"),
        ("born_month = '2026-12'", "born >= '2026-12-01' AND born < '2027-01-01'"),
        ("born_year = 2026", "born >= '2026-01-01' AND born < '2027-01-01'"),
        ("id_bucket = 3", "id_bucket is a partition field of column id (bucket[4]). Compare id instead: it"),
        ("kind_start = 'eu'", "field of column kind (truncate[2]). Compare kind instead"),
        ("sort = 'eu'", "sort is a partition field of column kind. Compare kind instead."),
        ("gone = '2026-11-23'", "its source column was dropped"),
    ],
)  # fmt: skip
def test_what_does_not_fit_a_table_is_explained(where: str, says: str) -> None:
    assert says in misfit(where)


def test_a_partition_field_is_explained_before_the_quotes_are_missed() -> None:
    with pytest.raises(UsageError, match=r"at_day is a partition field.*AND at < '2026-11-24.*\n    at_day="):
        parse_where("at_day=2026-11-23", schema=SCHEMA, specs=[SPEC])
    for elsewhere_wrong in ("at_day=2026-11-23 AND", "born=2026-11-23 AND id = 1e5"):
        with pytest.raises(UsageError, match="in single quotes"):
            parse_where(elsewhere_wrong, schema=SCHEMA, specs=[SPEC])
    with pytest.raises(UsageError, match="in single quotes: '2026-11-23'"):
        parse_where("born=2026-11-23", schema=SCHEMA, specs=[SPEC])
