"""Reading: every table, snapshot, filter, projection, format and stage of evolution, judged by a naive reader."""

import datetime as dt
import json
import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions.parser import parse
from pyiceberg.expressions.visitors import expression_evaluator
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform, IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import (
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    UUIDType,
)

from autostream.demo.writer import Changes, UpsertWriter
from autostream.errors import DataError, UnsupportedTableError, UsageError
from autostream.lake.scan import scan_table
from autostream.resources import EngineResources
from tests.support.flink_tables import FLINK_TABLES, FlinkTable
from tests.support.reader import read_table
from tests.support.rows import assert_same_rows
from tests.support.upserts import EVERYTHING, SHAPES, everything, random_upserts

SIMPLE = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "region", StringType()),
    NestedField(3, "v", LongType()),
)


def rows_of(*rows: tuple[int, str | None, int | None]) -> pa.Table:
    return pa.table(
        {
            "id": pa.array([r[0] for r in rows], pa.int64()),
            "region": pa.array([r[1] for r in rows], pa.string()),
            "v": pa.array([r[2] for r in rows], pa.int64()),
        }
    )


def ids(table: Table, **arguments: Any) -> list[int]:
    return sorted(scan_table(table, **arguments).to_arrow()["id"].to_pylist())


# ------------------------------------------------------------------------------------- tables of a real Flink job


@pytest.mark.parametrize("name", FLINK_TABLES)
def test_tables_of_a_flink_job_hold_their_true_rows(flink_table: Callable[[str], FlinkTable], name: str) -> None:
    flink = flink_table(name)
    rows = scan_table(flink.table)
    assert_same_rows(rows.to_batches(), flink.expected)
    assert rows.count() == flink.expected.num_rows
    assert rows.arrow_schema.names == flink.expected.schema.names


