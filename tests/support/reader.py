"""A second, naive reader of v2 tables: rules R5 to R13 written down row by row, to judge the real one by.

It shares no code with `autostream.lake`: PyIceberg reads manifests, and projects single files by field id.
"""

from collections import defaultdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.manifest import DataFile, DataFileContent, ManifestEntry
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask, Table
from pyiceberg.transforms import VoidTransform
from pyiceberg.types import NestedField

from tests.support.rows import canonical

Scope = tuple[int, Any] | None  # None: everywhere


def read_table(table: Table, *, snapshot_id: int | None = None) -> list[dict[str, Any]]:
    """Return the rows of a snapshot (default: the current one) in the table's current schema."""
    snapshot = table.metadata.snapshot_by_id(snapshot_id) if snapshot_id else table.current_snapshot()
    if snapshot is None:
        return []
    entries = [e for m in snapshot.manifests(table.io) for e in m.fetch_manifest_entry(table.io)]
    by_content: dict[DataFileContent, list[ManifestEntry]] = defaultdict(list)
    for entry in entries:
        by_content[entry.data_file.content].append(entry)
    positions = _positions(table, by_content[DataFileContent.POSITION_DELETES])
    keys = _keys(table, by_content[DataFileContent.EQUALITY_DELETES])
    names = [field.name for field in table.schema().fields]
    rows = []
    for entry in by_content[DataFileContent.DATA]:
        scope = _scope(table, entry.data_file)
        gone = {
            position
            for sequence, place, position in positions[_plain(entry.data_file.file_path)]
            if entry.sequence_number <= sequence and place == scope
        }
        for position, row in enumerate(_project(table, entry.data_file, {i for ids in keys for i in ids})):
            deleted_by = (
                found.get((place, tuple(canonical(_leaf(row, i)) for i in ids)), -1)
                for ids, found in keys.items()
                for place in (scope, None)
            )
            if position not in gone and not any(sequence > entry.sequence_number for sequence in deleted_by):
                rows.append({name: row[name] for name in names})
    return rows


def _scope(table: Table, file: DataFile, *, as_equality_delete: bool = False) -> Scope:
    spec = table.specs()[file.spec_id]
    if as_equality_delete and all(isinstance(f.transform, VoidTransform) for f in spec.fields):
        return None
    return file.spec_id, tuple(canonical(file.partition[i]) for i in range(len(file.partition)))


def _plain(path: str) -> str:
    return "/" + path.removeprefix("file:").lstrip("/")


def _positions(table: Table, entries: list[ManifestEntry]) -> dict[str, list[tuple[int, Scope, int]]]:
    found = defaultdict(list)
    for entry in entries:
        with table.io.new_input(entry.data_file.file_path).open() as stream:
            deletes = pq.read_table(stream, columns=["file_path", "pos"])
        scope = _scope(table, entry.data_file)
        for path, position in zip(deletes["file_path"].to_pylist(), deletes["pos"].to_pylist(), strict=True):
            found[_plain(path)].append((entry.sequence_number, scope, position))
    return found


def _keys(table: Table, entries: list[ManifestEntry]) -> dict[tuple[int, ...], dict[Any, int]]:
    """Return the largest sequence number of each scope and key, by set of equality ids."""
    found: dict[tuple[int, ...], dict[Any, int]] = defaultdict(dict)
    for entry in entries:
        ids = tuple(sorted(entry.data_file.equality_ids or ()))
        scope = _scope(table, entry.data_file, as_equality_delete=True)
        for row in _project(table, entry.data_file, set(ids), only=True):
            key = scope, tuple(canonical(_leaf(row, i)) for i in ids)
            found[ids][key] = max(entry.sequence_number, found[ids].get(key, -1))
    return found


def _project(table: Table, file: DataFile, ids: set[int], *, only: bool = False) -> list[dict[str, Any]]:
    """Return a file's rows in the current schema (unless ``only``), each id's value added as column ``#id``.

    Columns dropped since are taken from the newest schema that has them, so promoted values compare equal.
    """
    newest_first = [table.schema(), *sorted(table.schemas().values(), key=lambda s: -s.schema_id)]
    rows: list[dict[str, Any]] = [] if only else _read(table, file, table.schema()).to_pylist()
    for field_id in ids:
        schema = next(s for s in newest_first if field_id in s._lazy_id_to_name)
        path = schema.find_column_name(field_id) or ""
        narrow = _optional(schema.select(path))
        values = _read(table, file, narrow).to_pylist()
        rows = rows or [{} for _ in values]
        for row, value in zip(rows, values, strict=True):
            leaf: Any = value
            for part in path.split("."):
                leaf = None if leaf is None else leaf[part]
            row[f"#{field_id}"] = leaf
    return rows


def _leaf(row: dict[str, Any], field_id: int) -> Any:
    return row[f"#{field_id}"]


def _optional(schema: Schema) -> Schema:
    return Schema(*(NestedField(f.field_id, f.name, f.field_type, required=False) for f in schema.fields))


def _read(table: Table, file: DataFile, schema: Schema) -> pa.Table:
    scan = ArrowScan(table.metadata, table.io, _optional(schema), AlwaysTrue())
    return scan.to_table([FileScanTask(data_file=file)])
