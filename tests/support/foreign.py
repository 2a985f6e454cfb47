"""Tables of hand-made files: what other writers leave behind, with the metrics, counts and entries that they wrote."""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.typedef import Record
from pyiceberg.types import NestedField

from autostream.demo.row_delta import RowDelta
from autostream.iceberg.files import FILE_PATH_FIELD_ID, POSITION_FIELD_ID
from autostream.iceberg.manifests import data_file
from autostream.lake.compaction.compaction_result import CompactionResult
from autostream.lake.scan import scan_table
from tests.support.lakes import compact

NO_METRICS: Mapping[str, Any] = {
    "column_sizes": {},
    "value_counts": {},
    "null_value_counts": {},
    "nan_value_counts": {},
    "lower_bounds": {},
    "upper_bounds": {},
    "split_offsets": None,
    "sort_order_id": None,
    "key_metadata": None,
    "equality_ids": None,
}


def with_ids(rows: pa.Table, **ids: int) -> pa.Table:
    """Return rows whose columns carry Parquet field ids."""
    fields = [f.with_metadata({b"PARQUET:field_id": str(ids[f.name]).encode()}) for f in rows.schema]
    return rows.cast(pa.schema(fields))


class ForeignTable:
    """A v2 table ``db.t`` to which files are added as another one described them."""

    def __init__(self, catalog: Catalog, *fields: NestedField, by: Sequence[PartitionField] = ()) -> None:
        """Create the table."""
        self._catalog = catalog
        self._ids = {field.name: field.field_id for field in fields}
        catalog.create_table("db.t", Schema(*fields), partition_spec=PartitionSpec(*by))
        self.folder = Path(self.load().location().removeprefix("file://")) / "data"
        self.folder.mkdir(parents=True)

    def load(self) -> Table:
        """Return the table as it is now."""
        return self._catalog.load_table("db.t")

    def data(self, rows: pa.Table, *, written: Mapping[str, Any] | None = None, **said: Any) -> DataFile:
        """Write a data file; ``said`` is what its entry says of it, true counts and no metrics by default."""
        path = self.folder / f"{uuid.uuid4().hex}.parquet"
        pq.write_table(with_ids(rows, **{name: self._ids[name] for name in rows.column_names}), path, **written or {})
        return self.entry(path, **said)

    def equality_deletes(self, rows: pa.Table, **said: Any) -> DataFile:
        """Write an equality-delete file on the columns of the rows."""
        ids = [self._ids[name] for name in rows.column_names]
        return self.data(rows, **{"content": DataFileContent.EQUALITY_DELETES, "equality_ids": ids, **said})

    def position_deletes(self, *rows: tuple[str, int], **said: Any) -> DataFile:
        """Write a position-delete file."""
        path = self.folder / f"{uuid.uuid4().hex}.parquet"
        table = pa.table({"file_path": [r[0] for r in rows], "pos": pa.array([r[1] for r in rows], pa.int64())})
        pq.write_table(with_ids(table, file_path=FILE_PATH_FIELD_ID, pos=POSITION_FIELD_ID), path)
        return self.entry(path, content=DataFileContent.POSITION_DELETES, **said)

    def entry(self, path: Path, **said: Any) -> DataFile:
        """Return the entry of a file that exists."""
        true = {
            "content": DataFileContent.DATA,
            "file_path": f"file://{path}",
            "file_format": FileFormat.PARQUET,
            "partition": Record(),
            "record_count": pq.read_metadata(path).num_rows if path.suffix == ".parquet" else 0,
            "file_size_in_bytes": path.stat().st_size,
        }
        return data_file(spec_id=self.load().spec().spec_id, **{**NO_METRICS, **true, **said})

    def commit(self, *files: DataFile) -> int:
        """Add files in one snapshot and return its id."""
        table = self.load()
        with table.transaction() as transaction:
            RowDelta(transaction, files, (), operation=Operation.OVERWRITE, summary={}).commit()
        snapshot = self.load().current_snapshot()
        assert snapshot is not None
        return snapshot.snapshot_id

    def read(self, column: str, **arguments: Any) -> list[Any]:
        """Return the sorted values of a column, as a scan reads them."""
        return sorted(scan_table(self.load(), **arguments).to_arrow()[column].to_pylist())

    def compact(self, **options: str) -> CompactionResult:
        """Compact all of the table."""
        return compact(self.load(), **options)


def rewrite_avro(
    path: Path, row: Callable[[dict[str, Any]], Any], schema: Callable[[Any], Any] = lambda _: None
) -> None:
    """Write an Avro file again, with each row and the schema changed in place."""
    with path.open("rb") as stream:
        reader = fastavro.reader(stream)
        rows: list[Any] = list(reader)
    metadata = {key: value for key, value in reader.metadata.items() if not key.startswith("avro.")}
    avro = json.loads(reader.metadata["avro.schema"])
    schema(avro)
    for one in rows:
        row(one)
    with path.open("wb") as stream:
        fastavro.writer(stream, avro, rows, metadata=metadata)


def change_list(
    table: ForeignTable, row: Callable[[dict[str, Any]], Any], schema: Callable[[Any], Any] = lambda _: None
) -> None:
    """Change the manifest list of the current snapshot."""
    snapshot = table.load().current_snapshot()
    assert snapshot is not None
    rewrite_avro(Path(snapshot.manifest_list.removeprefix("file://")), row, schema)


def bounds(lower: bytes, upper: bytes, *, rows: int, nulls: int = 0, field_id: int = 1) -> dict[str, Any]:
    """Return the metrics of one column."""
    return {
        "value_counts": {field_id: rows},
        "null_value_counts": {field_id: nulls},
        "lower_bounds": {field_id: lower},
        "upper_bounds": {field_id: upper},
    }
