"""The writer commits what Flink's sink would commit: judged by the model, a naive reader and the files themselves."""

import uuid
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile, DataFileContent, ManifestContent
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BinaryType,
    DateType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
)

from autostream.demo.writer import Changes, UpsertWriter
from autostream.errors import UsageError
from tests.support.model import UpsertModel
from tests.support.reader import read_table
from tests.support.rows import assert_same_rows
from tests.support.upserts import EVERYTHING, SHAPES, random_upserts

SIMPLE = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "region", StringType()),
    NestedField(3, "v", LongType()),
)


def rows_of(*rows: tuple[int, str | None, int]) -> pa.Table:
    return pa.table({"id": [r[0] for r in rows], "region": [r[1] for r in rows], "v": [r[2] for r in rows]})


def live_files(table: Table) -> list[DataFile]:
    snapshot = table.current_snapshot()
    assert snapshot is not None
    return [e.data_file for m in snapshot.manifests(table.io) for e in m.fetch_manifest_entry(table.io)]


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


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("shape", SHAPES)
def test_every_type_as_value_key_and_partition(lake: SqlCatalog, shape: str) -> None:
    table, expected = random_upserts(lake, "db.t", SHAPES[shape])
    assert_same_rows(read_table(table), expected)
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
