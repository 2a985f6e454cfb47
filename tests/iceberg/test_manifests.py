"""Manifests read and written: inherited numbers, both versions, what Java insists on, every partition type."""

import io
from pathlib import Path
from typing import Any
from uuid import UUID

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestFile,
    read_manifest_list,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform, VoidTransform
from pyiceberg.typedef import Record
from pyiceberg.types import (
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    NestedField,
    PrimitiveType,
    StringType,
    UUIDType,
)

from autostream.demo.writer import UpsertWriter
from autostream.errors import ConfigurationError, DataError
from autostream.iceberg.files import FILE_PATH_FIELD_ID, Content, partition_key
from autostream.iceberg.manifest_lists import listed_manifests
from autostream.iceberg.manifests import (
    ManifestReader,
    ManifestWriter,
    Status,
    data_file,
    field_type,
    is_deletion_vector,
    partition_type,
    read_entries,
    referenced_data_file,
    to_live_file,
    with_counts,
    write_list,
)
from tests.lake.states import SPECS, metadata
from tests.support.foreign import ForeignTable, change_list, rewrite_avro

CONTENT = {
    DataFileContent.DATA: ManifestContent.DATA,
    DataFileContent.POSITION_DELETES: ManifestContent.DELETES,
    DataFileContent.EQUALITY_DELETES: ManifestContent.DELETES,
}


def described(path: str = "file:///t/a", *, content: DataFileContent = DataFileContent.DATA, **more: Any) -> DataFile:
    fields = {
        "content": content,
        "file_path": path,
        "file_format": FileFormat.PARQUET,
        "partition": Record(),
        "record_count": 10,
        "file_size_in_bytes": 100,
        "spec_id": 0,
        **more,
    }
    return data_file(**fields)


@pytest.fixture
def table(lake: SqlCatalog) -> Table:
    return lake.create_table(
        "db.t", Schema(NestedField(1, "id", IntegerType()), NestedField(2, "region", StringType()))
    )


def writer(table: Table, path: Path, *, content: ManifestContent = ManifestContent.DATA, **more: Any) -> ManifestWriter:
    arguments = {"metadata": table.metadata, "spec_id": 0, "snapshot_id": 77, **more}
    return ManifestWriter(table.io, f"file://{path}", content=content, **arguments)


def as_listed(manifest: ManifestFile, sequence_number: int) -> ManifestFile:
    """Return a manifest as a snapshot of this number lists it."""
    manifest._data = [sequence_number if value == -1 else value for value in manifest._data]
    assert manifest.sequence_number == sequence_number
    return manifest


def raw(path: Path) -> tuple[fastavro.reader, list[Any]]:
    reader = fastavro.reader(io.BytesIO(path.read_bytes()))
    return reader, list(reader)


# ------------------------------------------------------------------------------------- written


def test_new_kept_and_removed_files_with_their_numbers(table: Table, tmp_path: Path) -> None:
    first = writer(table, tmp_path / "1.avro", snapshot_id=1)
    first.add(described("file:///t/old"))
    first.add(described("file:///t/gone", record_count=7))
    old, gone = read_entries(table.io, as_listed(first.close(), 3))

    second = writer(table, tmp_path / "2.avro", snapshot_id=2)
    second.add(described("file:///t/new", record_count=5), sequence_number=2)
    second.add(described("file:///t/plain", record_count=6))
    second.keep(old)
    second.delete(gone)
    manifest = second.close()

    counts = [
        (manifest.added_files_count, manifest.added_rows_count),
        (manifest.existing_files_count, manifest.existing_rows_count),
        (manifest.deleted_files_count, manifest.deleted_rows_count),
    ]
    assert counts == [(2, 11), (1, 10), (1, 7)]
    assert manifest.min_sequence_number == 2
    assert manifest.manifest_length == (tmp_path / "2.avro").stat().st_size
    entries = read_entries(table.io, as_listed(manifest, 9))
    found = {
        e.data_file.file_path: (e.status, e.snapshot_id, e.sequence_number, e.file_sequence_number) for e in entries
    }
    assert found == {
        "file:///t/new": (Status.ADDED, 2, 2, 9),  # R2: its data is old, the file is new
        "file:///t/plain": (Status.ADDED, 2, 9, 9),
        "file:///t/old": (Status.EXISTING, 1, 3, 3),
        "file:///t/gone": (Status.DELETED, 2, 3, 3),
    }


