"""Tables of one file that another one wrote, in a way that no Iceberg writer of today does."""

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.name_mapping import create_mapping_from_schema
from pyiceberg.table.snapshots import Operation
from pyiceberg.typedef import Record
from pyiceberg.types import LongType, NestedField

from autostream.demo.row_delta import RowDelta
from autostream.iceberg.manifests import data_file
from autostream.lake.scan import scan_table
from tests.support.lakes import compact

ID = NestedField(1, "id", LongType())


def table_of(catalog: Catalog, *fields: NestedField, by: Sequence[PartitionField] = (), mapped: bool = False) -> Table:
    """Create a table ``db.t``."""
    table = catalog.create_table("db.t", Schema(*fields), partition_spec=PartitionSpec(*by))
    if mapped:
        set_mapping(table, create_mapping_from_schema(table.schema()).model_dump_json())
    return table


def set_mapping(table: Table, mapping: str) -> None:
    with table.transaction() as transaction:
        transaction.set_properties({"schema.name-mapping.default": mapping})


def folder(table: Table) -> Path:
    path = Path(table.location().removeprefix("file://")) / "data"
    path.mkdir(parents=True, exist_ok=True)
    return path


def id_of(number: int) -> dict[bytes, bytes]:
    return {b"PARQUET:field_id": str(number).encode()}


def identified(rows: pa.Table, **ids: int) -> pa.Table:
    """Return rows whose named columns have field ids."""
    return rows.cast(pa.schema([f.with_metadata(id_of(ids[f.name])) if f.name in ids else f for f in rows.schema]))


def described(
    path: Path,
    rows: int,
    *,
    form: FileFormat = FileFormat.PARQUET,
    partition: Sequence[Any] = (),
    equality_ids: list[int] | None = None,
    content: DataFileContent = DataFileContent.DATA,
) -> DataFile:
    counts = ("column_sizes", "value_counts", "null_value_counts", "nan_value_counts", "lower_bounds", "upper_bounds")
    metrics: Mapping[str, Any] = {name: {} for name in counts}
    unset: Mapping[str, Any] = dict.fromkeys(("split_offsets", "sort_order_id", "key_metadata"))
    return data_file(
        spec_id=0,
        content=content,
        file_path=f"file://{path}",
        file_format=form,
        partition=Record(*partition),
        record_count=rows,
        file_size_in_bytes=path.stat().st_size,
        equality_ids=equality_ids,
        **metrics,
        **unset,
    )


def commit(table: Table, *files: DataFile) -> None:
    table.refresh()
    with table.transaction() as transaction:
        RowDelta(transaction, files, (), operation=Operation.OVERWRITE, summary={}).commit()
    table.refresh()


def add(
    table: Table,
    rows: pa.Table,
    *,
    path: Path | None = None,
    partition: Sequence[Any] = (),
    equality_ids: list[int] | None = None,
    content: DataFileContent = DataFileContent.DATA,
    **options: Any,
) -> None:
    """Commit a Parquet file that PyArrow writes as it is told."""
    path = path or folder(table) / f"{uuid.uuid4()}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path, **options)
    content = DataFileContent.EQUALITY_DELETES if equality_ids else content
    commit(
        table,
        described(path, rows.num_rows, partition=partition, equality_ids=equality_ids, content=content),
    )


def values(table: Table, name: str, **arguments: Any) -> list[Any]:
    return sorted(scan_table(table, **arguments).to_arrow()[name].to_pylist(), key=repr)


def compacted(table: Table) -> Table:
    """Return the table after a compaction of all of it."""
    result = compact(table)
    assert result.status == "committed", result.error
    table.refresh()
    return table


def assert_kept(table: Table, name: str, expected: list[Any]) -> None:
    """Require that a column has these values (as they are sorted by `repr`), also after a compaction."""
    assert values(table, name) == expected
    assert values(compacted(table), name) == expected