@pytest.mark.parametrize("name", ["null_keys", "changed_key", "evolved_partition_trap"])
def test_an_older_snapshot_is_read_as_it_was(flink_table: Callable[[str], FlinkTable], name: str) -> None:
    table = flink_table(name).table
    history = table.metadata.snapshots
    middle = history[len(history) // 2].snapshot_id
    assert_same_rows(scan_table(table, snapshot_id=middle).to_batches(), read_table(table, snapshot_id=middle))


def test_an_older_snapshot_has_the_schema_of_its_time(flink_table: Callable[[str], FlinkTable]) -> None:
    table = flink_table("evolved_schema").table
    first = table.metadata.snapshots[0]
    scan = scan_table(table, snapshot_id=first.snapshot_id)
    assert scan.snapshot_id == first.snapshot_id
    then, now = table.schemas()[first.schema_id or 0], table.schema()
    assert scan.arrow_schema.names == [f.name for f in then.fields] != [f.name for f in now.fields]
    assert scan.to_arrow().num_rows == scan.count() == len(read_table(table, snapshot_id=first.snapshot_id))


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("shape", SHAPES)
def test_every_type_as_value_key_and_partition(lake: SqlCatalog, shape: str) -> None:
    table, expected = random_upserts(lake, "db.t", SHAPES[shape])
    assert_same_rows(scan_table(table).to_batches(), expected)


def test_a_table_without_a_snapshot_and_one_without_rows(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    assert scan_table(table).to_arrow().num_rows == scan_table(table).count() == 0
    assert scan_table(table).snapshot_id is None
    writer = UpsertWriter(table)
    writer.checkpoint(Changes(("id",), upserts=rows_of((1, "a", 1))))
    writer.checkpoint(Changes(("id",), deletes=pa.table({"id": [1]})))
    scan = scan_table(table)
    assert scan.count() == scan.to_arrow().num_rows == 0
    assert scan.to_arrow().schema == scan.arrow_schema
    assert scan.head(5) == []


# ------------------------------------------------------------------------------------- filters


@pytest.fixture
def filtered(lake: SqlCatalog) -> tuple[Table, list[dict[str, Any]]]:
    """Files with and without nulls and NaN, so that pruning by bounds has something to go wrong with."""
    table = lake.create_table("db.f", EVERYTHING)
    writer = UpsertWriter(table)
    rows = [
        {"id": 1, "s": "abc", "double": 1.5, "real": 1.1, "i": 1, "yes": True, "st": {"x": 1, "l": ["p"]}},
        {"id": 2, "s": "abd", "double": float("nan"), "real": float("nan"), "i": -5, "yes": False, "st": None},
        {"id": 3, "s": None, "double": None, "real": None, "i": None, "yes": None, "st": {"x": None, "l": None}},
        {"id": 4, "s": "", "double": -0.0, "real": -1.1, "i": 7, "b": b"\x00\xff", "f": b"12345"},
        {"id": 5, "s": "O'Brien", "small": Decimal("-1.50"), "big": Decimal("12345678901234567890.1234")},
        {"id": 6, "u": uuid.UUID(int=5).bytes, "d": dt.date(1969, 12, 31), "t": dt.time(1, 2, 3, 4)},
        {"id": 7, "ts": dt.datetime(2026, 1, 1, 0, 0, 0, 7), "tz": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
        {"id": 8, "double": float("inf"), "real": float("-inf"), "s": "žluť", "st": {"x": 9, "l": []}},
    ]
    whole = [{f.name: row.get(f.name) for f in EVERYTHING.fields} for row in rows]
    for part in (whole[:2], whole[2:3], whole[3:5], whole[5:]):
        writer.checkpoint(Changes(("id",), upserts=everything(part)))
    writer.checkpoint(Changes(("id",), deletes=pa.table({"id": [99]})))
    return table, everything(whole).to_pylist()


@pytest.mark.parametrize(
    "where",
    [
        "id = 3",
        "id != 3",
        "id IN (1, 3, 99)",
        "id NOT IN (1, 3)",
        "s = 'abc'",
        "s != 'abc'",
        "s IN ('abc', '')",
        "s NOT IN ('abc', '')",
        "s < 'abd'",
        "s >= 'abd'",
        "s = 'O''Brien'",
        "s LIKE 'ab%'",
        "s NOT LIKE 'ab%'",
        "s LIKE 'žl%'",
        "s IS NULL",
        "s IS NOT NULL",
        "NOT (s = 'abc' OR id > 4)",
        "NOT (s IS NULL)",
        "double IS NAN",
        "double IS NOT NAN",
        "double < 1.5",
        "double <= 1.5",
        "double > 1.0",
        "double >= -0.5",
        "double = 1.5",
        "double != 1.5",
        "double IN (1.5, 2.5)",
        "double NOT IN (1.5, 2.5)",
        "real = 1.1",
        "real != 1.1",
        "real IN (1.1, 7.5)",
        "real > 1.1",
        "real >= 1.1",
        "real < 1.1",
        "real IS NAN",
        "i > 0",
        "i <= 1",
        "i > 0 AND s LIKE 'a%'",
        "i > 0 OR s IS NULL",
        "yes = true",
        "yes != true",
        "st.x = 1",
        "st.x != 1",
        "st.x IS NULL",
        "st.x IS NOT NULL",
        "st.x > 1 AND id > 1",
        "small = -1.50",
        "small < 0",
        "big > 12345678901234567890.1233",
        "u = '00000000-0000-0000-0000-000000000005'",
        "u != '00000000-0000-0000-0000-000000000005'",
        "d < '1970-01-01'",
        "d = '1969-12-31'",
        "t = '01:02:03.000004'",
        "t > '01:02:03.000003'",
        "ts = '2026-01-01T00:00:00.000007'",
        "ts >= '2026-01-01T00:00:00.000008'",
        "tz = '2026-01-01T01:00:00+01:00'",
        "tz < '2026-01-01T00:00:00+00:00'",
    ],
)
def test_filters_mean_what_iceberg_says(filtered: tuple[Table, list[dict[str, Any]]], where: str) -> None:
    table, rows = filtered
    matches = expression_evaluator(EVERYTHING, parse(where), case_sensitive=True)
    expected = [row for row in rows if matches(as_record(row))]
    scan = scan_table(table, where=where)
    assert_same_rows(scan.to_batches(), expected, context=where)
    assert scan.count() == len(expected)
    assert expected != rows or "NOT LIKE" in where  # a filter that keeps everything shows nothing


def as_record(row: dict[str, Any]) -> Record:
    """Return a row as PyIceberg's evaluator takes it: days and microseconds since 1970, null structs of null fields.

    A float32 has the shortest digits that mean it, as a literal has.
    """
    epoch = dt.datetime(1970, 1, 1)

    def micros(value: dt.datetime) -> int:
        return (value.replace(tzinfo=None) - epoch) // dt.timedelta(microseconds=1)

    def stored(value: Any) -> Any:
        match value:
            case dt.datetime():
                return micros(value)
            case dt.date():
                return (value - epoch.date()).days
            case dt.time():
                return micros(dt.datetime.combine(epoch, value))
            case uuid.UUID():
                return value.bytes
        return value

    cells = {f.name: stored(row[f.name]) for f in EVERYTHING.fields}
    cells["st"] = Record(*(row["st"] or {"x": None, "l": None}).values())
    cells["real"] = None if row["real"] is None else float(str(numpy.float32(row["real"])))
    return Record(*cells.values())


@pytest.mark.parametrize(
    ("column", "literal", "expected"), [("b", b"\x00\xff", [4]), ("f", b"12345", [4]), ("b", b"\x00", [])]
)
def test_bytes_are_compared_as_bytes(
    filtered: tuple[Table, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    column: str,
    literal: bytes,
    expected: list[int],
) -> None:
    """The parser knows no literal of bytes; an expression made in Python does."""
    from pyiceberg.expressions import EqualTo

    monkeypatch.setattr("autostream.lake.scan.parse_where", lambda _, **__: EqualTo(column, literal))
    assert ids(filtered[0], where="") == expected


def test_a_filter_reads_only_files_that_may_match(filtered: tuple[Table, list[dict[str, Any]]]) -> None:
    table, _ = filtered
    snapshot = table.current_snapshot()
    assert snapshot is not None
    for task in [e for m in snapshot.manifests(table.io) for e in m.fetch_manifest_entry(table.io)]:
        if 1 in task.data_file.lower_bounds and task.data_file.upper_bounds[1] < (3).to_bytes(8, "little"):
            Path(task.data_file.file_path.removeprefix("file://")).unlink()
    assert ids(table, where="id >= 6") == [6, 7, 8]


def test_a_filter_on_a_column_that_is_not_selected(filtered: tuple[Table, list[dict[str, Any]]]) -> None:
    rows = scan_table(filtered[0], where="i > 0", columns=["s"]).to_arrow()
    assert sorted(rows.to_pylist(), key=str) == [{"s": ""}, {"s": "abc"}]


def test_filters_and_partitions(lake: SqlCatalog) -> None:
    spec = PartitionSpec(
        PartitionField(2, 1000, IdentityTransform(), "region"), PartitionField(1, 1001, BucketTransform(3), "b")
    )
    table = lake.create_table("db.t", SIMPLE, partition_spec=spec)
    writer = UpsertWriter(table)
    rows = rows_of(*((i, [None, "eu", "us"][i % 3], i) for i in range(30)))
    writer.checkpoint(Changes(("id", "region"), upserts=rows))
    writer.checkpoint(Changes(("id", "region"), deletes=rows.slice(0, 4)))
    expected = rows.to_pylist()[4:]
    for where, test in {
        "region = 'eu'": lambda r: r["region"] == "eu",
        "region != 'eu'": lambda r: r["region"] != "eu",
        "region IS NULL": lambda r: r["region"] is None,
        "region IS NULL OR id = 7": lambda r: r["region"] is None or r["id"] == 7,
        "id = 7": lambda r: r["id"] == 7,
        "region NOT IN ('eu', 'us') AND v > 8": lambda r: r["region"] is None and r["v"] > 8,
    }.items():
        assert_same_rows(scan_table(table, where=where).to_batches(), [r for r in expected if test(r)], context=where)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (
            "id ==== 1",
            r"^Invalid filter \(--where\)\. A value is expected.*An example: .*\n    id ==== 1\n         \^$",
        ),
        ("nothing = 1", r"does not fit the table: .*nothing.*Columns: id, region, v"),
        ("id = 'x'", r"does not fit the table: "),
    ],
)
def test_a_filter_that_cannot_be_is_refused(lake: SqlCatalog, where: str, says: str) -> None:
    table = lake.create_table("db.t", SIMPLE)
    with pytest.raises(UsageError, match=says):
        scan_table(table, where=where).count()


def test_a_filter_within_a_list_is_refused(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", EVERYTHING)
    with pytest.raises(UsageError):
        scan_table(table, where="st.l.element = 'x'").count()


# ------------------------------------------------------------------------------------- projection, snapshots, output


@pytest.fixture
def simple(lake: SqlCatalog) -> Table:
    table = lake.create_table("db.t", SIMPLE)
    writer = UpsertWriter(table)
    writer.checkpoint(Changes(("id",), upserts=rows_of((1, "a", 1), (2, "b", 2), (2, "b", 3))))
    writer.checkpoint(Changes(("id",), upserts=rows_of((1, "c", 4)), deletes=pa.table({"id": [3]})))
    return table


def test_columns_come_in_the_order_asked_for(simple: Table) -> None:
    scan = scan_table(simple, columns=["v", "id"])
    assert scan.to_arrow().schema.names == ["v", "id"]
    assert_same_rows(scan.to_batches(), [{"v": 4, "id": 1}, {"v": 3, "id": 2}])


def test_unknown_columns_are_named(simple: Table) -> None:
    with pytest.raises(UsageError, match=r"Table lake\.db\.t has no column x, ID\. Columns: id, region, v\."):
        scan_table(simple, columns=["id", "x", "ID"])


def test_a_column_asked_for_twice_is_refused(simple: Table) -> None:
    with pytest.raises(UsageError, match="id"):
        scan_table(simple, columns=["id", "v", "id"])


def test_an_unknown_snapshot_is_named(simple: Table) -> None:
    known = [s.snapshot_id for s in simple.metadata.snapshots]
    with pytest.raises(UsageError, match=rf"has no snapshot 17\. The newest snapshots: {known[0]}, {known[1]}\."):
        scan_table(simple, snapshot_id=17)


def test_head_gives_that_many_rows(simple: Table) -> None:
    scan = scan_table(simple)
    assert len(scan.head(1)) == 1
    assert scan.head(0) == []
    assert_same_rows(scan.head(100), read_table(simple))


def test_a_parquet_file_of_all_rows_has_field_ids_and_types(lake: SqlCatalog, tmp_path: Path) -> None:
    table, expected = random_upserts(lake, "db.t", SHAPES["unpartitioned"])
    target = tmp_path / "out.parquet"
    assert scan_table(table).to_parquet(target) == len(expected)
    written = pq.read_table(target)
    assert_same_rows(written, expected)
    assert {f.name: int(f.metadata[b"PARQUET:field_id"]) for f in written.schema} == {
        f.name: f.field_id for f in table.schema().fields
    }
    assert [p.name for p in tmp_path.iterdir() if "out" in p.name] == ["out.parquet"]


def test_a_parquet_file_that_cannot_be_made_is_named(simple: Table, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"Cannot write .*/nowhere/out\.parquet: .*Name a file in an existing directory"
    ):
        scan_table(simple).to_parquet(tmp_path / "nowhere" / "out.parquet")


def test_a_failed_scan_leaves_no_parquet_file(simple: Table, tmp_path: Path) -> None:
    lose(files_of(simple)[0])
    with pytest.raises(DataError):
        scan_table(simple).to_parquet(tmp_path / "out.parquet")
    assert not list(tmp_path.glob("*out*"))


def test_batches_are_bounded_and_read_as_they_are_asked_for(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    many = 200_000
    rows = pa.table({"id": range(many), "region": ["x"] * many, "v": range(many)})
    UpsertWriter(table).checkpoint(Changes((), upserts=rows))
    batches = list(scan_table(table).to_batches())
    assert sum(b.num_rows for b in batches) == many
    assert max(b.num_rows for b in batches) <= 65_536 * 2


def test_the_spill_directory_is_gone_after_a_scan_that_was_given_up(simple: Table, tmp_path: Path) -> None:
    spill = tmp_path / "spill"
    spill.mkdir()
    scan = scan_table(simple, resources=EngineResources(spill_directory=spill))
    assert scan.head(1)
    assert list(spill.iterdir()) == []


# ------------------------------------------------------------------------------------- evolution


def test_columns_renamed_promoted_dropped_added_and_moved(lake: SqlCatalog) -> None:
    schema = Schema(
        NestedField(1, "id", IntegerType(), required=True),
        NestedField(2, "a", IntegerType()),
        NestedField(3, "b", FloatType()),
        NestedField(4, "c", DecimalType(5, 2)),
        NestedField(5, "gone", StringType()),
    )
    table = lake.create_table("db.t", schema)
    writer = UpsertWriter(table)
    writer.checkpoint(
        Changes(
            ("id",),
            upserts=pa.table(
                {
                    "id": pa.array([1, 2], pa.int32()),
                    "a": pa.array([1, None], pa.int32()),
                    "b": pa.array([1.1, None], pa.float32()),
                    "c": pa.array([Decimal("1.25"), None], pa.decimal128(5, 2)),
                    "gone": ["x", "y"],
                }
            ),
        )
    )
    with table.update_schema() as update:
        update.update_column("a", field_type=LongType())
        update.rename_column("a", "gone2")
        update.update_column("b", field_type=DoubleType())
        update.update_column("c", field_type=DecimalType(38, 2))
        update.update_column("id", field_type=LongType())
        update.delete_column("gone")
        update.add_column("new", StringType())
        update.move_first("new")
    with table.update_schema() as update:
        update.add_column("gone", LongType())  # a new column that reuses a dropped one's name
    writer.checkpoint(
        Changes(
            ("id",),
            upserts=pa.table(
                {
                    "new": ["n"],
                    "id": pa.array([2], pa.int64()),
                    "gone2": pa.array([1 << 40], pa.int64()),
                    "b": [0.1],
                    "c": pa.array([Decimal("-99999999.99")], pa.decimal128(38, 2)),
                    "gone": pa.array([5], pa.int64()),
                }
            ),
        )
    )
    expected = [
        {
            "new": None,
            "id": 1,
            "gone2": 1,
            "b": pa.scalar(1.1, pa.float32()).as_py(),
            "c": Decimal("1.25"),
            "gone": None,
        },
        {"new": "n", "id": 2, "gone2": 1 << 40, "b": 0.1, "c": Decimal("-99999999.99"), "gone": 5},
    ]
    scan = scan_table(table)
    assert_same_rows(scan.to_batches(), expected)
    assert_same_rows(scan.to_batches(), read_table(table))
    assert scan.arrow_schema.names == ["new", "id", "gone2", "b", "c", "gone"]


def test_nested_fields_renamed_promoted_dropped_and_added(lake: SqlCatalog) -> None:
    inner = StructType(NestedField(7, "a", IntegerType()), NestedField(8, "b", StringType()))
    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "st", inner),
        NestedField(
            3,
            "l",
            ListType(9, StructType(NestedField(10, "p", IntegerType()), NestedField(11, "q", StringType())), False),
        ),
        NestedField(
            4,
            "m",
            MapType(
                12,
                StructType(NestedField(15, "k", IntegerType(), required=True)),
                13,
                StructType(NestedField(14, "w", FloatType())),
                False,
            ),
        ),
        NestedField(5, "ll", ListType(16, ListType(17, IntegerType(), False), False)),
        NestedField(6, "mi", MapType(18, IntegerType(), 19, IntegerType(), False)),
    )
    table = lake.create_table("db.t", schema)
    # PyIceberg numbers the fields again, level by level.
    writer = UpsertWriter(table)
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    def write(rows: list[dict[str, Any]]) -> None:
        types = schema_to_pyarrow(table.schema(), include_field_ids=False)
        writer.checkpoint(Changes(("id",), upserts=pa.Table.from_pylist(rows, types)))

    write(
        [
            {
                "id": 1,
                "st": {"a": 1, "b": "x"},
                "l": [{"p": 1, "q": "x"}, None, {"p": None, "q": None}],
                "m": [({"k": 1}, {"w": 0.5}), ({"k": 2}, None)],
                "ll": [[1, None], None, []],
                "mi": [(1, 2), (3, None)],
            },
            {"id": 2, "st": None, "l": None, "m": None, "ll": None, "mi": None},
            {"id": 3, "st": {"a": None, "b": None}, "l": [], "m": [], "ll": [], "mi": []},
            {"id": 4, "st": None, "l": None, "m": None, "ll": None, "mi": None},
        ]
    )
    with table.update_schema() as update:
        update.update_column("st.a", field_type=LongType())
        update.rename_column("st.a", "aa")
        update.delete_column("st.b")
        update.add_column(("st", "c"), StringType())
        update.rename_column("l.q", "r")
        update.update_column("l.p", field_type=LongType())
        update.add_column(("l", "s"), ListType(100, IntegerType(), False))
        update.update_column("m.w", field_type=DoubleType())
        update.add_column(("m", "z"), StringType())
        update.update_column("ll.element.element", field_type=LongType())
        update.update_column("mi.value", field_type=LongType())
    write(
        [
            {
                "id": 4,
                "st": {"aa": 1 << 40, "c": "c"},
                "l": [{"p": 1 << 40, "r": "r", "s": [1]}],
                "m": [({"k": 1}, {"w": 0.1, "z": "z"})],
                "ll": [[1 << 40]],
                "mi": [(1, 1 << 40)],
            }
        ]
    )
    # PyIceberg 0.12, and so the naive reader, makes null lists empty ones.
    absent = {"l": None, "m": None, "ll": None, "mi": None}
    expected = [
        {
            "id": 1,
            "st": {"aa": 1, "c": None},
            "l": [{"p": 1, "r": "x", "s": None}, None, {"p": None, "r": None, "s": None}],
            "m": [({"k": 1}, {"w": 0.5, "z": None}), ({"k": 2}, None)],
            "ll": [[1, None], None, []],
            "mi": [(1, 2), (3, None)],
        },
        {"id": 2, "st": None, **absent},
        {"id": 3, "st": {"aa": None, "c": None}, "l": [], "m": [], "ll": [], "mi": []},
        {
            "id": 4,
            "st": {"aa": 1 << 40, "c": "c"},
            "l": [{"p": 1 << 40, "r": "r", "s": [1]}],
            "m": [({"k": 1}, {"w": 0.1, "z": "z"})],
            "ll": [[1 << 40]],
            "mi": [(1, 1 << 40)],
        },
    ]
    assert_same_rows(scan_table(table).to_batches(), expected)


def test_an_equality_column_that_was_dropped_still_deletes(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    writer = UpsertWriter(table)
    writer.checkpoint(Changes((), upserts=rows_of((1, "a", 1), (2, "b", 2), (3, None, 3))))
    writer.checkpoint(Changes(("region",), deletes=pa.table({"region": pa.array(["a", None], pa.string())})))
    with table.update_schema() as update:
        update.delete_column("region")
    UpsertWriter(table).checkpoint(Changes((), upserts=pa.table({"id": [4], "v": [4]})))
    assert ids(table) == [2, 4]
    assert_same_rows(scan_table(table).to_batches(), read_table(table))


def test_an_equality_column_that_was_added_later_is_null_in_older_files(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    UpsertWriter(table).checkpoint(Changes((), upserts=rows_of((1, "a", 1), (2, "b", 2))))
    with table.update_schema() as update:
        update.add_column("k", StringType())
    writer = UpsertWriter(table)
    keys = pa.table({"id": [1, 2], "k": pa.array([None, "x"], pa.string())})
    writer.checkpoint(Changes(("id", "k"), deletes=keys))
    assert ids(table) == [2]


def test_an_equality_column_in_a_struct(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", EVERYTHING)
    writer = UpsertWriter(table)
    blank = {f.name: None for f in EVERYTHING.fields}
    rows = [blank | {"id": i, "st": st} for i, st in enumerate([{"x": 1, "l": None}, {"x": None, "l": ["a"]}, None])]
    writer.checkpoint(Changes((), upserts=everything(rows)))
    writer.checkpoint(Changes(("st.x",), deletes=everything([blank | {"id": 9}]).select(["id", "st"])))
    assert ids(table) == [0]  # a null struct has a null field, R9
    assert_same_rows(scan_table(table).to_batches(), read_table(table))


def test_partition_evolution_global_and_scoped_deletes(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    writer = UpsertWriter(table)
    writer.checkpoint(Changes(("id",), upserts=rows_of((1, "a", 1), (2, "a", 1), (3, "b", 1))))
    with table.update_spec() as update:
        update.add_identity("region")
    writer.checkpoint(Changes(("id",), upserts=rows_of((1, "a", 2), (4, "b", 2))))
    assert ids(table) == [1, 1, 2, 3, 4]  # a delete of the new spec does not reach the old one's files
    with table.update_spec() as update:
        update.remove_field("region")
    writer.checkpoint(Changes(("id",), deletes=pa.table({"id": [1, 4]})))
    assert ids(table) == [2, 3]
    assert_same_rows(scan_table(table).to_batches(), read_table(table))


def test_an_older_snapshot_is_filtered_by_the_names_of_its_time(lake: SqlCatalog) -> None:
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "region"))
    table = lake.create_table("db.t", SIMPLE, partition_spec=spec)
    writer = UpsertWriter(table)
    first = writer.checkpoint(Changes((), upserts=rows_of((1, "a", 1), (2, "b", 2), (3, "a", 3))))
    with table.update_spec() as respec:
        respec.remove_field("region")
    with table.update_schema() as update:
        update.rename_column("v", "w")
        update.delete_column("region")
    with table.update_schema() as update:
        update.add_column("v", StringType())
    UpsertWriter(table).checkpoint(Changes((), upserts=pa.table({"id": [4], "w": [4], "v": ["x"]})))
    assert ids(table, snapshot_id=first.snapshot_id, where="region = 'a' AND v > 1") == [3]
    assert ids(table, where="w > 1") == [2, 3, 4]
    assert ids(table, where="v = 'x'") == [4]
    assert ids(table, where="v IS NULL") == [1, 2, 3]
    with pytest.raises(UsageError, match="w"):
        scan_table(table, snapshot_id=first.snapshot_id, where="w > 1").count()
    with pytest.raises(UsageError, match="region"):
        scan_table(table, where="region = 'a'").count()


def test_a_table_that_was_of_version_1(lake: SqlCatalog) -> None:
    """Its first files have no sequence numbers: every delete is later."""
    table = lake.create_table("db.t", SIMPLE, properties={"format-version": "1"})
    table.append(rows_of((1, "a", 1), (2, "b", 2), (3, None, 3)).cast(table.schema().as_arrow()))
    assert ids(table) == [1, 2, 3]
    with table.transaction() as transaction:
        transaction.upgrade_table_version(2)
    writer = UpsertWriter(table)
    writer.checkpoint(Changes(("id",), upserts=rows_of((2, "c", 9)), deletes=pa.table({"id": [3]})))
    assert_same_rows(scan_table(table).to_batches(), rows_of((1, "a", 1), (2, "c", 9)))
    assert_same_rows(scan_table(table).to_batches(), read_table(table))


def test_row_numbers_are_true_where_row_groups_are_skipped(lake: SqlCatalog) -> None:
    properties = {"write.parquet.row-group-limit": "2048"}
    table = lake.create_table("db.t", SIMPLE, properties=properties)
    writer = UpsertWriter(table)
    many = 20_000
    (file,) = writer.files.write_data(pa.table({"id": range(many), "region": ["x"] * many, "v": range(many)}))
    writer.commit([file])
    gone = [0, 2047, 2048, 10_001, 19_998]
    writer.commit(deletes=[writer.files.write_position_deletes([(file, gone)])])
    writer.checkpoint(Changes(("id",), deletes=pa.table({"id": [10_003]})))
    assert ids(table, where="id >= 10000 AND id < 10005") == [10_000, 10_002, 10_004]
    assert ids(table, where="v > 19996") == [19_997, 19_999]
    assert ids(table, where="id IN (2047, 2048, 2049)") == [2_049]
    assert scan_table(table).count() == many - len(gone) - 1


# ------------------------------------------------------------------------------------- files as others write them


def files_of(table: Table) -> list[Path]:
    table.refresh()
    snapshot = table.current_snapshot()
    assert snapshot is not None
    entries = [e for m in snapshot.manifests(table.io) for e in m.fetch_manifest_entry(table.io)]
    return [Path(e.data_file.file_path.removeprefix("file://")) for e in entries]


def lose(path: Path) -> Path:
    path.unlink()
    return path


def replace_file(table: Table, rows: pa.Table, **options: Any) -> None:
    """Commit one data file that PyArrow wrote as it was told: with no field ids unless ``rows`` has them."""
    writer = UpsertWriter(table)
    names = [f.name for f in table.schema().fields]
    blank = pa.table({n: pa.nulls(rows.num_rows) for n in names[1:]} | {names[0]: pa.array(range(rows.num_rows))})
    (file,) = writer.files.write_data(blank, partition=options.pop("partition", None))
    path = Path(file.file_path.removeprefix("file://"))
    pq.write_table(rows, path, **options)
    file._data[5] = path.stat().st_size  # file_size_in_bytes
    assert file.file_size_in_bytes == path.stat().st_size
    for counts in (file.value_counts, file.null_value_counts, file.lower_bounds, file.upper_bounds):
        counts.clear()
    writer.commit([file])


def set_mapping(table: Table, mapping: Any) -> None:
    with table.transaction() as transaction:
        transaction.set_properties({"schema.name-mapping.default": json.dumps(mapping)})


def test_files_without_field_ids_are_read_by_the_name_mapping(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    set_mapping(
        table,
        [
            {"field-id": 1, "names": ["key", "id"]},
            {"field-id": 2, "names": ["region"]},
            {"field-id": 3, "names": ["value"]},
        ],
    )
    replace_file(table, pa.table({"value": [7, 8], "key": [1, 2], "unmapped": ["x", "y"]}))
    UpsertWriter(table).checkpoint(Changes(("id",), deletes=pa.table({"id": [2]})))
    assert scan_table(table).to_arrow().to_pylist() == [{"id": 1, "region": None, "v": 7}]


def test_a_name_mapping_tells_names_apart_by_case(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    names = {1: "id", 2: "ID", 3: "iD"}
    set_mapping(table, [{"field-id": field_id, "names": [name]} for field_id, name in names.items()])
    replace_file(table, pa.table({"iD": [7], "ID": ["x"], "id": [1]}))
    assert scan_table(table).to_arrow().to_pylist() == [{"id": 1, "region": "x", "v": 7}]


def test_a_name_mapping_reaches_into_structs_lists_and_maps(lake: SqlCatalog) -> None:
    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "st", StructType(NestedField(5, "a", LongType()), NestedField(6, "b", StringType()))),
        NestedField(3, "l", ListType(7, StructType(NestedField(8, "p", LongType())), False)),
        NestedField(4, "m", MapType(9, StringType(), 10, StructType(NestedField(11, "w", LongType())), False)),
    )
    table = lake.create_table("db.t", schema)
    named = {f.name: f for f in table.schema().fields}
    st, items, pairs = named["st"].field_type, named["l"].field_type, named["m"].field_type
    assert isinstance(st, StructType)
    assert isinstance(items, ListType)
    assert isinstance(pairs, MapType)
    element, value = items.element_type, pairs.value_type
    assert isinstance(element, StructType)
    assert isinstance(value, StructType)
    set_mapping(
        table,
        [
            {"field-id": 1, "names": ["id"]},
            {
                "field-id": named["st"].field_id,
                "names": ["struct_"],
                "fields": [{"field-id": st.fields[0].field_id, "names": ["alpha"]}],
            },
            {
                "field-id": named["l"].field_id,
                "names": ["l"],
                "fields": [
                    {
                        "field-id": items.element_id,
                        "names": ["element"],
                        "fields": [{"field-id": element.fields[0].field_id, "names": ["pp"]}],
                    }
                ],
            },
            {
                "field-id": named["m"].field_id,
                "names": ["m"],
                "fields": [
                    {"field-id": pairs.key_id, "names": ["key"]},
                    {
                        "field-id": pairs.value_id,
                        "names": ["value"],
                        "fields": [{"field-id": value.fields[0].field_id, "names": ["ww"]}],
                    },
                ],
            },
        ],
    )
    rows = pa.table(
        {
            "id": [1],
            "struct_": [{"alpha": 5, "b": "not mapped"}],
            "l": [[{"pp": 1}, {"pp": 2}]],
            "m": pa.array([[("k", {"ww": 3})]], pa.map_(pa.string(), pa.struct([("ww", pa.int64())]))),
        }
    )
    replace_file(table, rows)
    expected = [{"id": 1, "st": {"a": 5, "b": None}, "l": [{"p": 1}, {"p": 2}], "m": [("k", {"w": 3})]}]
    assert_same_rows(scan_table(table).to_batches(), expected)


def test_a_file_without_field_ids_and_no_mapping_is_refused_by_name(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    replace_file(table, pa.table({"id": [1], "region": ["a"], "v": [1]}))
    (path,) = files_of(table)
    with pytest.raises(DataError, match=rf"{path} has no field ids .*schema\.name-mapping\.default"):
        scan_table(table).to_arrow()


def with_ids(rows: pa.Table, **field_ids: int) -> pa.Table:
    fields = [f.with_metadata({b"PARQUET:field_id": str(field_ids[f.name]).encode()}) for f in rows.schema]
    return rows.cast(pa.schema(fields))


def test_columns_that_differ_by_case_only(lake: SqlCatalog) -> None:
    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "ID", StringType()),
        NestedField(3, "Id", LongType()),
    )
    table = lake.create_table("db.t", schema)
    writer = UpsertWriter(table)
    writer.checkpoint(Changes(("id",), upserts=pa.table({"id": [1, 2], "ID": ["x", "y"], "Id": [10, 20]})))
    writer.checkpoint(Changes(("id", "ID"), deletes=pa.table({"id": [2, 1], "ID": ["y", "z"]})))
    assert scan_table(table).to_arrow().to_pylist() == [{"id": 1, "ID": "x", "Id": 10}]
    assert scan_table(table, where="ID = 'x' AND Id = 10").count() == 1


def test_struct_fields_that_differ_by_case_only_are_refused(lake: SqlCatalog) -> None:
    """The engine cannot hold such a struct; a wrong answer would be worse than none."""
    struct = StructType(NestedField(3, "a", LongType()), NestedField(4, "A", LongType()))
    schema = Schema(NestedField(1, "id", LongType(), required=True), NestedField(2, "st", struct))
    table = lake.create_table("db.t", schema)
    UpsertWriter(table).checkpoint(Changes(("id",), upserts=pa.table({"id": [1], "st": [{"a": 1, "A": 2}]})))
    with pytest.raises(UnsupportedTableError, match="st"):
        scan_table(table).to_arrow()


@pytest.mark.parametrize("hard", ["file_index", "filename", "file_row_number", "FileName"])
def test_columns_with_the_names_of_virtual_ones(lake: SqlCatalog, hard: str) -> None:
    schema = Schema(NestedField(1, "id", LongType(), required=True), NestedField(2, hard, StringType()))
    table = lake.create_table("db.t", schema)
    writer = UpsertWriter(table)
    writer.checkpoint(Changes(("id",), upserts=pa.table({"id": [1, 2, 2], hard: ["x", "y", "z"]})))
    writer.checkpoint(Changes((hard,), deletes=pa.table({hard: ["x"]})))
    assert scan_table(table).to_arrow().to_pylist() == [{"id": 2, hard: "z"}]


@pytest.mark.parametrize(
    "name", ["a.b", 'quo"te', "it's", "sp ace", "select", "_pos", "_file", "_seq", "c2", "ž", "k1"]
)
def test_names_that_mean_something_elsewhere(lake: SqlCatalog, name: str) -> None:
    schema = Schema(NestedField(1, "id", LongType(), required=True), NestedField(2, name, StringType()))
    table = lake.create_table("db.t", schema)
    writer = UpsertWriter(table)
    writer.checkpoint(Changes(("id",), upserts=pa.table({"id": [1, 2, 2], name: ["x", "y", "z"]})))
    writer.checkpoint(Changes((name,), deletes=pa.table({name: ["x"]})))
    assert scan_table(table).to_arrow().to_pylist() == [{"id": 2, name: "z"}]


def test_strings_and_uuids_stored_without_a_logical_type(lake: SqlCatalog) -> None:
    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "s", StringType()),
        NestedField(3, "u", UUIDType()),
    )
    table = lake.create_table("db.t", schema)
    key = uuid.UUID(int=2**127 + 5)
    rows = pa.table(
        {
            "id": [1, 2],
            "s": pa.array(["žluť".encode(), None], pa.binary()),
            "u": pa.array([key.bytes, None], pa.binary(16)),
        }
    )
    replace_file(table, with_ids(rows, id=1, s=2, u=3))
    scan = scan_table(table)
    assert_same_rows(scan.to_batches(), [{"id": 1, "s": "žluť", "u": key}, {"id": 2, "s": None, "u": None}])
    UpsertWriter(table).checkpoint(
        Changes(("s", "u"), deletes=pa.table({"s": ["žluť"], "u": pa.array([key.bytes], pa.binary(16))}))
    )
    assert ids(table) == [2]


@pytest.mark.parametrize(
    "options", [{"use_deprecated_int96_timestamps": True}, {"version": "1.0"}, {"data_page_version": "2.0"}]
)
def test_timestamps_and_layouts_of_older_writers(lake: SqlCatalog, options: dict[str, Any]) -> None:
    from pyiceberg.types import TimestampType, TimestamptzType

    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "ts", TimestampType()),
        NestedField(3, "tz", TimestamptzType()),
    )
    table = lake.create_table("db.t", schema)
    moment = dt.datetime(1969, 12, 31, 23, 59, 59, 999999)
    rows = pa.table(
        {
            "id": [1],
            "ts": pa.array([moment], pa.timestamp("us")),
            "tz": pa.array([moment], pa.timestamp("us", "UTC")),
        }
    )
    replace_file(table, with_ids(rows, id=1, ts=2, tz=3), **options)
    expected = [{"id": 1, "ts": moment, "tz": moment.replace(tzinfo=dt.UTC)}]
    assert_same_rows(scan_table(table).to_batches(), expected)


