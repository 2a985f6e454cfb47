"""Which stored types are read as which types of columns, value for value, and which are refused."""

import json
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
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
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from autostream.errors import DataError
from autostream.lake.engine.column_projection import Columns
from autostream.lake.engine.duckdb_engine import Engine
from autostream.lake.engine.sql_text import read_parquet
from tests.lake.writing import engine_in

MOST, LEAST = 2**63 - 1, -(2**63)
KEY = uuid.UUID(int=2**127 + 5)
NANOSECONDS = [1999, 1000, 999, 0, -1, -999, -1000, -1001, MOST, LEAST, LEAST + 1, None]
MICROSECONDS = [None if n is None else n // 1000 for n in NANOSECONDS]
INT96 = [n for n in NANOSECONDS if n is not None and abs(n) < 10_000]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine_in(tmp_path_factory.mktemp("spill")) as opened:
        yield opened


def numbers(values: list[int | None], kind: pa.DataType) -> pa.Array:
    """Return numbers as values of a type that they stand for, without passing through Python's dates."""
    return pa.array(values, pa.int64() if kind.bit_width == 64 else pa.int32()).view(kind)


def read(engine: Engine, tmp_path: Path, stored: pa.Array, target: IcebergType, **options: Any) -> list[Any]:
    """Return what a column of a Parquet file is as a column of a table; times as numbers."""
    path = str(tmp_path / "x.parquet")
    field = pa.field("x", stored.type, metadata={b"PARQUET:field_id": b"1"})
    pq.write_table(pa.table([stored], pa.schema([field])), path, **options)
    ((fields, _),) = engine.schemas([path])
    sql = Columns(fields, path, {}).column(1, target)
    column = engine.connection.sql(f"SELECT {sql} AS x FROM {read_parquet([path])}").to_arrow_table().column(0)
    kind = column.type
    if pa.types.is_temporal(kind):
        number = pa.int64() if kind.bit_width == 64 else pa.int32()
        return column.combine_chunks().view(number).to_pylist()  # type: ignore[no-any-return]
    return column.to_pylist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("stored", "target", "expected"),
    [
        # promotions of the spec
        (pa.array([2**31 - 1, -(2**31), None], pa.int32()), LongType(), [2**31 - 1, -(2**31), None]),
        (pa.array([1.5, None], pa.float32()), DoubleType(), [1.5, None]),
        (pa.array([Decimal("1.25")], pa.decimal128(5, 2)), DecimalType(38, 2), [Decimal("1.25")]),
        (pa.array([Decimal("1.25")], pa.decimal128(5, 2)), DecimalType(6, 2), [Decimal("1.25")]),
        # the same value in fewer bits, or without a word on what it is
        *((pa.array([7, None], kind), IntegerType(), [7, None]) for kind in (pa.int8(), pa.int16())),
        (pa.array([255], pa.uint8()), IntegerType(), [255]),
        (pa.array([65535], pa.uint16()), IntegerType(), [65535]),
        (pa.array([2**32 - 1], pa.uint32()), LongType(), [2**32 - 1]),
        (pa.array([1.5], pa.float16()), FloatType(), [1.5]),
        (pa.array([3, None], pa.int32()), DateType(), [3, None]),
        (pa.array(["ž".encode(), None], pa.binary()), StringType(), ["ž", None]),
        (pa.array(["\\x41ž"]), BinaryType(), ["\\x41ž".encode()]),
        (pa.array([b"ab"], pa.binary(2)), BinaryType(), [b"ab"]),
        (pa.array([b"ab", None], pa.binary(2)), FixedType(2), [b"ab", None]),
        (pa.array([b"ab", None], pa.binary()), FixedType(2), [b"ab", None]),
        (pa.array([KEY.bytes, None], pa.binary(16)), UUIDType(), [KEY, None]),
        (pa.array([True]), BooleanType(), [True]),
        # Parquet's null type
        *((pa.nulls(2), target, [None, None]) for target in (LongType(), StringType(), DecimalType(9, 2))),
        (pa.nulls(1), ListType(2, LongType(), False), [None]),
        (pa.nulls(1), StructType(NestedField(2, "a", LongType())), [None]),
        (pa.nulls(1), MapType(2, StringType(), 3, LongType(), False), [None]),
    ],
    ids=str,
)
def test_what_loses_nothing_is_read(
    engine: Engine, tmp_path: Path, stored: pa.Array, target: IcebergType, expected: list[Any]
) -> None:
    assert read(engine, tmp_path, stored, target) == expected


