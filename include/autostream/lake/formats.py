"""ORC, Avro and awkward Parquet files as scratch Parquet files, row for row: the engine then reads all in one way.

A file is copied as it is, with its own types and field ids; what renames, promotions and missing columns mean is
decided in one place for all formats, where the engine reads the copy.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, BinaryIO
from uuid import UUID

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc
from pyiceberg.io import FileIO
from pyiceberg.table.name_mapping import MappedField, NameMapping

from autostream.errors import DataError
from autostream.lake.files import LiveFile

_BATCH_ROWS = 10_000
_FIELD_ID = b"PARQUET:field_id"

Batches = Callable[[Sequence[int]], Iterator[pa.RecordBatch]]
"""Reads batches of some of a file's columns, given by their positions."""

Opened = tuple[pa.Schema, Batches]


def convert_to_parquet(
    file: LiveFile, wanted: Collection[int], target: str, *, mapping: NameMapping | None, io: FileIO
) -> None:
    """Write the rows of a file to a local Parquet file with field ids, in order, so that row numbers stay true.

    Args:
        file: a data or delete file in ORC, Avro or Parquet.
        wanted: ids of the fields wanted, of any level; columns without any of them may be left out.
        target: path of the Parquet file. Columns with an id get names that are unique whatever their case.
        mapping: the table's name mapping, for files without field ids.
        io: the table's FileIO.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with io.new_input(file.path).open(seekable=True) as stream:
            schema, read = _OPEN[file.file_format](stream)
            if mapping is not None:
                schema = _mapped(schema, mapping)
            # A column without an id may be a wanted one: whoever reads the copy decides.
            chosen = [i for i, f in enumerate(schema) if _id(f) is None or not _ids(f).isdisjoint(wanted)]
            # A Parquet file without columns would have no rows.
            chosen = chosen or [0]
            written = pa.schema([_scratch(i, schema.field(i)) for i in chosen])
            with pq.ParquetWriter(target, written, compression="zstd", compression_level=1) as writer:
                for batch in read(chosen):
                    named = pa.Table.from_batches([batch]).rename_columns(written.names)
                    writer.write_table(named.cast(written))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # the scratch file did not fit: nothing is wrong with the one read
        raise DataError(
            f"{file.file_format.upper()} file {file.path} cannot be read ({type(error).__name__}: {error}). Restore "
            "the file, or roll the table back to a snapshot without it."
        ) from error


def _scratch(position: int, field: pa.Field) -> pa.Field:
    return field.with_name(f"c{position}") if _id(field) is not None else field


# ------------------------------------------------------------------------------------------------- field ids


def _id(field: pa.Field) -> int | None:
    value = (field.metadata or {}).get(_FIELD_ID)
    return None if value is None or int(value) < 0 else int(value)


def _children(kind: pa.DataType) -> list[pa.Field]:
    if pa.types.is_struct(kind):
        return list(kind)
    if pa.types.is_map(kind):
        return [kind.key_field, kind.item_field]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [kind.value_field]
    return []


def _rebuilt(kind: pa.DataType, children: Sequence[pa.Field]) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct(children)
    if pa.types.is_map(kind):
        return pa.map_(children[0].with_nullable(False), children[1])
    return pa.list_(children[0]) if children else kind


def _ids(field: pa.Field) -> set[int]:
    own = _id(field)
    return {i for child in _children(field.type) for i in _ids(child)} | ({own} if own is not None else set())


def _with_id(field: pa.Field, field_id: int | str | None, kind: pa.DataType) -> pa.Field:
    return pa.field(field.name, kind, True, None if field_id is None else {_FIELD_ID: str(field_id).encode()})


def _mapped(schema: pa.Schema, mapping: NameMapping) -> pa.Schema:
    """Return a schema with the ids that a name mapping gives to the names of fields that have none."""

    def level(fields: Sequence[pa.Field], mapped: Sequence[MappedField], names: Sequence[str]) -> list[pa.Field]:
        own = {_id(field) for field in fields}
        return [visit(field, mapped, own, name) for field, name in zip(fields, names, strict=True)]

    def visit(field: pa.Field, mapped: Sequence[MappedField], own: Collection[int | None], name: str) -> pa.Field:
        given = _id(field)
        found = next((m for m in mapped if (name in m.names if given is None else m.field_id == given)), None)
        if given is None and found is not None and found.field_id in own:
            found = None
        fields = _children(field.type)
        fixed = ["key", "value"] if pa.types.is_map(field.type) else ["element"]
        names = [f.name for f in fields] if pa.types.is_struct(field.type) else fixed[: len(fields)]
        children = level(fields, () if found is None else found.fields, names)
        return _with_id(field, given if found is None else found.field_id, _rebuilt(field.type, children))

    return pa.schema(level(list(schema), mapping.root, schema.names))


# ------------------------------------------------------------------------------------------------- Parquet and ORC


def _open_parquet(stream: BinaryIO) -> Opened:
    source = pq.ParquetFile(stream)

    def read(chosen: Sequence[int]) -> Iterator[pa.RecordBatch]:
        for batch in source.iter_batches(_BATCH_ROWS):
            yield pa.RecordBatch.from_arrays([batch.column(i) for i in chosen], [str(i) for i in chosen])

    return source.schema_arrow, read


def _open_orc(stream: BinaryIO) -> Opened:
    source = orc.ORCFile(stream)

    def visit(field: pa.Field) -> pa.Field:
        known = field.metadata or {}
        children = [visit(child) for child in _children(field.type)]
        kind = pa.time64("us") if known.get(b"iceberg.long-type") == b"TIME" else _rebuilt(field.type, children)
        return _with_id(field, known[b"iceberg.id"].decode() if b"iceberg.id" in known else None, kind)

    def read(chosen: Sequence[int]) -> Iterator[pa.RecordBatch]:
        for stripe in range(source.nstripes):
            batch = source.read_stripe(stripe)
            yield pa.RecordBatch.from_arrays([batch.column(i) for i in chosen], [str(i) for i in chosen])

    return pa.schema([visit(field) for field in source.schema]), read


# ------------------------------------------------------------------------------------------------- Avro

_AVRO_TYPES: Mapping[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.large_binary(),
    "string": pa.large_string(),
    "date": pa.date32(),
    "time-millis": pa.time64("us"),
    "time-micros": pa.time64("us"),
    "timestamp-millis": pa.timestamp("us"),
    "timestamp-micros": pa.timestamp("us"),
    "local-timestamp-millis": pa.timestamp("us"),
    "local-timestamp-micros": pa.timestamp("us"),
    "uuid": pa.binary(16),
}

Plain = Callable[[Any], Any]
"""Turns a value as fastavro gives it into one that PyArrow builds arrays from."""


def _open_avro(stream: BinaryIO) -> Opened:
    rows = fastavro.reader(stream)
    named: dict[str, Any] = {}
    record = rows.writer_schema
    assert isinstance(record, dict)
    columns = [_avro_field(field, named) for field in record["fields"]]

    def read(chosen: Sequence[int]) -> Iterator[pa.RecordBatch]:
        source: Iterator[Any] = iter(rows)
        while chunk := list(islice(source, _BATCH_ROWS)):
            arrays = [
                pa.array([plain(row[field.name]) for row in chunk], _without_ids(field.type))
                for field, plain in (columns[i] for i in chosen)
            ]
            yield pa.RecordBatch.from_arrays(arrays, [str(i) for i in chosen])

    return pa.schema([field for field, _ in columns]), read


def _without_ids(kind: pa.DataType) -> pa.DataType:
    return _rebuilt(kind, [pa.field(c.name, _without_ids(c.type), c.nullable) for c in _children(kind)])


def _avro_field(field: Mapping[str, Any], named: dict[str, Any]) -> tuple[pa.Field, Plain]:
    kind, plain = _avro_type(field["type"], named)
    return _with_id(pa.field(field["name"], kind), field.get("field-id"), kind), plain


def _avro_type(avro: Any, named: dict[str, Any]) -> tuple[pa.DataType, Plain]:
    """Return the Arrow type of an Avro schema, field ids included, and how its values are made plain."""
    if isinstance(avro, list):
        (some,) = [part for part in avro if part != "null"]  # Iceberg knows no other unions
        kind, inner = _avro_type(some, named)
        return kind, lambda value: None if value is None else inner(value)
    if isinstance(avro, str):
        return _avro_type(named[avro], named) if avro in named else (_AVRO_TYPES[avro], _same)
    if "name" in avro:
        named[avro["name"]] = avro
    nested = _AVRO_NESTED.get(avro["type"] if isinstance(avro["type"], str) else "")
    return _avro_logical(avro) if nested is None else nested(avro, named)


def _same(value: Any) -> Any:
    return value


def _avro_logical(avro: Mapping[str, Any]) -> tuple[pa.DataType, Plain]:
    logical = avro.get("logicalType", "")
    if logical == "decimal":
        return pa.decimal128(avro["precision"], avro.get("scale", 0)), _same
    if logical == "timestamp-micros" and avro.get("adjust-to-utc"):
        return pa.timestamp("us", "UTC"), _same
    if logical == "uuid":
        return _AVRO_TYPES[logical], lambda value: value.bytes if isinstance(value, UUID) else value
    if avro["type"] == "fixed":
        return pa.binary(avro["size"]), _same
    return _AVRO_TYPES.get(logical, _AVRO_TYPES[avro["type"]]), _same


def _avro_record(avro: Mapping[str, Any], named: dict[str, Any]) -> tuple[pa.DataType, Plain]:
    parts = [_avro_field(field, named) for field in avro["fields"]]
    return pa.struct([f for f, _ in parts]), lambda value: {f.name: plain(value[f.name]) for f, plain in parts}


def _avro_array(avro: Mapping[str, Any], named: dict[str, Any]) -> tuple[pa.DataType, Plain]:
    if avro.get("logicalType") == "map":
        return _avro_pairs(avro, named)
    kind, inner = _avro_type(avro["items"], named)
    element = _with_id(pa.field("element", kind), avro.get("element-id"), kind)
    return pa.list_(element), lambda value: [inner(item) for item in value]


def _avro_map(avro: Mapping[str, Any], named: dict[str, Any]) -> tuple[pa.DataType, Plain]:
    kind, inner = _avro_type(avro["values"], named)
    built = _map(pa.large_string(), avro.get("key-id"), kind, avro.get("value-id"))
    return built, lambda value: [(key, inner(item)) for key, item in value.items()]


def _avro_pairs(avro: Mapping[str, Any], named: dict[str, Any]) -> tuple[pa.DataType, Plain]:
    key, value = avro["items"]["fields"]
    (key_type, plain_key), (value_type, plain_value) = (_avro_type(f["type"], named) for f in (key, value))
    built = _map(key_type, key.get("field-id"), value_type, value.get("field-id"))
    return built, lambda pairs: [(plain_key(p[key["name"]]), plain_value(p[value["name"]])) for p in pairs]


_AVRO_NESTED: Mapping[str, Callable[[Mapping[str, Any], dict[str, Any]], tuple[pa.DataType, Plain]]] = {
    "record": _avro_record,
    "array": _avro_array,
    "map": _avro_map,
}


def _map(key: pa.DataType, key_id: int | None, value: pa.DataType, value_id: int | None) -> pa.DataType:
    ids = [None if i is None else {_FIELD_ID: str(i).encode()} for i in (key_id, value_id)]
    return pa.map_(pa.field("key", key, False, ids[0]), pa.field("value", value, True, ids[1]))


_OPEN: Mapping[str, Callable[[Any], Opened]] = {"parquet": _open_parquet, "orc": _open_orc, "avro": _open_avro}