def test_a_column_that_the_file_lacks_has_the_value_of_its_identity_partition(lake: SqlCatalog) -> None:
    """As Hive's writers leave partition columns out of files: R12."""
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "region"))
    table = lake.create_table("db.t", SIMPLE, partition_spec=spec)
    replace_file(table, with_ids(pa.table({"id": [1, 2], "v": [1, 2]}), id=1, v=3), partition=["eu"])
    writer = UpsertWriter(table)
    writer.checkpoint(Changes(("id", "region"), deletes=pa.table({"id": [1, 2], "region": ["eu", "us"]})))
    assert scan_table(table).to_arrow().to_pylist() == [{"id": 2, "region": "eu", "v": 2}]
    assert ids(table, where="region = 'eu'") == [2]
    assert ids(table, where="region != 'eu'") == []


def test_folders_named_like_partitions_change_no_column(lake: SqlCatalog) -> None:
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "region"))
    table = lake.create_table("db.t", SIMPLE, partition_spec=spec)
    UpsertWriter(table).checkpoint(Changes(("id", "region"), upserts=rows_of((1, "2024-03-01", 5), (2, "7", 6))))
    assert {p.parent.name for p in files_of(table)} == {"region=2024-03-01", "region=7"}
    rows = scan_table(table).to_arrow()
    assert rows.schema.field("region").type in (pa.string(), pa.large_string())
    assert sorted(rows["region"].to_pylist()) == ["2024-03-01", "7"]


