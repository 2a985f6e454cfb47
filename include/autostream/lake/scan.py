"""Reading upsert tables: deletes applied, in bounded memory, at any snapshot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import NestedField

from autostream.errors import AutostreamError, ResourceError, UsageError
from autostream.iceberg.files import LiveFile, PartitionKey
from autostream.iceberg.state import TableState, read_state
from autostream.iceberg.tables import full_name
from autostream.lake.engine.column_projection import field_path, field_sql
from autostream.lake.engine.copies.arrow_types import as_arrow, as_rows, nullable_schema
from autostream.lake.engine.damaged_files import explain_engine_failure
from autostream.lake.engine.duckdb_engine import Engine
from autostream.lake.engine.file_relations import Relations
from autostream.lake.engine.live_rows import find_dead_rows, live_rows
from autostream.lake.engine.where.expression import bind_where, may_match, parse_where, sql_where
from autostream.lake.scan_output import refuse_output
from autostream.resources import EngineResources, is_disk_full
from autostream.spelling import one_of

SCAN_BATCH_ROWS = 65_536

_Item = TypeVar("_Item")


class TableScan:
    """The rows of a table at one snapshot, with a filter and a projection.

    Partitions are read one after the other, so memory is bounded by the engine's cap whatever the table's size.
    """

    def __init__(
        self,
        table: Table,
        state: TableState,
        *,
        schema: Schema,
        where: str | None,
        selected: Schema,
        resources: EngineResources,
    ) -> None:
        """Use :func:`scan_table`."""
        self._table = table
        self._state = state
        self._schema = schema
        self._where = parse_where(where)
        self._resources = resources
        self.schema = selected

    @property
    def arrow_schema(self) -> pa.Schema:
        """The schema of the batches; every column may hold NULL, as files do in columns that a table calls required."""
        return nullable_schema(schema_to_pyarrow(self.schema, include_field_ids=False))

    def to_batches(self) -> pa.RecordBatchReader:
        """Return the rows as Arrow batches, read as they are asked for."""
        return pa.RecordBatchReader.from_batches(self.arrow_schema, self._batches())

    @property
    def snapshot_id(self) -> int | None:
        """The snapshot that is read; None for a table without one."""
        return self._state.snapshot_id

    def head(self, rows: int) -> list[dict[str, Any]]:
        """Return the first rows, of whatever order, as dictionaries; times that Python has no value for as text."""
        return [row for batch in _first(self._batches(), rows) for row in as_rows(batch)]

    def to_arrow(self) -> pa.Table:
        """Return all rows in memory."""
        return self.to_batches().read_all()

    def to_duckdb(self, connection: duckdb.DuckDBPyConnection | None = None) -> duckdb.DuckDBPyRelation:
        """Return all rows in memory as a relation of DuckDB, to be queried any number of times.

        Args:
            connection: In which it can be queried; None opens one of its own.
        """
        return (connection or duckdb.connect()).from_arrow(self.to_arrow())

    def count(self) -> int:
        """Return the number of rows: counted, or from footers; those of manifests may be wrong."""
        return sum(self._each_partition((), lambda engine, rows: engine.rows(f"SELECT count(*) FROM {rows}")[0]))

    def to_parquet(self, path: str | Path, *, limit: int | None = None, overwrite: bool = False) -> int:
        """Write the rows to one Parquet file with field ids and return their number; a failure leaves no file behind.

        Args:
            path: the file.
            limit: write so many rows at most.
            overwrite: whether a file that is there is replaced, once the new one is complete.

        Raises:
            UsageError: the file cannot be made there, or is there already.
            ResourceError: the disk is full.
        """
        target = Path(path)
        refuse_output(target, overwrite=overwrite)
        partial = target.with_name(f".{target.name}.partial")
        written = 0
        try:
            schema = nullable_schema(schema_to_pyarrow(self.schema))
            with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
                for batch in _first(self._batches(), limit):
                    writer.write_batch(batch.cast(writer.schema))
                    written += batch.num_rows
            refuse_output(target, overwrite=overwrite)
            partial.replace(target)
        except OSError as error:
            if is_disk_full(error):
                raise ResourceError(
                    f"{target} was not written: no space left in {target.absolute().parent}. Free some space, or "
                    "name a file on another disk."
                ) from error
            raise UsageError(
                f"Cannot write {target}: {error.strerror or error}. Name a file in a directory that this account may "
                "write to."
            ) from error
        finally:
            partial.unlink(missing_ok=True)
        return written

    def _batches(self) -> Generator[pa.RecordBatch, None, None]:
        arrow = self.arrow_schema
        names = ", ".join(f"c{c.field_id}" for c in self.schema.fields)

        def read(engine: Engine, rows: str) -> Iterator[pa.RecordBatch]:
            for batch in engine.connection.sql(f"SELECT {names} FROM {rows}").to_arrow_reader(SCAN_BATCH_ROWS):
                yield as_arrow(batch, arrow)

        return self._each_partition(self.schema.fields, read)

    def _each_partition(
        self, columns: Sequence[NestedField], read: Callable[[Engine, str], Iterable[_Item]]
    ) -> Generator[_Item, None, None]:
        """Yield what `read` makes of the relation of each partition's rows."""
        by_partition: dict[PartitionKey, list[LiveFile]] = defaultdict(list)
        test = may_match(self._where, self._state.metadata, self._schema)
        for file in self._state.data.values():
            if test(file):
                by_partition[file.partition].append(file)
        condition, needed = self._condition(columns)
        with Engine(self._table.io, self._resources) as engine:
            relations = Relations(engine, self._state.metadata, self._table.io)
            for files in by_partition.values():

                def merge(files: Sequence[LiveFile] = files) -> Iterator[_Item]:
                    dead = find_dead_rows(engine, relations, files, self._state.index.deletes)
                    rows = live_rows(relations, files, dead, columns=needed, chosen=range(len(files)))
                    yield from read(engine, rows + condition)
                    if dead.table:
                        engine.execute(f"DROP TABLE {dead.table}")

                try:
                    yield from self._again_if_copied(relations, files, merge)
                except (duckdb.Error, MemoryError, OSError) as error:
                    raise self._explained(engine, files, error) from error

    def _again_if_copied(
        self, relations: Relations, files: Sequence[LiveFile], merge: Callable[[], Iterator[_Item]]
    ) -> Iterator[_Item]:
        """Yield what `merge` does; once more, with copies of what it cannot read, if it fails at the start."""
        begun = False
        try:
            for item in merge():
                begun = True
                yield item
            return
        except duckdb.Error as error:
            if begun or not relations.copy_unreadable(self._with_deletes(files), error):
                raise
        yield from merge()

    def _with_deletes(self, files: Sequence[LiveFile]) -> list[LiveFile]:
        return [*files, *{d.path: d for f in files for d in self._state.index.deletes(f)}.values()]

    def _condition(self, columns: Sequence[NestedField]) -> tuple[str, list[NestedField]]:
        """Return the WHERE clause, and the columns that it and the projection need."""
        if isinstance(self._where, AlwaysTrue):
            return "", list(columns)
        tops: dict[int, NestedField] = {}

        def sql(field_id: int) -> str:
            path = field_path(self._schema, field_id)
            if not path:
                name = self._schema.find_column_name(field_id)
                raise UsageError(f"--where names {name}, which is inside a list or map. A filter cannot use it.")
            tops[path[0].field_id] = path[0]
            return field_sql(path)

        condition = sql_where(self._where, self._schema, sql)
        merged = {c.field_id: c for c in (*columns, *tops.values())}
        return f" WHERE {condition}", list(merged.values())

    def _explained(self, engine: Engine, files: Sequence[LiveFile], error: Exception) -> AutostreamError:
        return explain_engine_failure(
            engine, self._with_deletes(files), error, io=self._table.io, table=full_name(self._table)
        )


