"""``--where`` as a test of partitions and files: what is ruled out holds no matching row."""

import datetime as dt
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import AlwaysFalse, AlwaysTrue
from pyiceberg.expressions.parser import parse
from pyiceberg.expressions.visitors import expression_evaluator, rewrite_not
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    IdentityTransform,
    MonthTransform,
    TruncateTransform,
    VoidTransform,
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
    StructType,
    TimestampNanoType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from autostream.demo.writer import Changes, UpsertWriter
from autostream.errors import UnsupportedTableError, UsageError
from autostream.iceberg.state import read_state
from autostream.lake.engine.casts import duckdb_type
from autostream.lake.engine.where.expression import (
    bind_where,
    may_match,
    parse_where,
    partition_may_match,
    require_partition_columns,
    sql_literal,
    sql_where,
)
from autostream.lake.scan import scan_table
from tests.support.foreign import ForeignTable

EVENTS = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "name", StringType()),
    NestedField(3, "at", TimestampType()),
    NestedField(4, "st", StructType(NestedField(5, "x", LongType(), required=False))),
)
SPEC = PartitionSpec(
    PartitionField(1, 1000, BucketTransform(3), "id_bucket"),
    PartitionField(2, 1001, TruncateTransform(2), "start"),
    PartitionField(3, 1002, DayTransform(), "day"),
    PartitionField(2, 1003, VoidTransform(), "nothing"),
)
DAY = dt.datetime(2026, 11, 23)
ROWS = [
    {"id": i, "name": name, "at": None if i % 6 == 5 else DAY + dt.timedelta(hours=7 * i), "st": {"x": i}}
    for i, name in enumerate(["abc", "abd", None, "b", "", "abc", "xyz", None, "ab", "b"])
]


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Table:
    folder = tmp_path_factory.mktemp("events")
    catalog = SqlCatalog("lake", uri=f"sqlite:///{folder}/lake.db", warehouse=f"file://{folder}/warehouse")
    catalog.create_namespace("db")
    table = catalog.create_table("db.t", EVENTS, partition_spec=SPEC)
    writer = UpsertWriter(table)
    writer.checkpoint(Changes((), upserts=pa.Table.from_pylist(ROWS[:5], table.schema().as_arrow())))
    with table.update_spec() as update:
        for name in ("id_bucket", "start", "day", "nothing"):
            update.remove_field(name)
        update.add_field("at", MonthTransform(), "month")
    writer.checkpoint(Changes((), upserts=pa.Table.from_pylist(ROWS[5:], table.schema().as_arrow())))
    return table.refresh()


TERMS = st.sampled_from(
    [
        "id = 4",
        "id != 4",
        "id > 6",
        "id IN (1, 8)",
        "id NOT IN (1, 8)",
        "name = 'abc'",
        "name != 'abc'",
        "name < 'b'",
        "name >= 'b'",
        "name LIKE 'ab%'",
        "name LIKE 'a%'",
        "name NOT LIKE 'ab%'",
        "name IS NULL",
        "name IS NOT NULL",
        "name IN ('abc', 'xyz')",
        "at >= '2026-11-25T00:00:00'",
        "at < '2026-11-23T12:00:00'",
        "at = '2026-11-23T07:00:00'",
        "at IS NULL",
        "st.x > 5",
    ]
)
EXPRESSIONS = st.recursive(
    TERMS,
    lambda inner: (
        inner.map(lambda e: f"NOT ({e})")
        | st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})")
    ),
    max_leaves=4,
)


def record(row: dict[str, Any]) -> Record:
    at = None if row["at"] is None else (row["at"] - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)
    return Record(row["id"], row["name"], at, Record(row["st"]["x"]))


