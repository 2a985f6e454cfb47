"""Manifests and manifest lists, read and written so that every Iceberg implementation understands them.

PyIceberg's own classes are used for the Avro encoding, not for the schemas: its v2 schema types `equality_ids` as
longs, which makes Java readers fail, lacks `referenced_data_file` (field 143), which rewriting would then lose, and
its writer cannot write delete manifests at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from pyiceberg.avro.decoder import new_decoder
from pyiceberg.avro.file import AvroFile, AvroOutputFile
from pyiceberg.avro.reader import Reader
from pyiceberg.avro.resolver import resolve_reader
from pyiceberg.io import FileIO
from pyiceberg.manifest import (
    DATA_FILE_TYPE,
    MANIFEST_ENTRY_SCHEMAS,
    UNASSIGNED_SEQ,
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    PartitionFieldSummary,
    construct_partition_summaries,
    write_manifest_list,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import Record
from pyiceberg.types import (
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    StructType,
    UUIDType,
)
from pyiceberg.utils.concurrent import ExecutorFactory
from pyiceberg.utils.schema_conversion import AvroSchemaConversion

from autostream.errors import InconsistentTableError
from autostream.iceberg.files import FILE_PATH_FIELD_ID, Content, LiveFile, partition_key
from autostream.iceberg.metadata_files import explain_unreadable
from autostream.properties import Properties

Status = ManifestEntryStatus

# Entries a block: large enough to compress well, small enough to be decoded piece by piece.
_BLOCK_ENTRIES = 1000

_REFERENCED_DATA_FILE = NestedField(143, "referenced_data_file", StringType(), required=False)
_CONTENT_OFFSET = NestedField(144, "content_offset", LongType(), required=False)
_EQUALITY_IDS = NestedField(135, "equality_ids", ListType(136, IntegerType(), element_required=True), required=False)

_DATA_FILES = (".parquet", ".orc", ".avro")

# Positions in a DataFile read with _READ_DATA_FILE, beyond those that DataFile has properties for.
_REFERENCED_POSITION = len(DATA_FILE_TYPE[2].fields)
_OFFSET_POSITION = _REFERENCED_POSITION + 1

# Java orders UUIDs as two signed longs, and -0.0 before 0.0.
_NO_COMMON_ORDER = (UUIDType, FloatType, DoubleType)

# The positions of counts in a ManifestFile.
_COUNTS = slice(7, 13)

_READ_DATA_FILE = StructType(*DATA_FILE_TYPE[2].fields, _REFERENCED_DATA_FILE, _CONTENT_OFFSET)


def _entry_schema(format_version: int, data_file: StructType) -> Schema:
    fields = MANIFEST_ENTRY_SCHEMAS[2 if format_version > 1 else 1].fields
    return Schema(*(NestedField(2, "data_file", data_file, required=True) if f.field_id == 2 else f for f in fields))


_READ_SCHEMA = _entry_schema(2, _READ_DATA_FILE)


def _written_data_file(format_version: int, partition: StructType) -> StructType:
    own = DATA_FILE_TYPE[1].fields if format_version == 1 else (*DATA_FILE_TYPE[2].fields, _REFERENCED_DATA_FILE)
    replaced = {102: NestedField(102, "partition", partition, required=True), 135: _EQUALITY_IDS}
    return StructType(*(replaced.get(f.field_id, f) for f in own))


@lru_cache(maxsize=64)
def _entry_reader(avro_schema: str) -> Reader:
    written = AvroSchemaConversion().avro_to_iceberg(json.loads(avro_schema))
    return resolve_reader(
        written,
        _READ_SCHEMA,
        {-1: ManifestEntry, 2: DataFile},
        {0: Status, 101: FileFormat, 134: DataFileContent},
    )


class _ManifestAvro(AvroFile[ManifestEntry]):
    """An Avro file of manifest entries; a schema is resolved once, not for each of a table's thousands of manifests."""

    def __enter__(self) -> _ManifestAvro:
        with self.input_file.open() as stream:
            self.decoder = new_decoder(stream.read())
        self.header = self._read_header()
        # Avro's rule for files that name no codec; PyIceberg takes them for compressed.
        self.header.meta.setdefault("avro.codec", "null")
        self.reader = _entry_reader(self.header.meta["avro.schema"])
        return self


def read_entries(io: FileIO, manifest: ManifestFile) -> list[ManifestEntry]:
    """Return all entries of a manifest, deleted ones too, with inherited numbers filled in (R1, R4).

    Raises:
        DataError: the manifest is missing or damaged.
        UnsupportedFileError: it is sound, and cannot be read.
    """
    path = manifest.manifest_path
    try:
        with _ManifestAvro(io.new_input(path)) as reader:
            entries = list(reader)
    except Exception as error:  # Avro decoding fails in as many ways as bytes can be wrong
        raise explain_unreadable(io, path, f"Manifest {path}", error) from error
    for entry in entries:
        _inherit(entry, manifest)
    return entries


