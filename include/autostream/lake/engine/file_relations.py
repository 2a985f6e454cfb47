"""Data and delete files as SQL relations.

Columns of a data relation: `c<id>` for the table's columns, `k<id>` for equality keys, `_row` (which row of
which file: the file's number times 2^40 plus the row's number in it) and `_seq` (the file's data sequence number).
Relations of equality deletes have `k<id>` and `_seq`, those of position deletes `_row`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import duckdb
from pydantic import ValidationError
from pyiceberg.io import FileIO
from pyiceberg.schema import Schema
from pyiceberg.table import TableProperties
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.name_mapping import NameMapping
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import IcebergType, LongType, NestedField, StringType

from autostream.errors import AutostreamError, ConfigurationError, DataError, InconsistentTableError
from autostream.iceberg.files import FILE_PATH_FIELD_ID, POSITION_FIELD_ID, LiveFile
from autostream.iceberg.manifests import field_type
from autostream.lake.engine.casts import as_key, duckdb_type
from autostream.lake.engine.column_projection import (
    MAP_REBUILT,
    Columns,
    field_path,
    has_ids,
    ids_twice,
    refuse_twins,
    unidentified,
    with_mapped_ids,
)
from autostream.lake.engine.copies.readable_copies import convert_to_parquet
from autostream.lake.engine.damaged_files import examine
from autostream.lake.engine.duckdb_engine import VIRTUAL_COLUMNS, Engine
from autostream.lake.engine.parquet_schema import FIXED, PhysicalField
from autostream.lake.engine.sql_text import read_parquet, sql_list, text
from autostream.lake.engine.where.expression import sql_literal

logger = logging.getLogger(__name__)

POSITION_DELETE_SCHEMA = Schema(
    NestedField(FILE_PATH_FIELD_ID, "file_path", StringType(), required=True),
    NestedField(POSITION_FIELD_ID, "pos", LongType(), required=True),
)

# More rows than a file can have; 2^23 files of that many fit into a BIGINT.
ROWS = 1 << 40

_SET_MAPPING = (
    "Set the table property schema.name-mapping.default to a mapping of the file's column names to field ids."
)


Fields = tuple[PhysicalField, ...]


@dataclass(frozen=True)
class FileClass:
    """Files of one physical schema: read by one expression per column."""

    columns: Columns
    files: tuple[LiveFile, ...]
    paths: tuple[str, ...]


class Relations:
    """Builds relations for the files of one table in one engine session."""

    def __init__(self, engine: Engine, metadata: TableMetadata, io: FileIO) -> None:
        """Read files of the table that `metadata` describes."""
        self._engine = engine
        self._metadata = metadata
        self._io = io
        self._mapping = _name_mapping(metadata)
        self.rows: dict[str, int] = {}
        """Rows of each file that a relation was built of, by path: those in its footer, whatever its manifest says."""
        self._converted: dict[tuple[str, tuple[int, ...], bool], str] = {}
        self._distrusted: set[str] = set()
        schemas = (*metadata.schemas, metadata.schema())
        self._names: dict[int | None, str] = {f.field_id: f.name for schema in schemas for f in schema.fields}

    def key_type(self, field_id: int, delete: LiveFile) -> IcebergType:
        """Return the type of an equality column, of a dropped one too.

        Raises:
            InconsistentTableError: no schema of the table has had the column.
        """
        found = field_type(self._metadata, field_id)
        if found is None:
            raise InconsistentTableError(
                f"Equality-delete file {delete.path} deletes by field id {field_id}, which is in no schema of the "
                "table. The file was written for another table, or the metadata lost a schema. Remove the file from "
                "the table, or restore the metadata."
            )
        return found

    def data(
        self,
        files: Sequence[LiveFile],
        *,
        columns: Sequence[NestedField],
        keys: dict[int, IcebergType] | None = None,
        indexes: Sequence[int],
    ) -> str:
        """Return the relation of data files of one spec and partition; `indexes` are their numbers in `_row`."""
        keys = keys or {}
        for field in columns:
            refuse_twins(field)
        wanted = Schema(
            *(NestedField(c.field_id, f"c{c.field_id}", c.field_type, required=False) for c in columns),
            *(
                NestedField(i, f"k{i}", t, required=False)
                for i, t in keys.items()
                if i not in {c.field_id for c in columns}
            ),
        )
        paths = {i: path for i in keys if (path := self._path(i))}
        index = {file.path: i for i, file in zip(indexes, files, strict=True)}
        parts = []
        for item in self._classes(files, wanted):
            found = replace(item.columns, constants=self._identity_values(item.files[0]), paths=paths)
            selected = [f"{found.column(c.field_id, c.field_type)} AS c{c.field_id}" for c in columns]
            selected += [f"{as_key(found.leaf(i, t), t)} AS k{i}" for i, t in keys.items()]
            selected.append(f"{_file_number([index[f.path] for f in item.files])} * {ROWS} + file_row_number AS _row")
            selected.append(_by_file([f.sequence_number for f in item.files]) + " AS _seq")
            parts.append(f"SELECT {', '.join(selected)} FROM {read_parquet(item.paths)}")
        return "(" + " UNION ALL ".join(parts) + ")"

    def equality_deletes(self, deletes: Sequence[LiveFile], ids: Sequence[int]) -> str:
        """Return the relation of equality-delete files with one set of equality ids."""
        types = {i: self.key_type(i, deletes[0]) for i in ids}
        wanted = Schema(*(NestedField(i, f"k{i}", t, required=False) for i, t in types.items()))
        parts = []
        for item in self._classes(deletes, wanted):
            selected = []
            for i, key_type in types.items():
                if not item.columns.has(i):
                    raise InconsistentTableError(
                        f"Equality-delete file {item.files[0].path} has no column with its equality field id {i}, so "
                        "it is not clear which rows it deletes. Its writer broke the Iceberg spec. Remove the file "
                        "from the table, or rewrite it."
                    )
                selected.append(f"{as_key(item.columns.leaf(i, key_type), key_type)} AS k{i}")
            selected.append(_by_file([f.sequence_number for f in item.files]) + " AS _seq")
            parts.append(f"SELECT {', '.join(selected)} FROM {read_parquet(item.paths)}")
        return "(" + " UNION ALL ".join(parts) + ")"

    def position_deletes(self, deletes: Sequence[LiveFile], files: Sequence[LiveFile]) -> str:
        """Return the relation of the positions that delete files delete in the given data files."""
        parts = []
        for item in self._classes(deletes, POSITION_DELETE_SCHEMA):
            path = item.columns.column(FILE_PATH_FIELD_ID, StringType())
            position = item.columns.column(POSITION_FIELD_ID, LongType())
            if not (item.columns.has(FILE_PATH_FIELD_ID) and item.columns.has(POSITION_FIELD_ID)):
                raise InconsistentTableError(
                    f"Position-delete file {item.files[0].path} does not have the columns file_path and pos, so it "
                    "is not clear which rows it deletes. Its writer broke the Iceberg spec. Remove the file from "
                    "the table, or rewrite it."
                )
            number = _by_file([f.sequence_number for f in item.files])
            parts.append(
                f"SELECT regexp_replace({path}, '^file:/+', '/') AS path, {position} AS pos, {number} AS seq"
                f" FROM {read_parquet(item.paths)}"
            )
        targets = ", ".join(f"({text(f.key)}, {i}, {f.sequence_number})" for i, f in enumerate(files))
        return (
            f"(SELECT t.i::BIGINT * {ROWS} + d.pos AS _row FROM ({' UNION ALL '.join(parts)}) d"
            f" JOIN (VALUES {targets}) t(path, i, seq) ON d.path = t.path AND d.seq >= t.seq"
            f" WHERE d.pos BETWEEN 0 AND {ROWS - 1})"
        )

    def referenced_paths(self, delete: LiveFile) -> set[str]:
        """Return the (normalised) paths of the data files in which a position-delete file deletes rows."""
        (item,) = self._classes([delete], POSITION_DELETE_SCHEMA)
        path = item.columns.column(FILE_PATH_FIELD_ID, StringType())
        sql = f"SELECT DISTINCT regexp_replace({path}, '^file:/+', '/') FROM {read_parquet(item.paths)}"
        return {row[0] for row in self._engine.rows(sql)}

    def _identity_values(self, file: LiveFile) -> dict[int, str]:
        """Return the SQL of the fields that a file may lack because its partition says them (R12)."""
        if file.entry is None:
            return {}
        fields = self._metadata.specs()[file.spec_id].fields
        said = {
            part.source_id: file.entry.partition[i]
            for i, part in enumerate(fields)
            if isinstance(part.transform, IdentityTransform)
        }
        types = {i: field_type(self._metadata, i) for i, value in said.items() if value is not None}
        return {i: f"CAST({sql_literal(said[i], t)} AS {duckdb_type(t)})" for i, t in types.items() if t is not None}

    def _path(self, field_id: int) -> tuple[int, ...]:
        """Return the ids from a column down to a field, by the current schema or the newest that has it."""
        schemas = [self._metadata.schema(), *sorted(self._metadata.schemas, key=lambda s: s.schema_id, reverse=True)]
        found = next((path for schema in schemas if (path := field_path(schema, field_id))), ())
        return tuple(field.field_id for field in found)

    def _classes(self, files: Sequence[LiveFile], wanted: Schema) -> list[FileClass]:
        """Return the files by physical schema, each readable as Parquet."""
        by_path = {self._readable(file, wanted): file for file in files}
        schemas = self._schemas(by_path, wanted)
        self._measure(by_path)
        classes = []
        for fields, paths in schemas:
            copied = set(paths) if _needs_copy(fields) else self._undecodable(fields, paths)
            same = set(paths) - copied
            if ordered := [path for path in by_path if path in same]:
                found = self._class(fields, [by_path[p] for p in ordered], ordered, wanted)
                classes += self._with_maps(found, wanted)
            if copied:
                moved = {self._convert(by_path[p], wanted): by_path[p] for p in by_path if p in copied}
                for other, copies in self._engine.schemas(list(moved)):
                    classes.append(self._class(other, [moved[p] for p in copies], copies, wanted))
        return classes

    def _schemas(self, by_path: dict[str, LiveFile], wanted: Schema) -> list[tuple[Fields, list[str]]]:
        """Return the distinct schemas, each with its files; copies take the place of what the engine cannot open."""
        try:
            return self._engine.schemas(list(by_path))
        except duckdb.Error:
            copies = {path: self._copy_of_unopened(path, by_path[path], wanted) for path in by_path}
            if not any(copies.values()):
                raise
        for path, copy in copies.items():
            if copy:
                by_path[copy] = by_path.pop(path)
        return self._engine.schemas(list(by_path))

    def _copy_of_unopened(self, path: str, file: LiveFile, wanted: Schema) -> str | None:
        """Return a copy of a file that the engine cannot open and PyArrow can: Parquet is written in many ways."""
        try:
            self._engine.schemas([path])
        except duckdb.Error:
            with suppress(AutostreamError):  # the engine's own error is judged with all that is known
                return self._convert(file, wanted)
        return None

    def _undecodable(self, fields: Sequence[PhysicalField], paths: Sequence[str]) -> set[str]:
        """Return the files, of one schema, that are encoded as the engine cannot read."""
        return self._engine.split_bytes(list(paths)) if _has_fixed(fields) else set()

    def _class(self, fields: Fields, files: Sequence[LiveFile], paths: Sequence[str], wanted: Schema) -> FileClass:
        identified = self._identified(fields, files[0], wanted)
        return FileClass(Columns(identified, files[0].path, self._names), tuple(files), tuple(paths))

    def _with_maps(self, found: FileClass, wanted: Schema) -> list[FileClass]:
        """Return a class, or copies of its files where the engine cannot make the maps wanted: it takes a key once."""
        rebuilt = [sql for w in wanted.fields if MAP_REBUILT in (sql := found.columns.column(w.field_id, w.field_type))]
        if not rebuilt:
            return [found]
        try:
            self._engine.rows(
                f"SELECT {', '.join(f'max(hash({sql}))' for sql in rebuilt)} FROM {read_parquet(found.paths)}"
            )
            return [found]
        except duckdb.InvalidInputException as error:
            if "Map keys" not in str(error):
                raise
        moved = {self._convert(file, wanted, maps=True): file for file in found.files}
        return [
            self._class(fields, [moved[path] for path in paths], paths, wanted)
            for fields, paths in self._engine.schemas(list(moved))
        ]

    def _identified(self, fields: Fields, file: LiveFile, wanted: Schema) -> Fields:
        """Return a file's fields with their ids: its own, and those by name where it has none.

        Raises:
            DataError: it cannot be told which of its columns a wanted one is.
        """
        if wanted is POSITION_DELETE_SCHEMA:
            return _position_fields(fields)
        if not wanted.fields:
            return fields
        if self._mapping is not None:
            fields = with_mapped_ids(fields, self._mapping)
        elif not has_ids(fields):
            raise DataError(
                f"File {file.path} has no field ids and the table has no name mapping, so its columns cannot be "
                f"identified. {_SET_MAPPING}"
            )
        elif unknown := unidentified(fields, wanted.fields):
            raise DataError(
                f"File {file.path} has no field id for {', '.join(unknown)}, and the table has no name mapping, so "
                f"these columns cannot be identified. {_SET_MAPPING}"
            )
        if twice := ids_twice(fields) & set(wanted.field_ids):
            raise DataError(
                f"File {file.path} has more than one column with field id {', '.join(map(str, sorted(twice)))}, so "
                "it is not clear which of them is the table's column. Its writer broke the Iceberg spec. Write the "
                "file again, or remove it from the table."
            )
        return fields

    def copy_unreadable(self, files: Iterable[LiveFile], error: Exception) -> bool:
        """Have those files copied from now on that the engine failed to read and another reader reads.

        Returns:
            Whether there are any, so that it is worth another try.
        """
        if self._engine.explain_exhaustion(error) or self._engine.storage_failures.behind(error):
            return False
        found = {file.path for file in files if file.path not in self._distrusted and self._needs_another(file)}
        self._distrusted |= found
        return bool(found)

    def _needs_another(self, file: LiveFile) -> bool:
        try:
            verdict = examine(self._engine, file, self._io) if file.file_format == "parquet" else None
        except AutostreamError:  # the storage does not answer
            return False
        return verdict is not None and verdict.read_by_another

    def _readable(self, file: LiveFile, wanted: Schema) -> str:
        as_it_is = file.file_format == "parquet" and file.path not in self._distrusted
        return self._engine.path(file.path) if as_it_is else self._convert(file, wanted)

    def _convert(self, file: LiveFile, wanted: Schema, *, maps: bool = False) -> str:
        """Return a copy of a file as local Parquet; with `maps`, its maps are promoted to the types wanted."""
        key = (file.path, tuple(f.field_id for f in wanted.fields), maps)
        if key not in self._converted:
            target = str(self._engine.scratch(".parquet"))
            convert_to_parquet(file, wanted, target, mapping=self._mapping, io=self._io, maps=maps)
            self._converted[key] = target
        return self._converted[key]

    def _measure(self, by_path: dict[str, LiveFile]) -> None:
        """Take the row counts from the footers; a swapped or cut file must not pass as the committed one.

        Writers get counts wrong, and some get sizes wrong: what contradicts both is not the file that was committed.
        """
        wrong = []
        for path, (rows, size) in self._engine.measures(list(by_path)).items():
            file = by_path[path]
            self.rows[file.path] = rows
            if rows == file.record_count:
                continue
            wrong.append(file)
            if path != self._engine.path(file.path):
                size = len(self._io.new_input(file.path))
            summed = file.claims_shared and rows <= file.record_count and size <= file.size_bytes
            if size != file.size_bytes > 0 and not summed:
                raise InconsistentTableError(
                    f"File {file.path} has {rows} rows in {size} bytes, but its manifest says {file.record_count} "
                    f"rows in {file.size_bytes} bytes. If the file was changed after its commit, restore it, or roll "
                    "the table back to a snapshot without it. If its writer did not count rows, rewrite the file "
                    "with another engine."
                )
        if wrong:
            logger.info(
                "%d of %d files have other numbers of rows than their manifests say (%s: %d, not %d), because their "
                "writer did not count. Using the numbers in the files.",
                *(len(wrong), len(by_path), wrong[0].path, self.rows[wrong[0].path], wrong[0].record_count),
            )


def _name_mapping(metadata: TableMetadata) -> NameMapping | None:
    try:
        return metadata.name_mapping()
    except ValidationError as error:
        raise ConfigurationError(
            f"Table property {TableProperties.DEFAULT_NAME_MAPPING} is not a valid name mapping: "
            f"{error.errors()[0]['msg']}. Correct or remove it."
        ) from error


def _by_file(values: Sequence[int]) -> str:
    """Return the SQL of a number per file of the scanned list."""
    if len(set(values)) == 1:
        return f"{values[0]}::BIGINT"
    return f"{sql_list([str(value) for value in values])}[file_index::BIGINT + 1]::BIGINT"


def _file_number(numbers: Sequence[int]) -> str:
    """Return the SQL of the files' numbers; no look-up where they are in the order of the scanned list, as mostly."""
    if list(numbers) == list(range(numbers[0], numbers[0] + len(numbers))):
        return f"(file_index::BIGINT + {numbers[0]})"
    return _by_file(numbers)