@pytest.mark.usefixtures("untraced")
@settings(max_examples=60)
@given(where=EXPRESSIONS)
def test_nothing_that_matches_is_ruled_out_and_all_that_matches_is_found(events: Table, where: str) -> None:
    # NOT (name < 'b') is name >= 'b', which NULL is not.
    matches = expression_evaluator(EVENTS, rewrite_not(parse(where)), case_sensitive=True)
    expected = sorted(row["id"] for row in ROWS if matches(record(row)))
    assert sorted(scan_table(events, where=where).to_arrow()["id"].to_pylist()) == expected
    state = read_state(events)
    by_partition = partition_may_match(parse_where(where), state.metadata)
    by_file = may_match(parse_where(where), state.metadata, state.metadata.schema())
    for file in state.data.values():
        assert by_partition(file) or not by_file(file)


@pytest.mark.parametrize(
    ("where", "partitions"),
    [
        ("name = 'abc'", 4),  # two of the first spec; the second knows nothing of names
        ("at >= '2027-01-01T00:00:00'", 0),
        ("at < '2026-11-24T00:00:00' AND name = 'b'", 2),
        ("id = 1 AND name LIKE 'ab%' AND at = '2026-11-23T07:00:00'", 2),
        ("st.x = 1", 7),
    ],
)
def test_partitions_are_ruled_out(events: Table, where: str, partitions: int) -> None:
    state = read_state(events)
    test = partition_may_match(parse_where(where), state.metadata)
    left = {file.partition for file in state.data.values() if test(file)}
    assert len(left) <= partitions
    assert len(left) < len({file.partition for file in state.data.values()}) or where.startswith("st.x")


def test_no_filter_takes_everything(events: Table) -> None:
    state = read_state(events)
    assert parse_where(None) == AlwaysTrue()
    assert all(map(may_match(AlwaysTrue(), state.metadata, EVENTS), state.data.values()))
    assert not any(map(may_match(AlwaysFalse(), state.metadata, EVENTS), state.data.values()))
    assert sql_where(AlwaysTrue(), EVENTS, str) == "true"
    assert sql_where(AlwaysFalse(), EVENTS, str) == "false"
    require_partition_columns(AlwaysTrue(), state.metadata)
    require_partition_columns(AlwaysFalse(), state.metadata)


def test_compaction_is_limited_by_partition_columns_of_any_spec(events: Table) -> None:
    for where in ("id = 1", "name LIKE 'a%' OR at IS NULL", "NOT (name IN ('a', 'b') AND id >= 3)"):
        require_partition_columns(parse_where(where), events.metadata)
    with pytest.raises(UsageError) as raised:
        require_partition_columns(parse_where("id = 1 AND st.x = 3"), events.metadata)
    assert str(raised.value) == (
        "--where names x, which is not a partition column. Compaction takes whole partitions, so --where can use only "
        "at, id, name."
    )