def _inherit(entry: ManifestEntry, manifest: ManifestFile) -> None:
    if entry.snapshot_id is None and manifest.added_snapshot_id is not None:
        entry.snapshot_id = manifest.added_snapshot_id
    inherits = manifest.sequence_number == 0 or entry.status == Status.ADDED
    if entry.sequence_number is None and inherits:
        entry.sequence_number = manifest.sequence_number
    if entry.file_sequence_number is None and inherits:
        entry.file_sequence_number = manifest.sequence_number
    if entry.sequence_number is None and entry.status != Status.DELETED:  # nobody asks a removed file
        raise InconsistentTableError(
            f"Manifest {manifest.manifest_path} lists {entry.data_file.file_path} as {entry.status.name.lower()} "
            "without a sequence number, which breaks the Iceberg spec. Without it, it is not clear which deletes "
            "apply. Rewrite the manifest."
        )
    entry.data_file.spec_id = manifest.partition_spec_id


def referenced_data_file(file: DataFile) -> str | None:
    """Return the data file that a position-delete file is about, where its metadata names just one.

    By field 143 where it is written, else by equal bounds of `file_path`, as Iceberg's own writers leave them: but
    some cut bounds, and what several paths begin with is none of them.
    """
    if len(file) > _REFERENCED_POSITION and file[_REFERENCED_POSITION] is not None:
        return str(file[_REFERENCED_POSITION])
    lower, upper = (file.lower_bounds or {}).get(FILE_PATH_FIELD_ID), (file.upper_bounds or {}).get(FILE_PATH_FIELD_ID)
    if lower is None or lower != upper:
        return None
    path = lower.decode(errors="replace")
    return path if path.lower().endswith(_DATA_FILES) else None


def is_deletion_vector(file: DataFile) -> bool:
    """Say whether a delete file is a v3 deletion vector in a Puffin file."""
    return file.file_format == FileFormat.PUFFIN or (
        len(file) > _OFFSET_POSITION and file[_OFFSET_POSITION] is not None
    )


def partition_values(file: DataFile) -> tuple[Any, ...]:
    """Return a file's partition values in the order of its spec's fields."""
    return tuple(file.partition[i] for i in range(len(file.partition)))


def to_live_file(entry: ManifestEntry, manifest_path: str) -> LiveFile:
    """Return the value that decisions are made on for a live entry."""
    file = entry.data_file
    content = Content(int(file.content))
    assert entry.sequence_number is not None  # read_entries has seen to it
    return LiveFile(
        content=content,
        path=file.file_path,
        file_format=file.file_format.value.lower(),
        partition=partition_key(file.spec_id, partition_values(file)),
        record_count=file.record_count,
        size_bytes=file.file_size_in_bytes,
        sequence_number=entry.sequence_number,
        file_sequence_number=entry.file_sequence_number,
        snapshot_id=entry.snapshot_id,
        equality_ids=tuple(file.equality_ids or ()),
        referenced_path=referenced_data_file(file) if content == Content.POSITION_DELETES else None,
        value_counts=file.value_counts or {},
        null_counts=file.null_value_counts or {},
        lower_bounds=file.lower_bounds or {},
        upper_bounds=file.upper_bounds or {},
        entry=file,
        manifest_path=manifest_path,
    )


def field_type(metadata: TableMetadata, field_id: int) -> IcebergType | None:
    """Return a column's type: by the current schema, else by the newest earlier one that has it (R12)."""
    schemas = [metadata.schema(), *sorted(metadata.schemas, key=lambda s: s.schema_id, reverse=True)]
    for schema in schemas:
        try:
            return schema.find_type(field_id)
        except ValueError:
            continue
    return None


def partition_type(metadata: TableMetadata, spec: PartitionSpec) -> StructType:
    """Return the type of a spec's partition tuples, also where a source column has since been dropped."""

    def result(part: PartitionField) -> IcebergType:
        source = field_type(metadata, part.source_id)
        if source is None:
            raise InconsistentTableError(
                f"Partition field {part.name!r} of spec {spec.spec_id} has source column id {part.source_id}, which "
                "is in no schema of the table: the table's metadata contradicts itself. Roll the table back to "
                "earlier metadata."
            )
        return part.transform.result_type(source)

    return StructType(*(NestedField(f.field_id, f.name, result(f), required=False) for f in spec.fields))


def _schema_with_sources(metadata: TableMetadata, spec: PartitionSpec) -> Schema:
    """Return a schema with each source column of the spec: what manifest summaries look types up in."""
    known = {f.source_id: field_type(metadata, f.source_id) for f in spec.fields}
    return Schema(*(NestedField(i, f"c{i}", t, required=False) for i, t in known.items() if t is not None))


