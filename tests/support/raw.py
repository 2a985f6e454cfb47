"""Cells as their storage holds them, so that no value has to fit into a type of Python's.

Dates are days, times and timestamps whole microseconds, decimals their digits, UUIDs and binary values bytes,
floating-point numbers their bits with one NaN, maps sets of pairs.
"""

import json
import struct
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    ListType,
    MapType,
    StructType,
    UUIDType,
)

Row = tuple[tuple[str, Any], ...]


def rows_of_arrow(table: pa.Table) -> Counter[Row]:
    """Return the rows of an Arrow table as a multiset."""
    if not table.num_rows:
        return Counter()
    columns = [_cells(column.combine_chunks()) for column in table.columns]
    return _multiset(dict(zip(table.column_names, cells, strict=True)) for cells in zip(*columns, strict=True))


def rows_of_java(output: Path, schema: Schema) -> Counter[Row]:
    """Return the rows that ``ReadTables`` wrote as a multiset."""
    kind = schema.as_struct()
    with output.open(encoding="utf-8") as lines:
        return _multiset(dict(_of_json(json.loads(line), kind)[1]) for line in lines)


def _multiset(rows: Any) -> Counter[Row]:
    return Counter(tuple(sorted(row.items())) for row in rows)


def _float(value: float) -> tuple[str, Any]:
    return ("float", "NaN" if value != value else struct.pack(">d", value))


def _cells(array: pa.Array) -> list[Any]:
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _cells(array.storage)
    if pa.types.is_struct(kind):
        # flatten() makes the fields of a null struct null.
        fields = [_cells(child) for child in array.flatten()]
        names = [field.name for field in kind]
        return [
            ("struct", tuple(zip(names, values, strict=True))) if valid else None
            for valid, *values in zip(array.is_valid().to_pylist(), *fields, strict=True)
        ]
    if pa.types.is_map(kind):
        return [None if part is None else _map(part) for part in _parts(array, [array.keys, array.items])]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [None if part is None else ("list", tuple(v for (v,) in part)) for part in _parts(array, [array.values])]
    if pa.types.is_date32(kind):
        array = array.cast(pa.int32())
    elif pa.types.is_time64(kind) or pa.types.is_timestamp(kind):
        assert kind.unit == "us", kind
        array = array.cast(pa.int64())
    values = array.to_pylist()
    if pa.types.is_floating(kind):
        return [None if value is None else _float(value) for value in values]
    if pa.types.is_decimal(kind):
        return [None if value is None else format(value, "f") for value in values]
    return values


def _parts(array: pa.Array, children: list[pa.Array]) -> Iterator[list[tuple[Any, ...]] | None]:
    """Yield the items of each list; the children are whole, the offsets those of this slice."""
    items = list(zip(*(_cells(child) for child in children), strict=True))
    offsets = array.offsets.to_pylist()
    for valid, start, end in zip(array.is_valid().to_pylist(), offsets, offsets[1:], strict=False):
        yield items[start:end] if valid else None


def _map(pairs: list[tuple[Any, ...]]) -> Any:
    return ("map", frozenset(Counter(pairs).items()))


def _of_json(value: Any, kind: IcebergType) -> Any:
    if value is None:
        return None
    match kind:
        case StructType():
            return ("struct", tuple((f.name, _of_json(value[f.name], f.field_type)) for f in kind.fields))
        case ListType():
            return ("list", tuple(_of_json(item, kind.element_type) for item in value))
        case MapType():
            return _map([(_of_json(k, kind.key_type), _of_json(v, kind.value_type)) for k, v in value])
        case FloatType():
            # Java prints the shortest decimal that is the same float; Arrow gives its exact value as a double.
            return _float(struct.unpack(">f", struct.pack(">f", float(value)))[0])
        case DoubleType():
            return _float(float(value))
        case BinaryType() | FixedType():
            return bytes.fromhex(value)
        case UUIDType():
            return uuid.UUID(value).bytes
    return value


def differences(actual: Counter[Row], expected: Counter[Row]) -> str | None:
    """Return how two multisets of rows differ; None where they do not."""
    if actual == expected:
        return None
    missing, unexpected = expected - actual, actual - expected
    return (
        f"{actual.total()} rows instead of {expected.total()}; {missing.total()} missing, such as "
        f"{list(missing)[:2]}; {unexpected.total()} unexpected, such as {list(unexpected)[:2]}"
    )
