"""The columns of a Parquet file as the table's columns: by field id, through renames, promotions and missing fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pyiceberg.schema import Schema
from pyiceberg.table.name_mapping import MappedField, NameMapping
from pyiceberg.types import (
    IcebergType,
    ListType,
    MapType,
    NestedField,
    PrimitiveType,
    StructType,
)

from autostream.errors import DataError, UnsupportedTableError
from autostream.lake.engine.casts import duckdb_type, read_as
from autostream.lake.engine.parquet_schema import PhysicalField
from autostream.lake.engine.sql_text import quoted, text

# How SQL that makes a map again is known: the engine refuses to make one with a key twice, though it reads such.
MAP_REBUILT = "map_from_entries("


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
                        f"Column {field.name!r} has struct fields that differ only by case ({', '.join(names)}). The "
                        "merge engine cannot distinguish them. Nothing was changed. Rename one of them."
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
    """Return the SQL of a field, given by its path, over columns `c<id>`."""
    sql = f"c{path[0].field_id}"
    for field in path[1:]:
        sql = f"struct_extract({sql}, {text(field.name)})"
    return sql


def with_mapped_ids(fields: Iterable[PhysicalField], mapping: NameMapping) -> tuple[PhysicalField, ...]:
    """Return a file's fields with the ids that a name mapping gives to the names of those that have none."""

    def level(
        fields: Iterable[PhysicalField], mapped: Sequence[MappedField], names: Sequence[str] | None = None
    ) -> tuple[PhysicalField, ...]:
        fields = tuple(fields)
        own = {field.field_id for field in fields}
        return tuple(visit(field, mapped, own, names[i] if names else field.name) for i, field in enumerate(fields))

    def visit(
        field: PhysicalField, mapped: Sequence[MappedField], own: Collection[int | None], name: str
    ) -> PhysicalField:
        found = next((m for m in mapped if name in m.names), None)
        if field.field_id is not None:
            found = next((m for m in mapped if m.field_id == field.field_id), None)
        elif found is not None and found.field_id in own:  # a former name of a column that is there by its id
            found = None
        field_id = field.field_id if found is None else found.field_id
        names = {"list": ("element",), "map": ("key", "value")}.get(field.kind)
        children = level(field.children, () if found is None else found.fields, names)
        return replace(field, field_id=field_id, children=children)

    return level(fields, mapping.root)


def has_ids(fields: Iterable[PhysicalField]) -> bool:
    """Say whether a file's schema carries field ids."""
    return any(field.field_id is not None or has_ids(field.children) for field in fields)


def unidentified(fields: Sequence[PhysicalField], wanted: Sequence[NestedField]) -> list[str]:
    """Return the names of fields without an id that may be wanted ones which the file has under no id.

    Elements of lists, keys and values of maps are known by their place and need none.
    """
    by_id = {field.field_id: field for field in fields}
    found = [field.name for field in fields if field.field_id is None]
    if all(w.field_id in _ids_in_structs(fields) for w in wanted):
        found = []
    for want in wanted:
        if (field := by_id.get(want.field_id)) is not None:
            found += [f"{field.name}.{name}" for name in _unidentified_below(field, want.field_type)]
    return found


def _ids_in_structs(fields: Iterable[PhysicalField]) -> set[int | None]:
    """Return the ids of fields and of those in structs below them, where keys are looked for."""
    return {i for f in fields for i in (f.field_id, *(_ids_in_structs(f.children) if f.kind == "struct" else ()))}


def _unidentified_below(field: PhysicalField, wanted: IcebergType) -> list[str]:
    match wanted:
        case StructType() if field.kind == "struct":
            return unidentified(field.children, wanted.fields)
        case ListType() if field.kind == "list":
            parts: tuple[IcebergType, ...] = (wanted.element_type,)
        case MapType() if field.kind == "map":
            parts = (wanted.key_type, wanted.value_type)
        case _:
            return []
    return [
        f"{child.name}.{name}"
        for child, part in zip(field.children, parts, strict=True)
        for name in _unidentified_below(child, part)
    ]


def ids_twice(fields: Iterable[PhysicalField]) -> set[int]:
    """Return the ids that more than one field of a file has."""
    seen: set[int] = set()
    twice: set[int] = set()

    def visit(field: PhysicalField) -> None:
        if field.field_id is not None:
            (twice if field.field_id in seen else seen).add(field.field_id)
        for child in field.children:
            visit(child)

    for field in fields:
        visit(field)
    return twice


