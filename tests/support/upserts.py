"""Upsert tables of many shapes, filled at random, with what they must hold."""

import datetime as dt
import decimal
import random
import uuid
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform, TruncateTransform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
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

from autostream.demo.writer import Changes, UpsertWriter

EVERYTHING = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "u", UUIDType()),
    NestedField(3, "f", FixedType(5)),
    NestedField(4, "d", DateType()),
    NestedField(5, "t", TimeType()),
    NestedField(6, "ts", TimestampType()),
    NestedField(7, "tz", TimestamptzType()),
    NestedField(8, "small", DecimalType(9, 2)),
    NestedField(9, "big", DecimalType(38, 4)),
    NestedField(10, "s", StringType()),
    NestedField(11, "b", BinaryType()),
    NestedField(12, "yes", BooleanType()),
    NestedField(13, "real", FloatType()),
    NestedField(14, "double", DoubleType()),
    NestedField(15, "i", IntegerType()),
    NestedField(
        16,
        "st",
        StructType(
            NestedField(17, "x", IntegerType(), required=False),
            NestedField(18, "l", ListType(19, StringType(), element_required=False), required=False),
        ),
    ),
    NestedField(20, "m", MapType(21, StringType(), 22, LongType(), value_required=False)),
)


@dataclass(frozen=True)
class Shape:
    """A partition spec of `EVERYTHING`, and the equality fields of its writer."""

    spec: PartitionSpec
    key: tuple[str, ...]


# Java (Iceberg 1.11) fails on manifests with a fixed column as partition, and makes a null struct one of nulls where a
# column in it is the partition; so neither is here.
SHAPES = {
    "unpartitioned": Shape(PartitionSpec(), ("id", "st.x")),
    "bucket_day": Shape(
        PartitionSpec(
            PartitionField(1, 1000, BucketTransform(4), "id_bucket"), PartitionField(7, 1001, DayTransform(), "day")
        ),
        ("id", "tz"),
    ),
    "seven_fields": Shape(
        PartitionSpec(
            PartitionField(2, 1000, IdentityTransform(), "u"),
            PartitionField(4, 1001, IdentityTransform(), "d"),
            PartitionField(10, 1002, TruncateTransform(2), "s_start"),
            PartitionField(8, 1003, TruncateTransform(100), "hundreds"),
            PartitionField(5, 1004, IdentityTransform(), "t"),
            PartitionField(6, 1006, IdentityTransform(), "ts"),
            PartitionField(11, 1007, BucketTransform(3), "b_bucket"),
        ),
        ("u", "d", "s", "small", "t", "ts", "b", "st.x"),
    ),
}


def some_row(pick: random.Random, key: int) -> dict[str, Any]:
    """Return a row of `EVERYTHING`, a tenth of its cells null, with the values that break things."""

    def maybe(value: Any) -> Any:
        return None if pick.random() < 0.1 else value

    day = dt.timedelta(days=pick.randrange(4))
    return {
        "id": key,
        "u": maybe(uuid.UUID(int=pick.randrange(3) << 120).bytes),
        "f": maybe(bytes([pick.randrange(2)] * 5)),
        "d": maybe(dt.date(1969, 12, 30) + day),
        "t": maybe(dt.time(pick.randrange(2), 0, 0, 5)),
        "ts": maybe(dt.datetime(1969, 12, 31, 23, 0, 0, 7) + day),
        "tz": maybe(dt.datetime(1969, 12, 31, pick.randrange(24), tzinfo=dt.UTC) + day),
        "small": maybe(decimal.Decimal(pick.randrange(-20000, 20000)).scaleb(-2)),
        "big": maybe(decimal.Decimal(pick.randrange(-(10**30), 10**30)).scaleb(-4)),
        "s": maybe(pick.choice(["ab", "abc", "žluťoučký kůň příliš žluťoučký", "", chr(0x10FFFF) * 20])),
        "b": maybe(pick.choice([b"", b"\xff" * 20, b"a"])),
        "yes": maybe(pick.random() < 0.5),
        "real": maybe(pick.choice([float("nan"), -0.0, 0.0, 1.1, float("inf")])),
        "double": maybe(pick.choice([float("nan"), -0.0, 0.0, -1.1])),
        "i": maybe(pick.randrange(-5, 5)),
        # Its x is a key here and there: to the spec a null struct has a null x, to Java (1.11) these are two keys.
        "st": maybe({"x": pick.randrange(2), "l": maybe(["q", None])}),
        "m": maybe([("k", 1), ("j", None)]),
    }


def everything(rows: list[dict[str, Any]]) -> pa.Table:
    """Return rows of `EVERYTHING` as Arrow holds them."""
    types = schema_to_pyarrow(EVERYTHING, include_field_ids=False)
    return pa.Table.from_pylist(rows, pa.schema([(f.name, pa.binary(16) if f.name == "u" else f.type) for f in types]))


def random_upserts(
    catalog: Catalog, name: str, shape: Shape, *, checkpoints: int = 3, seed: int = 1
) -> tuple[Table, list[dict[str, Any]]]:
    """Create a table and write some checkpoints; returns it with the rows that it must hold."""
    table = catalog.create_table(name, EVERYTHING, partition_spec=shape.spec)
    writer = UpsertWriter(table)
    pick = random.Random(seed)
    expected: dict[Any, dict[str, Any]] = {}

    def key_of(row: dict[str, Any]) -> Any:
        return tuple(row["st"] and row["st"]["x"] if name == "st.x" else row[name] for name in shape.key)

    for _ in range(checkpoints):
        upserts = everything([some_row(pick, pick.randrange(30)) for _ in range(40)])
        rows = upserts.to_pylist()  # floats as they are stored
        writer.checkpoint(Changes(shape.key, upserts=upserts, deletes=upserts.slice(0, 5)))
        expected.update({key_of(row): row for row in rows})
        for row in rows[:5]:
            expected.pop(key_of(row), None)
    return table, list(expected.values())
