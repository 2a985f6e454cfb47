"""Data, equality-delete and position-delete files of a table, written as Parquet with field ids and exact metrics."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import (
    DataFileStatistics,
    _get_parquet_writer_kwargs,
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
    schema_to_pyarrow,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.typedef import Record
from pyiceberg.types import (
    DateType,
    IcebergType,
    TimestampType,
    TimestamptzType,
    TimeType,
)

from autostream.errors import UsageError
from autostream.iceberg.manifests import data_file, field_type
from autostream.lake.engine.file_relations import POSITION_DELETE_SCHEMA
from autostream.properties import Properties

_ROW_GROUP_LIMIT = "write.parquet.row-group-limit"

# What a date or time is to Iceberg's transforms and manifests.
_STORED_AS: dict[type, pa.DataType] = {
    DateType: pa.int32(),
    TimeType: pa.int64(),
    TimestampType: pa.int64(),
    TimestamptzType: pa.int64(),
}


class FileWriter:
    """Writes single files for a table and commits nothing: `UpsertWriter.commit` does that."""

    def __init__(self, table: Table, *, whole_row_deletes: bool = False) -> None:
        """Write for `table`; equality-delete files hold whole rows where asked to, else the equality fields."""
        self.table = table
        self.whole_row_deletes = whole_row_deletes
        self._run = uuid.uuid4()
        self._numbers = itertools.count(1)

    def write_data(
        self,
        rows: pa.Table,
        *,
        schema: Schema | None = None,
        spec_id: int | None = None,
        partition: Sequence[Any] | None = None,
    ) -> list[DataFile]:
        """Write rows as data files, one per partition, or one of the given partition (transformed values).

        Columns that the rows lack are written as null. `schema` and `spec_id` default to the table's current ones.
        """
        schema = schema or self.table.schema()
        return [
            self._write(conform(part, schema), schema, spec_id=spec_id, partition=key, content=DataFileContent.DATA)
            for key, part in self.partitioned(rows, spec_id=spec_id, partition=partition)
        ]

    def write_equality_deletes(
        self,
        keys: pa.Table,
        equality_fields: Sequence[str],
        *,
        schema: Schema | None = None,
        spec_id: int | None = None,
        partition: Sequence[Any] | None = None,
    ) -> list[DataFile]:
        """Write rows to delete as equality-delete files, one per partition, or one of the given partition.

        Raises:
            UsageError: a field is unknown, or there is neither a partition nor the columns to compute it from.
        """
        schema = schema or self.table.schema()
        key_schema = select(schema, equality_fields)
        file_schema = schema if self.whole_row_deletes else key_schema
        return [
            self._write(
                conform(part, file_schema),
                file_schema,
                spec_id=spec_id,
                partition=key,
                content=DataFileContent.EQUALITY_DELETES,
                equality_ids=[schema.find_field(name).field_id for name in equality_fields],
            )
            for key, part in self.partitioned(keys, spec_id=spec_id, partition=partition)
        ]

    def write_position_deletes(
        self,
        positions: Iterable[tuple[DataFile, Iterable[int]]],
        *,
        spec_id: int | None = None,
        partition: Sequence[Any] | None = None,
    ) -> DataFile:
        """Write one position-delete file, by default of the spec and partition of the first data file named."""
        wanted = [(file, list(rows)) for file, rows in positions]
        first = wanted[0][0]
        pairs = sorted({(file.file_path, row) for file, rows in wanted for row in rows})
        rows = pa.table({"file_path": [path for path, _ in pairs], "pos": [row for _, row in pairs]})
        return self._write(
            conform(rows, POSITION_DELETE_SCHEMA),
            POSITION_DELETE_SCHEMA,
            spec_id=first.spec_id if spec_id is None else spec_id,
            partition=_values_of(first.partition) if partition is None else partition,
            content=DataFileContent.POSITION_DELETES,
        )

    def partitioned(
        self, rows: pa.Table, *, spec_id: int | None = None, partition: Sequence[Any] | None = None
    ) -> list[tuple[tuple[Any, ...], pa.Table]]:
        """Split rows by the values of their partition; where one is given, all go there.

        Raises:
            UsageError: the rows lack a column that the partition spec needs.
        """
        spec = self._spec(spec_id)
        if partition is not None or spec.is_unpartitioned():
            return [(tuple(partition or ()), rows)]
        values = []
        for part in spec.fields:
            source, name = self._type(part.source_id), self.table.schema().find_column_name(part.source_id)
            if name is None or name.split(".")[0] not in rows.column_names:
                raise UsageError(
                    f"Partition field {part.name!r} of table {'.'.join(self.table.name())} needs column "
                    f"{name or part.source_id!r}, which the rows lack. Add it to them, or name the partition."
                )
            transform = part.transform.transform(source)
            sources = stored_values(column(rows, name), source)
            known = {value: transform(value) for value in set(sources)}
            values.append([known[value] for value in sources])
        members: dict[tuple[Any, ...], list[int]] = {}
        for index, key in enumerate(zip(*values, strict=True)):
            members.setdefault(key, []).append(index)
        return [(key, rows.take(indices)) for key, indices in members.items()]

    def _spec(self, spec_id: int | None) -> PartitionSpec:
        return self.table.spec() if spec_id is None else self.table.specs()[spec_id]

    def _type(self, field_id: int) -> IcebergType:
        found = field_type(self.table.metadata, field_id)
        assert found is not None  # a spec's source column is in some schema of its table
        return found

    def _write(
        self,
        rows: pa.Table,
        schema: Schema,
        *,
        spec_id: int | None,
        partition: Sequence[Any],
        content: DataFileContent,
        equality_ids: list[int] | None = None,
    ) -> DataFile:
        spec = self._spec(spec_id)
        properties = dict(self.table.properties)
        if content == DataFileContent.POSITION_DELETES:
            # Whole paths as bounds, whatever the table's metrics modes: equal ones tie the file to one data file.
            properties = {k: v for k, v in properties.items() if not k.startswith("write.metadata.metrics.")}
            properties["write.metadata.metrics.default"] = "full"
        name = f"{self._folder(spec, partition)}00000-{self._run}-{next(self._numbers):05d}.parquet"
        output = self.table.io.new_output(self.table.location_provider().new_data_location(name))
        collected: list[pq.FileMetaData] = []
        options = {"store_decimal_as_integer": True, **_get_parquet_writer_kwargs(properties)}
        with (
            output.create() as stream,
            pq.ParquetWriter(stream, rows.schema, metadata_collector=collected, **options) as writer,
        ):
            writer.write(rows, row_group_size=Properties("", properties).whole(_ROW_GROUP_LIMIT, 1 << 20))
        return data_file(
            spec_id=spec.spec_id,
            content=content,
            file_path=output.location,
            file_format=FileFormat.PARQUET,
            partition=Record(*partition),
            file_size_in_bytes=len(output),
            equality_ids=equality_ids,
            sort_order_id=None if content == DataFileContent.POSITION_DELETES else 0,
            key_metadata=None,
            **_statistics(collected[0], schema, properties).to_serialized_dict(),
        )

    def _folder(self, spec: PartitionSpec, partition: Sequence[Any]) -> str:
        levels = []
        for part, value in zip(spec.fields, partition, strict=True):
            readable = part.transform.to_human_string(self._type(part.source_id), value)
            levels.append(f"{quote(part.name, safe='')}={quote(readable, safe='')}/")
        return "".join(levels)


def select(schema: Schema, names: Sequence[str]) -> Schema:
    """Return the schema of just these columns, structs around nested ones included.

    Raises:
        UsageError: a column is unknown.
    """
    try:
        return schema.select(*names)
    except ValueError as error:
        raise UsageError(
            f"Equality fields {', '.join(names)} are not all columns of the table, which has "
            f"{', '.join(f.name for f in schema.fields)}. Name existing columns."
        ) from error


def conform(rows: pa.Table, schema: Schema) -> pa.Table:
    """Return the rows in exactly the types of the schema, field ids included; absent columns as nulls."""
    target = schema_to_pyarrow(schema)
    columns = [rows[f.name] if f.name in rows.column_names else pa.nulls(rows.num_rows, f.type) for f in target]
    return pa.table(columns, names=target.names).cast(target)


def column(rows: pa.Table, name: str) -> pa.ChunkedArray:
    """Return a column by its name or, within structs, by its dotted path."""
    first, *path = [name] if name in rows.column_names else name.split(".")
    return pc.struct_field(rows[first], path) if path else rows[first]


def stored_values(values: pa.ChunkedArray, iceberg_type: IcebergType) -> list[Any]:
    """Return values as Iceberg's transforms and manifests take them: days and microseconds for dates and times."""
    stored = _STORED_AS.get(type(iceberg_type))
    typed = values.cast(schema_to_pyarrow(iceberg_type))
    as_python: list[Any] = (typed if stored is None else typed.cast(stored)).to_pylist()
    return as_python


def _values_of(record: Record) -> list[Any]:
    return [record[i] for i in range(len(record))]


def _statistics(metadata: pq.FileMetaData, schema: Schema, properties: dict[str, str]) -> DataFileStatistics:
    """Return Iceberg's metrics of a file, without the bounds that a row group gives no information about.

    PyIceberg takes the bounds of the other row groups for those of the file then; Parquet leaves bounds out for values
    of over 4 KB, for instance.
    """
    ids = parquet_path_to_id_mapping(schema)
    statistics = data_file_statistics_from_parquet_metadata(metadata, compute_statistics_plan(schema, properties), ids)
    for group in (metadata.row_group(i) for i in range(metadata.num_row_groups)):
        for chunk in (group.column(i) for i in range(metadata.num_columns)):
            known = chunk.statistics
            if known is None or (not known.has_min_max and known.null_count != chunk.num_values):
                statistics.column_aggregates.pop(ids[chunk.path_in_schema], None)
    return statistics
