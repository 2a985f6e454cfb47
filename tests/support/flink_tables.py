"""Own copies of the tables in tests/fixtures that a real Flink job wrote, moved to where a test wants them.

Iceberg metadata holds absolute paths, so moving a table rewrites its metadata files, manifest lists, manifests, and its
position-delete files, whose new sizes and bounds go into the manifests.
"""

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

ARCHIVE = Path(__file__).parents[1] / "fixtures" / "flink-upsert-tables.tar.zst"
FLINK_TABLES = (
    "all_types",
    "append_only",
    "bucketed",
    "cdc_full_rows",
    "changed_key",
    "events_by_ts_day",
    "evolved_partition",
    "evolved_partition_trap",
    "evolved_schema",
    "null_keys",
    "orders_by_day",
    "orders_unpartitioned",
)
# In the files as file:/tmp/... by Flink and file:///tmp/... by PyIceberg.
_OLD_PREFIX = "/tmp/lakehouse-fixtures/public/warehouse"
_POSITION_DELETES = 1
_FILE_PATH_ID = 2147483546


@dataclass(frozen=True)
class FlinkTable:
    """A private copy of a table, and the rows that it truly holds."""

    name: str
    table: Table
    expected: pa.Table


@cache
def _archive() -> dict[str, bytes]:
    """Return all files by their path below ``public``; 21 MB, read once a process."""
    with pa.input_stream(str(ARCHIVE), compression="zstd") as stream:
        packed = io.BytesIO(stream.read())
    with tarfile.open(fileobj=packed) as tar:
        files = {m.name.removeprefix("./"): tar.extractfile(m) for m in tar if m.isfile()}
        return {name.removeprefix("public/"): f.read() for name, f in files.items() if f is not None}


def expected_rows(name: str) -> pa.Table:
    """Return what a table truly holds, computed from its input and without Iceberg."""
    return pq.read_table(io.BytesIO(_archive()[f"expected/{name}.parquet"]))


def unpack_table(name: str, warehouse: Path) -> str:
    """Write a copy of a table under ``warehouse``/db/``name`` and return the location of its newest metadata file."""
    prefix = f"warehouse/db/{name}/"
    files = {path.removeprefix("warehouse/"): data for path, data in _archive().items() if path.startswith(prefix)}
    return _Move(files, warehouse).run()


def lab_catalog(directory: Path) -> SqlCatalog:
    """Return an empty catalog ``lab`` with namespace ``db`` in ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    catalog = SqlCatalog("lab", uri=f"sqlite:///{directory}/catalog.db", warehouse=f"file://{directory}/warehouse")
    catalog.create_namespace_if_not_exists("db")
    return catalog


def flink_tables_in(directory: Path) -> Callable[[str], FlinkTable]:
    """Return a function that puts a copy of a table into a catalog ``lab`` in ``directory``."""
    catalog = lab_catalog(directory)

    def get(name: str) -> FlinkTable:
        location = unpack_table(name, directory / "warehouse")
        return FlinkTable(name, catalog.register_table(f"db.{name}", location), expected_rows(name))

    return get


class _Move:
    """Rewrites the files of one table for another place."""

    def __init__(self, files: dict[str, bytes], warehouse: Path) -> None:
        self._files = files
        self._warehouse = warehouse
        self._sizes: dict[str, int] = {}  # of rewritten files, by new path

    def run(self) -> str:
        avro = {path: data for path, data in self._files.items() if path.endswith(".avro")}
        lists = {path for path in avro if path.rpartition("/")[2].startswith("snap-")}
        # Sizes go up the tree: position deletes into manifests, manifests into lists.
        for path in avro.keys() - lists:
            self._rewrite_avro(path, self._move_entry)
        for path in lists:
            self._rewrite_avro(path, self._move_manifest)
        newest = ""
        for path, data in self._files.items():
            target = self._warehouse / path
            if path.endswith(".metadata.json"):
                self._write(target, data.replace(_OLD_PREFIX.encode(), str(self._warehouse).encode()))
                newest = max(newest, target.name)
                directory = target.parent
            elif not target.exists():
                self._write(target, data)
        return f"file://{directory}/{newest}"

    def _moved(self, path: str) -> str:
        return path.replace(_OLD_PREFIX, str(self._warehouse), 1)

    def _write(self, target: Path, data: bytes) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        self._sizes[str(target)] = len(data)

    def _rewrite_avro(self, path: str, move: Callable[[dict[str, Any]], None]) -> None:
        reader = fastavro.reader(io.BytesIO(self._files[path]))
        records = list(_records(reader))
        for record in records:
            move(record)
        own = {k: v for k, v in reader.metadata.items() if not k.startswith("avro.")}
        output = io.BytesIO()
        fastavro.writer(output, reader.writer_schema, records, codec=reader.metadata["avro.codec"], metadata=own)
        self._write(self._warehouse / path, output.getvalue())

    def _move_manifest(self, record: dict[str, Any]) -> None:
        record["manifest_path"] = self._moved(record["manifest_path"])
        record["manifest_length"] = self._sizes[_plain(record["manifest_path"])]

    def _move_entry(self, record: dict[str, Any]) -> None:
        file = record["data_file"]
        old = file["file_path"]
        file["file_path"] = self._moved(old)
        if file["content"] != _POSITION_DELETES:
            return
        target = _plain(file["file_path"])
        if target not in self._sizes:
            self._write(Path(target), self._move_position_deletes(old))
        file["file_size_in_bytes"] = self._sizes[target]
        file["split_offsets"] = None
        for bounds in (file["lower_bounds"], file["upper_bounds"]):
            for bound in bounds or ():
                if bound["key"] == _FILE_PATH_ID:
                    bound["value"] = self._moved(bound["value"].decode()).encode()

    def _move_position_deletes(self, path: str) -> bytes:
        packed = self._files[_plain(path).removeprefix(_OLD_PREFIX + "/")]
        table = pq.read_table(io.BytesIO(packed))
        paths = pa.array([self._moved(p) for p in table["file_path"].to_pylist()], table.schema.field("file_path").type)
        table = table.set_column(0, table.schema.field("file_path"), paths)
        output = io.BytesIO()
        pq.write_table(table, output, compression="zstd")
        return output.getvalue()


def _records(reader: Any) -> Iterator[dict[str, Any]]:
    yield from reader


def _plain(path: str) -> str:
    return "/" + path.removeprefix("file:").lstrip("/")
