"""Rows written by `write_rows` outside of any table, and what is in the files."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import PyArrowFileIO, schema_to_pyarrow
from pyiceberg.schema import Schema

from autostream.lake.engine.casts import duckdb_type
from autostream.lake.engine.duckdb_engine import Engine
from autostream.lake.engine.output_files import OutputTarget, WriteSettings, WrittenFile, write_rows
from autostream.properties import of_table
from autostream.resources import EngineResources

NO_PROPERTIES: Mapping[str, str] = {}


@contextmanager
def engine_in(directory: Path, **resources: Any) -> Iterator[Engine]:
    with Engine(
        PyArrowFileIO(), EngineResources(**{"spill_directory": directory, "threads": 2, **resources})
    ) as engine:
        yield engine


def arrow_rows(schema: Schema, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows in the Arrow types of the schema."""
    wanted = schema_to_pyarrow(schema, include_field_ids=False)
    plain = pa.schema([pa.field(f.name, _without_uuid(f.type)) for f in wanted])
    return pa.Table.from_pylist([_plain(row) for row in rows], plain).cast(wanted)


def _without_uuid(kind: pa.DataType) -> pa.DataType:
    """Return a type with 16 bytes for UUIDs: PyArrow builds nested arrays of no extension type."""
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, _without_uuid(f.type)) for f in kind])
    if pa.types.is_map(kind):
        return pa.map_(_without_uuid(kind.key_type), _without_uuid(kind.item_type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.large_list(pa.field("element", _without_uuid(kind.value_type)))
    return pa.binary(16) if kind == pa.uuid() else kind


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return value.bytes if isinstance(value, uuid.UUID) else value


def relation(engine: Engine, schema: Schema, rows: pa.Table) -> str:
    """Return the relation with columns ``c<id>`` that holds Arrow rows."""
    engine.connection.register("given", rows.rename_columns([f"g{i}" for i in range(rows.num_columns)]))
    selected = [f"CAST(g{i} AS {duckdb_type(f.field_type)}) AS c{f.field_id}" for i, f in enumerate(schema.fields)]
    return f"(SELECT {', '.join(selected)} FROM given)"


def write(
    engine: Engine,
    directory: Path,
    schema: Schema,
    rows: pa.Table,
    *,
    properties: Mapping[str, str] = NO_PROPERTIES,
    expected_bytes: int = 1000,
    file_bytes: int = 1 << 30,
    order_by: str = "",
) -> list[WrittenFile]:
    target = OutputTarget(
        directory=f"file://{directory}",
        prefix="part-",
        expected_bytes=expected_bytes,
        expected_rows=rows.num_rows,
        file_bytes=file_bytes,
    )
    settings = WriteSettings.from_properties(of_table("lake.db.t", properties or {}), schema)
    return write_rows(engine, relation(engine, schema, rows), schema, target, settings, order_by=order_by)


def path_of(file: WrittenFile) -> Path:
    return Path(file.location.removeprefix("file://"))


def footer(file: WrittenFile) -> pq.FileMetaData:
    return pq.read_metadata(path_of(file))


def field_ids(file: WrittenFile) -> dict[str, int]:
    """Return the field id of every level of a file's schema, by path."""
    found: dict[str, int] = {}

    def visit(field: pa.Field, path: str) -> None:
        found[path] = int((field.metadata or {}).get(b"PARQUET:field_id", b"-1"))
        kind = field.type
        if pa.types.is_struct(kind):
            for child in kind:
                visit(child, f"{path}.{child.name}")
        elif pa.types.is_map(kind):
            visit(kind.key_field, f"{path}.key")
            visit(kind.item_field, f"{path}.value")
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            visit(kind.value_field, f"{path}.element")

    for field in pq.read_schema(path_of(file)):
        visit(field, field.name)
    return found


def ids_of(schema: Schema) -> dict[str, int]:
    """Return the field id of every level of an Iceberg schema, by path."""
    return {schema.find_column_name(i) or "": i for i in schema.field_ids}
