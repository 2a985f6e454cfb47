"""Manifest lists, of all releases of Iceberg: the first did not count, or did not count rows."""

from __future__ import annotations

from pyiceberg.avro.file import AvroFile, AvroFileHeader
from pyiceberg.io import FileIO
from pyiceberg.manifest import MANIFEST_LIST_FILE_SCHEMAS, ManifestContent, ManifestFile, PartitionFieldSummary
from pyiceberg.schema import Schema
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.types import NestedField

_SCHEMA = Schema(
    *(
        NestedField(f.field_id, f.name, f.field_type, required=False) if f.name.endswith("_count") else f
        for f in MANIFEST_LIST_FILE_SCHEMAS[2].fields
    )
)


class _ManifestListAvro(AvroFile[ManifestFile]):
    def _read_header(self) -> AvroFileHeader:
        header = super()._read_header()
        # Avro's rule for files that name no codec; PyIceberg takes them for compressed.
        header.meta.setdefault("avro.codec", "null")
        return header


def listed_manifests(io: FileIO, snapshot: Snapshot) -> list[ManifestFile]:
    """Return the manifests of a snapshot; counts that their writer left out are None.

    Raises whatever the storage and PyIceberg's reader do: see `explain_unreadable`.
    """
    with _ManifestListAvro(
        io.new_input(snapshot.manifest_list),
        _SCHEMA,
        read_types={-1: ManifestFile, 508: PartitionFieldSummary},
        read_enums={517: ManifestContent},
    ) as reader:
        return list(reader)
