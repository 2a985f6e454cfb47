"""Compare rows as multisets, with NaN equal to NaN and -0.0 different from 0.0."""

import datetime as dt
import decimal
import struct
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

Rows = pa.Table | pa.RecordBatchReader | Iterable[Mapping[str, Any]]


def canonical(value: Any) -> Any:
    """Return a hashable value that is equal for equal cells only."""
    if isinstance(value, float):
        return ("float", "NaN" if value != value else struct.pack(">d", value))
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, decimal.Decimal):
        return ("decimal", str(value.normalize() + 0))
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, dt.datetime):
        return ("instant", value.astimezone(dt.UTC).replace(tzinfo=None)) if value.tzinfo else ("timestamp", value)
    if isinstance(value, Mapping):
        return ("struct", tuple(sorted((name, canonical(v)) for name, v in value.items())))
    if isinstance(value, list):
        items = [canonical(v) for v in value]
        # What Arrow gives for a map: pairs, in an order of no meaning.
        return (
            ("map", frozenset(Counter(items).items()))
            if value and isinstance(value[0], tuple)
            else ("list", tuple(items))
        )
    if isinstance(value, tuple):
        return ("pair", *(canonical(v) for v in value))
    return value


def multiset(rows: Rows) -> Counter[Any]:
    """Return the rows as a multiset of canonical values; columns count by name, not by place."""
    if isinstance(rows, pa.RecordBatchReader):
        rows = rows.read_all()
    if isinstance(rows, pa.Table):
        rows = rows.to_pylist()
    return Counter(canonical(dict(row)) for row in rows)


def assert_same_rows(actual: Rows, expected: Rows, *, context: str = "") -> None:
    """Fail with the first differences, where the two multisets of rows differ."""
    got, want = multiset(actual), multiset(expected)
    if got != want:
        missing, unexpected = want - got, got - want
        raise AssertionError(
            f"{context or 'rows'}: {got.total()} rows instead of {want.total()}; "
            f"{missing.total()} missing, such as {list(missing.items())[:3]}; "
            f"{unexpected.total()} unexpected, such as {list(unexpected.items())[:3]}"
        )


def ticks_of(value: Any) -> Any:
    """Return a value as PyIceberg's transforms take it: days and microseconds since 1970, or since midnight."""
    match value:
        case dt.datetime():
            return (value.replace(tzinfo=None) - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)
        case dt.date():
            return (value - dt.date(1970, 1, 1)).days
        case dt.time():
            return ((value.hour * 60 + value.minute) * 60 + value.second) * 10**6 + value.microsecond
    return value
