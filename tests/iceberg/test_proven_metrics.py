"""What writers order differently, count wrongly or cut: in manifests and in footers it must not hide a row."""

import datetime as dt
import struct
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionField
from pyiceberg.transforms import (
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    TimeTransform,
    YearTransform,
)
from pyiceberg.typedef import Record
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
    UUIDType,
)

from autostream.iceberg.files import Content, LiveFile
from autostream.iceberg.proven_metrics import bound_value, column_facts
from tests.support.footers import set_statistics
from tests.support.foreign import ForeignTable, bounds

UUIDS = [uuid.UUID(int=(n << 124) | (4 << 76) | (8 << 60) | n) for n in range(16)]
ID, V = NestedField(1, "id", LongType(), required=True), NestedField(2, "v", LongType())


def path_of(file: DataFile) -> Path:
    return Path(file.file_path.removeprefix("file://"))


# ------------------------------------------------------------------------------------------------- in manifests


@pytest.mark.parametrize(
    ("field_type", "raw", "value"),
    [
        (IntegerType(), struct.pack("<i", -5), -5),
        (LongType(), struct.pack("<i", -5), -5),  # of the column's time as an int
        (LongType(), b"\x05", None),
        (DateType(), struct.pack("<q", 5), None),
        (TimestampType(), struct.pack("<i", 5), None),  # of the column's time as a date: another unit
        (TimestampType(), struct.pack("<q", -(2**63)), -(2**63)),
        (DecimalType(9, 2), b"\xff", -1),
        (DecimalType(9, 2), b"", None),
        (BooleanType(), b"\x01", 1),
        (BooleanType(), b"\xff", None),
        (StringType(), b"abc", "abc"),
        (StringType(), "ab\u00e9".encode(), None),
        (StringType(), b"ab\xff", None),
        (UUIDType(), UUIDS[1].bytes, None),
        (BinaryType(), b"a", None),
        (FixedType(1), b"a", None),
        (FloatType(), struct.pack("<f", 1.0), None),
        (DoubleType(), struct.pack("<d", 1.0), None),
        (None, b"a", None),
        (LongType(), None, None),
    ],
)
def test_a_bound_is_relied_on_where_all_writers_order_alike(
    field_type: IcebergType | None, raw: bytes | None, value: Any
) -> None:
    assert bound_value(raw, field_type) == value


def signed(text: str) -> list[int]:
    return [byte - 256 if byte > 127 else byte for byte in text.encode()]


ORDERS: tuple[Callable[[str], Any], ...] = (
    signed,  # as old footers have it
    lambda text: text,
    lambda text: text.encode(),
    lambda text: text.encode("utf-16-be"),  # as Java compares characters
)
TEXT = st.text(st.sampled_from("a~\u00e9\u8a9e\ue000\uffee\U0001f600"), max_size=3)


@given(
    ours=st.lists(TEXT, min_size=1), theirs=st.lists(TEXT, min_size=1), orders=st.tuples(*[st.sampled_from(ORDERS)] * 2)
)
def test_bounds_of_strings_in_any_order_rule_out_no_common_value(
    ours: list[str], theirs: list[str], orders: tuple[Callable[[str], Any], ...]
) -> None:
    facts = []
    for values, order in zip((ours, theirs), orders, strict=True):
        said = bounds(min(values, key=order).encode(), max(values, key=order).encode(), rows=len(values))
        said["null_counts"] = said.pop("null_value_counts")
        file = LiveFile(Content.DATA, "f", "parquet", (0, ()), len(values), 1, 1, **said)
        facts.append(column_facts(file, 1, StringType()))
    assert facts[0] is not None
    assert facts[1] is not None
    assert facts[0].overlaps(facts[1]) or not set(ours) & set(theirs)


@pytest.mark.parametrize("ends", [(8, 7), (3, 4)], ids=["signed", "in-order-and-too-narrow"])
def test_uuid_bounds_of_java_rule_nothing_out(ends: tuple[int, int], lake: SqlCatalog) -> None:
    """Java orders UUIDs as two signed longs, over several row groups by both orders in turn."""
    table = ForeignTable(lake, NestedField(1, "u", UUIDType(), required=True), V)
    rows = pa.table({"u": pa.array([u.bytes for u in UUIDS], pa.binary(16)), "v": range(16)})
    table.commit(table.data(rows, **bounds(UUIDS[ends[0]].bytes, UUIDS[ends[1]].bytes, rows=16)))
    gone = [UUIDS[n].bytes for n in (1, 12)]
    deletes = table.equality_deletes(
        pa.table({"u": pa.array(gone, pa.binary(16))}), **bounds(max(gone), min(gone), rows=2)
    )
    table.commit(deletes)
    left = [n for n in range(16) if n not in (1, 12)]
    assert table.read("v") == left
    assert table.read("v", where=f"u = '{UUIDS[14]}'") == [14]
    assert table.compact().rows_deleted == 2
    assert table.read("v") == left


@pytest.mark.parametrize(
    "said",
    [
        {"record_count": 0},  # XTable does not count
        {"record_count": -1},  # nor does Iceberg's import of Avro files
        {"record_count": 2, **bounds(struct.pack("<q", 9), struct.pack("<q", 3), rows=2)},
        {"record_count": 5, **bounds(struct.pack("<q", 3), struct.pack("<q", 3), rows=2, nulls=2)},
        {"value_counts": {1: 2}, "null_value_counts": {1: 2}, "lower_bounds": {1: struct.pack("<q", 3)}},
    ],
)
def test_counts_that_cannot_be_true_hide_no_row(said: dict[str, Any], lake: SqlCatalog) -> None:
    table = ForeignTable(lake, ID, V)
    table.commit(table.data(pa.table({"id": [1, 2], "v": [1, None]}), **said))
    assert table.read("id", where="id < 3") == [1, 2]
    assert table.read("id", where="id = 2") == [2]


