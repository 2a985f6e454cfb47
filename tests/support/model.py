"""What an upsert table must hold, by definition and without Iceberg: a dictionary of rows by key."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyiceberg.schema import Schema

from autostream.demo.files import conform
from autostream.demo.writer import Changes
from tests.support.rows import canonical

Cells = Mapping[int, Any]
Scope = Callable[[Mapping[str, Any]], Hashable]


@dataclass(frozen=True)
class _Row:
    cells: Cells  # by field id, so that renames and dropped columns need no care
    checkpoint: int
    equality_ids: tuple[int, ...]
    scope: Hashable


def everywhere(_: Mapping[str, Any]) -> Hashable:
    """The scope of an unpartitioned spec: its deletes reach every row."""
    return None


class UpsertModel:
    """Applies checkpoints as the Iceberg spec says that their files take effect.

    A delete reaches rows of earlier checkpoints, and those of its own checkpoint that were written by the same set of
    equality fields, within its scope: what the ``scope`` function says of its row, None reaching everything. Give a
    scope per partition spec, such as ``lambda row: ("spec 1", row["day"])``.
    """

    def __init__(self) -> None:
        self._rows: dict[int, _Row] = {}
        self._ids = itertools.count()
        self._checkpoints = itertools.count(1)
        self._index: dict[tuple[int, ...], dict[Any, set[int]]] = {}

    def checkpoint(self, schema: Schema, *changes: Changes, scope: Scope = everywhere) -> None:
        """Apply a checkpoint; field names are those of ``schema``."""
        number = next(self._checkpoints)
        for change in changes:
            ids = tuple(schema.find_field(name).field_id for name in change.equality_fields)
            for row in _cells(change.upserts, schema):
                self._delete(ids, row, number, scope(_named(row, schema)))
                self._add(_Row(row, number, ids, scope(_named(row, schema))))
            for row in _cells(change.deletes, schema):
                self._delete(ids, row, number, scope(_named(row, schema)))

    def rows(self, schema: Schema) -> list[dict[str, Any]]:
        """Return the rows as a reader of ``schema`` sees them; later columns are null in earlier rows."""
        return [{f.name: row.cells.get(f.field_id) for f in schema.fields} for row in self._rows.values()]

    def delete_where(self, field_id: int, value: Any) -> None:
        """Delete the rows with this value, whatever wrote them: what a position delete does."""
        for key, row in list(self._rows.items()):
            if row.cells.get(field_id) == value:
                self._remove(key)

    def _remove(self, key: int) -> None:
        row = self._rows.pop(key)
        for ids, index in self._index.items():
            index[_key(row.cells, ids)].discard(key)

    def _add(self, row: _Row) -> None:
        key = next(self._ids)
        self._rows[key] = row
        for ids, index in self._index.items():
            index[_key(row.cells, ids)].add(key)

    def _delete(self, ids: tuple[int, ...], cells: Cells, checkpoint: int, scope: Hashable) -> None:
        if not ids:
            return
        if ids not in self._index:
            index = self._index[ids] = defaultdict(set)
            for key, row in self._rows.items():
                index[_key(row.cells, ids)].add(key)
        for key in list(self._index[ids][_key(cells, ids)]):
            row = self._rows[key]
            in_scope = scope is None or scope == row.scope
            own = row.checkpoint == checkpoint and row.equality_ids == ids and row.scope == scope
            if own or (row.checkpoint < checkpoint and in_scope):
                self._remove(key)


def _cells(table: pa.Table | None, schema: Schema) -> list[Cells]:
    if table is None:
        return []
    rows = conform(table, Schema(*(f for f in schema.fields if f.name in table.column_names))).to_pylist()
    return [{schema.find_field(name).field_id: value for name, value in row.items()} for row in rows]


def _named(cells: Cells, schema: Schema) -> dict[str, Any]:
    return {f.name: cells[f.field_id] for f in schema.fields if f.field_id in cells}


def _key(cells: Cells, ids: tuple[int, ...]) -> Any:
    return tuple(canonical(cells.get(i)) for i in ids)
