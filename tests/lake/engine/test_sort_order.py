"""A table's sort order inside outputs, judged by sorting with PyIceberg's transforms."""

import datetime as dt
import functools
import math
import random
import struct
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import NullOrder, SortDirection, SortField, SortOrder
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    TruncateTransform,
    UnknownTransform,
    VoidTransform,
    YearTransform,
)
from pyiceberg.types import (
    BinaryType,
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
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from autostream.demo.writer import Changes, UpsertWriter
from autostream.errors import UnsupportedTableError
from autostream.lake.engine.duckdb_engine import Engine
from autostream.lake.engine.sort_order import order_by
from tests.lake.writing import arrow_rows, engine_in, relation
from tests.support.lakes import ORDERS, Orders, compact
from tests.support.rows import ticks_of

VALUES: dict[IcebergType, list[Any]] = {
    IntegerType(): [0, -1, 1, 7, -7, 10, -10, 11, -11, 2**31 - 1, -(2**31)],
    LongType(): [0, -1, 1, 7, -7, 10, -10, 11, -11, 2**63 - 1, -(2**63)],
    DecimalType(9, 2): [Decimal(v) for v in ("0.00", "-0.05", "0.05", "-1.00", "10.49", "-10.49", "99.99", "-0.50")],
    DecimalType(38, 10): [Decimal(f"{v}E-10") for v in (0, -5, 5, 10**20, -(10**20), 10**37, -(10**37) - 3, 149)],
    StringType(): ["", "a", "ab", "abc", "b", "žlu", "žlt", "\U0001f600a", "Z", "aa\x00"],
    BinaryType(): [b"", b"\x00", b"\xff", b"a", b"ab", b"abc", b"\x80", b"ab\xff"],
    FixedType(2): [b"aa", b"ab", b"\x00\x00", b"\xff\xff", b"\x80a"],
    UUIDType(): [uuid.UUID(int=v) for v in (0, 1, 2**127, 2**128 - 1, 2**64)],
    DateType(): [dt.date(1970, 1, 1) + dt.timedelta(days=d) for d in (0, -1, 1, 31, -31, 365, -366, 20_000)],
    TimeType(): [dt.time(0), dt.time(1, 2, 3, 4), dt.time(23, 59, 59, 999999)],
    TimestampType(): [
        dt.datetime(1970, 1, 1) + dt.timedelta(hours=h, microseconds=-1) for h in (0, 1, -1, 24, -24, 800, -9000, 9**6)
    ],
    TimestamptzType(): [
        dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=h, microseconds=-1) for h in (0, 1, -24, 800, -9000)
    ],
}
TIMES = (TimestampType(), TimestamptzType())
CASES: list[tuple[IcebergType, Transform[Any, Any]]] = [
    *((kind, IdentityTransform()) for kind in VALUES),
    *((kind, BucketTransform(5)) for kind in VALUES),
    *((kind, TruncateTransform(10)) for kind in (IntegerType(), LongType(), DecimalType(9, 2), DecimalType(38, 10))),
    *((kind, TruncateTransform(2)) for kind in (StringType(), BinaryType())),
    *((kind, part()) for kind in (DateType(), *TIMES) for part in (YearTransform, MonthTransform, DayTransform)),
    *((kind, HourTransform()) for kind in TIMES),
]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with engine_in(tmp_path) as opened:
        opened.execute("SET preserve_insertion_order = true")
        yield opened


