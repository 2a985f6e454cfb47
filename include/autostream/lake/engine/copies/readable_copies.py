"""ORC, Avro and awkward Parquet files as scratch Parquet files, row for row: the engine then reads all in one way.

A file is copied as it is, with its own types and field ids; what renames, promotions and missing columns mean is
decided in one place for all formats, where the engine reads the copy.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc
from pyiceberg.io import FileIO
from pyiceberg.schema import Schema
from pyiceberg.table.name_mapping import MappedField, NameMapping
from pyiceberg.types import IcebergType

from autostream.errors import AutostreamError
from autostream.iceberg.files import LiveFile
from autostream.lake.engine.copies.arrow_types import (
    BATCH_ROWS,
    NotReadable,
    Opened,
    children_of,
    field_id,
    rebuilt,
    with_id,
    with_names,
    with_storage,
)
from autostream.lake.engine.copies.avro_copies import open_avro
from autostream.lake.engine.copies.map_promotion import promote, promoted
from autostream.lake.engine.copies.orc_copies import open_far_orc
from autostream.lake.engine.damaged_files import Diagnosis, unreadable_error
from autostream.lake.engine.duckdb_engine import VIRTUAL_COLUMNS


def convert_to_parquet(
    file: LiveFile, wanted: Schema, target: str, *, mapping: NameMapping | None, io: FileIO, maps: bool = False
) -> None:
    """Write the rows of a file to a local Parquet file with field ids, in order, so that row numbers stay true.

    Args:
        file: a data or delete file in ORC, Avro or Parquet.
        wanted: the fields wanted; columns without any of them, at any level, may be left out.
        target: path of the Parquet file. Columns with an id get names that are unique whatever their case.
        mapping: the table's name mapping, for fields without ids.
        io: the table's FileIO.
        maps: whether columns with maps are made of the types wanted, as the engine cannot where a key is there twice.

    Raises:
        DataError: the file is damaged.
        UnsupportedFileError: the file is sound, and holds what this version cannot read.
    """
    try:
        with io.new_input(file.path).open(seekable=True) as stream:
            try:
                _copy(_OPEN[file.file_format](stream), wanted, target, mapping, maps=maps)
            except pa.ArrowInvalid as error:
                if file.file_format != "orc" or "nanosecond" not in str(error):
                    raise
                stream.seek(0)
                _copy(open_far_orc(stream, _orc_field), wanted, target, mapping, maps=maps)
    except (AutostreamError, MemoryError):
        raise
    except NotReadable as error:
        raise _unsupported(file, str(error)) from error
    except NotImplementedError as error:  # PyArrow's too
        raise _unsupported(file, f"data that PyArrow cannot read: {error}") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # the scratch file did not fit: nothing is wrong with the one read
        raise unreadable_error(file, io, error) from error


def _unsupported(file: LiveFile, what: str) -> AutostreamError:
    return Diagnosis(damaged=False, words=f"holds {what}").error(f"{file.file_format.upper()} file {file.path}")


def _copy(opened: Opened, wanted: Schema, target: str, mapping: NameMapping | None, *, maps: bool) -> None:
    schema, read = opened
    if mapping is not None:
        schema = _mapped(schema, mapping)
    # A column without an id may be a wanted one: the reader of the copy decides.
    ids = set(wanted.field_ids)
    chosen = [i for i, f in enumerate(schema) if field_id(f) is None or not _ids(f).isdisjoint(ids)]
    # A Parquet file without columns would have no rows.
    chosen = chosen or [0]
    fields = [schema.field(i) for i in chosen]
    given = _named_apart(pa.schema(fields))
    as_stored = pa.schema([field.with_name(name) for field, name in zip(fields, given.names, strict=True)])
    by_id: dict[int | None, IcebergType] = {f.field_id: f.field_type for f in wanted.fields} if maps else {}
    written = pa.schema([promoted(field, by_id.get(field_id(field))) for field in given])
    with pq.ParquetWriter(target, written, compression="zstd", compression_level=1) as writer:
        for batch in read(chosen):
            for i, array in zip(chosen, batch.columns, strict=True):
                _check_text(schema.field(i).name, array)
            named = with_names(pa.Table.from_batches([batch]).rename_columns(given.names).cast(as_stored), given)
            writer.write_table(promote(named, written) if maps else named)


def _check_text(name: str, array: pa.Array) -> None:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        if "UTF8" not in str(error):
            raise
        raise NotReadable(f"strings that are not UTF-8 in column {name!r}") from error


def _named_apart(schema: pa.Schema) -> pa.Schema:
    """Return a schema with names that the engine tells apart: it ignores case, and gives some names a meaning.

    Columns with an id are found by that; the others keep their names as far as possible.
    """
    taken = {name.lower() for name in VIRTUAL_COLUMNS}
    fields: list[pa.Field] = []
    for position, field in enumerate(schema):
        name = field.name if field_id(field) is None else f"c{position}"
        while name.lower() in taken or (field_id(field) is not None and name in schema.names):
            name += "_"
        taken.add(name.lower())
        fields.append(field.with_name(name).with_type(_fields_apart(field.type)))
    return pa.schema(fields)


def _fields_apart(kind: pa.DataType) -> pa.DataType:
    """Return a type whose structs' field names differ by more than case."""
    children = [child.with_type(_fields_apart(child.type)) for child in children_of(kind)]
    if pa.types.is_struct(kind) and len({child.name.lower() for child in children}) < len(children):
        children = [child.with_name(f"c{position}") for position, child in enumerate(children)]
    return rebuilt(kind, children)