def test_a_manifest_of_inherited_numbers_has_no_least_one_yet(table: Table, tmp_path: Path) -> None:
    one = writer(table, tmp_path / "1.avro")
    one.add(described())
    assert one.close().min_sequence_number == -1


def test_a_removed_file_does_not_lower_the_least_number(table: Table, tmp_path: Path) -> None:
    first = writer(table, tmp_path / "1.avro")
    first.add(described())
    (entry,) = read_entries(table.io, as_listed(first.close(), 3))
    second = writer(table, tmp_path / "2.avro")
    second.delete(entry)
    second.add(described("file:///t/b"), sequence_number=8)
    assert second.close().min_sequence_number == 8


@pytest.mark.parametrize("content", list(DataFileContent))
def test_what_java_insists_on(table: Table, tmp_path: Path, content: DataFileContent) -> None:
    path = tmp_path / "m.avro"
    one = writer(table, path, content=CONTENT[content])
    ids = [1, 2] if content == DataFileContent.EQUALITY_DELETES else None
    one.add(described(content=content, equality_ids=ids))
    one.close()
    reader, (entry,) = raw(path)
    assert reader.metadata["content"] == ("data" if content == DataFileContent.DATA else "deletes")
    assert reader.metadata["format-version"] == "2"
    assert reader.metadata["partition-spec-id"] == "0"
    assert reader.metadata["partition-spec"] == "[]"
    assert '"schema-id"' in reader.metadata["schema"]
    fields = next(f for f in reader.writer_schema["fields"] if f["name"] == "data_file")["type"]["fields"]
    by_id = {field["field-id"]: field for field in fields}
    assert next(t for t in by_id[135]["type"] if t != "null")["items"] == "int"
    assert by_id[143]["name"] == "referenced_data_file"
    assert entry["data_file"]["equality_ids"] == ids
    assert entry["data_file"]["content"] == int(content)


@pytest.mark.parametrize(
    ("codec", "in_avro"),
    [
        (None, "deflate"),
        ("gzip", "deflate"),
        ("uncompressed", "null"),
        ("null", "null"),
        ("ZSTD", "zstandard"),
        ("snappy", "snappy"),
    ],
)
def test_codecs_of_manifests(table: Table, tmp_path: Path, codec: str | None, in_avro: str) -> None:
    if codec is not None:
        with table.transaction() as transaction:
            transaction.set_properties({"write.avro.compression-codec": codec})
    one = writer(table, tmp_path / "m.avro")
    for i in range(2_500):  # several blocks
        one.add(described(f"file:///t/{i}"))
    manifest = as_listed(one.close(), 1)
    assert [e.data_file.file_path for e in read_entries(table.io, manifest)] == [f"file:///t/{i}" for i in range(2_500)]
    reader, entries = raw(tmp_path / "m.avro")
    assert (reader.codec, len(entries)) == (in_avro, 2_500)
    write_list(
        table.io,
        f"file://{tmp_path}/list.avro",
        [manifest],
        metadata=table.metadata,
        snapshot_id=77,
        parent_snapshot_id=None,
        sequence_number=1,
    )
    assert [m.manifest_path for m in read_manifest_list(table.io.new_input(f"file://{tmp_path}/list.avro"))] == [
        manifest.manifest_path
    ]
    assert raw(tmp_path / "list.avro")[0].codec == in_avro