@pytest.mark.parametrize(
    ("stored", "target"),
    [
        (pa.array([1.5]), LongType()),
        (pa.array([1.5]), FloatType()),
        (pa.array([1.5], pa.float32()), IntegerType()),
        (pa.array([1]), IntegerType()),
        (pa.array([1]), DoubleType()),
        (pa.array([1], pa.int32()), FloatType()),
        (pa.array([1], pa.int32()), DoubleType()),
        (pa.array([1], pa.int32()), BooleanType()),
        (pa.array([True]), IntegerType()),
        (pa.array([2**32 - 1], pa.uint32()), IntegerType()),
        (pa.array([2**64 - 1], pa.uint64()), LongType()),
        (pa.array(["1"]), LongType()),
        (pa.array([1]), StringType()),
        (pa.array(["2026-11-23"]), DateType()),
        (pa.array(["2026-11-23"]), TimestampType()),
        (pa.array([1]), TimestampType()),
        (pa.array([1]), TimeType()),
        (pa.array([1]), DateType()),
        (pa.array([1], pa.date32()), IntegerType()),
        (pa.array([1], pa.date32()), TimestampType()),
        (pa.array([1], pa.timestamp("us")), DateType()),
        (pa.array([1], pa.timestamp("us")), LongType()),
        (pa.array([1], pa.time64("us")), TimestampType()),
        (pa.array([Decimal("1.25")], pa.decimal128(5, 2)), DecimalType(5, 1)),
        (pa.array([Decimal("1.25")], pa.decimal128(5, 2)), DecimalType(9, 3)),
        (pa.array([Decimal("1.25")], pa.decimal128(9, 2)), DecimalType(5, 2)),
        (pa.array([Decimal("1.25")], pa.decimal256(40, 2)), DoubleType()),
        (pa.array([Decimal("1.25")], pa.decimal256(40, 2)), DecimalType(38, 2)),
        (pa.array([Decimal("1.25")], pa.decimal128(5, 2)), DoubleType()),
        (pa.array([1]), DecimalType(9, 0)),
        (pa.array(["a"]), UUIDType()),
        (pa.array([b"ab"], pa.binary(2)), UUIDType()),
        (pa.array([b"ab"], pa.binary(2)), FixedType(3)),
        (pa.array([b"ab"], pa.binary(2)), StringType()),
        (pa.array(["ab"]), FixedType(2)),
        (pa.array([1.5], pa.float16()), FixedType(2)),
        (pa.array([[1]]), LongType()),
        (pa.array([{"a": 1}]), StringType()),
        (pa.array([1]), ListType(2, LongType(), False)),
        (pa.array([[1]]), StructType(NestedField(2, "a", LongType()))),
    ],
    ids=str,
)
def test_all_else_is_refused_by_file_column_and_types(
    engine: Engine, tmp_path: Path, stored: pa.Array, target: IcebergType
) -> None:
    with pytest.raises(DataError) as refused:
        read(engine, tmp_path, stored, target)
    said = str(refused.value)
    assert str(tmp_path / "x.parquet") in said
    assert "'x'" in said
    assert f"its type in the table is {target}" in said


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (pa.array([1.5]), "DOUBLE,"),
        (pa.array(["a"]), "BYTE_ARRAY (UTF8),"),
        (pa.array([b"ab"], pa.binary(2)), "FIXED_LEN_BYTE_ARRAY(2),"),
        (pa.array([Decimal("1.25")], pa.decimal128(5, 2)), "FIXED_LEN_BYTE_ARRAY(3) (DECIMAL(5,2)),"),
        (pa.array([1], pa.timestamp("us")), "INT64 (TIMESTAMP_MICROS),"),
        (pa.array([[1]]), "list,"),
    ],
    ids=str,
)
def test_a_refusal_says_how_the_value_is_stored(engine: Engine, tmp_path: Path, stored: pa.Array, said: str) -> None:
    with pytest.raises(DataError) as refused:
        read(engine, tmp_path, stored, BooleanType())
    assert f"as {said} but its type in the table is boolean" in str(refused.value)


