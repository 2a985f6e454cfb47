"""Avro files as Arrow batches.

Values are read as they are stored: what Avro calls logical types is never made a `datetime`, which has no year 12000.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Context, Decimal
from io import BytesIO
from itertools import islice
from typing import Any, BinaryIO
from uuid import UUID

import fastavro
import pyarrow as pa

from autostream.lake.engine.copies.arrow_types import (
    BATCH_ROWS,
    FIELD_ID,
    NotReadable,
    Opened,
    children_of,
    rebuilt,
    with_id,
)

_PRIMITIVES: Mapping[str, pa.DataType] = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.large_binary(),
    "string": pa.large_string(),
    "enum": pa.large_string(),
}
_LOGICAL: Mapping[tuple[str, str], pa.DataType] = {
    ("int", "date"): pa.date32(),
    ("int", "time-millis"): pa.time32("ms"),
    ("long", "time-micros"): pa.time64("us"),
    **{
        ("long", f"{kind}-{name}"): pa.timestamp(unit)
        for kind in ("timestamp", "local-timestamp")
        for name, unit in (("millis", "ms"), ("micros", "us"), ("nanos", "ns"))
    },
}
_ANY_SIZE = Context(prec=100)

Plain = Callable[[Any], Any]
"""Turns a value as fastavro gives it into one that PyArrow builds arrays from."""


def open_avro(stream: BinaryIO) -> Opened:
    """Return the schema and the rows of an Avro file."""
    blocks = fastavro.block_reader(stream)
    record = blocks.writer_schema
    assert isinstance(record, dict)
    types = _Types(record)
    columns = [types.field(field) for field in record["fields"]]

    def read(chosen: Any) -> Iterator[pa.RecordBatch]:
        rows = _rows(blocks, record)
        while chunk := list(islice(rows, BATCH_ROWS)):
            arrays = [_array([row[columns[i][0].name] for row in chunk], *columns[i]) for i in chosen]
            yield pa.RecordBatch.from_arrays(arrays, [str(i) for i in chosen])

    return pa.schema([field for field, _ in columns]), read


def _rows(blocks: Any, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows, read block by block by a schema without logical types: a block is coded as an array is."""
    schema = {"type": "array", "items": _without_logical_types(record)}
    for block in blocks:
        coded = BytesIO(_zigzag(block.num_records) + block.bytes_.read() + b"\0")
        rows: Any = fastavro.schemaless_reader(coded, schema, handle_unicode_errors="surrogateescape")
        yield from rows


def _zigzag(count: int) -> bytes:
    left, coded = count << 1, bytearray()
    while left > 127:
        coded.append(left & 127 | 128)
        left >>= 7
    return bytes([*coded, left])


def _without_logical_types(avro: Any) -> Any:
    if isinstance(avro, list):
        return [_without_logical_types(part) for part in avro]
    if not isinstance(avro, dict):
        return avro
    nested = ("type", "items", "values", "fields")
    kept = {k: v for k, v in avro.items() if k not in ("logicalType", "__fastavro_parsed__", "__named_schemas")}
    return {k: _without_logical_types(v) if k in nested else v for k, v in kept.items()}


def _array(values: list[Any], field: pa.Field, plain: Plain) -> pa.Array:
    try:
        return pa.array([plain(value) for value in values], _without_ids(field.type))
    except UnicodeEncodeError as error:
        raise NotReadable(f"strings that are not UTF-8 in column {field.name!r}") from error


def _without_ids(kind: pa.DataType) -> pa.DataType:
    return rebuilt(kind, [pa.field(c.name, _without_ids(c.type), c.nullable) for c in children_of(kind)])


def _same(value: Any) -> Any:
    return value