def _has_fixed(fields: Iterable[PhysicalField]) -> bool:
    return any(field.stored.startswith(FIXED) or _has_fixed(field.children) for field in fields)


def _needs_copy(fields: Sequence[PhysicalField]) -> bool:
    """Say whether the engine cannot read a file as it is: another reader then copies it."""
    return _needs_renaming(fields) or _has_misread(fields)


def _has_misread(fields: Iterable[PhysicalField]) -> bool:
    return any(field.misread or _has_misread(field.children) for field in fields)


def _needs_renaming(fields: Sequence[PhysicalField], *, top: bool = True) -> bool:
    """Say whether DuckDB cannot tell a file's columns apart by name: it ignores case and knows virtual columns."""
    names = [field.name.lower() for field in fields]
    return (
        len(set(names)) != len(names)
        or (top and not VIRTUAL_COLUMNS.isdisjoint(names))
        or any(_needs_renaming(field.children, top=False) for field in fields)
    )


def _position_fields(fields: Iterable[PhysicalField]) -> Fields:
    """Return a position-delete file's fields with the ids that the spec reserves, where the writer left them out."""
    ids = {"file_path": FILE_PATH_FIELD_ID, "pos": POSITION_FIELD_ID}
    return tuple(replace(f, field_id=ids.get(f.name)) if f.field_id is None else f for f in fields)