CODEC = "write.avro.compression-codec"

# By Avro's names: Iceberg's own, and those that PyIceberg lets a table have.
_CODECS = {
    "uncompressed": "null",
    "gzip": "deflate",
    "zstd": "zstandard",
    "snappy": "snappy",
    **{name: name for name in ("null", "deflate", "zstandard", "bzip2")},
}


def manifest_codec(properties: Properties) -> str:
    """Return how a table's manifests and manifest lists are compressed.

    Raises:
        ConfigurationError: the table's property names a codec that Iceberg does not have.
    """
    return _CODECS[properties.choice(CODEC, "gzip", _CODECS)]


class ManifestWriter:
    """Writes one manifest of one spec and one kind of content.

    Entries are buffered into blocks; `close` returns the manifest-list entry, in which sequence numbers that are
    inherited at commit are still unassigned.
    """

    def __init__(
        self,
        io: FileIO,
        path: str,
        *,
        metadata: TableMetadata,
        spec_id: int,
        content: ManifestContent,
        snapshot_id: int,
    ) -> None:
        """Open the manifest at `path` for entries of the given spec and content."""
        self._metadata = metadata
        self._spec = metadata.specs()[spec_id]
        self._content = content
        self._snapshot_id = snapshot_id
        self._output = io.new_output(path)
        self._block: list[ManifestEntry] = []
        self._partitions: list[Record] = []
        self._files = dict.fromkeys(Status, 0)
        self._rows = dict.fromkeys(Status, 0)
        self._min_sequence_number: int | None = None
        partition = partition_type(metadata, self._spec)
        version = metadata.format_version
        codec = manifest_codec(Properties("", metadata.properties))
        meta = {
            "schema": metadata.schema().model_dump_json(),
            "partition-spec": "[" + ",".join(f.model_dump_json() for f in self._spec.fields) + "]",
            "partition-spec-id": str(spec_id),
            "format-version": str(version),
            "avro.codec": codec,
        }
        if version > 1:
            meta["content"] = "data" if content == ManifestContent.DATA else "deletes"
        held = _written_data_file(2, partition)  # DataFiles in memory are laid out as in version 2
        self._writer = AvroOutputFile[ManifestEntry](
            output_file=self._output,
            file_schema=_entry_schema(version, _written_data_file(version, partition)),
            record_schema=_entry_schema(2, held),
            schema_name="manifest_entry",
            metadata=meta,
        )
        self._writer.__enter__()

    def add(self, file: DataFile, *, sequence_number: int | None = None) -> None:
        """Add a new file; a `sequence_number` of None is inherited from the commit."""
        self._append(Status.ADDED, self._snapshot_id, sequence_number, None, file)

    def delete(self, entry: ManifestEntry) -> None:
        """Record that this snapshot removes a file."""
        self._append(
            Status.DELETED, self._snapshot_id, entry.sequence_number, entry.file_sequence_number, entry.data_file
        )

    def keep(self, entry: ManifestEntry) -> None:
        """Carry a live file over, with its own snapshot and numbers."""
        self._append(
            Status.EXISTING, entry.snapshot_id, entry.sequence_number, entry.file_sequence_number, entry.data_file
        )

    def _append(
        self, status: Status, snapshot_id: int | None, sequence: int | None, file_sequence: int | None, file: DataFile
    ) -> None:
        self._files[status] += 1
        self._rows[status] += max(0, file.record_count)  # -1 of a writer that does not count
        self._partitions.append(file.partition)
        if status != Status.DELETED and sequence is not None:
            known = self._min_sequence_number
            self._min_sequence_number = sequence if known is None else min(known, sequence)
        self._block.append(
            ManifestEntry.from_args(
                status=status,
                snapshot_id=snapshot_id,
                sequence_number=sequence,
                file_sequence_number=file_sequence,
                data_file=_padded(file),
            )
        )
        if len(self._block) >= _BLOCK_ENTRIES:
            self._flush()

    def _flush(self) -> None:
        if self._block:
            self._writer.write_block(self._block)
            self._block = []

    def close(self) -> ManifestFile:
        """Finish the file and return its manifest-list entry."""
        self._flush()
        self._writer.__exit__(None, None, None)
        lowest = self._min_sequence_number
        return ManifestFile.from_args(
            manifest_path=self._output.location,
            manifest_length=len(self._output),
            partition_spec_id=self._spec.spec_id,
            content=self._content,
            sequence_number=UNASSIGNED_SEQ,
            min_sequence_number=UNASSIGNED_SEQ if lowest is None else lowest,
            added_snapshot_id=self._snapshot_id,
            added_files_count=self._files[Status.ADDED],
            existing_files_count=self._files[Status.EXISTING],
            deleted_files_count=self._files[Status.DELETED],
            added_rows_count=self._rows[Status.ADDED],
            existing_rows_count=self._rows[Status.EXISTING],
            deleted_rows_count=self._rows[Status.DELETED],
            partitions=self._summaries(),
            key_metadata=None,
        )

    def _summaries(self) -> list[PartitionFieldSummary] | None:
        """Return the ranges of partition values; none at all where readers order some of them differently.

        By ranges in another order Java would skip the manifest; without any it looks into it.
        """
        types = partition_type(self._metadata, self._spec).fields
        if any(isinstance(field.field_type, _NO_COMMON_ORDER) for field in types):
            return None
        return construct_partition_summaries(
            self._spec, _schema_with_sources(self._metadata, self._spec), self._partitions
        )