def test_an_unknown_codec_is_refused_before_anything_is_written(table: Table, tmp_path: Path) -> None:
    with table.transaction() as transaction:
        transaction.set_properties({"write.avro.compression-codec": "brotli"})
    with pytest.raises(ConfigurationError, match=r"compression-codec is 'brotli'. It must be uncompressed"):
        writer(table, tmp_path / "m.avro")
    assert not (tmp_path / "m.avro").exists()


def test_a_manifest_that_names_no_codec_is_not_compressed(table: Table, tmp_path: Path) -> None:
    one = writer(table, tmp_path / "m.avro")
    one.add(described())
    manifest = as_listed(one.close(), 1)
    reader, entries = raw(tmp_path / "m.avro")
    metadata = {k: v for k, v in reader.metadata.items() if not k.startswith("avro.")}
    with (tmp_path / "m.avro").open("wb") as stream:
        fastavro.writer(stream, reader.writer_schema, entries, metadata=metadata, codec="null")
    bytes_with = (tmp_path / "m.avro").read_bytes()
    assert b"avro.codec" in bytes_with
    # The entry of the header's map goes: a length-prefixed key and value, and one entry less.
    named = b"\x14avro.codec\x08null"
    assert named in bytes_with
    count = bytes_with[4:5]
    one_less = bytes([count[0] - 2])
    (tmp_path / "m.avro").write_bytes(bytes_with.replace(named, b"", 1).replace(count, one_less, 1))
    assert [e.data_file.file_path for e in read_entries(table.io, manifest)] == ["file:///t/a"]


def test_a_referenced_data_file_survives_rewriting(table: Table, tmp_path: Path) -> None:
    first = writer(table, tmp_path / "1.avro", content=ManifestContent.DELETES)
    first.add(described(content=DataFileContent.POSITION_DELETES, referenced="file:///t/a"))
    (entry,) = read_entries(table.io, as_listed(first.close(), 3))
    assert referenced_data_file(entry.data_file) == "file:///t/a"
    second = writer(table, tmp_path / "2.avro", content=ManifestContent.DELETES)
    second.keep(entry)
    (again,) = read_entries(table.io, as_listed(second.close(), 4))
    assert referenced_data_file(again.data_file) == "file:///t/a"
    assert to_live_file(again, "m").referenced_path == "file:///t/a"


def test_metrics_survive_rewriting(table: Table, tmp_path: Path) -> None:
    metrics: dict[str, Any] = {
        "column_sizes": {1: 5},
        "value_counts": {1: 10},
        "null_value_counts": {1: 2},
        "nan_value_counts": {1: 0},
        "lower_bounds": {1: b"\x01\0\0\0"},
        "upper_bounds": {1: b"\x09\0\0\0"},
        "split_offsets": [4, 100],
        "sort_order_id": 1,
    }
    first = writer(table, tmp_path / "1.avro")
    first.add(described(**metrics))
    (entry,) = read_entries(table.io, as_listed(first.close(), 3))
    second = writer(table, tmp_path / "2.avro")
    second.keep(entry)
    (again,) = read_entries(table.io, as_listed(second.close(), 4))
    for file in (entry.data_file, again.data_file):
        assert {name: getattr(file, name) for name in metrics} == metrics
    live = to_live_file(again, "m")
    assert (live.value_counts, live.null_counts) == ({1: 10}, {1: 2})
    assert (live.lower_bounds, live.upper_bounds) == (metrics["lower_bounds"], metrics["upper_bounds"])


def test_summaries_of_partitions(tmp_path: Path, table: Table) -> None:
    one = writer(table, tmp_path / "m.avro", metadata=metadata(), spec_id=2)
    for region, bucket in (("eu", 3), (None, 1), ("us", 2)):
        one.add(described(f"file:///t/{region}", spec_id=2, partition=Record(region, bucket)))
    region, bucket = one.close().partitions or []
    assert (region.contains_null, region.lower_bound, region.upper_bound) == (True, b"eu", b"us")
    assert (bucket.contains_null, bucket.lower_bound, bucket.upper_bound) == (
        False,
        (1).to_bytes(4, "little"),
        (3).to_bytes(4, "little"),
    )