class _Types:
    """The Arrow types of a file's Avro schema, field ids included, each with how its values are made plain."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._named: dict[str, Any] = {}
        self._open: list[str] = [record["name"]]
        self._named[record["name"]] = record

    def field(self, field: Mapping[str, Any]) -> tuple[pa.Field, Plain]:
        kind, plain = self._type(field["type"])
        return with_id(pa.field(field["name"], kind), field.get("field-id"), kind), plain

    def _type(self, avro: Any) -> tuple[pa.DataType, Plain]:
        if isinstance(avro, list):
            return self._union(avro)
        if isinstance(avro, str) and avro in self._named:
            avro = self._named[avro]
        if isinstance(avro, str):
            return _PRIMITIVES[avro], _same
        if not isinstance(avro["type"], str):  # a type in a type says nothing more
            return self._type(avro["type"])
        if "name" in avro:
            self._named[avro["name"]] = avro
        match avro["type"]:
            case "record" | "error":
                return self._record(avro)
            case "array":
                return self._pairs(avro) if avro.get("logicalType") == "map" else self._array(avro)
            case "map":
                return self._map(avro)
            case "enum":
                return _PRIMITIVES["enum"], _same
        return self._named_or_logical(avro)

    def _union(self, parts: list[Any]) -> tuple[pa.DataType, Plain]:
        some = [part for part in parts if part != "null"]
        if len(some) > 1:
            raise NotReadable("a union of several types, which Iceberg does not have")
        if not some:
            return _PRIMITIVES["null"], _same
        kind, inner = self._type(some[0])
        return kind, _same if inner is _same else lambda value: None if value is None else inner(value)

    def _named_or_logical(self, avro: Mapping[str, Any]) -> tuple[pa.DataType, Plain]:
        stored, logical = avro["type"], avro.get("logicalType", "")
        if logical == "decimal" and stored in ("bytes", "fixed"):
            return _decimal(avro["precision"], avro.get("scale", 0))
        if logical == "uuid" and stored == "string":
            return pa.binary(16), lambda value: UUID(value).bytes
        if stored == "fixed":
            return pa.binary(avro["size"]), _same
        if stored in self._named:
            return self._type(stored)
        kind = _LOGICAL.get((stored, logical), _PRIMITIVES[stored])
        if pa.types.is_timestamp(kind) and avro.get("adjust-to-utc"):
            kind = pa.timestamp(kind.unit, "UTC")
        return kind, _same

    def _record(self, avro: Mapping[str, Any]) -> tuple[pa.DataType, Plain]:
        if avro["name"] in self._open:
            raise NotReadable(f"record {avro['name']!r} inside itself, which Iceberg does not have")
        self._open.append(avro["name"])
        parts = [self.field(field) for field in avro["fields"]]
        self._open.pop()
        return pa.struct([f for f, _ in parts]), lambda value: {f.name: plain(value[f.name]) for f, plain in parts}

    def _array(self, avro: Mapping[str, Any]) -> tuple[pa.DataType, Plain]:
        kind, inner = self._type(avro["items"])
        element = with_id(pa.field("element", kind), avro.get("element-id"), kind)
        return pa.list_(element), lambda value: [inner(item) for item in value]

    def _map(self, avro: Mapping[str, Any]) -> tuple[pa.DataType, Plain]:
        kind, inner = self._type(avro["values"])
        built = _map(pa.large_string(), avro.get("key-id"), kind, avro.get("value-id"))
        return built, lambda value: [(key, inner(item)) for key, item in value.items()]

    def _pairs(self, avro: Mapping[str, Any]) -> tuple[pa.DataType, Plain]:
        key, value = avro["items"]["fields"]
        (key_type, plain_key), (value_type, plain_value) = (self._type(f["type"]) for f in (key, value))
        built = _map(key_type, key.get("field-id"), value_type, value.get("field-id"))
        return built, lambda pairs: [(plain_key(p[key["name"]]), plain_value(p[value["name"]])) for p in pairs]


def _decimal(precision: int, scale: int) -> tuple[pa.DataType, Plain]:
    if not 0 < precision <= 38:
        raise NotReadable(f"a decimal with {precision} digits, and the most in Iceberg is 38")
    return pa.decimal128(precision, scale), lambda value: _ANY_SIZE.scaleb(
        Decimal(int.from_bytes(value, "big", signed=True)), -scale
    )


def _map(key: pa.DataType, key_id: int | None, value: pa.DataType, value_id: int | None) -> pa.DataType:
    ids = [None if i is None else {FIELD_ID: str(i).encode()} for i in (key_id, value_id)]
    return pa.map_(pa.field("key", key, False, ids[0]), pa.field("value", value, True, ids[1]))