def with_counts(manifest: ManifestFile, entries: Iterable[ManifestEntry]) -> ManifestFile:
    """Return a manifest-list entry with the counts that its writer left out: version 2 has to have them."""
    if None not in manifest._data[_COUNTS]:
        return manifest
    files, rows = dict.fromkeys(Status, 0), dict.fromkeys(Status, 0)
    for entry in entries:
        files[entry.status] += 1
        rows[entry.status] += max(0, entry.data_file.record_count)
    order = (Status.ADDED, Status.EXISTING, Status.DELETED)
    counted = [*(files[status] for status in order), *(rows[status] for status in order)]
    counted = [
        known if known is not None else mine for known, mine in zip(manifest._data[_COUNTS], counted, strict=True)
    ]
    filled = ManifestFile(*manifest._data)
    filled._data[_COUNTS] = counted
    return filled


def _padded(file: DataFile) -> DataFile:
    """Return the file with a value for `referenced_data_file`, which DataFile.from_args does not know of."""
    missing = _REFERENCED_POSITION + 1 - len(file)
    if missing > 0:
        file._data = [*file._data, *[None] * missing]
    return file


def data_file(*, spec_id: int, referenced: str | None = None, **fields: Any) -> DataFile:
    """Return a DataFile with its spec id and, for position deletes, its referenced data file set.

    Fields are those of `pyiceberg.manifest.DataFile.from_args`.
    """
    file = _padded(DataFile.from_args(_table_format_version=2, **fields))
    file._data[_REFERENCED_POSITION] = referenced
    file.spec_id = spec_id
    return file


def write_list(
    io: FileIO,
    path: str,
    manifests: Sequence[ManifestFile],
    *,
    metadata: TableMetadata,
    snapshot_id: int,
    parent_snapshot_id: int | None,
    sequence_number: int,
) -> None:
    """Write a snapshot's manifest list; numbers that are still unassigned become those of this commit."""
    with write_manifest_list(
        format_version=metadata.format_version,
        output_file=io.new_output(path),
        snapshot_id=snapshot_id,
        parent_snapshot_id=parent_snapshot_id,
        sequence_number=sequence_number,
        avro_compression=manifest_codec(Properties("", metadata.properties)),  # type: ignore[arg-type]
    ) as writer:
        writer.add_manifests(list(manifests))


class ManifestReader:
    """Reads manifests of one table, each at most once: manifests never change, so what was read stays true."""

    def __init__(self, io: FileIO) -> None:
        """Read through `io`."""
        self._io = io
        self._entries: dict[str, list[ManifestEntry]] = {}
        self._live: dict[str, list[LiveFile]] = {}

    def entries(self, manifest: ManifestFile) -> list[ManifestEntry]:
        """Return all entries of a manifest."""
        path = manifest.manifest_path
        if path not in self._entries:
            self._entries[path] = read_entries(self._io, manifest)
        return self._entries[path]

    def live(self, manifest: ManifestFile) -> list[LiveFile]:
        """Return the live files of a manifest."""
        path = manifest.manifest_path
        if path not in self._live:
            self._live[path] = [to_live_file(e, path) for e in self.entries(manifest) if e.status != Status.DELETED]
        return self._live[path]

    def live_files(self, manifests: Iterable[ManifestFile]) -> list[LiveFile]:
        """Return the live files of several manifests, read side by side where that helps."""
        wanted = list(manifests)
        unread = [m for m in wanted if m.manifest_path not in self._live]
        if len(unread) > 1:
            list(ExecutorFactory.get_or_create().map(self.live, unread))
        return [file for manifest in wanted for file in self.live(manifest)]


__all__ = [
    "ManifestContent",
    "ManifestReader",
    "ManifestWriter",
    "Status",
    "data_file",
    "field_type",
    "is_deletion_vector",
    "partition_type",
    "partition_values",
    "read_entries",
    "referenced_data_file",
    "to_live_file",
    "with_counts",
    "write_list",
]