# ------------------------------------------------------------------------------------- damage


def test_v3_tables_are_refused(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE, properties={"format-version": "2"})
    table.metadata = table.metadata.model_copy(update={"format_version": 3})
    with pytest.raises(UnsupportedTableError, match=r"Table lake\.db\.t has format version 3. Only versions 1 and 2"):
        scan_table(table)


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["data", "position-delete", "equality-delete"])
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lose, "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-30]), r"is \d+ bytes long, but its manifest says \d+"),
        (lambda path: path.write_bytes(b"\0" * path.stat().st_size), "cannot be read: "),
        (lambda path: corrupt_pages(path), "cannot be read: "),
    ],
    ids=["missing", "cut", "garbage", "pages"],
)
def test_a_damaged_file_is_named(simple: Table, kind: int, damage: Callable[[Path], Any], says: str) -> None:
    snapshot = simple.current_snapshot()
    assert snapshot is not None
    entries = [e for m in snapshot.manifests(simple.io) for e in m.fetch_manifest_entry(simple.io)]
    path = next(
        Path(e.data_file.file_path.removeprefix("file://")) for e in entries if int(e.data_file.content) == kind
    )
    damage(path)
    label = ["data", "position-delete", "equality-delete"][kind]
    with pytest.raises(DataError, match=rf"Table lake\.db\.t: {label} file .*{re.escape(path.name)} {says}") as raised:
        scan_table(simple).to_arrow()
    assert "Restore it, or roll the table back" in str(raised.value)


