"""The columns of a Parquet file as the table's columns: by field id, through renames, promotions and missing fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pyiceberg.schema import Schema
from pyiceberg.table.name_mapping import MappedField, NameMapping
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    PrimitiveType,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from autostream.errors import DataError, UnsupportedTableError
from autostream.lake.engine import PhysicalField, quoted, text

_TYPES: Mapping[type[IcebergType], str] = {
    BooleanType: "BOOLEAN",
    IntegerType: "INTEGER",
    LongType: "BIGINT",
    FloatType: "FLOAT",
    DoubleType: "DOUBLE",
    DateType: "DATE",
    TimeType: "TIME",
    TimestampType: "TIMESTAMP",
    TimestamptzType: "TIMESTAMP WITH TIME ZONE",
    StringType: "VARCHAR",
    UUIDType: "UUID",
    FixedType: "BLOB",
    BinaryType: "BLOB",
}


def duckdb_type(field_type: IcebergType) -> str:
    """Return the DuckDB type that holds an Iceberg type.

    Raises:
        UnsupportedTableError: it is none of format version 2.
    """
    match field_type:
        case DecimalType():
            return f"DECIMAL({field_type.precision},{field_type.scale})"
        case StructType():
            return (
                "STRUCT(" + ", ".join(f"{quoted(f.name)} {duckdb_type(f.field_type)}" for f in field_type.fields) + ")"
            )
        case ListType():
            return duckdb_type(field_type.element_type) + "[]"
        case MapType():
            return f"MAP({duckdb_type(field_type.key_type)}, {duckdb_type(field_type.value_type)})"
        case _ if type(field_type) in _TYPES:
            return _TYPES[type(field_type)]
    raise UnsupportedTableError(
        f"Column type {field_type} is not one of format version 2. Compact the table with another engine."
    )


def refuse_twins(field: NestedField) -> None:
    """Refuse a column with a struct whose field names differ by case only: to the engine they are one.

    Raises:
        UnsupportedTableError: it is such a column.
    """
    below: list[IcebergType] = [field.field_type]
    while below:
        match below.pop():
            case StructType() as struct:
                names = [f.name for f in struct.fields]
                if len({name.lower() for name in names}) < len(names):
                    raise UnsupportedTableError(
                        f"Column {field.name!r} has struct fields that differ by case only ({', '.join(names)}), which "
                        "the merge engine cannot tell apart. Nothing was touched. Rename one of them."
                    )
                below += [f.field_type for f in struct.fields]
            case ListType() as items:
                below.append(items.element_type)
            case MapType() as entries:
                below += [entries.key_type, entries.value_type]


def field_path(schema: Schema, field_id: int) -> tuple[NestedField, ...]:
    """Return the fields from a top-level column down through structs to a field; empty if it is not to be found so."""

    def search(fields: Iterable[NestedField]) -> tuple[NestedField, ...]:
        for field in fields:
            if field.field_id == field_id:
                return (field,)
            if isinstance(field.field_type, StructType) and (below := search(field.field_type.fields)):
                return (field, *below)
        return ()

    return search(schema.fields)


def field_sql(path: Sequence[NestedField]) -> str:
    """Return the SQL of a field, given by its path, over columns ``c<id>``."""
    sql = f"c{path[0].field_id}"
    for field in path[1:]:
        sql = f"struct_extract({sql}, {text(field.name)})"
    return sql


def with_mapped_ids(fields: Iterable[PhysicalField], mapping: NameMapping) -> tuple[PhysicalField, ...]:
    """Return a file's fields with the ids that a name mapping gives to their names."""

    def mapped(field: PhysicalField, level: Iterable[MappedField], name: str | None = None) -> PhysicalField:
        wanted = name or field.name
        # Compared with None: a mapping without fields below it counts as false.
        found = next((m for m in level if wanted in m.names), None)
        below = () if found is None else found.fields
        names = {"list": ("element",), "map": ("key", "value")}.get(field.kind)
        children = tuple(mapped(child, below, names[i] if names else None) for i, child in enumerate(field.children))
        return PhysicalField(field.name, None if found is None else found.field_id, field.type, field.kind, children)

    return tuple(mapped(field, mapping.root) for field in fields)