@pytest.mark.parametrize("target", [TimestampType(), TimestamptzType()], ids=str)
@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (pa.timestamp("ms"), [1, -1, None], [1000, -1000, None]),
        (pa.timestamp("us"), [1, -1, None, MOST, LEAST + 1], [1, -1, None, MOST, LEAST + 1]),
        (pa.timestamp("us", "UTC"), [1, -1, None, MOST, LEAST + 1], [1, -1, None, MOST, LEAST + 1]),
        (pa.timestamp("ns"), NANOSECONDS, MICROSECONDS),
        (pa.timestamp("ns", "UTC"), NANOSECONDS, MICROSECONDS),
    ],
    ids=str,
)
def test_timestamps_of_any_unit_are_never_rounded_up(
    engine: Engine, tmp_path: Path, kind: pa.DataType, values: list[Any], expected: list[Any], target: IcebergType
) -> None:
    assert read(engine, tmp_path, numbers(values, kind), target) == expected


@pytest.mark.parametrize("target", [TimestampType(), TimestamptzType()], ids=str)
def test_timestamps_of_96_bits_are_never_rounded_up(engine: Engine, tmp_path: Path, target: IcebergType) -> None:
    stored = numbers(list(INT96), pa.timestamp("ns"))
    found = read(engine, tmp_path, stored, target, use_deprecated_int96_timestamps=True)
    assert found == [n // 1000 for n in INT96]


def test_times_of_nanoseconds_are_never_rounded_up(engine: Engine, tmp_path: Path) -> None:
    last = 24 * 3600 * 10**9 - 1
    assert read(engine, tmp_path, numbers([1999, 0, last, None], pa.time64("ns")), TimeType()) == [
        1,
        0,
        last // 1000,
        None,
    ]


def test_bytes_of_another_length_are_no_fixed(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="another length"):
        read(engine, tmp_path, pa.array([b"ab", b"abc"], pa.binary()), FixedType(2))


@pytest.mark.parametrize("value", [LEAST, LEAST + 1, LEAST + 2, -(2**53), 2**53, MOST - 1, MOST])
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_every_timestamp_is_read_as_it_is(engine: Engine, tmp_path: Path, value: int, zone: str | None) -> None:
    target = TimestamptzType() if zone else TimestampType()
    assert read(engine, tmp_path, numbers([value], pa.timestamp("us", zone)), target) == [value]


def id_of(number: int) -> dict[bytes, bytes]:
    return {b"PARQUET:field_id": str(number).encode()}


NESTED_INT = pa.struct(
    [
        pa.field("a", pa.list_(pa.field("element", pa.int32(), metadata=id_of(3))), metadata=id_of(2)),
        pa.field(
            "m",
            pa.map_(pa.field("key", pa.int32(), False, id_of(5)), pa.field("value", pa.float32(), metadata=id_of(6))),
            metadata=id_of(4),
        ),
    ]
)


def test_the_same_rules_hold_inside_of_structs_lists_and_maps(engine: Engine, tmp_path: Path) -> None:
    stored = pa.array([{"a": [1, None], "m": [(1, 0.5)]}, None], NESTED_INT)

    def nested(element: IcebergType, key: IcebergType, value: IcebergType) -> StructType:
        return StructType(
            NestedField(2, "a", ListType(3, element, False)), NestedField(4, "m", MapType(5, key, 6, value, False))
        )

    assert read(engine, tmp_path, stored, nested(LongType(), LongType(), DoubleType())) == [
        {"a": [1, None], "m": [(1, 0.5)]},
        None,
    ]
    for types, named in (
        ((StringType(), LongType(), DoubleType()), "x.a.element"),
        ((LongType(), DateType(), DoubleType()), None),
        ((LongType(), StringType(), DoubleType()), "x.m.key"),
        ((LongType(), LongType(), LongType()), "x.m.value"),
    ):
        if named is None:  # the days of a date may be stored as a mere number
            assert read(engine, tmp_path, stored, nested(*types))
            continue
        with pytest.raises(DataError, match=f"'{named}'"):
            read(engine, tmp_path, stored, nested(*types))


def test_json_is_text_whatever_it_says(engine: Engine, tmp_path: Path) -> None:
    """The engine parses JSON, and changes or refuses what it does not like: another reader copies such a file."""
    stored = pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a" : 1', json.dumps({"b": 2})]))
    path = str(tmp_path / "x.parquet")
    pq.write_table(pa.table({"x": stored}), path)
    ((fields, _),) = engine.schemas([path])
    assert fields[0].misread
    assert fields[0].stored == "BYTE_ARRAY (JSON)"
