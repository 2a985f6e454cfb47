"""ORC files with timestamps that nanoseconds in 64 bits do not hold: PyArrow reads all as such, and refuses others.

Columns with timestamps are read row by row here, as numbers, so this is for the few files that need it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import orc

from autostream.lake.engine.copies.arrow_types import NotReadable, Opened, children_of, rebuilt


class _Microseconds:
    """A timestamp as microseconds since the epoch; what is finer is cut towards the past."""

    @staticmethod
    def from_orc(seconds: int, nanoseconds: int, _: Any) -> int:
        return seconds * 1_000_000 + nanoseconds // 1000

    to_orc = from_orc  # asked for, though nothing is written


class _Days:
    """A date as days since the epoch."""

    @staticmethod
    def from_orc(days: int) -> int:
        return days

    to_orc = from_orc


def open_far_orc(stream: Any, field_of: Callable[[pa.Field], pa.Field]) -> Opened:
    """Return the schema, in microseconds, and the rows of an ORC file; `field_of` gives a column its field id."""
    source = orc.ORCFile(stream)
    given = source.schema
    schema = pa.schema([field_of(f).with_type(_in_microseconds(field_of(f).type, f.name)) for f in given])

    def read(chosen: Sequence[int]) -> Iterator[pa.RecordBatch]:
        far = [i for i in chosen if _has_timestamp(given.field(i).type)]
        near = [i for i in chosen if i not in far]
        kinds = [schema.field(i).type for i in far]
        for number, rows in enumerate(_stripes(stream, far, source.nstripes)):
            arrays = dict(zip(far, _arrays(rows, kinds), strict=True))
            if near:
                batch = source.read_stripe(number, columns=[given.field(i).name for i in near])
                arrays |= dict(zip(near, batch.columns, strict=True))
            yield pa.RecordBatch.from_arrays([arrays[i] for i in chosen], [str(i) for i in chosen])

    return schema, read


def _stripes(stream: Any, columns: Sequence[int], count: int) -> Iterator[list[Any]]:
    """Yield the rows of each stripe, as tuples with numbers for dates and timestamps."""
    import pyorc  # needed by few

    kinds = pyorc.TypeKind
    converters: Any = {kinds.TIMESTAMP: _Microseconds, kinds.TIMESTAMP_INSTANT: _Microseconds, kinds.DATE: _Days}
    stream.seek(0)
    reader = pyorc.Reader(stream, column_indices=columns, struct_repr=pyorc.StructRepr.TUPLE, converters=converters)
    for number in range(count):
        yield list(reader.read_stripe(number))


def _arrays(rows: Sequence[Any], kinds: Sequence[pa.DataType]) -> list[pa.Array]:
    return [pa.array([_plain(row[i], kind) for row in rows], _plain_type(kind)) for i, kind in enumerate(kinds)]


def _has_timestamp(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) or any(_has_timestamp(child.type) for child in children_of(kind))


def _in_microseconds(kind: pa.DataType, column: str) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_map(kind) and _has_timestamp(kind):
        raise NotReadable(f"timestamps before 1677 or after 2262, together with the map of timestamps {column!r}")
    children = [child.with_type(_in_microseconds(child.type, column)) for child in children_of(kind)]
    return rebuilt(kind, children)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """Return a type without field ids, from which PyArrow builds arrays."""
    return rebuilt(kind, [pa.field(c.name, _plain_type(c.type), c.nullable) for c in children_of(kind)])


def _plain(value: Any, kind: pa.DataType) -> Any:
    """Return a value as PyArrow builds arrays from it: structs by name."""
    parts = children_of(kind)
    if value is None or not parts:
        return value
    if pa.types.is_struct(kind):
        return {f.name: _plain(v, f.type) for f, v in zip(parts, value, strict=True)}
    return [_plain(item, parts[0].type) for item in value]
