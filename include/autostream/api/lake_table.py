"""A table by its name: what can be asked of it and done with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autostream import times
from autostream.account import this_account
from autostream.api.instants import Instant, to_epoch_ms
from autostream.errors import UsageError
from autostream.names import TableName

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from autostream.api.lakehouse import Lakehouse
    from autostream.coordination.lock_records import BrokenLock
    from autostream.lake.compaction.compaction_options import CompactionOptions
    from autostream.lake.compaction.compaction_plan import CompactionPlan
    from autostream.lake.compaction.compaction_result import CompactionResult
    from autostream.lake.compaction.compaction_steps import CompactionObserver
    from autostream.lake.compaction.table_report import TableReport
    from autostream.lake.scan import TableScan
    from autostream.lake.table_summary import TableSummary
    from autostream.locks.table_locks import LocksOfTable
    from autostream.watermark.conditions import Answer
    from autostream.watermark.history.completion import Completion
    from autostream.watermark.history.table_history import WatermarkHistory
    from autostream.watermark.manual_changes import WatermarkUpdate
    from autostream.watermark.marks import TableMark
    from autostream.watermark.publish import Decision

FOREVER: Final = "forever"
"""The watermark of a writer that has ended."""


@dataclass(frozen=True)
class LakeTable:
    """A table by its name. Each method reads the current state of the table.

    Attributes:
        name: Its full name.
        lakehouse: What it shares with other tables.
    """

    name: TableName
    lakehouse: Lakehouse = field(repr=False, compare=False)

    def __str__(self) -> str:
        """Return the name in full."""
        return str(self.name)

    def load(self) -> Table:
        """Return PyIceberg's table, as it is now.

        Raises:
            UsageError: The table does not exist.
            AutostreamError: Its catalog or metadata cannot be read.
        """
        from autostream.catalogs.opening import open_table

        return open_table(self.name, catalog=self.lakehouse.open_catalog(self.name.catalog))

    def summary(self) -> TableSummary:
        """Return the size of the table by its newest metadata. It reads no manifest."""
        from autostream.lake.table_summary import TableSummary

        return TableSummary.of(str(self.name), self.load().metadata)

    def inspect(self, *, options: Mapping[str, str] | None = None) -> TableReport:
        """Return the table's files, what its deletes apply to, and what compaction would do and why.

        Args:
            options: Compaction options to judge by, by their names without prefix, such as `min-input-files`.
        """
        from autostream.lake.compaction.planning import plan_compaction
        from autostream.lake.compaction.table_report import inspect_table

        table = self.load()
        plan = plan_compaction(table, options=_options(table, options), name=str(self.name), only_to_show=True)
        return inspect_table(plan, str(self.name))

    def plan(
        self,
        *,
        where: str | None = None,
        partitions: Collection[str] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> CompactionPlan:
        """Return what compaction would do; only metadata is read.

        Args:
            where: Expression on partition columns that limits the plan.
            partitions: Names of partitions, as plans show them, that limit it.
            options: Compaction options that override the table's properties, by their names without prefix.
        """
        from autostream.lake.compaction.planning import plan_compaction

        table = self.load()
        thresholds = _options(table, options)
        self._require_partitions(table, partitions)
        return plan_compaction(table, options=thresholds, where=where, partitions=partitions, name=str(self.name))

    def compact(
        self,
        *,
        where: str | None = None,
        partitions: Collection[str] | None = None,
        options: Mapping[str, str] | None = None,
        dry_run: bool = False,
        report_progress: Callable[[str], None] | None = None,
        on_step: CompactionObserver | None = None,
    ) -> CompactionResult:
        """Merge small files and apply deletes, while the writer keeps writing.

        The result names conflicts with other writers, and groups that failed. Its `exit_code` is 0 if all went well.
        The run is recorded in the database, like runs of commands and workflows.

        Args:
            where: Expression on partition columns that limits the work.
            partitions: Names of partitions, as plans show them, that limit it.
            options: Compaction options that override the table's properties, by their names without prefix.
            dry_run: Only plan.
            report_progress: Called with a line each time the run starts something new.
            on_step: Gets each step of the protocol.

        Raises:
            AutostreamError: The table cannot be planned: wrong options, unsupported version, damaged metadata.
        """
        from autostream.lake.compaction.compaction_steps import ignore_compaction_step
        from autostream.lake.compaction.runs.recording import run_recorded
        from autostream.lake.compaction.table_compaction import compact_table

        if options and "enabled" in options:
            raise UsageError(
                "`enabled` is a property of a table, not an option of a run. Leave the option out: a table that you "
                "name is always compacted."
            )
        table = self.load()
        thresholds = _options(table, options)
        self._require_partitions(table, partitions)
        resources = self.lakehouse.engine_resources
        return run_recorded(
            str(self.name),
            lambda: compact_table(
                table,
                self.name,
                options=thresholds,
                where=where,
                partitions=partitions,
                dry_run=dry_run,
                resources=resources,
                report_progress=report_progress,
                on_step=on_step or ignore_compaction_step,
            ),
            settings=self.lakehouse.settings.database,
        )

    def enable(self) -> bool:
        """Have the hourly workflow compact the table; return whether that changed anything.

        Raises:
            UsageError: The table does not exist.
            ConflictError: Other commits were faster at every attempt; nothing was changed.
            OutcomeUnknownError: Whether it was set could not be found out; setting it again is safe.
            DeniedError: The catalog refused it.
        """
        return self._set_enabled(True)

    def disable(self) -> bool:
        """Have the hourly workflow leave the table alone; return whether that changed anything.

        Raises:
            AutostreamError: As `enable` says.
        """
        return self._set_enabled(False)

    def _set_enabled(self, enabled: bool, /) -> bool:
        from autostream.lake.compaction.enabling import set_enabled

        return set_enabled(self.load(), enabled=enabled)

    def scan(
        self, *, where: str | None = None, columns: Sequence[str] | None = None, snapshot_id: int | None = None
    ) -> TableScan:
        """Return the rows of the table, with deletes applied. They are read when you ask for them.

        Args:
            where: Filter, such as `day >= '2026-11-23' AND id > 5`.
            columns: Names of columns, in the order of the result. None: all columns.
            snapshot_id: The snapshot to read. None: the current one.

        Raises:
            UsageError: An unknown column or snapshot, or a filter that does not fit.
            AutostreamError: The table cannot be read.
        """
        from autostream.lake.scan import scan_table

        resources = self.lakehouse.engine_resources
        return scan_table(self.load(), where=where, columns=columns, snapshot_id=snapshot_id, resources=resources)

    def watermark(self) -> TableMark:
        """Return how complete the table is. Its `watermark_ms` is None if that is not known."""
        from autostream.watermark.reading.table_marks import mark_of

        return mark_of(self.load(), str(self.name), settings=self.lakehouse.settings.watermark)

    def wait(
        self,
        *,
        until: Instant,
        lateness_seconds: float = 0.0,
        writers: Iterable[str] = (),
        timeout_seconds: float | None = None,
        poll_seconds: float = 5.0,
        report_progress: Callable[[str], None] | None = None,
    ) -> Answer:
        """Wait until the table is complete up to a time.

        Args:
            until: The time up to which the table has to be complete, such as the end of an hour.
            lateness_seconds: How much later than `until` the watermark has to be, for rows that arrive late.
            writers: Only these writers count. Empty: all active writers.
            timeout_seconds: How long to wait at most; 0: check once. None: wait for ever.
            poll_seconds: Time between two readings.
            report_progress: Called with the explanation each time it changes.

        Raises:
            TimedOutError: The time is up. The message names the late writer.
            UsageError: The table does not exist, or `until` is not a time.
        """
        from autostream.watermark.conditions import Condition
        from autostream.watermark.waiting import require_met

        condition = Condition(
            tables=(str(self.name),),
            until_ms=to_epoch_ms(until),
            lateness_ms=round(lateness_seconds * 1000),
            writers=tuple(writers),
        )
        found = self.lakehouse.await_condition(
            condition, timeout_seconds=timeout_seconds, poll_seconds=poll_seconds, report_progress=report_progress
        )
        return require_met(found, timeout_seconds=timeout_seconds)

    def set_watermark(self, at: Instant, *, writer: str, force: bool = False, by: str | None = None) -> WatermarkUpdate:
        """Record how far a writer has got, as it says itself. It never goes back: an earlier time changes nothing.

        Args:
            at: All rows of the writer up to this time are in the table; `"forever"`: the writer has ended.
            writer: Its name.
            force: Take a time further ahead of now than the setting `watermark.max_ahead_seconds`.
            by: Who says so, for the record; None: the account of this process.

        Raises:
            UsageError: There is no such table, `at` is not a time, or it is too far ahead.
            ConflictError: Other commits were faster at every attempt; nothing was changed.
            OutcomeUnknownError: Whether it was recorded could not be found out; recording it again is safe.
            DeniedError: The catalog refused it.
        """
        from autostream.watermark.changes import WriterReport, apply_reports

        at_ms = self._believable(at, force=force)
        report = WriterReport(writer, at_ms, forced=force and at_ms < times.FOREVER_MS)
        return self._change_watermarks(
            lambda properties: apply_reports(properties, [report], now_ms=times.now_ms(), by=by or this_account())
        )

    def _believable(self, at: Instant, *, force: bool) -> int:
        if isinstance(at, str) and at.strip().lower() == FOREVER:
            return times.FOREVER_MS
        at_ms = to_epoch_ms(at)
        most_seconds = self.lakehouse.settings.watermark.max_ahead_seconds
        too_far = times.why_too_far_ahead(at_ms, now_ms=times.now_ms(), most_seconds=most_seconds)
        if too_far and not force:
            raise UsageError(
                f"Invalid watermark {at}: {too_far}. A table cannot have all rows of a time in the future. "
                f'Correct the time, give "{FOREVER}" for a writer that has ended, or force=True.'
            )
        return at_ms

    def retire_writer(self, writer: str, *, reason: str, by: str | None = None) -> WatermarkUpdate:
        """Stop waiting for a writer. If it reports again, it has to catch up before it counts.

        Args:
            writer: Its name.
            reason: Why; kept on record.
            by: Who does it, for the record; None: the account of this process.

        Raises:
            UsageError: There is no such table, or it has no such writer.
            AutostreamError: It could not be recorded, as `set_watermark` says.
        """
        from autostream.watermark.changes import retire_writer

        return self._change_watermarks(
            lambda properties: retire_writer(
                properties, writer, now_ms=times.now_ms(), by=by or this_account(), reason=reason
            )
        )

    def reset_watermark(
        self, to: Instant, *, reason: str, writer: str | None = None, by: str | None = None
    ) -> WatermarkUpdate:
        """Set a watermark back, as after a rollback or a reload. Who did it, when and why stays on record in the table.

        Args:
            to: The time to go back to.
            reason: Why.
            writer: Only this writer, and the table with it; None: all writers.
            by: Who does it, for the record; None: the account of this process.

        Raises:
            UsageError: There is no such table, it has no such writer, or `to` is not before what is recorded.
            AutostreamError: It could not be recorded, as `set_watermark` says.
        """
        from autostream.watermark.changes import reset_watermark

        to_ms = to_epoch_ms(to)
        return self._change_watermarks(
            lambda properties: reset_watermark(
                properties, to_ms, writer=writer, now_ms=times.now_ms(), by=by or this_account(), reason=reason
            )
        )

    def _change_watermarks(self, decide: Decision) -> WatermarkUpdate:
        from autostream.watermark.manual_changes import change_watermarks

        return change_watermarks(self.load(), decide, name=str(self.name), settings=self.lakehouse.settings)

    def watermark_history(
        self,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        writer: str | None = None,
        newest: int | None = None,
    ) -> WatermarkHistory:
        """Return what happened to the table's watermarks, oldest first.

        It is known from the database and the table's metadata; where the database cannot be asked, from what metadata
        the table still keeps, which is a problem of the result.

        Args:
            since: What was recorded from then on.
            until: What was recorded before then.
            writer: Of this writer only.
            newest: At most so many, the newest.
        """
        from autostream.watermark.history.table_history import watermark_history

        return watermark_history(
            self.load(),
            since_ms=None if since is None else to_epoch_ms(since),
            until_ms=None if until is None else to_epoch_ms(until),
            writer=writer,
            newest=newest,
            settings=self.lakehouse.settings,
        )

    def completion(self, until: Instant) -> Completion:
        """Return when the table became complete up to a time; `reached` of it is None where that is not known.

        Args:
            until: What it has to be complete up to.
        """
        from autostream.watermark.history.completion import completed_at

        return completed_at(self.load(), to_epoch_ms(until), settings=self.lakehouse.settings)

    def locks(self) -> LocksOfTable:
        """Return the holder of the table's lock, those that wait for it, and its broken locks."""
        from autostream.locks.table_locks import locks_of_table

        return locks_of_table(self.name)

    def break_locks(self, found: LocksOfTable, *, reason: str = "") -> tuple[BrokenLock, ...]:
        """Take the locks of the table from their holders, and record by whom and why. The holders are not stopped.

        Args:
            found: The result of `locks`. A lock that has a new holder since then is not broken.
            reason: Why.

        Raises:
            ConflictError: A lock has a new holder.
        """
        from autostream.locks.table_locks import break_locks

        return tuple(break_locks(found, reason=reason))

    def _require_partitions(self, table: Table, partitions: Collection[str] | None) -> None:
        if partitions:
            from autostream.iceberg.state import read_state
            from autostream.lake.compaction.compaction_plan import require_partitions

            require_partitions(read_state(table, name=str(self.name)), partitions, table=str(self.name))


def _options(table: Table, overrides: Mapping[str, str] | None) -> CompactionOptions:
    from autostream.iceberg.tables import full_name
    from autostream.lake.compaction.compaction_options import CompactionOptions

    return CompactionOptions.from_properties(table.properties, overrides or {}, table=full_name(table))
