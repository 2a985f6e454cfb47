"""Watermarks estimated from a column: the largest upper bound in a table's manifests less the allowed lateness.

No data file is opened. Manifests whose partitions end before what was found already are not opened either, and what a
manifest said is remembered, for manifests never change.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Final

from pyiceberg.avro.decoder import new_decoder
from pyiceberg.avro.file import AvroFile
from pyiceberg.avro.reader import Reader
from pyiceberg.avro.resolver import resolve_reader
from pyiceberg.io import FileIO
from pyiceberg.manifest import DATA_FILE_TYPE, ManifestContent, ManifestEntryStatus, ManifestFile
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import (
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    YearTransform,
)
from pyiceberg.typedef import Record
from pyiceberg.types import (
    DateType,
    IcebergType,
    IntegerType,
    NestedField,
    PrimitiveType,
    StructType,
    TimestampNanoType,
    TimestampType,
    TimestamptzNanoType,
    TimestamptzType,
)
from pyiceberg.utils.schema_conversion import AvroSchemaConversion

from autostream.errors import ConfigurationError
from autostream.iceberg.manifest_lists import listed_manifests
from autostream.iceberg.metadata_files import explain_unreadable
from autostream.properties import of_table
from autostream.spelling import counted
from autostream.times import DAY_MS
from autostream.watermark.marks import MarkSource, TableMark

COLUMN: Final = "autostream.watermark.column"
LATENESS: Final = "autostream.watermark.allowed-lateness-ms"

_MOST_LATENESS_MS: Final = 10**15 - 1
# Event times from here on stand for "never" or "unknown": the year 9999.
_SENTINEL_MS: Final = 253_370_764_800_000
_TICKS_A_DAY: Final[Mapping[type[IcebergType], int]] = {
    DateType: 1,
    TimestampType: DAY_MS * 1000,
    TimestamptzType: DAY_MS * 1000,
    TimestampNanoType: DAY_MS * 1_000_000,
    TimestamptzNanoType: DAY_MS * 1_000_000,
}
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()

_READERS: Final = 8

_RECORD_COUNT, _VALUE_COUNTS, _NULL_COUNTS, _LOWER_BOUNDS, _UPPER_BOUNDS = 103, 109, 110, 125, 128
# What is read of an entry. PyIceberg skips fields that it is not asked for, but only those of primitive types.
_FILE_FIELDS: Final = [
    field
    for field in DATA_FILE_TYPE[2].fields
    if field.field_id == _RECORD_COUNT or not isinstance(field.field_type, PrimitiveType)
]
_POSITIONS: Final = {field.field_id: position for position, field in enumerate(_FILE_FIELDS)}
_ENTRIES: Final = Schema(
    NestedField(0, "status", IntegerType(), required=True),
    NestedField(2, "data_file", StructType(*_FILE_FIELDS), required=True),
)


@dataclass(frozen=True)
class ColumnBound:
    """What manifests say of a column.

    Attributes:
        ticks: the largest upper bound, in days or in the unit of the timestamp; None where there is none.
        silent_files: live data files that have values, as far as one can tell, and no bound that can be read.
    """

    ticks: int | None = None
    silent_files: int = 0

    def __or__(self, other: ColumnBound) -> ColumnBound:
        """Return what both say."""
        known = [ticks for ticks in (self.ticks, other.ticks) if ticks is not None]
        return ColumnBound(max(known, default=None), self.silent_files + other.silent_files)


class ManifestMemory:
    """What manifests said, the least recently added forgotten first."""

    def __init__(self, most: int = 20_000) -> None:
        """Remember nothing yet, and so many at most."""
        self._found: dict[tuple[object, ...], ColumnBound] = {}
        self._most = most
        self._guard = threading.Lock()

    def forget(self) -> None:
        """Forget everything."""
        with self._guard:
            self._found.clear()

    def get(self, key: tuple[object, ...]) -> ColumnBound | None:
        """Return what a manifest said, if that is remembered."""
        with self._guard:
            return self._found.get(key)

    def put(self, key: tuple[object, ...], found: ColumnBound) -> None:
        """Remember what a manifest said."""
        with self._guard:
            if len(self._found) >= self._most:
                del self._found[next(iter(self._found))]
            self._found[key] = found


REMEMBERED: Final = ManifestMemory()


def column_mark(table: Table, name: str) -> TableMark | None:
    """Return how complete a table is by the column that its owner names; None where the owner names none.

    Times without a zone count as UTC. A date promises no more than that its day has begun.

    Raises:
        ConfigurationError: there is no such column, it holds no times, or the lateness is no length of time.
        DataError: a manifest cannot be read.
    """
    properties = table.metadata.properties
    column = properties.get(COLUMN)
    if column is None:
        return None
    lateness_ms = of_table(name, properties).whole(LATENESS, 0, minimum=0, maximum=_MOST_LATENESS_MS)
    field = _field(name, table.metadata.schema(), column)
    found = largest_bound(table, field)
    problems = []
    if found.silent_files:
        problems.append(
            f"ignored {counted(found.silent_files, 'data file')} without an upper bound of column {column}; see the "
            f"table property write.metadata.metrics.column.{column}"
        )
    watermark = None
    if found.ticks is None:
        problems.insert(0, f"no live data file has a value of column {column}")
    else:
        watermark = found.ticks * DAY_MS // _TICKS_A_DAY[type(field.field_type)] - lateness_ms
    return TableMark(name, MarkSource.COLUMN, watermark, problems=tuple(problems))


def _field(name: str, schema: Schema, column: str) -> NestedField:
    try:
        field = schema.find_field(column)
    except ValueError as error:
        raise ConfigurationError(
            f"Table {name}: property {COLUMN} names column {column!r}, which does not exist (columns: "
            f"{', '.join(f.name for f in schema.fields)}). If it was renamed, set the property to its new name."
        ) from error
    if type(field.field_type) not in _TICKS_A_DAY:
        raise ConfigurationError(
            f"Table {name}: property {COLUMN} names column {column!r} of type {field.field_type}. It must be a "
            "timestamp, a timestamptz or a date."
        )
    return field


def largest_bound(table: Table, field: NestedField) -> ColumnBound:
    """Return the largest upper bound of a column over the live data files of the current snapshot.

    Raises:
        DataError: a manifest or the manifest list cannot be read.
    """
    snapshot = table.metadata.current_snapshot()
    if snapshot is None:
        return ColumnBound()
    try:
        listed = listed_manifests(table.io, snapshot)
    except Exception as error:  # Avro decoding fails in as many ways as bytes can be wrong
        what = f"The manifest list {snapshot.manifest_list}"
        raise explain_unreadable(table.io, snapshot.manifest_list, what, error) from error
    manifests = [
        manifest
        for manifest in listed
        if manifest.content == ManifestContent.DATA and (manifest.has_added_files() or manifest.has_existing_files())
    ]
    return _search(table.io, manifests, table.metadata.specs(), field)


def _search(
    io: FileIO, manifests: Iterable[ManifestFile], specs: Mapping[int, PartitionSpec], field: NestedField
) -> ColumnBound:
    """Read manifests, those that may have the latest values first, until none can have a later one than was found."""
    ticks_a_day = _TICKS_A_DAY[type(field.field_type)]
    found = ColumnBound()
    pending: list[tuple[float, int, ManifestFile]] = []
    for manifest in manifests:
        remembered = REMEMBERED.get(_key(manifest, field.field_id, ticks_a_day))
        if remembered is not None:
            found |= remembered
        else:
            cap = _cap(manifest, specs[manifest.partition_spec_id], field)
            pending.append((cap, manifest.sequence_number or 0, manifest))
    pending.sort(key=lambda p: p[:2])
    size = 1  # the first one often tells that no other is needed
    with ThreadPoolExecutor(_READERS, thread_name_prefix="manifest-bounds") as pool:
        while pending and not (found.ticks is not None and pending[-1][0] <= found.ticks):
            batch = [pending.pop()[2] for _ in range(min(size, len(pending)))]
            for part in pool.map(lambda m: read_bounds(io, m, field.field_id, ticks_a_day), batch):
                found |= part
            size = _READERS
    return found


def _key(manifest: ManifestFile, field_id: int, ticks_a_day: int) -> tuple[object, ...]:
    return (manifest.manifest_path, manifest.manifest_length, manifest.added_snapshot_id, field_id, ticks_a_day)


@lru_cache(maxsize=64)
def _entry_reader(avro_schema: str) -> Reader:
    return resolve_reader(AvroSchemaConversion().avro_to_iceberg(json.loads(avro_schema)), _ENTRIES)


class _Entries(AvroFile[Record]):
    """A manifest's entries; a schema is resolved once, not for each of a table's thousands of manifests."""

    def __enter__(self) -> _Entries:
        with self.input_file.open() as stream:
            self.decoder = new_decoder(stream.read())
        self.header = self._read_header()
        self.reader = _entry_reader(self.header.meta["avro.schema"])
        return self


def read_bounds(io: FileIO, manifest: ManifestFile, field_id: int, ticks_a_day: int) -> ColumnBound:
    """Read what a manifest says of a column, and remember it."""
    found = ColumnBound()
    try:
        with _Entries(io.new_input(manifest.manifest_path)) as entries:
            for entry in entries:
                if entry[0] != ManifestEntryStatus.DELETED:
                    found |= _of_file(entry[1], field_id, ticks_a_day)
    except Exception as error:  # Avro decoding fails in as many ways as bytes can be wrong
        raise explain_unreadable(io, manifest.manifest_path, f"Manifest {manifest.manifest_path}", error) from error
    REMEMBERED.put(_key(manifest, field_id, ticks_a_day), found)
    return found


def _of_file(file: Record, field_id: int, ticks_a_day: int) -> ColumnBound:
    def of_column(map_id: int) -> Any:
        return (file[_POSITIONS[map_id]] or {}).get(field_id)

    raw = of_column(_UPPER_BOUNDS)
    ticks = None if raw is None else to_ticks(raw, ticks_a_day)
    least = of_column(_LOWER_BOUNDS)
    lower = None if least is None else to_ticks(least, ticks_a_day)
    if ticks is not None and lower is not None and lower > ticks:
        return ColumnBound(
            None, 1
        )  # one of the two is wrong, and an upper bound that is too high is a watermark too early
    if ticks is not None and ticks * DAY_MS // ticks_a_day < _SENTINEL_MS:
        return ColumnBound(ticks)
    values, nulls = of_column(_VALUE_COUNTS), of_column(_NULL_COUNTS)
    empty = file[_POSITIONS[_RECORD_COUNT]] == 0 or (raw is None and values is not None and values == nulls)
    return ColumnBound(None, 0 if empty else 1)


def to_ticks(raw: bytes, ticks_a_day: int) -> int | None:
    """Return the value of a bound: eight bytes of a timestamp, four of a date, also of a column that was one before."""
    if len(raw) == 4:
        return int.from_bytes(raw, "little", signed=True) * ticks_a_day
    if len(raw) == 8 and ticks_a_day > 1:
        return int.from_bytes(raw, "little", signed=True)
    return None


def _cap(manifest: ManifestFile, spec: PartitionSpec, field: NestedField) -> float:
    """Return the latest value that a manifest's partitions allow for; infinity where they do not tell."""
    summaries: Sequence[Any] = manifest.partitions or ()
    caps = [float("inf")]
    for part, summary in zip(spec.fields, summaries, strict=False):
        if part.source_id == field.field_id and summary.upper_bound is not None:
            caps.append(latest_in(part.transform, summary.upper_bound, _TICKS_A_DAY[type(field.field_type)]))
    return min(caps)


def latest_in(transform: Transform[Any, Any], raw: bytes, ticks_a_day: int) -> float:
    """Return the latest value within a partition, infinity where the transform does not tell."""
    if isinstance(transform, IdentityTransform):
        ticks = to_ticks(raw, ticks_a_day)
        return float("inf") if ticks is None else ticks
    number = int.from_bytes(raw, "little", signed=True)
    # Before 1970, old writers put values into the partition after theirs.
    if len(raw) != 4 or number < 0:
        return float("inf")
    if isinstance(transform, HourTransform):
        return (number + 1) * ticks_a_day // 24 - 1
    if isinstance(transform, DayTransform):
        return (number + 1) * ticks_a_day - 1
    if isinstance(transform, MonthTransform):
        return _days_until(1970 + (number + 1) // 12, 1 + (number + 1) % 12) * ticks_a_day - 1
    if isinstance(transform, YearTransform):
        return _days_until(1970 + number + 1, 1) * ticks_a_day - 1
    return float("inf")


def _days_until(year: int, month: int) -> float:
    return date(year, month, 1).toordinal() - _EPOCH_DAY if year <= date.max.year else float("inf")
