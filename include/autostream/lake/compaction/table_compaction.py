"""Compaction of one table: plan, rewrite, commit."""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence

import duckdb
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from autostream import times
from autostream.catalogs.retry_policy import RetryPolicy
from autostream.errors import (
    AutostreamError,
    ConfigurationError,
    ConflictError,
    DataError,
    OutcomeUnknownError,
    ResourceError,
)
from autostream.iceberg.files import LiveFile
from autostream.iceberg.manifests import ManifestReader, manifest_codec
from autostream.iceberg.state import read_state
from autostream.iceberg.tables import properties_of
from autostream.iceberg.unused_files import delete_files
from autostream.lake.commit.conflicts import find_conflicts
from autostream.lake.commit.replacements import Replacement
from autostream.lake.commit.replacing import ReplaceCommit
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.compaction_plan import CompactionPlan, PlannedGroup
from autostream.lake.compaction.compaction_result import CompactionResult, FileCounts
from autostream.lake.compaction.compaction_steps import CompactionObserver, CompactionStep, ignore_compaction_step
from autostream.lake.compaction.group_rewriter import GroupRewriter
from autostream.lake.compaction.planning import plan_compaction
from autostream.lake.engine.damaged_files import explain_engine_failure
from autostream.lake.engine.duckdb_engine import Engine
from autostream.lake.engine.file_relations import Relations
from autostream.names import TableName
from autostream.resources import EngineResources
from autostream.sizes import format_size
from autostream.spelling import counted

logger = logging.getLogger(__name__)


def compact_table(
    table: Table,
    name: TableName | str,
    *,
    options: CompactionOptions,
    where: str | None = None,
    partitions: Collection[str] | None = None,
    dry_run: bool = False,
    resources: EngineResources | None = None,
    report_progress: Callable[[str], None] | None = None,
    on_step: CompactionObserver = ignore_compaction_step,
) -> CompactionResult:
    """Compact a table.

    All groups are committed at once, unless partial progress is enabled. Conflicts and failures are told in the result;
    what makes it impossible to begin is raised.

    Args:
        table: the table, freshly loaded.
        name: its full name.
        options: thresholds and the way to commit.
        where: expression on partition columns that limits the work.
        partitions: names of partitions that limit it.
        dry_run: only plan.
        resources: memory, threads and spill space of the engine.
        report_progress: told in a line what is going on.
        on_step: told at each step of the protocol; for tests that kill the process there.

    Raises:
        AutostreamError: the table cannot be planned: wrong options, unsupported version, damaged metadata.
    """
    if options.engine != "duckdb":
        raise ConfigurationError(
            f"Table {name} was not compacted: engine {options.engine!r} is not available, this version has only "
            "duckdb. Leave the option out, or set the table's property autostream.compaction.engine to duckdb."
        )
    run = _Run(table, str(name), options, resources or EngineResources(), report_progress or logger.info, on_step)
    return run.execute(where, partitions, dry_run=dry_run)


