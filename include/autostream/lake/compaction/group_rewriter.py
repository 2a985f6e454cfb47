"""One file group merged into new data files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import duckdb
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table
from pyiceberg.typedef import Record

from autostream.errors import AutostreamError
from autostream.iceberg.files import LiveFile, normalize_path
from autostream.iceberg.manifests import data_file
from autostream.iceberg.tables import full_name, properties_of
from autostream.iceberg.unused_files import delete_files
from autostream.lake.commit.replacements import FileGroup, Replacement
from autostream.lake.compaction.compaction_plan import CompactionPlan
from autostream.lake.engine.damaged_files import explain_engine_failure
from autostream.lake.engine.duckdb_engine import Engine, is_out_of_memory
from autostream.lake.engine.file_relations import Relations
from autostream.lake.engine.live_rows import (
    DeadRows,
    count_dead,
    find_dead_rows,
    fits_at_once,
    live_rows,
    live_rows_at_once,
    most_deletable,
)
from autostream.lake.engine.output_files import (
    FILE_PREFIX,
    OutputTarget,
    WriteSettings,
    WrittenFile,
    write_rows,
)
from autostream.lake.engine.sort_order import order_by
from autostream.lake.engine.sql_text import is_local

logger = logging.getLogger(__name__)

_GUESSED_ROW_BYTES = 50


@dataclass(frozen=True)
class _PartitionPath:
    """What a location provider asks of a partition: PyIceberg's own cannot name one whose column was dropped."""

    path: str

    def to_path(self) -> str:
        return self.path


def _folder(part: str) -> str:
    """Return a folder's name for a partition's value: file systems take 255 bytes, and the spec any path."""
    return part if len(part.encode()) <= 255 else f"{part[:200]}-{sha256(part.encode()).hexdigest()[:16]}"


