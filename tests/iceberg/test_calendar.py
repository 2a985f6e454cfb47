"""Dates and times as text: as Python writes them where it can, and beyond."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    TruncateTransform,
    YearTransform,
)
from pyiceberg.types import DateType, IcebergType, LongType, StringType, TimestampType, TimestamptzType, TimeType

from autostream.iceberg.calendar import day_text, partition_text, timestamp_text

EPOCH = dt.datetime(1970, 1, 1)
DAYS = st.integers((dt.date.min - EPOCH.date()).days, (dt.date.max - EPOCH.date()).days)


@given(DAYS)
@example(0)
@example(-1)
@example((dt.date(2000, 2, 29) - EPOCH.date()).days)
@example((dt.date(1900, 3, 1) - EPOCH.date()).days)
def test_days_are_those_of_python(days: int) -> None:
    assert day_text(days) == (EPOCH.date() + dt.timedelta(days)).isoformat()


@given(st.datetimes())
def test_timestamps_are_those_of_python(moment: dt.datetime) -> None:
    assert timestamp_text((moment - EPOCH) // dt.timedelta(microseconds=1)) == moment.isoformat()


@pytest.mark.parametrize(
    ("days", "text"),
    [  # as java.time.LocalDate.ofEpochDay prints them
        (3663634, "+12000-09-09"),
        (2932897, "+10000-01-01"),
        (-719162, "0001-01-01"),
        (-719163, "0000-12-31"),
        (-719529, "-0001-12-31"),
        (2**31 - 1, "+5881580-07-11"),
        (-(2**31), "-5877641-06-23"),
    ],
)
def test_days_that_python_does_not_have(days: int, text: str) -> None:
    assert day_text(days) == text


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (2**63 - 1, "+294247-01-10T04:00:54.775807"),
        (-(2**63), "-290308-12-21T19:59:05.224192"),
        (253402300800000000, "+10000-01-01T00:00:00"),
    ],
)
def test_timestamps_that_python_does_not_have(microseconds: int, text: str) -> None:
    assert timestamp_text(microseconds) == text


NAMED: list[tuple[Transform[Any, Any], IcebergType]] = [
    (DayTransform(), DateType()),
    (HourTransform(), LongType()),
    (MonthTransform(), LongType()),
    (YearTransform(), LongType()),
    (BucketTransform(4), LongType()),
    (TruncateTransform(10), LongType()),
    (IdentityTransform(), LongType()),
    (IdentityTransform(), DateType()),
    (IdentityTransform(), TimestampType()),
    (IdentityTransform(), TimestamptzType()),
]


@pytest.mark.parametrize(("transform", "field_type"), NAMED, ids=str)
@given(st.one_of(st.none(), st.integers(-700_000, 2_900_000)))
def test_partitions_are_named_as_pyiceberg_does(
    transform: Transform[Any, Any], field_type: IcebergType, value: int | None
) -> None:
    assert partition_text(transform, field_type, value) == transform.to_human_string(field_type, value)


@given(st.times())
def test_times_are_named_as_pyiceberg_does(moment: dt.time) -> None:
    value = (dt.datetime.combine(EPOCH, moment) - EPOCH) // dt.timedelta(microseconds=1)
    assert partition_text(IdentityTransform(), TimeType(), value) == moment.isoformat()


def test_partitions_that_pyiceberg_cannot_name() -> None:
    assert partition_text(DayTransform(), DateType(), 3663634) == "+12000-09-09"
    assert partition_text(HourTransform(), LongType(), 3663634 * 24 + 5) == "+12000-09-09-05"
    assert partition_text(IdentityTransform(), TimestamptzType(), 2**63 - 1) == "+294247-01-10T04:00:54.775807+00:00"
    assert partition_text(IdentityTransform(), StringType(), "x") == "x"