def corrupt_pages(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    footer = int.from_bytes(raw[-8:-4], "little")
    raw[4 : len(raw) - 8 - footer] = b"\xff" * (len(raw) - 12 - footer)
    path.write_bytes(raw)


def test_an_equality_delete_by_an_unknown_field_id_is_named(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    writer = UpsertWriter(table)
    (data,) = writer.files.write_data(rows_of((1, "a", 1)))
    writer.commit([data])
    (delete,) = writer.files.write_equality_deletes(pa.table({"id": [1]}), ["id"])
    delete._data[14 if isinstance(delete._data[14], list) else 15] = [77]
    assert delete.equality_ids == [77]
    writer.commit(deletes=[delete])
    with pytest.raises(
        DataError, match=rf"{re.escape(delete.file_path)} deletes by field id 77, which is in no schema"
    ):
        scan_table(table).to_arrow()


def test_an_equality_delete_file_without_its_column_is_named(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    writer = UpsertWriter(table)
    (data,) = writer.files.write_data(rows_of((1, "a", 1)))
    writer.commit([data])
    (delete,) = writer.files.write_equality_deletes(pa.table({"id": [1]}), ["id"])
    position = next(i for i, value in enumerate(delete._data) if value == [1])
    delete._data[position] = [1, 3]
    writer.commit(deletes=[delete])
    with pytest.raises(DataError, match=rf"{re.escape(delete.file_path)} has no column with its equality field id 3"):
        scan_table(table).to_arrow()


def test_a_column_of_an_impossible_type_is_named(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    replace_file(table, with_ids(pa.table({"id": [1], "region": [{"x": 1}], "v": [1]}), id=1, region=2, v=3))
    with pytest.raises(DataError, match="stores column 'region' as struct, but its type in the table is string"):
        scan_table(table).to_arrow()
