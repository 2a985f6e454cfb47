"""Compaction of many tables: find them, plan each, cut the work into items, compact each part, judge.

`table_selection`, `workload` and `table_outcomes` decide; this module acts. It does not know where the work is done:
`do` performs an action in this process, as for the command line, or has a child process perform it, as the operators of
the Airflow face do. A catalog or table that fails stops no other: it becomes a row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from autostream import times
from autostream.actions import Action, ActionFailed, Answer
from autostream.config import CompactionSettings, DatabaseSettings, Settings
from autostream.errors import AutostreamError, ConfigurationError, UsageError
from autostream.lake.compaction.compaction_actions import CompactTable, ListTables, PlanTable
from autostream.lake.compaction.failure_notices import failure_notices
from autostream.lake.compaction.runs.recording import record_outcomes, who_compacts
from autostream.lake.compaction.table_outcomes import Row, outcomes_by_table, summary
from autostream.lake.compaction.table_selection import ChosenTable, TableSelection
from autostream.lake.compaction.workload import PartitionWork, TableWorkload, WorkItem, WorkPart, split_work
from autostream.notify.telling import tell
from autostream.outcomes import outcome_of_error
from autostream.sizes import format_size
from autostream.spelling import counted

_logger = logging.getLogger(__name__)


class Perform(Protocol):
    """Does what an action asks for, wherever; raises ActionFailed, or another AutostreamError."""

    def __call__(self, action: Action[Answer], /) -> Answer:
        """Do it."""


@dataclass(frozen=True)
class FleetOrder:
    """What a run of many tables was asked for.

    Attributes:
        selection: Which tables.
        options: Compaction options, which override the properties of every table.
        where: Expression on partition columns that limits the work.
        dry_run: Only plan.
    """

    selection: TableSelection
    options: Mapping[str, str] = field(default_factory=dict)
    where: str | None = None
    dry_run: bool = False

    def check_options(self) -> None:
        """Refuse options that no table could take.

        Raises:
            ConfigurationError: An option is unknown, or its value is not allowed.
            UsageError: It is not an option of a run.
        """
        from autostream.lake.compaction.compaction_options import CompactionOptions

        if "enabled" in self.options:
            raise UsageError("`enabled` is a property of a table, not an option of a run.")
        engine = CompactionOptions.from_properties({}, self.options).engine
        if engine != "duckdb":
            raise ConfigurationError(f"Engine {engine!r} is not available: this version has only duckdb.")

    def check_where(self) -> None:
        """Refuse an expression that no table could take.

        Raises:
            UsageError: It is not an expression.
        """
        from autostream.lake.engine.where.expression import parse_where

        parse_where(self.where)


@dataclass(frozen=True)
class FoundTables:
    """The tables that a run is about.

    Attributes:
        tables: What to look at.
        failures: Rows of catalogs that could not be listed.
        unmatched: What to tell of each pattern that matches no table.
    """

    tables: tuple[ChosenTable, ...]
    failures: tuple[Row, ...] = ()
    unmatched: Mapping[str, str] = field(default_factory=dict)

    def unmatched_rows(self) -> tuple[Row, ...]:
        """Return the patterns that match no table as failures."""
        return tuple(
            {"table": pattern, "status": "failed", "error": error} for pattern, error in self.unmatched.items()
        )


@dataclass(frozen=True)
class FleetPlan:
    """What the tables of a run need.

    Attributes:
        workloads: The tables with work.
        rows: Outcomes of the others: nothing to do, or not to be planned.
    """

    workloads: tuple[TableWorkload, ...]
    rows: tuple[Row, ...]

    def items(self, limits: CompactionSettings) -> tuple[WorkItem, ...]:
        """Return the work, cut into items."""
        return split_work(
            self.workloads,
            batch_size_bytes=limits.batch_size_bytes,
            split_size_bytes=limits.split_size_bytes,
            max_items=limits.max_work_items,
        )


def find_tables(selection: TableSelection, catalogs: Sequence[str], do: Perform) -> FoundTables:
    """Look for the tables that a selection stands for.

    Args:
        selection: What was asked for.
        catalogs: Names of the catalogs to look through; those in which nothing can match are left alone.
        do: Does the work.

    Raises:
        ConfigurationError: There is no catalog to look through.
    """
    if selection.needs_listing and not catalogs:
        raise ConfigurationError(
            "No catalog is configured. Name catalogs in `compaction.catalogs` (AUTOSTREAM_COMPACTION__CATALOGS), each "
            "a connection of type `iceberg` or a catalog of PyIceberg's configuration."
        )
    listed: dict[str, list[str]] = {}
    failures: list[Row] = []
    for catalog in selection.catalogs_to_list(catalogs):
        tables = _attempt(do, ListTables(catalog=catalog), failures)
        if tables is not None:
            listed[catalog] = tables
    return FoundTables(
        tables=tuple(selection.choose(listed)),
        failures=tuple(failures),
        unmatched=selection.unmatched(listed, catalogs),
    )


def plan_tables(
    order: FleetOrder,
    tables: Iterable[ChosenTable],
    do: Perform,
    *,
    database: DatabaseSettings | None = None,
    say: Callable[[str], None] = _logger.info,
) -> FleetPlan:
    """Plan tables, one after the other.

    Args:
        order: What was asked for.
        tables: Which tables.
        do: Does the work.
        database: Where what failed is recorded; None: in that of the configuration.
        say: Gets a line for each table with work.
    """
    workloads: list[TableWorkload] = []
    rows: list[Row] = []
    for table in tables:
        request = PlanTable(
            table=table.name,
            options=dict(order.options),
            where=order.where,
            enabled_only=order.selection.enabled_only and not table.named,
        )
        known, started_at_ms = len(rows), times.now_ms()
        sizes = _attempt(do, request, rows)
        if sizes is None:  # not enabled, or already a row
            if not order.dry_run:
                record_outcomes(rows[known:], started_at_ms=started_at_ms, settings=database)
            continue
        workload = TableWorkload(table.name, tuple(PartitionWork(*size) for size in sizes))
        if workload.partitions:
            say(
                f"{table.name}: {counted(workload.input_files, 'file')} ({format_size(workload.input_bytes)}) to "
                "rewrite"
            )
            workloads.append(workload)
        else:
            rows.append({"table": table.name, "status": "nothing-to-do"})
    return FleetPlan(tuple(workloads), tuple(rows))


def compact_part(
    order: FleetOrder,
    part: WorkPart,
    do: Perform,
    *,
    database: DatabaseSettings | None = None,
    say: Callable[[str], None] = _logger.info,
) -> Row:
    """Compact a table, or some of its partitions, and return what became of it.

    Args:
        order: What was asked for.
        part: Which table, and which of its partitions.
        do: Does the work.
        database: Where it is recorded; None: in that of the configuration.
        say: Gets a line of what became of it.
    """
    request = CompactTable(
        table=part.table,
        options=dict(order.options),
        where=order.where,
        partitions=part.partitions,
        dry_run=order.dry_run,
    )
    started_at_ms = times.now_ms()
    row = _outcome(do, request)
    if not order.dry_run:
        partitions = None if part.partitions is None else len(part.partitions)
        record_outcomes([row], started_at_ms=started_at_ms, partitions=partitions, settings=database)
    say(f"{part.label}: {summary(row)}")
    return row


def compact_fleet(
    order: FleetOrder,
    found: FoundTables,
    do: Perform,
    *,
    limits: CompactionSettings,
    database: DatabaseSettings | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
    on_row: Callable[[Row], None] = lambda _: None,
    say: Callable[[str], None] = _logger.info,
) -> tuple[Row, ...]:
    """Plan and compact tables, one after the other; return one row a table, those that failed among them.

    Args:
        order: What was asked for.
        found: The tables.
        do: Does the work.
        limits: How a large table is cut into parts, of which each commits by itself.
        database: Where what was done is recorded; None: in that of the configuration.
        on_progress: Gets what is under way, such as `3 of 12: lake.db.orders`.
        on_row: Gets each outcome.
        say: Gets a line for each table that was planned or compacted.
    """
    on_progress(f"planning {counted(len(found.tables), 'table')}")
    planned = plan_tables(order, found.tables, do, database=database, say=say)
    rows = [*found.failures, *planned.rows]
    parts = [part for item in planned.items(limits) for part in item.parts]
    for number, part in enumerate(parts, start=1):
        on_progress(f"{number} of {len(parts)}: {part.label}")
        rows.append(compact_part(order, part, do, database=database, say=say))
        on_row(rows[-1])
    return outcomes_by_table(rows)


def tell_of_failures(rows: Sequence[Row], settings: Settings | None = None) -> None:
    """Tell people of the tables of a run that failed, as `notify.targets` says; whatever fails thereby fails nothing.

    Args:
        rows: What became of the tables of the run, one a table.
        settings: The configuration; None reads it.
    """
    tell(failure_notices(rows, run=who_compacts(), at_ms=times.now_ms()), settings)


def _attempt(do: Perform, request: Action[Answer], rows: list[Row]) -> Answer | None:
    """Return an answer; None, and a row of the failure, where there is none."""
    try:
        return do(request)
    except AutostreamError as error:
        row = _row_of(request, error)
        _logger.error("%s: %s", row["table"], row["error"])
        rows.append(row)
        return None


def _outcome(do: Perform, request: Action[Row]) -> Row:
    try:
        return do(request)
    except AutostreamError as error:
        return _row_of(request, error)


def _row_of(request: Action[Any], error: AutostreamError) -> Row:
    return error.row if isinstance(error, ActionFailed) else outcome_of_error(request.subject, error)