@pytest.mark.parametrize(
    ("field_type", "values"),
    [
        (UUIDType(), (UUID(int=1), UUID(int=1 << 127))),
        (UUIDType(), (UUID(int=1), UUID(int=1 << 127).bytes)),  # one of a manifest without Avro's logical type
        (DoubleType(), (0.0, -0.0)),
        (FloatType(), (1.0, float("nan"))),
    ],
)
def test_partitions_that_readers_order_differently_have_no_summary(
    field_type: PrimitiveType, values: tuple[Any, ...], lake: SqlCatalog, tmp_path: Path
) -> None:
    """By bounds in another order Java would skip the manifest, data and deletes."""
    spec = PartitionSpec(PartitionField(1, 1000, IdentityTransform(), "k"))
    table = lake.create_table("db.t", Schema(NestedField(1, "k", field_type)), partition_spec=spec)
    one = writer(table, tmp_path / "m.avro", spec_id=0)
    for value in values:
        one.add(described(partition=Record(value)))
    manifest = one.close()
    assert manifest.partitions is None
    entries = read_entries(table.io, as_listed(manifest, 1))
    assert [to_live_file(e, "m").partition for e in entries] == [partition_key(0, [value]) for value in values]


def test_partitions_of_dropped_columns(lake: SqlCatalog, tmp_path: Path) -> None:
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "region"))
    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "region", StringType()))
    table = lake.create_table("db.t", schema, partition_spec=spec)
    with table.update_spec() as update:
        update.remove_field("region")
    with table.update_schema() as change:
        change.delete_column("region")
    one = writer(table, tmp_path / "m.avro", spec_id=0)
    one.add(described(partition=Record("eu")))
    (entry,) = read_entries(table.io, as_listed(one.close(), 1))
    assert entry.data_file.partition[0] == "eu"
    assert isinstance(field_type(table.metadata, 2), StringType)
    assert field_type(table.metadata, 99) is None