def test_a_table_without_partitions_cannot_be_limited(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", EVENTS)
    with pytest.raises(UsageError, match=r"--where can use only partition columns, and the table has none\."):
        require_partition_columns(parse_where("id = 1"), table.metadata)


@pytest.mark.parametrize(
    ("field_type", "values", "literal"),
    [
        (BooleanType(), pa.array([True, False]), "true"),
        (IntegerType(), pa.array([7, 8], pa.int32()), "7"),
        (LongType(), pa.array([7, 8]), "7"),
        (DateType(), pa.array([dt.date(2026, 11, 23), dt.date(2026, 11, 24)]), "'2026-11-23'"),
        (TimeType(), pa.array([dt.time(10), dt.time(11)]), "'10:00:00'"),
        (TimestampType(), pa.array([DAY, DAY + dt.timedelta(1)]), "'2026-11-23T00:00:00'"),
        (
            TimestamptzType(),
            pa.array([DAY, DAY + dt.timedelta(1)], pa.timestamp("us", "UTC")),
            "'2026-11-23T00:00:00+00:00'",
        ),
        (StringType(), pa.array(["a", "b"]), "'a'"),
        (DecimalType(9, 2), pa.array([Decimal("1.50"), Decimal("2.50")], pa.decimal128(9, 2)), "1.50"),
        (UUIDType(), pa.array([UUID(int=1).bytes, UUID(int=2).bytes], pa.uuid()), f"'{UUID(int=1)}'"),
    ],
    ids=str,
)
@pytest.mark.parametrize("comparison", ["v = {}", "v in ({}, {})", "not v != {}"])
def test_partitions_of_any_type_are_compared_with_literals(
    lake: SqlCatalog, field_type: IcebergType, values: pa.Array, literal: str, comparison: str
) -> None:
    spec = PartitionSpec(PartitionField(1, 1000, IdentityTransform(), "v"))
    table = lake.create_table("db.by_v", Schema(NestedField(1, "v", field_type)), partition_spec=spec)
    UpsertWriter(table).checkpoint(Changes((), pa.table({"v": values})))
    assert scan_table(table, where=comparison.format(literal, literal)).count() == 1


@pytest.mark.parametrize("where", ["v = -2147483648", "v < 0", "v <= -2147483648", "not v > 0", "v != 5"])
def test_the_least_numbers_are_found_though_java_truncates_them_beyond_the_end(lake: SqlCatalog, where: str) -> None:
    by = PartitionField(1, 1000, TruncateTransform(20), "v_trunc")
    table = ForeignTable(lake, NestedField(1, "v", IntegerType()), by=(by,))
    least = -(2**31)
    table.commit(
        table.data(pa.table({"v": pa.array([least], pa.int32())}), partition=Record(least - least % 20 + 2**32))
    )
    assert table.read("v", where=where) == [least]


def test_binding_names_the_columns() -> None:
    with pytest.raises(UsageError, match=r"does not fit the table: .*Columns: id, name, at, st\.x, st\."):
        bind_where(parse_where("nothing IS NULL"), EVENTS)
    with pytest.raises(UsageError, match="does not fit the table"):
        bind_where(parse_where("at > 'yesterday'"), EVENTS)


@pytest.mark.parametrize(
    ("value", "field_type", "sql"),
    [
        ("it's", StringType(), "'it''s'"),
        (True, BooleanType(), "True"),
        (-5, LongType(), "-5"),
        (float("nan"), DoubleType(), "'nan'::DOUBLE"),
        (-1, DateType(), "(DATE '1970-01-01' + (-1))"),
        (dt.date(1969, 12, 31), DateType(), "(DATE '1970-01-01' + (-1))"),
        (2**31 - 1, DateType(), "'infinity'::DATE"),
        (1 - 2**31, DateType(), "'-infinity'::DATE"),
        (2**63 - 1, TimestampType(), "'infinity'::TIMESTAMP"),
        (1 - 2**63, TimestamptzType(), "'-infinity'::TIMESTAMPTZ"),
        (b"\x00\xff", BinaryType(), "from_hex('00ff')"),
        (b"\x00\xff", FixedType(2), "from_hex('00ff')"),
        (b"\0" * 15 + b"\5", UUIDType(), "'00000000000000000000000000000005'::UUID"),
        (5, TimeType(), "(TIME '00:00:00' + to_microseconds(5))"),
        (-7, TimestampType(), "make_timestamp(-7)"),
        (-7, TimestamptzType(), "make_timestamptz(-7)"),
    ],
)
def test_literals(value: Any, field_type: IcebergType, sql: str) -> None:
    assert sql_literal(value, field_type) == sql


def test_decimals_and_floats_keep_their_type() -> None:
    assert sql_literal(Decimal("-1.50"), DecimalType(9, 2)) == "'-1.50'::DECIMAL(9,2)"
    assert "FLOAT" in sql_literal(1.1, FloatType())


def test_types_of_version_3_are_refused() -> None:
    with pytest.raises(UnsupportedTableError, match="timestamp_ns does not exist in format version 2"):
        duckdb_type(TimestampNanoType())
