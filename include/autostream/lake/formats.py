"""ORC and Avro files as scratch Parquet files, row for row: the engine then reads every format in one way."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.avro.file import AvroFile
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import Record
from pyiceberg.types import IcebergType, ListType, MapType, StructType

from autostream.errors import DataError
from autostream.lake.files import LiveFile

_BATCH_ROWS = 10_000


def convert_to_parquet(file: LiveFile, schema: Schema, target: str, *, metadata: TableMetadata, io: FileIO) -> None:
    """Write the rows of a file to a local Parquet file with field ids, in order, so that row numbers stay true.

    Args:
        file: a data or delete file in ORC, Avro or Parquet.
        schema: the columns wanted, by field id; columns that the file lacks become null, or its identity-partition
            value.
        target: path of the Parquet file.
        metadata: the table's metadata, for its name mapping and specs.
        io: the table's FileIO.

    Raises:
        DataError: the file cannot be read.
    """
    arrow = schema_to_pyarrow(schema, include_field_ids=True)
    try:
        with pq.ParquetWriter(target, arrow, compression="zstd", compression_level=1) as writer:
            for batch in _batches(file, schema, arrow, metadata, io):
                writer.write_batch(batch)
    except Exception as error:
        raise DataError(
            f"{file.file_format.upper()} file {file.path} cannot be read ({type(error).__name__}: {error}). Restore "
            "the file, or roll the table back to a snapshot without it."
        ) from error


def _batches(
    file: LiveFile, schema: Schema, arrow: pa.Schema, metadata: TableMetadata, io: FileIO
) -> Iterator[pa.RecordBatch]:
    if file.file_format == "avro":
        yield from _avro_batches(file.path, schema, arrow, io)
        return
    assert file.entry is not None
    scan = ArrowScan(metadata, io, schema, AlwaysTrue())
    for batch in scan.to_record_batches([FileScanTask(file.entry)]):
        yield from pa.Table.from_batches([batch]).cast(arrow).to_batches()


def _avro_batches(path: str, schema: Schema, arrow: pa.Schema, io: FileIO) -> Iterator[pa.RecordBatch]:
    with AvroFile[Record](io.new_input(path), schema) as rows:
        while chunk := list(islice(rows, _BATCH_ROWS)):
            columns = [
                pa.array([_plain(row[i], field.field_type) for row in chunk], type=_storage(arrow.field(i).type))
                for i, field in enumerate(schema.fields)
            ]
            plain = pa.schema([pa.field(f.name, c.type) for f, c in zip(arrow, columns, strict=True)])
            yield from pa.Table.from_arrays(columns, schema=plain).cast(arrow).to_batches()


def _storage(arrow_type: pa.DataType) -> pa.DataType:
    return arrow_type.storage_type if isinstance(arrow_type, pa.BaseExtensionType) else arrow_type


def _plain(value: Any, field_type: IcebergType) -> Any:
    """Return an Avro value as PyArrow builds arrays from it."""
    if value is None:
        return None
    match field_type:
        case StructType():
            return {f.name: _plain(value[i], f.field_type) for i, f in enumerate(field_type.fields)}
        case ListType():
            return [_plain(item, field_type.element_type) for item in value]
        case MapType():
            return [
                (_plain(key, field_type.key_type), _plain(item, field_type.value_type)) for key, item in value.items()
            ]
    return value.bytes if isinstance(value, UUID) else value