def ordering(value: Any) -> Any:
    """Return what a transformed value is ordered by: text by code points, as bytes are; NaN last, -0.0 as 0.0."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, uuid.UUID):
        return value.bytes
    return (math.isnan(value), 0.0 if math.isnan(value) else value) if isinstance(value, float) else value


def sorted_by_hand(rows: list[dict[str, Any]], order: list[SortField], schema: Schema) -> list[Any]:
    """Return the transformed sort keys of the rows, in the order that they must come in."""

    def keys(row: dict[str, Any]) -> list[Any]:
        found = []
        for field in order:
            kind = schema.find_type(field.source_id)
            value = row[schema.find_column_name(field.source_id) or ""]
            found.append(field.transform.transform(kind)(ticks_of(value)))
        return found

    def compare(left: list[Any], right: list[Any]) -> int:
        for field, one, other in zip(order, left, right, strict=True):
            if (one is None) != (other is None):
                return 1 if (one is None) == (field.null_order == NullOrder.NULLS_LAST) else -1
            if one is not None and ordering(one) != ordering(other):
                smaller = ordering(one) < ordering(other)
                return -1 if smaller == (field.direction == SortDirection.ASC) else 1
        return 0

    return sorted(map(keys, rows), key=functools.cmp_to_key(compare))


def keys_as_sorted(engine: Engine, rows: list[dict[str, Any]], order: list[SortField], schema: Schema) -> list[Any]:
    given = relation(engine, schema, arrow_rows(schema, [{**row, "n": i} for i, row in enumerate(rows)]))
    clause = order_by(engine, SortOrder(*order, order_id=1), schema)
    numbers = [n for (n,) in engine.rows(f"SELECT c99 FROM {given}{clause}")]
    assert sorted(numbers) == list(range(len(rows)))
    return [sorted_by_hand([rows[n]], order, schema)[0] for n in numbers]


@pytest.mark.parametrize(
    ("direction", "nulls"),
    [
        (SortDirection.ASC, NullOrder.NULLS_FIRST),
        (SortDirection.ASC, NullOrder.NULLS_LAST),
        (SortDirection.DESC, NullOrder.NULLS_FIRST),
        (SortDirection.DESC, NullOrder.NULLS_LAST),
    ],
)
@pytest.mark.parametrize(("kind", "transform"), CASES, ids=str)
def test_each_transform_of_each_type(
    engine: Engine, kind: IcebergType, transform: Transform[Any, Any], direction: SortDirection, nulls: NullOrder
) -> None:
    schema = Schema(NestedField(1, "x", kind), NestedField(99, "n", LongType()))
    values = [*VALUES[kind], None, *VALUES[kind], None]
    if isinstance(transform, TruncateTransform) and isinstance(kind, IntegerType | LongType):
        values = [v for v in values if v is None or v > -(2**31)]  # below the least number there is nothing
    random.Random(1).shuffle(values)
    rows = [{"x": value} for value in values]
    order = [SortField(1, transform, direction, nulls)]
    assert keys_as_sorted(engine, rows, order, schema) == sorted_by_hand(rows, order, schema)


@pytest.mark.parametrize("kind", [IntegerType(), LongType()])
def test_truncating_the_least_number_fails_no_sort(engine: Engine, kind: IcebergType) -> None:
    schema = Schema(NestedField(1, "x", kind), NestedField(99, "n", LongType()))
    rows = [{"x": value} for value in VALUES[kind]]
    order = [SortField(1, TruncateTransform(10))]
    assert keys_as_sorted(engine, rows, order, schema) == sorted_by_hand(rows, order, schema)


@pytest.mark.parametrize("kind", [FloatType(), DoubleType()])
def test_floats_with_nan_last(engine: Engine, kind: IcebergType) -> None:
    schema = Schema(NestedField(1, "x", kind), NestedField(99, "n", LongType()))
    rows = [{"x": value} for value in (math.nan, 1.5, -math.inf, None, math.inf, 0.0, -2.5)]
    for direction in SortDirection:
        order = [SortField(1, IdentityTransform(), direction, NullOrder.NULLS_FIRST)]
        found, wanted = keys_as_sorted(engine, rows, order, schema), sorted_by_hand(rows, order, schema)
        assert list(map(bits, found)) == list(map(bits, wanted))


def bits(key: list[Any]) -> Any:
    return None if key[0] is None else struct.pack(">d", key[0])


def test_several_fields_in_their_order(engine: Engine) -> None:
    schema = Schema(
        NestedField(1, "s", StringType()), NestedField(2, "i", IntegerType()), NestedField(99, "n", LongType())
    )
    pick = random.Random(3)
    rows = [{"s": pick.choice([None, "a", "ab", "b"]), "i": pick.choice([None, 1, 2, 3])} for _ in range(200)]
    order = [
        SortField(1, TruncateTransform(1), SortDirection.DESC, NullOrder.NULLS_LAST),
        SortField(2, BucketTransform(2), SortDirection.ASC, NullOrder.NULLS_FIRST),
        SortField(2, IdentityTransform(), SortDirection.DESC, NullOrder.NULLS_LAST),
        SortField(1, IdentityTransform(), SortDirection.ASC, NullOrder.NULLS_FIRST),
    ]
    assert keys_as_sorted(engine, rows, order, schema) == sorted_by_hand(rows, order, schema)


def test_fields_of_structs_with_dots_in_names(engine: Engine) -> None:
    inner = StructType(NestedField(2, "a.b", StructType(NestedField(3, "x", LongType(), False)), False))
    schema = Schema(NestedField(1, "st", inner), NestedField(99, "n", LongType()))
    rows = [{"st": {"a.b": {"x": 3}}}, {"st": {"a.b": None}}, {"st": None}, {"st": {"a.b": {"x": 1}}}]
    given = relation(engine, schema, arrow_rows(schema, [{**row, "n": i} for i, row in enumerate(rows)]))
    order = SortOrder(SortField(3, IdentityTransform(), null_order=NullOrder.NULLS_LAST), order_id=1)
    clause = order_by(engine, order, schema)
    assert [n for (n,) in engine.rows(f"SELECT c99 FROM {given}{clause}")][:2] == [3, 0]


def test_fields_of_structs(engine: Engine) -> None:
    inner = StructType(NestedField(2, "y", StructType(NestedField(3, "x", LongType(), False)), False))
    schema = Schema(NestedField(1, "a.b", inner), NestedField(99, "n", LongType()))
    rows = [{"a.b": {"y": {"x": 3}}}, {"a.b": {"y": None}}, {"a.b": None}, {"a.b": {"y": {"x": 1}}}]
    given = relation(engine, schema, arrow_rows(schema, [{**row, "n": i} for i, row in enumerate(rows)]))
    order = SortOrder(SortField(3, IdentityTransform(), null_order=NullOrder.NULLS_LAST), order_id=1)
    clause = order_by(engine, order, schema)
    assert [n for (n,) in engine.rows(f"SELECT c99 FROM {given}{clause}")][:2] == [3, 0]


def test_void_fields_and_no_fields_sort_nothing(engine: Engine) -> None:
    schema = Schema(NestedField(1, "x", LongType()))
    assert order_by(engine, SortOrder(order_id=0), schema) == ""
    assert order_by(engine, SortOrder(SortField(1, VoidTransform()), order_id=1), schema) == ""
    both = SortOrder(SortField(1, VoidTransform()), SortField(1, IdentityTransform()), order_id=1)
    assert order_by(engine, both, schema) == " ORDER BY c1 ASC NULLS FIRST"


def test_an_unknown_transform_is_named(engine: Engine) -> None:
    order = SortOrder(SortField(1, UnknownTransform("zorder")), order_id=1)
    with pytest.raises(UnsupportedTableError, match=r"sort order uses the unknown transform "):
        order_by(engine, order, Schema(NestedField(1, "x", LongType())))


@pytest.mark.parametrize("rolling", [True, False])
def test_compaction_keeps_a_tables_order_inside_its_files(lake: SqlCatalog, rolling: bool) -> None:
    order = SortOrder(
        SortField(3, IdentityTransform(), SortDirection.DESC, NullOrder.NULLS_LAST), SortField(1), order_id=1
    )
    table = lake.create_table("db.t", ORDERS, sort_order=order)
    writer = UpsertWriter(table)
    pick = random.Random(5)
    for _ in range(4):
        rows = [{"id": pick.randrange(10**6), "v": 1, "s": pick.choice([None, "a", "b"])} for _ in range(20_000)]
        writer.checkpoint(Changes(("id",), upserts=pa.Table.from_pylist(rows)))
    result = compact(table, target_file_size_bytes="100000" if rolling else "1GB")
    assert result.status == "committed"
    table.refresh()
    files = [task.file for task in table.scan().plan_files()]
    assert (len(files) > 1) is rolling
    for file in files:
        assert file.sort_order_id == 1
        rows = pq.read_table(file.file_path.removeprefix("file://")).to_pylist()
        kinds = [row["s"] for row in rows]
        assert kinds == sorted(kinds, key=lambda s: (s is None, [-ord(s)] if s else []))
        for kind in ("a", "b", None):
            keys = [row["id"] for row in rows if row["s"] == kind]
            assert keys == sorted(keys)


def test_outputs_of_an_untable_say_so(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t")
    orders.checkpoint(2)
    table = orders.load()
    compact(table)
    table.refresh()
    assert {task.file.sort_order_id for task in table.scan().plan_files()} == {0}
