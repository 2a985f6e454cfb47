"""The writer commits what Flink's sink would commit: judged by the model, a naive reader and the files themselves."""

import datetime as dt
import decimal
import random
import uuid
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.conversions import from_bytes
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile, DataFileContent, ManifestContent
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
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
from autostream.errors import UsageError
from tests.support.model import UpsertModel
from tests.support.reader import read_table
from tests.support.rows import assert_same_rows

SIMPLE = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "region", StringType()),
    NestedField(3, "v", LongType()),
)
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


def rows_of(*rows: tuple[int, str | None, int]) -> pa.Table:
    return pa.table({"id": [r[0] for r in rows], "region": [r[1] for r in rows], "v": [r[2] for r in rows]})


def live_files(table: Table) -> list[DataFile]:
    snapshot = table.current_snapshot()
    assert snapshot is not None
    return [e.data_file for m in snapshot.manifests(table.io) for e in m.fetch_manifest_entry(table.io)]


def some_row(pick: random.Random, key: int) -> dict[str, Any]:
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
        "real": maybe(pick.choice([float("nan"), -0.0, 0.0, 1.5, float("inf")])),
        "double": maybe(pick.choice([float("nan"), -0.0, 0.0, -1.5])),
        "i": maybe(pick.randrange(-5, 5)),
        "st": maybe({"x": maybe(pick.randrange(2)), "l": maybe(["q", None])}),
        "m": maybe([("k", 1), ("j", None)]),
    }


def everything_table(rows: list[dict[str, Any]]) -> pa.Table:
    types = schema_to_pyarrow(EVERYTHING, include_field_ids=False)
    return pa.Table.from_pylist(rows, pa.schema([(f.name, pa.binary(16) if f.name == "u" else f.type) for f in types]))


