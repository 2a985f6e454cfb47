"""Arrow types and batches: the engine's as Iceberg's, and what the readers of files other than Parquet share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from autostream.iceberg.calendar import day_text, timestamp_text

BATCH_ROWS = 10_000
FIELD_ID = b"PARQUET:field_id"

Batches = Callable[[Sequence[int]], Iterator[pa.RecordBatch]]
"""Reads batches of some of a file's columns, given by their positions."""

Opened = tuple[pa.Schema, Batches]
"""A file's schema with field ids, and its rows."""


class NotReadable(Exception):
    """A sound file holds what cannot be read; says what, as the object of "the file holds"."""


def as_arrow(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with the names and types of a schema, column by column in order."""
    arrays = [_as_type(array, field.type) for array, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _as_type(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if array.type == wanted:
        return array
    table = pa.Table.from_arrays([array], names=["x"]).cast(pa.schema([("x", wanted)]))
    chunks = table.column(0)
    return chunks.chunk(0) if chunks.num_chunks == 1 else chunks.combine_chunks()


def as_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return a batch as dictionaries; dates and timestamps outside of Python's as text."""
    columns = [_values(array) for array in batch.columns]
    return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(array: pa.Array) -> list[Any]:
    try:
        return array.to_pylist()  # type: ignore[no-any-return]
    except (OverflowError, ValueError):  # a year that Python's dates do not have
        return [_value(item) for item in array]


def _value(item: pa.Scalar) -> Any:
    try:
        return item.as_py()
    except (OverflowError, ValueError):
        if pa.types.is_struct(item.type):
            return {name: _value(item[name]) for name in item}
        if not pa.types.is_nested(item.type):
            return _text(item)
    items = _values(item.values)
    return [(entry["key"], entry["value"]) for entry in items] if pa.types.is_map(item.type) else items


def _text(item: pa.Scalar) -> str:
    if pa.types.is_date(item.type):
        return day_text(item.value)
    return timestamp_text(item.value, zone="+00:00" if item.type.tz else "")


def field_id(field: pa.Field) -> int | None:
    """Return the field id of a field, None if it has none."""
    value = (field.metadata or {}).get(FIELD_ID)
    return None if value is None or int(value) < 0 else int(value)


def children_of(kind: pa.DataType) -> list[pa.Field]:
    """Return the fields of a struct, the element of a list, key and value of a map; of others nothing."""
    if pa.types.is_struct(kind):
        return list(kind)
    if pa.types.is_map(kind):
        return [kind.key_field, kind.item_field]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return [kind.value_field]
    return []


def rebuilt(kind: pa.DataType, children: Sequence[pa.Field]) -> pa.DataType:
    """Return a type with other children."""
    if pa.types.is_struct(kind):
        return pa.struct(children)
    if pa.types.is_map(kind):
        return pa.map_(children[0].with_nullable(False), children[1])
    if pa.types.is_large_list(kind):
        return pa.large_list(children[0])
    return pa.list_(children[0]) if children else kind


def with_id(field: pa.Field, own: int | str | None, kind: pa.DataType) -> pa.Field:
    """Return a nullable field of another type with a field id, or with none."""
    return pa.field(field.name, kind, True, None if own is None else {FIELD_ID: str(own).encode()})


def with_storage(field: pa.Field) -> pa.Field:
    """Return a field with the types that extension types are stored as: what else they mean is the reader's to say."""
    if isinstance(field.type, pa.BaseExtensionType):
        field = field.with_type(field.type.storage_type)
    below = [with_storage(child) for child in children_of(field.type)]
    return field.with_type(rebuilt(field.type, below)) if below else field


class _Renamed:
    """An array as one of a type that differs by the names of fields only."""

    def __init__(self, array: pa.Array, kind: pa.DataType) -> None:
        self._array, self._kind = array, kind

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self._kind.__arrow_c_schema__(), self._array.__arrow_c_array__()[1]


def with_names(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows as of a schema that differs by names only, of nested fields too."""
    columns = [
        column
        if column.type == field.type
        else pa.chunked_array([pa.array(_Renamed(chunk, field.type)) for chunk in column.chunks], field.type)
        for column, field in zip(rows.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def nullable_schema(schema: pa.Schema) -> pa.Schema:
    """Return a schema whose every field takes NULL, but for the keys of maps."""
    return pa.schema([_nullable(field) for field in schema])


def _nullable(field: pa.Field) -> pa.Field:
    below = [_nullable(child) for child in children_of(field.type)]
    return field.with_type(rebuilt(field.type, below)).with_nullable(True) if below else field.with_nullable(True)