def test_the_newest_type_of_a_column_counts(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", Schema(NestedField(1, "id", IntegerType()), NestedField(2, "k", IntegerType())))
    with table.update_schema() as change:
        change.update_column("k", field_type=LongType())
    with table.update_schema() as change:
        change.delete_column("k")
    assert isinstance(field_type(table.metadata, 2), LongType)
    assert isinstance(field_type(table.metadata, 1), IntegerType)


def test_a_partition_field_without_a_source_is_damage() -> None:
    orphan = PartitionSpec(PartitionField(99, 1000, IdentityTransform(), "lost"), spec_id=4)
    with pytest.raises(
        DataError, match=r"'lost' of spec 4 has source column id 99, which is in no schema of the table"
    ):
        partition_type(metadata(specs=[*SPECS, orphan]), orphan)


def test_a_void_partition_field_has_its_source_type() -> None:
    void = PartitionSpec(PartitionField(2, 1000, VoidTransform(), "gone"), spec_id=4)
    (field,) = partition_type(metadata(specs=[*SPECS, void]), void).fields
    assert isinstance(field.field_type, StringType)


# ------------------------------------------------------------------------------------- read


def test_version_1_tables_have_no_numbers(lake: SqlCatalog, tmp_path: Path) -> None:
    table = lake.create_table("db.t", Schema(NestedField(1, "id", LongType())), properties={"format-version": "1"})
    assert table.metadata.format_version == 1
    table.append(pa.table({"id": [1, 2]}))
    snapshot = table.current_snapshot()
    assert snapshot is not None
    (manifest,) = snapshot.manifests(table.io)
    (entry,) = read_entries(table.io, manifest)
    assert (entry.sequence_number, entry.file_sequence_number) == (0, 0)
    assert to_live_file(entry, "m").content == Content.DATA

    path = tmp_path / "m.avro"
    one = writer(table, path)
    one.keep(entry)
    one.close()
    reader, (written,) = raw(path)
    assert reader.metadata["format-version"] == "1"
    assert "content" not in reader.metadata
    assert "sequence_number" not in written
    assert "content" not in written["data_file"]
    assert written["data_file"]["record_count"] == 2


COUNTS = [f"{kind}_{what}_count" for kind in ("added", "existing", "deleted") for what in ("files", "rows")]


@pytest.mark.parametrize("how", ["null", "absent"])
def test_a_list_without_counts(how: str, lake: SqlCatalog) -> None:
    """The first releases of Iceberg did not count, or no rows. What version 2 requires is counted by the commit."""
    table = ForeignTable(lake, NestedField(1, "id", LongType()))
    table.commit(*(table.data(pa.table({"id": [1]})) for _ in range(2)))

    def uncounted(schema: Any) -> None:
        if how == "absent":
            schema["fields"] = [field for field in schema["fields"] if field["name"] not in COUNTS]
        for field in schema["fields"]:
            if field["name"] in COUNTS:
                field["type"] = ["null", "int" if "files" in field["name"] else "long"]

    change_list(table, lambda row: row.update(dict.fromkeys(COUNTS)), uncounted)
    assert table.read("id") == [1, 1]
    loaded = table.load()
    snapshot = loaded.current_snapshot()
    assert snapshot is not None
    (listed,) = listed_manifests(loaded.io, snapshot)
    assert listed.added_files_count is None
    counted = with_counts(listed, read_entries(loaded.io, listed))
    assert [counted.added_files_count, counted.existing_files_count, counted.added_rows_count] == [2, 0, 2]
    assert listed.added_files_count is None
    assert table.compact().status == "committed"
    assert table.read("id") == [1, 1]


def test_a_removed_entry_without_a_number_is_ignored(table: Table, tmp_path: Path) -> None:
    one = writer(table, tmp_path / "m.avro")
    one.add(described())
    manifest = as_listed(one.close(), 3)
    rewrite_avro(tmp_path / "m.avro", lambda entry: entry.update(status=2, sequence_number=None))
    (entry,) = read_entries(table.io, manifest)
    assert entry.sequence_number is None


def test_a_kept_entry_without_a_number_is_damage(table: Table, tmp_path: Path) -> None:
    one = writer(table, tmp_path / "m.avro")
    one.add(described())
    manifest = as_listed(one.close(), 3)
    reader, (entry,) = raw(tmp_path / "m.avro")
    entry["status"] = 0
    with (tmp_path / "m.avro").open("wb") as stream:
        own = {k: v for k, v in reader.metadata.items() if not k.startswith("avro.") or k == "avro.codec"}
        fastavro.writer(stream, reader.writer_schema, [entry], metadata=own)
    with pytest.raises(
        DataError, match=r"lists file:///t/a as existing without a sequence number, which breaks the Iceberg"
    ):
        read_entries(table.io, manifest)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"referenced": "file:///t/a"}, "file:///t/a"),
        ({}, None),
        ({"lower_bounds": {FILE_PATH_FIELD_ID: b"x.ORC"}, "upper_bounds": {FILE_PATH_FIELD_ID: b"x.ORC"}}, "x.ORC"),
        # Cut, and not raised: what several paths begin with.
        ({"lower_bounds": {FILE_PATH_FIELD_ID: b"x"}, "upper_bounds": {FILE_PATH_FIELD_ID: b"x"}}, None),
        ({"lower_bounds": {FILE_PATH_FIELD_ID: b"x\xff"}, "upper_bounds": {FILE_PATH_FIELD_ID: b"x\xff"}}, None),
        ({"lower_bounds": {FILE_PATH_FIELD_ID: b"x"}, "upper_bounds": {FILE_PATH_FIELD_ID: b"y"}}, None),
        ({"lower_bounds": {FILE_PATH_FIELD_ID: b"x"}}, None),
        ({"upper_bounds": {FILE_PATH_FIELD_ID: b"x"}}, None),
    ],
)
def test_the_one_data_file_that_a_delete_file_speaks_of(fields: dict[str, Any], expected: str | None) -> None:
    assert referenced_data_file(described(content=DataFileContent.POSITION_DELETES, **fields)) == expected