class GroupRewriter:
    """Merges the groups of one plan, in one engine session.

    Args:
        engine: an open session.
        table: the table, for its locations and files.
        plan: the plan that the groups are of.
        run_id: part of the outputs' names.
    """

    def __init__(self, engine: Engine, table: Table, plan: CompactionPlan, run_id: str) -> None:
        """Prepare what all groups share.

        Raises:
            ConfigurationError: a write property of the table has a wrong value.
        """
        self._engine = engine
        self._table = table
        self._plan = plan
        self._run_id = run_id
        self._metadata = plan.state.metadata
        self._schema = self._metadata.schema()
        self._settings = WriteSettings.from_properties(properties_of(self._table), self._schema)
        self._order_id = self._metadata.default_sort_order_id
        order = self._metadata.sort_order_by_id(self._order_id)
        self._order_by = order_by(engine, order, self._schema) if order and order.fields else ""

    def rewrite(self, group: FileGroup) -> Replacement:
        """Merge a group. A failure leaves no output behind, but for what cannot be deleted now.

        Raises:
            DataError: a file of the group is missing or damaged; it is named.
            ResourceError: memory or disk did not suffice.
        """
        target = self._target(group)
        written: list[WrittenFile] = []
        relations = Relations(self._engine, self._metadata, self._table.io)
        try:
            deletable = self._merge(relations, group, target, written)
        except BaseException as error:
            self._delete_outputs(target, written)
            if isinstance(error, duckdb.Error | MemoryError | OSError):
                raise self._explained(group, error) from error
            raise
        outputs = tuple(self._data_file(group, file) for file in written)
        return Replacement(group, outputs, sum(relations.rows[file.path] for file in group.files), deletable)

    def _merge(
        self, relations: Relations, group: FileGroup, target: OutputTarget, written: list[WrittenFile]
    ) -> tuple[int, int]:
        """Write the live rows; how many are deleted at least and at most."""
        try:
            deletable = self._write_at_once(relations, group, target, written)
            return deletable or self._write_in_passes(relations, group, target, written)
        except duckdb.Error as error:
            if not relations.copy_unreadable([*group.files, *group.deletes], error):
                raise
        self._delete_outputs(target, written)
        written.clear()
        return self._merge(relations, group, target, written)

    def _write_at_once(
        self, relations: Relations, group: FileGroup, target: OutputTarget, written: list[WrittenFile]
    ) -> tuple[int, int] | None:
        """Write the live rows in one pass; how many are deleted at least and at most, None if it was not possible."""
        limit = self._engine.resources.memory_limit_bytes
        if not fits_at_once(group.deletes, limit):
            return None
        applied = {file.path: self._plan.state.index.deletes(file) for file in group.files}

        def deletes(file: LiveFile) -> Sequence[LiveFile]:
            return applied[file.path]

        rows = live_rows_at_once(relations, group.files, deletes, columns=self._schema.fields)
        try:
            written += write_rows(self._engine, rows, self._schema, target, self._settings, order_by=self._order_by)
        except (duckdb.OutOfMemoryException, OSError) as error:
            if not is_out_of_memory(error):
                raise
            logger.info("The deletes of %s do not fit into memory at once. Continuing in two passes.", group.partition)
            self._delete_outputs(target, written)
            return None
        return 0, most_deletable(group.files, deletes, relations.rows)

    def _write_in_passes(
        self, relations: Relations, group: FileGroup, target: OutputTarget, written: list[WrittenFile]
    ) -> tuple[int, int]:
        dead = find_dead_rows(self._engine, relations, group.files, self._plan.state.index.deletes)
        self._write(relations, group.files, dead, target, written, range(group.input_files))
        counts = count_dead(self._engine, dead, [relations.rows[file.path] for file in group.files])
        if dead.table:
            self._engine.execute(f"DROP TABLE {dead.table}")
        return counts

    def _write(
        self,
        relations: Relations,
        files: Sequence[LiveFile],
        dead: DeadRows,
        target: OutputTarget,
        written: list[WrittenFile],
        chosen: Sequence[int],
    ) -> None:
        """Write the live rows of the chosen files; where that does not fit into memory, one half after the other."""
        rows = live_rows(relations, files, dead, columns=self._schema.fields, chosen=chosen)
        try:
            written += write_rows(self._engine, rows, self._schema, target, self._settings, order_by=self._order_by)
        except (duckdb.OutOfMemoryException, OSError) as error:
            if len(chosen) < 2 or not is_out_of_memory(error):
                raise
            self._delete_partial_outputs(target, kept=written)
            middle = len(chosen) // 2
            for half in (chosen[:middle], chosen[middle:]):
                self._write(relations, files, dead, target, written, half)

    def _target(self, group: FileGroup) -> OutputTarget:
        path = "/".join(map(_folder, self._plan.state.partition_path(group.partition_key)))
        name = f"{FILE_PREFIX}{self._run_id}-{group.number:05d}-"
        location = self._table.location_provider().new_data_location(name, _PartitionPath(path) if path else None)  # type: ignore[arg-type]
        directory, prefix = location.rsplit("/", 1)
        return OutputTarget(
            directory=directory,
            prefix=prefix,
            expected_bytes=group.input_bytes,
            # Files of writers that do not count are guessed.
            expected_rows=sum(f.claimed_rows or f.size_bytes // _GUESSED_ROW_BYTES for f in group.files),
            file_bytes=self._plan.options.target_file_size_bytes,
        )

    def _data_file(self, group: FileGroup, file: WrittenFile) -> DataFile:
        first = group.files[0].entry
        return data_file(
            spec_id=group.partition_key[0],
            content=DataFileContent.DATA,
            file_path=file.location,
            file_format=FileFormat.PARQUET,
            partition=first.partition if first is not None else Record(),
            file_size_in_bytes=file.size_bytes,
            key_metadata=None,
            equality_ids=None,
            sort_order_id=self._order_id if self._order_by else 0,
            **file.metrics,
        )

    def _delete_outputs(self, target: OutputTarget, written: Sequence[WrittenFile]) -> None:
        delete_files(self._engine.io, [file.location for file in written])
        self._delete_partial_outputs(target, kept=())

    def _delete_partial_outputs(self, target: OutputTarget, *, kept: Sequence[WrittenFile]) -> None:
        """Delete what a failed write left behind, on a local disk; elsewhere such files stay (see `FILE_PREFIX`)."""
        if is_local(target.directory):
            whole = {normalize_path(file.location) for file in kept}
            for left in Path(normalize_path(target.directory)).glob(f"{target.prefix}*"):
                if str(left) not in whole:
                    left.unlink(missing_ok=True)

    def _explained(self, group: FileGroup, error: Exception) -> AutostreamError:
        return explain_engine_failure(
            self._engine, [*group.files, *group.deletes], error, io=self._table.io, table=full_name(self._table)
        )
