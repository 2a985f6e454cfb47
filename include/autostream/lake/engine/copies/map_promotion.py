"""Columns with maps made of the types wanted in Arrow, which keeps a key that a map has twice."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.types import (
    DecimalType,
    DoubleType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    StructType,
)

from autostream.lake.engine.copies.arrow_types import children_of, field_id, rebuilt, with_id


def promoted(field: pa.Field, wanted: IcebergType | None) -> pa.Field:
    """Return a field of a file as one of the type wanted, by field ids; as it is where nothing is wanted of it.

    A type that the spec does not promote to the one wanted stays: its reader refuses it.
    """
    children = children_of(field.type)
    match wanted:
        case StructType() if pa.types.is_struct(field.type):
            by_id = {field_id(child): child for child in children}
            below = [
                promoted(by_id[w.field_id].with_name(w.name), w.field_type) if w.field_id in by_id else _missing(w)
                for w in wanted.fields
            ]
        case ListType() if len(children) == 1:
            below = [promoted(children[0], wanted.element_type)]
        case MapType() if pa.types.is_map(field.type):
            below = [promoted(children[0], wanted.key_type), promoted(children[1], wanted.value_type)]
        case _:
            return field.with_type(_promoted_primitive(field.type, wanted))
    return field.with_type(rebuilt(field.type, below))


def _missing(wanted: Any) -> pa.Field:
    (field,) = schema_to_pyarrow(Schema(wanted), include_field_ids=True)
    return with_id(field, wanted.field_id, field.type)


def _promoted_primitive(kind: pa.DataType, wanted: IcebergType | None) -> pa.DataType:
    unsigned_32 = pa.types.is_uint32(kind)
    match wanted:
        case IntegerType() if pa.types.is_integer(kind) and kind.bit_width < 32:
            return pa.int32()
        case LongType() if pa.types.is_integer(kind) and (kind.bit_width < 32 or unsigned_32 or kind == pa.int32()):
            return pa.int64()
        case DoubleType() if pa.types.is_floating(kind):
            return pa.float64()
        case DecimalType() if pa.types.is_decimal(kind) and kind.scale == wanted.scale:
            return pa.decimal128(max(kind.precision, wanted.precision), kind.scale)
    return kind


def promote(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows, whose columns have field ids, as of the promoted schema."""
    columns = [
        pa.chunked_array([_promote(chunk, have, want.type) for chunk in column.chunks], want.type)
        for column, have, want in zip(rows.columns, rows.schema, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _promote(array: pa.Array, have: pa.Field, wanted: pa.DataType) -> pa.Array:
    if array.type == wanted:
        return array.cast(wanted)
    children, below = children_of(have.type), children_of(wanted)
    if pa.types.is_struct(wanted):
        places = {field_id(child): i for i, child in enumerate(children)}
        parts = [
            _promote(array.field(places[field_id(w)]), children[places[field_id(w)]], w.type)
            if field_id(w) in places
            else pa.nulls(len(array), w.type)
            for w in below
        ]
        return pa.StructArray.from_arrays(parts, fields=below, mask=array.is_null())
    if pa.types.is_map(wanted):
        entries = [
            _promote(part, h, w.type) for part, h, w in zip((array.keys, array.items), children, below, strict=True)
        ]
        return pa.MapArray.from_arrays(array.offsets, *entries, type=wanted, mask=array.is_null())
    if below:
        values = _promote(array.values, children[0], below[0].type)
        return type(array).from_arrays(array.offsets, values, type=wanted, mask=array.is_null())
    return array.cast(wanted)