def test_deletion_vectors_are_known_by_format_or_offset() -> None:
    assert not is_deletion_vector(described(content=DataFileContent.POSITION_DELETES))
    assert is_deletion_vector(described(content=DataFileContent.POSITION_DELETES, file_format=FileFormat.PUFFIN))
    with_offset = described(content=DataFileContent.POSITION_DELETES)
    with_offset._data.append(4)
    assert is_deletion_vector(with_offset)
    with_offset._data[-1] = None
    assert not is_deletion_vector(with_offset)


def test_a_reader_reads_each_manifest_once_and_live_files_only(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    upserts = UpsertWriter(table)
    rows = pa.table({"id": pa.array([1], pa.int32()), "region": ["x"]})
    gone, kept = (upserts.files.write_data(rows)[0] for _ in range(2))
    upserts.commit([gone, kept])
    upserts.commit(upserts.files.write_data(rows))
    upserts.commit(remove=[gone])
    snapshot = table.refresh().current_snapshot()
    assert snapshot is not None
    manifests = snapshot.manifests(table.io)
    read: list[str] = []
    monkeypatch.setattr(
        "autostream.iceberg.manifests.read_entries",
        lambda io, manifest: (read.append(manifest.manifest_path), read_entries(io, manifest))[1],
    )
    reader = ManifestReader(table.io)
    for _ in range(2):
        live = [file.path for file in reader.live_files(manifests)]
        assert len(live) == 2
        assert kept.file_path in live
        assert gone.file_path not in live
        statuses = [entry.status for manifest in manifests for entry in reader.entries(manifest)]
        assert sorted(statuses) == [Status.EXISTING, Status.ADDED, Status.DELETED]
    assert sorted(read) == sorted(m.manifest_path for m in manifests)


# ------------------------------------------------------------------------------------- lists


def test_a_list_gives_new_manifests_the_commits_number(table: Table, tmp_path: Path) -> None:
    new = writer(table, tmp_path / "new.avro")
    new.add(described(), sequence_number=2)
    plain = writer(table, tmp_path / "plain.avro", content=ManifestContent.DELETES)
    plain.add(described(content=DataFileContent.POSITION_DELETES))
    old = writer(table, tmp_path / "old.avro", snapshot_id=1)
    old.add(described())
    location = f"file://{tmp_path}/snap.avro"
    write_list(
        table.io,
        location,
        [new.close(), plain.close(), as_listed(old.close(), 4)],
        metadata=table.metadata,
        snapshot_id=77,
        parent_snapshot_id=1,
        sequence_number=9,
    )
    listed = list(read_manifest_list(table.io.new_input(location)))
    assert [(m.sequence_number, m.min_sequence_number, m.content) for m in listed] == [
        (9, 2, ManifestContent.DATA),
        (9, 9, ManifestContent.DELETES),
        (4, 4, ManifestContent.DATA),
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from(list(DataFileContent)), st.none() | st.integers(1, 50), st.integers(0, 5)),
        max_size=20,
    )
)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, files: list[tuple[Any, ...]]) -> None:
    from pyiceberg.io.pyarrow import PyArrowFileIO

    path, known = tmp_path_factory.mktemp("m") / "m.avro", metadata()
    one = ManifestWriter(
        PyArrowFileIO(), f"file://{path}", metadata=known, spec_id=0, content=ManifestContent.DATA, snapshot_id=5
    )
    for i, (content, number, records) in enumerate(files):
        one.add(described(f"f{i}", content=content, record_count=records), sequence_number=number)
    manifest = as_listed(one.close(), 60)
    entries = read_entries(PyArrowFileIO(), manifest)
    assert [(e.data_file.content, e.sequence_number, e.data_file.record_count) for e in entries] == [
        (content, number or 60, records) for content, number, records in files
    ]
    assert manifest.added_rows_count == sum(records for _, _, records in files)