# ------------------------------------------------------------------------------------------------- field ids


def _ids(field: pa.Field) -> set[int]:
    own = field_id(field)
    return {i for child in children_of(field.type) for i in _ids(child)} | ({own} if own is not None else set())


def _mapped(schema: pa.Schema, mapping: NameMapping) -> pa.Schema:
    """Return a schema with the ids that a name mapping gives to the names of fields that have none."""

    def level(fields: Sequence[pa.Field], mapped: Sequence[MappedField], names: Sequence[str]) -> list[pa.Field]:
        own = {field_id(field) for field in fields}
        return [visit(field, mapped, own, name) for field, name in zip(fields, names, strict=True)]

    def visit(field: pa.Field, mapped: Sequence[MappedField], own: Collection[int | None], name: str) -> pa.Field:
        given = field_id(field)
        found = next((m for m in mapped if (name in m.names if given is None else m.field_id == given)), None)
        if given is None and found is not None and found.field_id in own:
            found = None
        fields = children_of(field.type)
        fixed = ["key", "value"] if pa.types.is_map(field.type) else ["element"]
        names = [f.name for f in fields] if pa.types.is_struct(field.type) else fixed[: len(fields)]
        children = level(fields, () if found is None else found.fields, names)
        return with_id(field, given if found is None else found.field_id, rebuilt(field.type, children))

    return pa.schema(level(list(schema), mapping.root, schema.names))


# ------------------------------------------------------------------------------------------------- Parquet and ORC


def _open_parquet(stream: BinaryIO) -> Opened:
    # In nanoseconds, which is the default, years after 2262 would turn into others.
    source = pq.ParquetFile(stream, coerce_int96_timestamp_unit="us")
    stored = pa.schema([with_storage(field) for field in source.schema_arrow])

    def read(chosen: Sequence[int]) -> Iterator[pa.RecordBatch]:
        for batch in source.iter_batches(BATCH_ROWS):
            yield pa.RecordBatch.from_arrays([batch.column(i) for i in chosen], [str(i) for i in chosen])

    return stored, read


def _open_orc(stream: BinaryIO) -> Opened:
    source = orc.ORCFile(stream)

    def read(chosen: Sequence[int]) -> Iterator[pa.RecordBatch]:
        for stripe in range(source.nstripes):
            batch = source.read_stripe(stripe)
            yield pa.RecordBatch.from_arrays([batch.column(i) for i in chosen], [str(i) for i in chosen])

    return pa.schema([_orc_field(field) for field in source.schema]), read


def _orc_field(field: pa.Field) -> pa.Field:
    """Return a field with its id as Parquet has it, and of the type that Iceberg says it is."""
    known = field.metadata or {}
    children = [_orc_field(child) for child in children_of(field.type)]
    kind = pa.time64("us") if known.get(b"iceberg.long-type") == b"TIME" else rebuilt(field.type, children)
    return with_id(field, known[b"iceberg.id"].decode() if b"iceberg.id" in known else None, kind)


_OPEN: Mapping[str, Callable[[Any], Opened]] = {"parquet": _open_parquet, "orc": _open_orc, "avro": open_avro}