def test_cut_paths_in_position_deletes_name_no_file(lake: SqlCatalog) -> None:
    """Equal bounds are the path of the only file only if they are whole; some writers cut them and raise no end."""
    table = ForeignTable(lake, ID)
    data = table.data(pa.table({"id": [1, 2, 3]}))
    table.commit(data)
    cut = data.file_path[:16].encode()
    said = {"lower_bounds": {2147483546: cut}, "upper_bounds": {2147483546: cut}}
    table.commit(table.position_deletes((data.file_path, 1), **said))
    assert table.read("id") == [1, 3]
    assert table.compact().rows_deleted == 1
    assert table.read("id") == [1, 3]


# ------------------------------------------------------------------------------------------------- before 1970


@pytest.mark.parametrize(
    ("transform", "stored"), [(YearTransform(), 0), (MonthTransform(), 0), (DayTransform(), 0), (HourTransform(), 0)]
)
@pytest.mark.parametrize("right", [False, True], ids=["rounded-towards-zero", "rounded-down"])
def test_partitions_before_1970_of_old_java(
    transform: TimeTransform[Any], stored: int, right: bool, lake: SqlCatalog
) -> None:
    field_type = TimestamptzType() if isinstance(transform, DayTransform) else TimestampType()
    table = ForeignTable(lake, ID, NestedField(2, "ts", field_type), by=[PartitionField(2, 1000, transform, "part")])
    zone = "UTC" if isinstance(field_type, TimestamptzType) else None
    at = pa.array([-1_800_000_000], pa.timestamp("us", zone))  # half past eleven on the last day of 1969
    table.commit(table.data(pa.table({"id": [1], "ts": at}), partition=Record(stored - right)))
    offset = "+00:00" if zone else ""
    for where in (f"ts < '1970-01-01T00:00:00{offset}'", f"ts = '1969-12-31T23:30:00{offset}'"):
        assert table.read("id", where=where) == [1], where
    assert table.read("id", where=f"ts IN ('1969-12-31T23:30:00{offset}', '1969-12-31T21:30:00{offset}')") == [1]
    assert table.read("id", where=f"ts >= '1970-01-01T00:00:00{offset}'") == []


# ------------------------------------------------------------------------------------------------- in footers

FOOTERS = [
    (StringType(), pa.array(["b", "c"]), b"x", b"y", "'b'"),
    (UUIDType(), pa.array([u.bytes for u in UUIDS[1:3]], pa.uuid()), UUIDS[5].bytes, UUIDS[6].bytes, f"'{UUIDS[1]}'"),
    (
        DecimalType(38, 1),
        pa.array([Decimal("1.0"), Decimal("2.0")], pa.decimal128(38, 1)),
        bytes(15) + b"Z",
        bytes(15) + b"Z",
        "1.0",
    ),
    (
        TimestampType(),
        pa.array([dt.datetime(1970, 1, 1, 1), dt.datetime(1999, 1, 1)], pa.timestamp("us")),
        struct.pack("<qi", 5, 2440590),
        struct.pack("<qi", 6, 2440590),
        "'1970-01-01T01:00:00'",
    ),
    (LongType(), pa.array([1, 2**40], pa.int64()), struct.pack("<q", 5), struct.pack("<q", 6), "1"),
]


FEWER = [(0, True), (1, False), (3, True)]


@pytest.mark.parametrize(
    ("kind", "deprecated"),
    [
        pytest.param(kind, old, marks=() if (kind, old) in FEWER else pytest.mark.exhaustive)
        for kind in range(len(FOOTERS))
        for old in (True, False)
    ],
)
def test_statistics_of_footers_hide_and_change_nothing(kind: int, deprecated: bool, lake: SqlCatalog) -> None:
    """Wrong statistics: in another order, or of INT96, for which there is none. A sort by them changed values."""
    field_type, values, least, greatest, literal = FOOTERS[kind]
    legacy = {"use_deprecated_int96_timestamps": isinstance(field_type, TimestampType)}
    table = ForeignTable(lake, NestedField(1, "k", field_type), V)
    with table.load().update_sort_order() as order:
        order.asc("k", IdentityTransform())

    def add(keys: pa.Array, v: list[int | None]) -> None:
        file = table.data(pa.table({"k": keys, "v": v}), written=legacy)
        set_statistics(path_of(file), 0, (least, greatest), deprecated=deprecated)
        set_statistics(path_of(file), 1, (b"\1" + bytes(7), b"\1" + bytes(7)))  # and no null
        table.commit(table.entry(path_of(file)))

    add(values, [1, None])
    before = table.read("k")

    def holds(times: int) -> None:
        assert table.read("k") == sorted(before * times)
        assert table.read("v", where=f"k = {literal}") == [1] * times
        assert table.read("k", where="v IS NULL") == [max(before)] * times

    holds(1)
    assert table.compact().status == "committed"
    holds(1)
    add(values, [1, None])
    add(values, [1, None])
    holds(3)
    assert table.compact().status == "committed"
    holds(3)
    deletes = table.equality_deletes(pa.table({"k": values[:1]}), written=legacy)
    set_statistics(path_of(deletes), 0, (least, greatest), deprecated=deprecated)
    table.commit(table.entry(path_of(deletes), content=deletes.content, equality_ids=[1]))
    assert table.read("k") == [max(before)] * 3
    assert table.compact().rows_deleted == 3
    assert table.read("k") == [max(before)] * 3
