"""Column metrics of a Parquet file, exact, in the modes that the table asks for."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq
from pyiceberg.schema import Schema
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
    PrimitiveType,
    StringType,
    StructType,
    UUIDType,
)

from autostream.properties import Properties

DEFAULT_MODE = "write.metadata.metrics.default"
COLUMN_MODE = "write.metadata.metrics.column."
MAX_INFERRED = "write.metadata.metrics.max-inferred-column-defaults"

_TRUNCATE = re.compile(r"^truncate\((\d+)\)$")


@dataclass(frozen=True)
class Leaf:
    """A primitive field of a schema.

    Attributes:
        field_id: its id.
        path: its path in a Parquet file.
        engine_path: its path as the engine's COPY statistics name it.
        name: its full name, as column properties name it.
        type: its type.
        repeated: whether it is inside a list or map, where bounds mean nothing.
    """

    field_id: int
    path: str
    engine_path: str
    name: str
    type: PrimitiveType
    repeated: bool


def leaves(schema: Schema) -> Iterator[Leaf]:
    """Yield the primitive fields of a schema in its order."""

    def below(
        field_type: IcebergType, field_id: int, parquet: tuple[str, ...], names: tuple[str, ...], repeated: bool
    ) -> Iterator[Leaf]:
        match field_type:
            case StructType():
                for f in field_type.fields:
                    yield from below(f.field_type, f.field_id, (*parquet, f.name), (*names, f.name), repeated)
            case ListType():
                inner = (*parquet, "list", "element")
                yield from below(field_type.element_type, field_type.element_id, inner, (*names, "element"), True)
            case MapType():
                for part, i, t in (
                    ("key", field_type.key_id, field_type.key_type),
                    ("value", field_type.value_id, field_type.value_type),
                ):
                    yield from below(t, i, (*parquet, "key_value", part), (*names, part), True)
            case PrimitiveType():
                engine = ".".join('"' + name.replace('"', '""') + '"' for name in names)
                yield Leaf(field_id, ".".join(parquet), engine, ".".join(names), field_type, repeated)

    for field in schema.fields:
        yield from below(field.field_type, field.field_id, (field.name,), (field.name,), False)


@dataclass(frozen=True)
class Mode:
    """How much is kept of a column: nothing, counts, or counts and bounds (cut to `length` characters or bytes)."""

    counts: bool
    bounds: bool
    length: int | None = None


def parse_mode(text: str) -> Mode:
    """Return the mode that a property spells.

    Raises:
        ValueError: it is not one; says which there are.
    """
    lowered = text.strip().lower()
    if match := _TRUNCATE.match(lowered):
        if int(match[1]) > 0:
            return Mode(counts=True, bounds=True, length=int(match[1]))
    elif lowered in ("none", "counts", "full"):
        return Mode(counts=lowered != "none", bounds=lowered == "full")
    raise ValueError("none, counts, truncate(N) or full")


def column_modes(schema: Schema, properties: Properties) -> dict[int, Mode]:
    """Return the mode of each primitive field, as Iceberg's MetricsConfig decides it.

    Without an explicit default only the first 100 columns (by property) have bounds inferred; the rest has none.

    Raises:
        ConfigurationError: a property of the table is wrong.
    """
    found = list(leaves(schema))
    default = properties.read(DEFAULT_MODE, Mode(counts=True, bounds=True, length=16), parse_mode)
    inferred = len(found) if DEFAULT_MODE in properties else properties.whole(MAX_INFERRED, 100, minimum=0)
    return {
        leaf.field_id: properties.read(
            COLUMN_MODE + leaf.name, default if i < inferred else Mode(counts=False, bounds=False), parse_mode
        )
        for i, leaf in enumerate(found)
    }


@dataclass(frozen=True)
class FloatStatistics:
    """What a footer does not say of a floating-point column: NaN values, and bounds of the others."""

    nan_count: int
    lower: float | None
    upper: float | None


def file_metrics(
    footer: pq.FileMetaData, schema: Schema, modes: Mapping[int, Mode], floats: Mapping[int, FloatStatistics]
) -> dict[str, Any]:
    """Return the metrics fields of a DataFile: record count, sizes, counts, bounds and split offsets.

    Args:
        footer: the Parquet footer.
        schema: the schema that the file was written by.
        modes: metrics mode by field id.
        floats: statistics of floating-point columns by field id.
    """
    by_path = {leaf.path: leaf for leaf in leaves(schema)}
    collected: dict[int, _Collected] = {}
    offsets = []
    for position in range(footer.num_row_groups):
        row_group = footer.row_group(position)
        offsets.append(_offset(row_group.column(0)))
        for chunk in map(row_group.column, range(row_group.num_columns)):
            leaf = by_path[chunk.path_in_schema]
            if modes[leaf.field_id].counts:
                collected.setdefault(leaf.field_id, _Collected(leaf)).add(chunk)
    bounds = {i: found.limits(modes[i], floats.get(i)) for i, found in collected.items()}
    return {
        "record_count": footer.num_rows,
        "column_sizes": {i: found.size for i, found in collected.items()},
        "value_counts": {i: found.values for i, found in collected.items()},
        "null_value_counts": {i: found.nulls for i, found in collected.items() if found.nulls is not None},
        "nan_value_counts": {i: s.nan_count for i, s in floats.items() if modes[i].counts},
        "lower_bounds": {i: lower for i, (lower, _) in bounds.items() if lower is not None},
        "upper_bounds": {i: upper for i, (_, upper) in bounds.items() if upper is not None},
        "split_offsets": offsets,
    }


class _Collected:
    """What the row groups of a file say of one column."""

    def __init__(self, leaf: Leaf) -> None:
        self._leaf = leaf
        self.size = 0
        self.values = 0
        self.nulls: int | None = 0
        self._bounded = True
        self._bounds: list[bytes] = []

    def add(self, chunk: pq.ColumnChunkMetaData) -> None:
        self.size += chunk.total_compressed_size
        self.values += chunk.num_values
        statistics = chunk.statistics
        if statistics is None or not statistics.has_null_count:
            self.nulls, self._bounded = None, False
            return
        if self.nulls is not None:
            self.nulls += statistics.null_count
        if statistics.has_min_max:
            self._bounds += [_single_value(raw, self._leaf.type) for raw in (statistics.min_raw, statistics.max_raw)]
        elif statistics.null_count < chunk.num_values:
            self._bounded = False  # a row group with values whose range is not known

    def limits(self, mode: Mode, floats: FloatStatistics | None) -> tuple[bytes | None, bytes | None]:
        # Readers order UUIDs differently (Java as two signed longs): by any bounds, some would rule out what is there.
        if not mode.bounds or self._leaf.repeated or isinstance(self._leaf.type, UUIDType):
            return None, None
        if floats is not None:
            return _float_bounds(floats, self._leaf.type)
        if not self._bounds or not self._bounded:
            return None, None
        ordered = sorted(self._bounds, key=lambda value: _order(value, self._leaf.type))
        return (
            _cut_lower(ordered[0], self._leaf.type, mode.length),
            _cut_upper(ordered[-1], self._leaf.type, mode.length),
        )


def _offset(chunk: Any) -> int:
    first: int = chunk.data_page_offset
    return min(first, chunk.dictionary_page_offset) if chunk.dictionary_page_offset else first


def _single_value(raw: Any, field_type: PrimitiveType) -> bytes:
    """Return a footer's physical value in Iceberg's single-value serialization."""
    match field_type:
        case BooleanType():
            return b"\x01" if raw else b"\x00"
        case DecimalType():
            unscaled = raw if isinstance(raw, int) else int.from_bytes(raw, "big", signed=True)
            return unscaled.to_bytes((unscaled + (unscaled < 0)).bit_length() // 8 + 1, "big", signed=True)
        case IntegerType() | DateType():
            return struct.pack("<i", raw)
        case FloatType():
            return struct.pack("<f", raw)
        case DoubleType():
            return struct.pack("<d", raw)
        case StringType() | BinaryType() | FixedType() | UUIDType():
            return bytes(raw)
        case LongType() | _:
            return struct.pack("<q", raw)


def _order(value: bytes, field_type: PrimitiveType) -> Any:
    match field_type:
        case StringType() | BinaryType() | FixedType() | UUIDType() | BooleanType():
            return value
        case DecimalType():
            return int.from_bytes(value, "big", signed=True)
        case FloatType():
            return struct.unpack("<f", value)[0]
        case DoubleType():
            return struct.unpack("<d", value)[0]
    return int.from_bytes(value, "little", signed=True)


def _float_bounds(statistics: FloatStatistics, field_type: PrimitiveType) -> tuple[bytes | None, bytes | None]:
    """Return bounds that hold for both zeros: readers order -0.0 before 0.0, engines call them equal."""
    if statistics.lower is None or statistics.upper is None:
        return None, None
    code = "<f" if isinstance(field_type, FloatType) else "<d"
    lower = -0.0 if statistics.lower == 0 else statistics.lower
    upper = 0.0 if statistics.upper == 0 else statistics.upper
    return struct.pack(code, lower), struct.pack(code, upper)


def _cut_lower(value: bytes, field_type: PrimitiveType, length: int | None) -> bytes | None:
    if length is None:
        return value
    if isinstance(field_type, StringType):
        return value.decode(errors="ignore")[:length].encode()
    return value[:length] if isinstance(field_type, BinaryType) else value


def _cut_upper(value: bytes, field_type: PrimitiveType, length: int | None) -> bytes | None:
    """Return the shortest value of the length that is not below; None where there is none."""
    if length is None:
        return value
    if isinstance(field_type, StringType):
        characters = value.decode(errors="replace")
        if len(characters) <= length:
            return value
        for end in range(length, 0, -1):
            following = ord(characters[end - 1]) + 1
            following = 0xE000 if following == 0xD800 else following  # surrogates are no characters
            if following <= 0x10FFFF:
                return (characters[: end - 1] + chr(following)).encode()
        return None
    if isinstance(field_type, BinaryType):
        if len(value) <= length:
            return value
        cut = value[:length].rstrip(b"\xff")
        return cut[:-1] + bytes([cut[-1] + 1]) if cut else None
    return value