def has_ids(fields: Iterable[PhysicalField]) -> bool:
    """Say whether a file's schema carries field ids."""
    return any(field.field_id is not None or has_ids(field.children) for field in fields)


def column(fields: Iterable[PhysicalField], field_id: int, field_type: IcebergType) -> str | None:
    """Return the SQL of a top-level column as the given type; None where the file lacks it."""
    found = next((field for field in fields if field.field_id == field_id), None)
    return None if found is None else _convert(found, field_type, quoted(found.name))[0]


def leaf(fields: Iterable[PhysicalField], field_id: int, field_type: IcebergType) -> str | None:
    """Return the SQL of a primitive field at any depth of structs; None where the file lacks it.

    A null struct makes its fields null (R9).
    """

    def search(level: Iterable[PhysicalField], parent: str | None) -> str | None:
        for field in level:
            sql = quoted(field.name) if parent is None else f"struct_extract({parent}, {text(field.name)})"
            if field.field_id == field_id:
                return _convert(field, field_type, sql)[0]
            if field.kind == "struct" and (found := search(field.children, sql)):
                return found
        return None

    return search(fields, None)


def _convert(field: PhysicalField, target: IcebergType, sql: str, depth: int = 0) -> tuple[str, bool]:
    """Return the SQL that turns a physical field into the target type, and whether that changes anything."""
    if isinstance(target, PrimitiveType):
        return _convert_primitive(field, target, sql)
    kind = {StructType: "struct", ListType: "list", MapType: "map"}[type(target)]
    if field.kind != kind:
        raise DataError(f"Column {field.name!r} is a {field.kind} in the file and {target} in the table.")
    if isinstance(target, StructType):
        return _convert_struct(field, target, sql, depth)
    item = f"e{depth}"
    if isinstance(target, ListType):
        element, changed = _convert(field.children[0], target.element_type, item, depth + 1)
        return (f"list_transform({sql}, lambda {item}: {element})", True) if changed else (sql, False)
    assert isinstance(target, MapType)
    key, key_changed = _convert(field.children[0], target.key_type, f"{item}.key", depth + 1)
    value, value_changed = _convert(field.children[1], target.value_type, f"{item}.value", depth + 1)
    if not key_changed and not value_changed:
        return sql, False
    entries = f"list_transform(map_entries({sql}), lambda {item}: struct_pack(key := {key}, value := {value}))"
    return f"CASE WHEN {sql} IS NULL THEN NULL ELSE map_from_entries({entries}) END", True


def _convert_struct(field: PhysicalField, target: StructType, sql: str, depth: int) -> tuple[str, bool]:
    children = {child.field_id: child for child in field.children}
    parts, changed = [], [f.name for f in target.fields] != [c.name for c in field.children]
    for wanted in target.fields:
        child = children.get(wanted.field_id)
        if child is None:
            part, differs = f"NULL::{duckdb_type(wanted.field_type)}", True
        else:
            part, differs = _convert(child, wanted.field_type, f"struct_extract({sql}, {text(child.name)})", depth)
        changed |= differs
        parts.append(f"{quoted(wanted.name)} := {part}")
    if not changed:
        return sql, False
    return f"CASE WHEN {sql} IS NULL THEN NULL ELSE struct_pack({', '.join(parts)}) END", True


def _convert_primitive(field: PhysicalField, target: PrimitiveType, sql: str) -> tuple[str, bool]:
    wanted = duckdb_type(target)
    if field.type == wanted:
        return sql, False
    if field.kind != "primitive":
        raise DataError(f"Column {field.name!r} is a {field.kind} in the file and {target} in the table.")
    if field.type == "BLOB":  # written without a logical type: the bytes are the value
        if isinstance(target, StringType):
            return f"decode({sql})", True
        if isinstance(target, UUIDType):
            return f"CAST(lower(hex({sql})) AS UUID)", True
    return f"CAST({sql} AS {wanted})", True