def test_a_checkpoint_is_one_snapshot_of_data_equality_and_position_deletes(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    writer = UpsertWriter(table, job_id="job", operator_id="operator")
    writer.checkpoint(Changes(("id",), upserts=rows_of((1, "a", 1), (2, "b", 2))))
    snapshot = writer.checkpoint(
        Changes(("id",), upserts=rows_of((1, "a", 3), (1, "c", 4), (3, "x", 5)), deletes=pa.table({"id": [2, 3, 9]}))
    )
    assert_same_rows(read_table(table), rows_of((1, "c", 4)))
    data, equality, position = sorted(
        (f for f in live_files(table) if f.file_path.rpartition("-")[2] > "00002.parquet"), key=lambda f: f.file_path
    )
    with table.io.new_input(equality.file_path).open() as stream:
        keys = pq.read_table(stream)
    # Before the first write of 1 and 3, and as deletes 2 and 9; the second 1 and the delete of 3 go by position.
    assert keys.to_pydict() == {"id": [1, 3, 2, 9]}
    assert equality.equality_ids == [1]
    with table.io.new_input(position.file_path).open() as stream:
        assert pq.read_table(stream).to_pydict() == {"file_path": [data.file_path] * 2, "pos": [0, 2]}
    assert position.lower_bounds[2147483546].decode() == position.upper_bounds[2147483546].decode() == data.file_path
    assert snapshot.summary is not None
    assert snapshot.summary.operation == Operation.OVERWRITE
    expected = {
        "flink.job-id": "job",
        "flink.operator-id": "operator",
        "flink.max-committed-checkpoint-id": "2",
        "added-records": "3",
        "added-equality-deletes": "4",
        "added-position-deletes": "2",
        "total-data-files": "2",
        "total-delete-files": "3",
        "total-records": "5",
        "total-equality-deletes": "6",
        "total-position-deletes": "2",
    }
    assert {key: snapshot.summary[key] for key in expected} == expected


def test_first_checkpoint_and_appends(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    writer = UpsertWriter(table)
    assert writer.checkpoint().summary["total-records"] == "0"  # type: ignore[index]
    appended = writer.checkpoint(Changes((), upserts=rows_of((1, "a", 1), (1, "a", 1))))
    assert appended.summary is not None
    assert appended.summary.operation == Operation.APPEND
    assert_same_rows(read_table(table), rows_of((1, "a", 1), (1, "a", 1)))


def test_delete_manifests_hold_equality_ids_as_java_expects(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    snapshot = UpsertWriter(table).checkpoint(Changes(("id", "region"), upserts=rows_of((1, "a", 1))))
    deletes = [m for m in snapshot.manifests(table.io) if m.content == ManifestContent.DELETES]
    fastavro = pytest.importorskip("fastavro")
    with table.io.new_input(deletes[0].manifest_path).open() as stream:
        reader = fastavro.reader(stream)
        entries = list(reader)
    data_file = next(f for f in reader.writer_schema["fields"] if f["name"] == "data_file")["type"]
    ids = next(f for f in data_file["fields"] if f["name"] == "equality_ids")["type"]
    assert next(t for t in ids if t != "null")["items"] == "int"
    assert reader.metadata["content"] == "deletes"
    assert entries[0]["data_file"]["equality_ids"] == [1, 2]


def test_whole_row_deletes_keep_the_ids_of_the_key(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    writer = UpsertWriter(table, whole_row_deletes=True)
    writer.checkpoint(Changes(("id",), upserts=rows_of((1, "a", 1), (2, "b", 2))))
    writer.checkpoint(Changes(("id",), deletes=rows_of((1, "other", 7))))
    assert_same_rows(read_table(table), rows_of((2, "b", 2)))
    deletes = [f for f in live_files(table) if f.content == DataFileContent.EQUALITY_DELETES]
    assert [f.equality_ids for f in deletes] == [[1], [1]]
    with table.io.new_input(deletes[0].file_path).open() as stream:
        assert pq.read_schema(stream).names == ["id", "region", "v"]


def test_several_sets_of_equality_fields_in_one_checkpoint(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    writer, model = UpsertWriter(table), UpsertModel()
    for changes in (
        [Changes((), upserts=rows_of((1, "a", 0), (1, "b", 0), (2, None, 0), (3, "a", 0)))],
        [
            Changes(("id",), upserts=rows_of((1, "a", 1), (5, "q", 1))),
            Changes(("region",), upserts=rows_of((7, "a", 1), (8, None, 1), (9, None, 2))),
            Changes(("id",), deletes=pa.table({"id": [5, 7]})),
        ],
        [Changes(("id", "region"), deletes=pa.table({"id": [1, 9], "region": ["a", None]}))],
    ):
        writer.checkpoint(*changes)
        model.checkpoint(SIMPLE, *changes)
        assert_same_rows(read_table(table), model.rows(SIMPLE))
    assert_same_rows(read_table(table), rows_of((7, "a", 1)))


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        (PartitionSpec(), ("id", "st.x")),
        (
            PartitionSpec(
                PartitionField(1, 1000, BucketTransform(4), "id_bucket"), PartitionField(7, 1001, DayTransform(), "day")
            ),
            ("id", "tz"),
        ),
        (
            PartitionSpec(
                PartitionField(2, 1000, IdentityTransform(), "u"),
                PartitionField(4, 1001, IdentityTransform(), "d"),
                PartitionField(10, 1002, TruncateTransform(2), "s_start"),
                PartitionField(8, 1003, TruncateTransform(100), "hundreds"),
                PartitionField(5, 1004, IdentityTransform(), "t"),
                PartitionField(3, 1005, IdentityTransform(), "f"),
                PartitionField(6, 1006, IdentityTransform(), "ts"),
                PartitionField(11, 1007, BucketTransform(3), "b_bucket"),
                PartitionField(17, 1008, IdentityTransform(), "st_x"),
            ),
            ("u", "d", "s", "small", "t", "f", "ts", "b", "st.x"),
        ),
    ],
    ids=["unpartitioned", "bucket-day", "nine-fields"],
)
def test_every_type_as_value_key_and_partition(lake: SqlCatalog, spec: PartitionSpec, key: tuple[str, ...]) -> None:
    table = lake.create_table("db.t", EVERYTHING, partition_spec=spec)
    writer = UpsertWriter(table)
    pick = random.Random(len(key))
    expected: dict[Any, dict[str, Any]] = {}

    def key_of(row: dict[str, Any]) -> Any:
        return tuple(row["st"] and row["st"]["x"] if name == "st.x" else row[name] for name in key)

    for _ in range(3):
        rows = [some_row(pick, pick.randrange(30)) for _ in range(40)]
        writer.checkpoint(Changes(key, upserts=everything_table(rows), deletes=everything_table(rows[:5])))
        expected.update({key_of(row): row for row in rows})
        for row in rows[:5]:
            expected.pop(key_of(row), None)
    assert_same_rows(read_table(table), list(expected.values()))
    for file in live_files(table):
        assert_true_metrics(table, file)


def assert_true_metrics(table: Table, file: DataFile) -> None:
    """Compare counts and bounds with what is in the file."""
    with table.io.new_input(file.file_path).open() as stream:
        rows = pq.read_table(stream)
    assert rows.num_rows == file.record_count
    if file.content == DataFileContent.POSITION_DELETES:
        return
    for field in EVERYTHING.fields:
        if field.name not in rows.column_names or not field.field_type.is_primitive:
            continue
        values = rows[field.name]
        assert file.null_value_counts[field.field_id] == values.null_count
        assert file.value_counts[field.field_id] == len(values)
        present = [v for v in values.to_pylist() if v is not None and v == v]
        lower, upper = file.lower_bounds.get(field.field_id), file.upper_bounds.get(field.field_id)
        if not present:
            assert lower is None
            assert upper is None
            continue
        assert lower is not None
        least, most = (
            from_bytes(field.field_type, lower),
            None if upper is None else from_bytes(field.field_type, upper),
        )
        if isinstance(field.field_type, StringType | BinaryType):
            # Truncated to 16; where nothing greater exists, there is no upper bound.
            assert min(present).startswith(least)
            assert most is None or most >= max(present)
        else:
            as_stored = from_stored(field.field_type, values)
            assert (least, most) == (min(as_stored), max(as_stored))


def from_stored(field_type: Any, values: pa.ChunkedArray) -> list[Any]:
    numbers = {DateType: pa.int32(), TimeType: pa.int64(), TimestampType: pa.int64(), TimestamptzType: pa.int64()}
    stored = numbers.get(type(field_type))
    present = (values.cast(stored) if stored else values).drop_null().to_pylist()
    return [v.bytes if isinstance(v, uuid.UUID) else v for v in present if v == v]


def test_no_bounds_where_a_row_group_has_none(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE, properties={"write.parquet.row-group-limit": "1"})
    # Parquet keeps no bounds of values over 4 KB; those of the other row group are not those of the file.
    UpsertWriter(table).checkpoint(Changes((), upserts=rows_of((1, "m", 1), (2, "z" * 5000, 2))))
    (file,) = live_files(table)
    assert 2 not in file.lower_bounds
    assert 2 not in file.upper_bounds
    assert from_bytes(LongType(), file.upper_bounds[1]) == 2


def test_global_deletes_reach_older_specs_and_partitioned_ones_do_not(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    writer, model = UpsertWriter(table), UpsertModel()

    def step(changes: Changes, scope: Any) -> None:
        writer.checkpoint(changes)
        model.checkpoint(table.schema(), changes, scope=scope)
        assert_same_rows(read_table(table), model.rows(table.schema()))

    step(Changes(("id",), upserts=rows_of((1, "a", 1), (2, "a", 1))), lambda row: None)
    with table.update_spec() as update:
        update.add_identity("region")
    step(Changes(("id",), upserts=rows_of((1, "a", 2), (3, "b", 2))), lambda row: ("regions", row["region"]))
    assert read_table(table).count({"id": 1, "region": "a", "v": 1}) == 1
    with table.update_spec() as update:
        update.remove_field("region")
    step(Changes(("id",), deletes=pa.table({"id": [1]})), lambda row: None)
    assert_same_rows(read_table(table), rows_of((2, "a", 1), (3, "b", 2)))


def test_files_of_any_kind_can_be_committed_and_removed(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    writer = UpsertWriter(table)
    (first,) = writer.files.write_data(rows_of((1, "a", 1), (2, "a", 2)))
    (second,) = writer.files.write_data(rows_of((3, "a", 3)))
    writer.commit([first, second])
    both = writer.files.write_position_deletes([(first, [0]), (second, [0])])
    (equality,) = writer.files.write_equality_deletes(pa.table({"id": [2]}), ["id"])
    writer.commit(deletes=[both, equality], operation=Operation.DELETE)
    assert read_table(table) == []
    snapshot = writer.commit(remove=[equality, second])
    assert_same_rows(read_table(table), rows_of((2, "a", 2)))
    assert snapshot.summary is not None
    assert snapshot.summary["total-data-files"] == "1"
    assert snapshot.summary["total-equality-deletes"] == "0"
    assert snapshot.summary["total-position-deletes"] == "2"


def test_a_lost_race_is_repeated(lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    table = lake.create_table("db.t", SIMPLE, properties={"commit.retry.min-wait-ms": "1"})
    commit_table = lake.commit_table
    interloper = [rows_of((2, "b", 2))]

    def overtaken(*args: Any) -> Any:
        if interloper:
            UpsertWriter(lake.load_table("db.t")).checkpoint(Changes(("id",), upserts=interloper.pop()))
        return commit_table(*args)

    monkeypatch.setattr(lake, "commit_table", overtaken)
    snapshot = UpsertWriter(table).checkpoint(Changes(("id",), upserts=rows_of((1, "a", 1))))
    assert_same_rows(read_table(lake.load_table("db.t")), rows_of((1, "a", 1), (2, "b", 2)))
    assert snapshot.summary is not None
    assert snapshot.summary["total-records"] == "2"


def test_errors_name_the_field(lake: SqlCatalog) -> None:
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "region"))
    table = lake.create_table("db.t", SIMPLE, partition_spec=spec)
    writer = UpsertWriter(table)
    with pytest.raises(UsageError, match="needs column 'region', which the rows lack"):
        writer.checkpoint(Changes(("id",), deletes=pa.table({"id": [1]})))
    with pytest.raises(UsageError, match="nothing are not all columns"):
        writer.checkpoint(Changes(("nothing",), upserts=rows_of((1, "a", 1))))