@dataclass(frozen=True)
class Columns:
    """The columns of one file, or of several of one schema, as SQL of the types wanted.

    Attributes:
        fields: the fields of the file.
        path: the file, for messages.
        names: the table's names of columns by id, for messages: a copy has others.
        constants: SQL of what the files may lack because their partition says it, by id.
        paths: ids from a column of the table down to a key: writers reuse ids at other places.
    """

    fields: tuple[PhysicalField, ...]
    path: str
    names: Mapping[int | None, str]
    constants: Mapping[int, str] = dataclasses.field(default_factory=dict)
    paths: Mapping[int, tuple[int, ...]] = dataclasses.field(default_factory=dict)

    def column(self, field_id: int, field_type: IcebergType) -> str:
        """Return the SQL of a top-level column as the given type: NULL where neither file nor partition has it.

        Raises:
            DataError: its type in the file is none that can be read as the given one.
        """
        found = next((field for field in self.fields if field.field_id == field_id), None)
        if found is None:
            return self._missing(field_id, field_type)
        return self._convert(found, field_type, quoted(found.name))[0]

    def leaf(self, field_id: int, field_type: IcebergType) -> str:
        """Return the SQL of a primitive field at any depth of structs: NULL where neither file nor partition has it.

        A null struct makes its fields null (R9).

        Raises:
            DataError: its type in the file is none that can be read as the given one.
        """
        path = self.paths.get(field_id)
        found = self._search(field_id) if path is None else self._walk(path)
        if found is not None:
            return self._convert(found[0], field_type, found[1])[0]
        missing = self._missing(field_id, field_type)
        if path is None or len(path) == 1:
            return missing
        struct = self._walk(path[:-1])
        return f"CASE WHEN {struct[1]} IS NOT NULL THEN {missing} END" if struct else null_of(field_type)

    def has(self, field_id: int) -> bool:
        """Say whether the file has a field, at any depth of structs."""
        return self._search(field_id) is not None

    def _search(self, field_id: int) -> tuple[PhysicalField, str] | None:
        """Return a field of the file, at any depth of structs, with its SQL."""

        def search(fields: Iterable[PhysicalField], parent: str | None) -> tuple[PhysicalField, str] | None:
            for field in fields:
                sql = quoted(field.name) if parent is None else f"struct_extract({parent}, {text(field.name)})"
                if field.field_id == field_id:
                    return field, sql
                if field.kind == "struct" and (found := search(field.children, sql)):
                    return found
            return None

        return search(self.fields, None)

    def _walk(self, path: Sequence[int]) -> tuple[PhysicalField, str] | None:
        """Return the field at the end of a path of ids, with its SQL."""
        fields, found = self.fields, None
        for field_id in path:
            child = next((f for f in fields if f.field_id == field_id), None)
            if child is None:
                return None
            sql = quoted(child.name) if found is None else f"struct_extract({found[1]}, {text(child.name)})"
            fields, found = child.children if child.kind == "struct" else (), (child, sql)
        return found

    def _missing(self, field_id: int, field_type: IcebergType) -> str:
        said = self.constants.get(field_id)
        return null_of(field_type) if said is None else f"CAST({said} AS {duckdb_type(field_type)})"

    def _convert(self, field: PhysicalField, target: IcebergType, sql: str, depth: int = 0) -> tuple[str, bool]:
        """Return the SQL that turns a physical field into the target type, and whether that changes anything."""
        if isinstance(target, PrimitiveType) or field.type == '"NULL"':
            return self._convert_primitive(field, target, sql)
        kind = {StructType: "struct", ListType: "list", MapType: "map"}[type(target)]
        if field.kind != kind:
            raise self._refused(field, target)
        if isinstance(target, StructType):
            return self._convert_struct(field, target, sql, depth)
        item = f"e{depth}"
        if isinstance(target, ListType):
            element, changed = self._convert(field.children[0], target.element_type, item, depth + 1)
            return (f"list_transform({sql}, lambda {item}: {element})", True) if changed else (sql, False)
        assert isinstance(target, MapType)
        key, key_changed = self._convert(field.children[0], target.key_type, f"{item}.key", depth + 1)
        value, value_changed = self._convert(field.children[1], target.value_type, f"{item}.value", depth + 1)
        if not key_changed and not value_changed:
            return sql, False
        entries = f"list_transform(map_entries({sql}), lambda {item}: struct_pack(key := {key}, value := {value}))"
        return f"CASE WHEN {sql} IS NULL THEN NULL ELSE {MAP_REBUILT}{entries}) END", True

    def _convert_struct(self, field: PhysicalField, target: StructType, sql: str, depth: int) -> tuple[str, bool]:
        children = {child.field_id: child for child in field.children}
        parts, changed = [], [f.name for f in target.fields] != [c.name for c in field.children]
        for wanted in target.fields:
            child = children.get(wanted.field_id)
            if child is None:
                part, differs = self._missing(wanted.field_id, wanted.field_type), True
            else:
                value = f"struct_extract({sql}, {text(child.name)})"
                part, differs = self._convert(child, wanted.field_type, value, depth)
            changed |= differs
            parts.append(f"{quoted(wanted.name)} := {part}")
        if not changed:
            return sql, False
        return f"CASE WHEN {sql} IS NULL THEN NULL ELSE struct_pack({', '.join(parts)}) END", True

    def _convert_primitive(self, field: PhysicalField, target: IcebergType, sql: str) -> tuple[str, bool]:
        read = read_as(field, target, sql) if field.kind == "primitive" else None
        if read is None:
            raise self._refused(field, target)
        return read, read != sql

    def _refused(self, field: PhysicalField, target: IcebergType) -> DataError:
        stored = field.stored if field.kind == "primitive" else field.kind
        top, *below = _path(self.fields, field)
        name = ".".join([self.names.get(top.field_id, top.name), *(child.name for child in below)])
        return DataError(
            f"File {self.path} stores column {name!r} as {stored}, but its type in the table is {target}. The "
            "Iceberg spec does not allow this promotion, because values could change. Nothing was changed. Write "
            "the file again with the type of the table, or remove it from the table."
        )


def null_of(field_type: IcebergType) -> str:
    """Return the SQL of NULL of a type."""
    return f"NULL::{duckdb_type(field_type)}"


def _path(fields: Iterable[PhysicalField], wanted: PhysicalField) -> tuple[PhysicalField, ...]:
    """Return the fields from a file's column down to a field."""
    for part in fields:
        if part is wanted:
            return (part,)
        if below := _path(part.children, wanted):
            return (part, *below)
    return ()
