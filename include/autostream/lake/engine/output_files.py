"""Rows written as Parquet data files, by the Iceberg spec's mapping of types and the table's own settings."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.types import (
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    ListType,
    MapType,
    StructType,
)

from autostream.iceberg.unused_files import delete_files
from autostream.lake.engine.column_metrics import FloatStatistics, Leaf, Mode, column_modes, file_metrics, leaves
from autostream.lake.engine.copies.arrow_types import as_arrow, nullable_schema
from autostream.lake.engine.duckdb_engine import Engine
from autostream.lake.engine.sql_text import is_local, quoted, read_parquet, text
from autostream.properties import Properties

# Start of the name of every data file that a compaction writes: it shows which files a killed compaction left behind.
FILE_PREFIX = "autostream-compact-"

_ROW_GROUP_BYTES = "write.parquet.row-group-size-bytes"
_LEVEL = "write.parquet.compression-level"
_LEVELS = {"zstd": range(-131072, 23), "gzip": range(10), "brotli": range(12)}

# Rows of a row group where the table does not say: the engine's own size. Larger ones are no smaller on disk and take
# it up to twice the time to write.
_ROW_GROUP_ROWS = 122_880

_CODECS = ("zstd", "gzip", "snappy", "brotli", "lz4", "lz4_raw", "uncompressed", "none")
_VECTOR_ROWS = 2048
_BATCH_ROWS = 65_536

# Assumed size of a row in memory by its size in a compressed file: row groups are buffered before they are encoded.
_EXPANSION = 5


@dataclass(frozen=True)
class WriteSettings:
    """How a table wants its Parquet files.

    Attributes:
        codec: compression codec, as the engine names it.
        level: compression level, None for the codec's own.
        row_group_bytes: target size of a row group; None where the table does not say.
        row_group_rows: most rows of a row group.
        bloom_filter: whether some column asks for one.
        modes: metrics mode by field id.
    """

    codec: str
    level: int | None
    row_group_bytes: int | None
    row_group_rows: int
    bloom_filter: bool
    modes: Mapping[int, Mode]

    @classmethod
    def from_properties(cls, properties: Properties, schema: Schema) -> WriteSettings:
        """Return the settings of a table.

        Raises:
            ConfigurationError: a property has a value that it cannot have.
        """
        codec = properties.choice("write.parquet.compression-codec", "zstd", _CODECS)
        filters = properties.below("write.parquet.bloom-filter-enabled.column.")
        return cls(
            codec={"lz4": "lz4_raw", "none": "uncompressed"}.get(codec, codec),
            level=_level(properties, codec),
            row_group_bytes=properties.whole(_ROW_GROUP_BYTES, None),
            row_group_rows=properties.whole("write.parquet.row-group-limit", 1 << 20),
            bloom_filter=any(map(filters.is_true, filters.keys())),
            modes=column_modes(schema, properties),
        )


def _level(properties: Properties, codec: str) -> int | None:
    """Return the compression level; None for codecs that have none, and where it is left to the codec."""
    if properties.text(_LEVEL, "") in ("", "null"):
        return None
    known = _LEVELS.get(codec)
    if known is None:
        properties.whole(_LEVEL, None)
        return None
    return properties.whole(_LEVEL, None, minimum=known.start, maximum=known.stop - 1)


@dataclass(frozen=True)
class WrittenFile:
    """A data file that was written: where, how large, and its metrics as DataFile takes them."""

    location: str
    size_bytes: int
    metrics: dict[str, Any]

    @property
    def rows(self) -> int:
        """Rows in the file."""
        return int(self.metrics["record_count"])


@dataclass(frozen=True)
class OutputTarget:
    """Where and how large the outputs of one write are to be.

    Attributes:
        directory: location of the directory.
        prefix: start of the file names.
        expected_bytes: estimated size of all outputs.
        expected_rows: estimated rows of all outputs.
        file_bytes: size at which a file is full.
    """

    directory: str
    prefix: str
    expected_bytes: int
    expected_rows: int
    file_bytes: int

    @property
    def rolls(self) -> bool:
        """Whether more than one file is expected."""
        return self.expected_bytes > self.file_bytes

    @property
    def roll_bytes(self) -> int:
        """Size at which to begin the next file, chosen so that the last one is no small rest."""
        files = max(1, round(self.expected_bytes / self.file_bytes))
        return math.ceil(self.expected_bytes / files * 1.02)


def write_rows(
    engine: Engine, rows: str, schema: Schema, target: OutputTarget, settings: WriteSettings, *, order_by: str = ""
) -> list[WrittenFile]:
    """Write a relation with columns `c<id>` to data files; none if it has no rows.

    The engine writes by itself what it writes as the spec says; a schema with fixed or wide decimal columns, which it
    would write as other physical types, goes through PyArrow.
    """
    engine.execute(f"SET preserve_insertion_order = {str(bool(order_by)).lower()}")
    row_group_rows = _row_group_rows(engine, target, settings)
    directory = engine.directory(target.directory)
    written = None
    # A file in a folder is named with "/" for "\\" by the engine.
    if engine_writes(schema) and "\\" not in directory:
        written = _copy(engine, rows, schema, target, settings, order_by, row_group_rows, directory)
    if written is None:
        written = _write_arrow(engine, rows, schema, target, settings, order_by, row_group_rows)
    return [_measured(engine.io, location, schema, settings, floats) for location, floats in written]


def _row_group_rows(engine: Engine, target: OutputTarget, settings: WriteSettings) -> int:
    row_bytes = max(1.0, target.expected_bytes / max(1, target.expected_rows))
    buffer = engine.resources.memory_limit_bytes / (4 * engine.resources.threads * _EXPANSION)
    # A file is closed after a row group: several to a file keep it close to its target.
    share = target.roll_bytes / 4 if target.rolls else target.file_bytes
    wanted = _ROW_GROUP_ROWS if settings.row_group_bytes is None else settings.row_group_bytes / row_bytes
    fitting = min(wanted, share / row_bytes, buffer / row_bytes, settings.row_group_rows)
    return max(_VECTOR_ROWS, int(fitting) // _VECTOR_ROWS * _VECTOR_ROWS)


def engine_writes(schema: Schema) -> bool:
    """Say whether the engine itself stores all columns as the spec says."""
    """Say whether the engine's Parquet writer stores every type as the Iceberg spec's mapping says."""

    def exact(field_type: IcebergType) -> bool:
        match field_type:
            case FixedType():
                return False  # written as BYTE_ARRAY
            case DecimalType():
                return (
                    field_type.precision <= 18 or field_type.precision > 36
                )  # others in 16 bytes instead of the fewest
            case StructType():
                return all(exact(f.field_type) for f in field_type.fields)
            case ListType():
                return exact(field_type.element_type)
            case MapType():
                return exact(field_type.key_type) and exact(field_type.value_type)
        return True

    names = {field.name.lower() for field in schema.fields}
    return len(names) == len(schema.fields) and exact(schema.as_struct())


def _field_ids(schema: Schema) -> str:
    def ids(field_id: int, field_type: IcebergType) -> str:
        match field_type:
            case StructType():
                below = [f"{quoted(f.name)}: {ids(f.field_id, f.field_type)}" for f in field_type.fields]
            case ListType():
                below = [f"element: {ids(field_type.element_id, field_type.element_type)}"]
            case MapType():
                below = [
                    f"key: {ids(field_type.key_id, field_type.key_type)}",
                    f"value: {ids(field_type.value_id, field_type.value_type)}",
                ]
            case _:
                return str(field_id)
        return "{" + ", ".join([f"__duckdb_field_id: {field_id}", *below]) + "}"

    return "{" + ", ".join(f"{quoted(f.name)}: {ids(f.field_id, f.field_type)}" for f in schema.fields) + "}"


def _copy(
    engine: Engine,
    rows: str,
    schema: Schema,
    target: OutputTarget,
    settings: WriteSettings,
    order_by: str,
    row_group_rows: int,
    directory: str,
) -> list[tuple[str, dict[int, FloatStatistics]]] | None:
    """Write by the engine's COPY; returns the files with what only COPY knows of floating-point columns.

    None where it cannot say that, as it has no text for timestamps in years far below 0: nothing is left then.
    """
    names = ", ".join(f"c{f.field_id} AS {quoted(f.name)}" for f in schema.fields)
    options = [
        "FORMAT parquet",
        f"COMPRESSION {settings.codec}",
        f"ROW_GROUP_SIZE {row_group_rows}",
        f"FIELD_IDS {_field_ids(schema)}",
        f"WRITE_BLOOM_FILTER {str(settings.bloom_filter).lower()}",
        "RETURN_STATS",
    ]
    if settings.codec == "zstd":
        options.append(f"COMPRESSION_LEVEL {settings.level or 3}")
    if target.rolls:
        options += [
            f"FILE_SIZE_BYTES {target.roll_bytes}",
            f"FILENAME_PATTERN {text(target.prefix + '{uuid}')}",
            "APPEND",
        ]
        path = directory
    else:
        options += ["USE_TMP_FILE false"]
        path = f"{directory}/{target.prefix}{uuid.uuid4()}.parquet"
    try:
        found = engine.rows(f"COPY (SELECT {names} FROM {rows}{order_by}) TO {text(path)} ({', '.join(options)})")
    except duckdb.ConversionException as error:
        if "out of range in timestamp conversion" not in str(error):
            raise
        _discard(engine, target, path)
        return None
    floats = [leaf for leaf in leaves(schema) if isinstance(leaf.type, FloatType | DoubleType)]
    base = target.directory.rstrip("/")
    written = []
    for row in found:
        location = f"{base}/{row[0].rsplit('/', 1)[-1]}"
        if row[1] == 0:
            engine.io.delete(location)
            continue
        statistics = row[4] or {}
        written.append((location, {leaf.field_id: _float_statistics(leaf, statistics) for leaf in floats}))
    return written


def _discard(engine: Engine, target: OutputTarget, path: str) -> None:
    """Delete what a COPY that failed has written, as far as its names are known."""
    if not target.rolls:
        delete_files(engine.io, [f"{target.directory.rstrip('/')}/{path.rsplit('/', 1)[-1]}"])
    elif is_local(target.directory):
        for left in Path(path).iterdir():
            if left.name.startswith(target.prefix):
                left.unlink(missing_ok=True)


def _float_statistics(leaf: Leaf, statistics: Mapping[str, Mapping[str, str]]) -> FloatStatistics:
    known = statistics.get(leaf.engine_path, {})
    return FloatStatistics(
        nan_count=int(known.get("nan_count", 0)),
        lower=float(known["min"]) if "min" in known else None,
        upper=float(known["max"]) if "max" in known else None,
    )


def _write_arrow(
    engine: Engine,
    rows: str,
    schema: Schema,
    target: OutputTarget,
    settings: WriteSettings,
    order_by: str,
    row_group_rows: int,
) -> list[tuple[str, dict[int, FloatStatistics]]]:
    """Write through PyArrow; statistics of floating-point columns are read back from the files."""
    # Files hold NULL in columns that a table calls required; what was read is written.
    arrow = nullable_schema(schema_to_pyarrow(schema, include_field_ids=True))
    names = ", ".join(f"c{f.field_id}" for f in schema.fields)
    options: dict[str, Any] = {
        "compression": {"uncompressed": "none", "lz4_raw": "lz4"}.get(settings.codec, settings.codec),
        "compression_level": settings.level if settings.codec in ("zstd", "gzip", "brotli") else None,
        "store_decimal_as_integer": True,
    }
    base = target.directory.rstrip("/")
    locations: list[str] = []
    try:
        reader = engine.connection.sql(f"SELECT {names} FROM {rows}{order_by}").to_arrow_reader(
            min(_BATCH_ROWS, row_group_rows)
        )
        batches = (as_arrow(batch, arrow) for batch in reader if batch.num_rows)
        pending = next(batches, None)
        while pending is not None:
            locations.append(f"{base}/{target.prefix}{uuid.uuid4()}.parquet")
            with (
                engine.io.new_output(locations[-1]).create(overwrite=True) as sink,
                pq.ParquetWriter(sink, arrow, **options) as writer,
            ):
                while pending is not None and not (target.rolls and sink.tell() >= target.roll_bytes):
                    group: list[pa.RecordBatch] = []
                    while pending is not None and sum(b.num_rows for b in group) < row_group_rows:
                        group.append(pending)
                        pending = next(batches, None)
                    writer.write_table(pa.Table.from_batches(group, arrow), row_group_size=row_group_rows)
    except BaseException:
        delete_files(engine.io, locations)
        raise
    return [(location, _read_float_statistics(engine, location, schema)) for location in locations]


def _read_float_statistics(engine: Engine, location: str, schema: Schema) -> dict[int, FloatStatistics]:
    floats = [leaf for leaf in leaves(schema) if isinstance(leaf.type, FloatType | DoubleType) and not leaf.repeated]
    if not floats:
        return {}
    selected = []
    for leaf in floats:
        sql = quoted(leaf.path.split(".", 1)[0]) if "." not in leaf.path else leaf.engine_path
        selected += [
            f"count(*) FILTER (isnan({sql}))",
            f"min({sql}) FILTER (NOT isnan({sql}))",
            f"max({sql}) FILTER (NOT isnan({sql}))",
        ]
    (row,) = engine.rows(f"SELECT {', '.join(selected)} FROM {read_parquet([engine.path(location)])}")
    return {leaf.field_id: FloatStatistics(*row[3 * i : 3 * i + 3]) for i, leaf in enumerate(floats)}


def _measured(
    io: FileIO, location: str, schema: Schema, settings: WriteSettings, floats: Mapping[int, FloatStatistics]
) -> WrittenFile:
    source = io.new_input(location)
    with source.open() as stream:
        footer = pq.read_metadata(stream)
    return WrittenFile(location, len(source), file_metrics(footer, schema, settings.modes, floats))
