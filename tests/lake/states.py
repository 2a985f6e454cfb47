"""A table's state made up of live files, without a table."""

from collections.abc import Iterable
from dataclasses import replace

from pyiceberg.manifest import DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata, TableMetadataV2
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.transforms import BucketTransform, IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import IntegerType, NestedField, StringType

from autostream.iceberg.files import Content, LiveFile
from autostream.iceberg.manifests import data_file
from autostream.iceberg.state import TableState

SCHEMA = Schema(NestedField(1, "id", IntegerType()), NestedField(2, "region", StringType()))
SPECS = (
    PartitionSpec(spec_id=0),
    PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "region"), spec_id=1),
    PartitionSpec(
        PartitionField(2, 1000, IdentityTransform(), "region"),
        PartitionField(1, 1001, BucketTransform(4), "id_bucket"),
        spec_id=2,
    ),
)


def metadata(
    *, specs: Iterable[PartitionSpec] = SPECS, uuid: str = "9c12d441-03fe-4693-9a96-a0705ddf69c1"
) -> TableMetadata:
    """Return metadata with SCHEMA and specs 0 (unpartitioned), 1 (region) and 2 (region, bucket of id)."""
    return TableMetadataV2(
        location="file:///t",
        table_uuid=uuid,
        last_updated_ms=0,
        last_column_id=2,
        schemas=[SCHEMA],
        current_schema_id=SCHEMA.schema_id,
        partition_specs=list(specs),
        default_spec_id=0,
        last_partition_id=1001,
        sort_orders=[UNSORTED_SORT_ORDER],
        default_sort_order_id=0,
    )


def state(*files: LiveFile, sequence_number: int = 100, of: TableMetadata | None = None) -> TableState:
    """Return the state of a snapshot that holds these files."""
    snapshot = Snapshot(
        snapshot_id=7, sequence_number=sequence_number, timestamp_ms=0, manifest_list="list", schema_id=0
    )
    known = [_with_entry(file) for file in files]
    return TableState(
        metadata=of or metadata(),
        snapshot=snapshot,
        manifests=(),
        data={f.path: f for f in known if f.content == Content.DATA},
        deletes={f.path: f for f in known if f.content != Content.DATA},
    )


def _with_entry(file: LiveFile) -> LiveFile:
    entry = data_file(
        spec_id=file.spec_id,
        content=DataFileContent(int(file.content)),
        file_path=file.path,
        file_format=FileFormat.PARQUET,
        partition=Record(*file.partition[1]),
        record_count=file.record_count,
        file_size_in_bytes=file.size_bytes,
    )
    return replace(file, entry=entry)