class _Run:
    """One compaction of one table."""

    def __init__(
        self,
        table: Table,
        name: str,
        options: CompactionOptions,
        resources: EngineResources,
        say: Callable[[str], None],
        on_step: CompactionObserver,
    ) -> None:
        self.table = table
        self.name = name
        self.options = options
        self.resources = resources
        self.say = say
        self.on_step = on_step
        self.reader = ManifestReader(table.io)
        self.policy = RetryPolicy.from_properties(properties_of(table))
        manifest_codec(properties_of(table))  # a wrong one is told before the work, not after it
        self.referenced: dict[str, set[str]] = {}

    def execute(self, where: str | None, partitions: Collection[str] | None, *, dry_run: bool) -> CompactionResult:
        started = times.monotonic()
        made = plan_compaction(
            self.table, options=self.options, where=where, partitions=partitions, name=self.name, reader=self.reader
        )
        counts = FileCounts.of(made.state)
        result = CompactionResult(self.name, "nothing-to-do", counts, counts, made)
        result.seconds["plan"] = times.monotonic() - started
        self.on_step(CompactionStep.PLANNED)
        if dry_run:
            result.status = "planned"
        elif made.has_work:
            self._work(made, result)
            self._conclude(result)
        return result

    def _work(self, made: CompactionPlan, result: CompactionResult) -> None:
        with Engine(self.table.io, self.resources) as engine:
            self.engine = engine
            rewriter = GroupRewriter(engine, self.table, made, uuid.uuid4().hex[:12])
            for batch in self._batches(made):
                rewritten = self._rewrite(rewriter, batch, made, result)
                if rewritten is not None and (rewritten or not made.groups):
                    self._commit(made, rewritten, result)
                if result.exit_code and not self.options.partial_progress_enabled:
                    return

    def _batches(self, made: CompactionPlan) -> Iterator[Sequence[PlannedGroup]]:
        """Yield the groups of each commit; one commit without groups where only deletes have to go."""
        groups = made.groups
        size = len(groups) or 1
        if self.options.partial_progress_enabled:
            size = math.ceil(size / self.options.partial_progress_max_commits)
        for start in range(0, len(groups) or 1, size):
            yield groups[start : start + size]

    def _rewrite(
        self, rewriter: GroupRewriter, batch: Sequence[PlannedGroup], made: CompactionPlan, result: CompactionResult
    ) -> list[Replacement] | None:
        """Rewrite the groups of one commit; None if one failed and all go together."""
        started = times.monotonic()
        rewritten: list[Replacement] = []
        try:
            for group in batch:
                self.say(
                    f"merging {counted(group.input_files, 'file')} ({format_size(group.input_bytes)}) of "
                    f"{group.partition}, group {group.number + 1} of {len(made.groups)}"
                )
                try:
                    rewritten.append(rewriter.rewrite(group))
                except AutostreamError as error:
                    if not self._overtaken(made, group, error, result) and not self.options.partial_progress_enabled:
                        self._discard(rewritten)
                        return None
                self.on_step(CompactionStep.GROUP_REWRITTEN)
        except BaseException:
            self._discard(rewritten)
            raise
        finally:
            result.seconds["rewrite"] += times.monotonic() - started
        self.on_step(CompactionStep.REWRITTEN)
        return rewritten

    def _overtaken(
        self, made: CompactionPlan, group: PlannedGroup, error: AutostreamError, result: CompactionResult
    ) -> bool:
        """Say whether a group failed only since another writer replaced its files meanwhile; note what happened."""
        if isinstance(error, DataError):
            try:
                present = self.table.catalog.load_table(self.table.name())
                base = read_state(present, reader=self.reader, name=self.name)
                conflict = find_conflicts(made.state, base, [group], self._referenced_paths).get(group.number)
            except NoSuchTableError:
                conflict = "the table was dropped"
            except Exception as reread:  # the first error is the one to tell
                logger.warning("Cannot read table %s again after a failure: %s", self.name, reread)
                conflict = None
            if conflict is not None:
                result.conflicts[group.number] = conflict
                return True
        result.repeat |= isinstance(error, ResourceError)
        result.failures[group.number] = str(error)
        result.error = result.error or str(error)
        result.exit_code = result.exit_code or error.exit_code
        return False

    def _commit(self, made: CompactionPlan, rewritten: list[Replacement], result: CompactionResult) -> None:
        started = times.monotonic()
        commit = ReplaceCommit(
            table=self.table,
            name=self.name,
            what="compaction",
            planned=made.state,
            reader=self.reader,
            referenced_paths=self._referenced_paths,
            policy=self.policy,
            on_step=lambda step: self.on_step(CompactionStep(step)),
        )
        try:
            done = commit.commit(rewritten)
        except OutcomeUnknownError as error:
            result.status, result.error, result.exit_code = "unknown", str(error), error.exit_code
            return
        except ConflictError as error:
            self._discard(rewritten)
            result.conflicts |= {r.group.number: str(error) for r in rewritten}
            result.error = str(error)
            return
        except AutostreamError as error:
            self._discard(rewritten)
            result.failures |= {r.group.number: str(error) for r in rewritten}
            result.error, result.exit_code = str(error), error.exit_code
            return
        finally:
            result.seconds["commit"] += times.monotonic() - started
        self._discard([r for r in rewritten if r not in done.replaced])
        result.conflicts |= done.conflicts
        if done.snapshot_id is None:
            return
        result.snapshot_id = done.snapshot_id
        result.commits += 1
        result.committed += len(done.replaced)
        result.after = FileCounts.of(done.base).after(done)
        result.rows_read += sum(r.rows_read for r in done.replaced)
        result.rows_deleted += sum(r.rows_deleted for r in done.replaced)
        result.bytes_read += sum(r.bytes_read for r in done.replaced)
        result.bytes_written += sum(r.bytes_written for r in done.replaced)

    def _discard(self, rewritten: Sequence[Replacement]) -> None:
        """Delete outputs that are known not to be committed."""
        delete_files(self.table.io, [file.file_path for r in rewritten for file in r.outputs])

    def _referenced_paths(self, delete: LiveFile) -> set[str]:
        if delete.path not in self.referenced:
            relations = Relations(self.engine, self.table.metadata, self.table.io)
            try:
                self.referenced[delete.path] = relations.referenced_paths(delete)
            except (duckdb.Error, OSError) as error:
                raise explain_engine_failure(self.engine, [delete], error, io=self.table.io, table=self.name) from error
        return self.referenced[delete.path]

    def _conclude(self, result: CompactionResult) -> None:
        if result.status == "unknown":
            return
        if result.failures or result.exit_code:
            result.status = "failed"
            return
        if result.commits:
            result.status = "committed"
            return
        if result.conflicts:
            first = next(iter(result.conflicts.values()))
            result.status, result.exit_code = "conflict", ConflictError.exit_code
            result.error = result.error or (
                f"Could not commit any group of {self.name}: other writers were faster: {first}. Nothing was "
                "changed. Run it again."
            )