def _first(batches: Generator[pa.RecordBatch, None, None], limit: int | None) -> Iterator[pa.RecordBatch]:
    """Yield the first rows of batches, and read no further."""
    left = limit
    with closing(batches):
        while left is None or left > 0:
            batch = next(batches, None)
            if batch is None:
                return
            if left is not None:
                batch = batch.slice(0, left)
                left -= batch.num_rows
            yield batch


def scan_table(
    table: Table,
    *,
    where: str | None = None,
    columns: Sequence[str] | None = None,
    snapshot_id: int | None = None,
    resources: EngineResources | None = None,
) -> TableScan:
    """Return the scan of a table.

    Args:
        table: the table.
        where: filter, as PyIceberg's parser reads it.
        columns: names of top-level columns, in the order wanted; all by default.
        snapshot_id: the snapshot to read, with its own schema; the current one by default.
        resources: memory, threads, spill space.

    Raises:
        UsageError: an unknown column or snapshot, or a filter that does not fit.
        UnsupportedTableError: the table's format version is above 2.
        DataError: a manifest is damaged.
    """
    state = read_state(table, snapshot_id=snapshot_id)
    schema = table.schema()
    if snapshot_id is not None and state.snapshot is not None and state.snapshot.schema_id is not None:
        schema = table.schemas().get(state.snapshot.schema_id, schema)
    selected = schema
    if columns is not None:
        by_name = {field.name: field for field in schema.fields}
        unknown = [name for name in columns if name not in by_name]
        if unknown:
            there_are = one_of(unknown[0], by_name, "Columns")
            named = ", ".join(name or repr(name) for name in unknown)
            raise UsageError(f"Table {full_name(table)} has no column {named}. {there_are}")
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise UsageError(f"Column {', '.join(twice)} is named more than once. Name each column once.")
        selected = Schema(*(by_name[name] for name in columns))
    specs = table.specs().values()
    bind_where(parse_where(where, schema=schema, specs=specs), schema, specs)
    return TableScan(
        table, state, schema=schema, where=where, selected=selected, resources=resources or EngineResources()
    )
