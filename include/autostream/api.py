"""The library to import: tables by name, and the questions and operations on them.

`autostream.table("lake.db.orders")` is a handle. It opens nothing until you use it. A `Lakehouse` holds what several
handles share, such as open catalogs. Command line, workflows and notebooks call the same methods.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from autostream import times
from autostream.errors import AutostreamError, ConfigurationError, ServiceError, UsageError
from autostream.names import TableName, catalog_of
from autostream.spelling import one_of

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

    from autostream.config import Settings
    from autostream.coordination.lock_records import BrokenLock
    from autostream.flink.fleet import Fleet
    from autostream.lake.compaction.compaction_options import CompactionOptions
    from autostream.lake.compaction.compaction_plan import CompactionPlan
    from autostream.lake.compaction.compaction_result import CompactionResult
    from autostream.lake.compaction.compaction_steps import CompactionObserver
    from autostream.lake.compaction.table_report import TableReport
    from autostream.lake.scan import TableScan
    from autostream.lake.table_summary import TableSummary
    from autostream.locks.table_locks import LockListing, LocksOfTable
    from autostream.resources import EngineResources
    from autostream.watermark.conditions import Answer, Condition
    from autostream.watermark.marks import TableMark
    from autostream.watermark.waiting import Step

Instant = datetime | str | int
"""A point in time: a datetime with offset, a text as the command line takes it, or epoch milliseconds."""

CatalogProperties = Mapping[str, Mapping[str, str]]
"""Catalogs by name, each with properties as PyIceberg's configuration has them."""


@dataclass(frozen=True)
class UnlistedCatalog:
    """A catalog whose tables could not be listed.

    Attributes:
        catalog: Its name.
        error: Why.
    """

    catalog: str
    error: AutostreamError


class Lakehouse:
    """Catalogs and configuration that tables share. A catalog is opened once, on first use.

    Use it in one thread only, like PyIceberg's catalogs.

    Args:
        settings: The configuration; None: read `autostream.toml` and the environment on first use.
        catalogs: The catalogs to use. None: those of PyIceberg's own configuration.
    """

    def __init__(self, *, settings: Settings | None = None, catalogs: CatalogProperties | None = None) -> None:
        """Open nothing yet."""
        self._settings = settings
        self._properties = catalogs
        self._opened: dict[str, Catalog] = {}

    @property
    def settings(self) -> Settings:
        """The configuration in use.

        Raises:
            ConfigurationError: It cannot be read, or a value is not allowed.
        """
        if self._settings is None:
            from autostream.config import load_settings

            self._settings = load_settings()
        return self._settings

    @property
    def engine_resources(self) -> EngineResources:
        """What the configuration lets the engine use."""
        from autostream.resources import EngineResources

        return EngineResources.configured(**self.settings.engine.model_dump())

    @property
    def catalogs(self) -> tuple[str, ...]:
        """Names of all catalogs."""
        if self._properties is not None:
            return tuple(self._properties)
        from autostream.config import pyiceberg_catalogs

        return tuple(pyiceberg_catalogs())

    def open_catalog(self, name: str) -> Catalog:
        """Return a catalog, opened.

        Raises:
            ConfigurationError: The catalog is not configured, or it cannot be opened.
        """
        if name not in self._opened:
            self._opened[name] = self._open_again(name)
        return self._opened[name]

    def _open_again(self, name: str) -> Catalog:
        from autostream.catalogs.opening import open_catalog

        self._require(name)
        return open_catalog(name, None if self._properties is None else self._properties[name])

    def _require(self, name: str) -> None:
        from autostream.catalogs.opening import require_catalogs

        if self._properties is None:
            require_catalogs([name])
        elif name not in self._properties:
            raise ConfigurationError(f"Unknown catalog {name!r}. {one_of(name, self._properties, 'Given')}")

    def table(self, name: str | TableName) -> LakeTable:
        """Return a handle on a table. It does not check yet whether the table exists.

        Raises:
            UsageError: The name is not CATALOG.NAMESPACE.TABLE.
        """
        return LakeTable(TableName.parse(name) if isinstance(name, str) else name, self)

    def tables(
        self,
        *patterns: str,
        namespace: str | None = None,
        on_failure: Callable[[UnlistedCatalog], None] | None = None,
    ) -> tuple[LakeTable, ...]:
        """Return the tables of all catalogs whose full names match a pattern; all tables where there is none.

        Args:
            patterns: Such as `lake.shop.*`; `*` stands for any characters, dots included, `?` for one. The name of a
                catalog alone stands for all its tables.
            namespace: Only tables of this namespace and those within it, such as `db` or `raw.shop`.
            on_failure: Called with each catalog that cannot be listed; the other catalogs are still listed. None: raise
                the error.

        Raises:
            ConfigurationError: A pattern names an unknown catalog.
            AutostreamError: A catalog cannot be opened or listed.
        """
        from autostream.lake.compaction.table_selection import is_pattern

        wanted = [word if "." in word or is_pattern(word) else f"{word}.*" for word in patterns] or ["*"]
        for pattern in wanted:
            if not is_pattern(catalog_of(pattern)):
                self._require(catalog_of(pattern))
        found: list[LakeTable] = []
        for catalog in self.catalogs:
            if not any(_may_match(catalog, pattern) for pattern in wanted):
                continue
            try:
                names = self._names(catalog)
            except AutostreamError as error:
                if on_failure is None:
                    raise
                on_failure(UnlistedCatalog(catalog, error))
                continue
            found += (LakeTable(name, self) for name in names if _matches(name, wanted, namespace))
        return tuple(found)

    def _names(self, catalog: str) -> list[TableName]:
        from autostream.catalogs.opening import list_tables

        try:
            return list(list_tables(self.open_catalog(catalog), catalog))
        except AutostreamError:
            raise
        except Exception as error:  # each catalog fails in its own way
            raise ServiceError(
                f"Cannot list the tables of catalog {catalog!r}: {type(error).__name__}: {error}."
            ) from error

    def locks(self, catalog: str | None = None) -> LockListing:
        """Return the locks that are held on tables, in ZooKeeper and in Hive metastores.

        If a service does not answer, the result has the locks of the others, and names the service as a problem.

        Args:
            catalog: Only locks on tables of this catalog in PyIceberg's own configuration.

        Raises:
            ConfigurationError: The catalog is not configured, or neither ZooKeeper nor a Hive catalog is configured.
        """
        from autostream.locks.table_locks import list_locks

        return list_locks(catalog)

    def await_condition(
        self,
        condition: Condition,
        *,
        timeout_seconds: float | None = None,
        poll_seconds: float = 5.0,
        report_progress: Callable[[str], None] | None = None,
    ) -> Step:
        """Wait until tables are complete or the time is up, and return the outcome.

        If a catalog does not answer, the wait goes on.

        Args:
            condition: Which tables have to be complete, and up to which time.
            timeout_seconds: How long to wait at most; None waits for ever.
            poll_seconds: Time between two readings.
            report_progress: Called with the explanation each time it changes.

        Raises:
            UsageError: The table does not exist.
            ConfigurationError: The catalog is not configured.
            DeniedError: This account may not read it.
        """
        from autostream.errors import DeniedError
        from autostream.watermark.reading.mark_reader import MarkReader
        from autostream.watermark.waiting import wait_until

        for table in condition.tables:
            self._require(TableName.parse(table).catalog)
        reader = MarkReader(
            self._open_again, refusals=(DeniedError, UsageError), settings=lambda: self.settings.watermark
        )
        return wait_until(
            condition,
            reader.read,
            timeout_seconds=timeout_seconds,
            poll_seconds=poll_seconds,
            report=report_progress or (lambda _: None),
        )


@dataclass(frozen=True)
class LakeTable:
    """A table by its name. Each method reads the current state of the table.

    Attributes:
        name: Its full name.
        lakehouse: What it shares with other tables.
    """

    name: TableName
    lakehouse: Lakehouse = field(default_factory=Lakehouse, repr=False, compare=False)

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
        )

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


def table(name: str, *, settings: Settings | None = None, catalogs: CatalogProperties | None = None) -> LakeTable:
    """Return a handle on a table, such as `table("lake.db.orders")`.

    Args:
        name: CATALOG.NAMESPACE.TABLE.
        settings: The configuration; None: read `autostream.toml` and the environment.
        catalogs: The catalogs to use. None: those of PyIceberg's own configuration.

    Raises:
        UsageError: The name is not CATALOG.NAMESPACE.TABLE.
    """
    return Lakehouse(settings=settings, catalogs=catalogs).table(name)


def tables(
    *patterns: str,
    namespace: str | None = None,
    settings: Settings | None = None,
    catalogs: CatalogProperties | None = None,
) -> tuple[LakeTable, ...]:
    """Return the tables whose full names match a pattern, such as `tables("lake.shop.*")`; all without one.

    Args:
        patterns: `*` stands for any characters, dots included, `?` for one.
        namespace: Only tables of this namespace and those within it.
        settings: The configuration; None: read `autostream.toml` and the environment.
        catalogs: The catalogs to use. None: those of PyIceberg's own configuration.

    Raises:
        AutostreamError: A catalog cannot be opened or listed.
    """
    return Lakehouse(settings=settings, catalogs=catalogs).tables(*patterns, namespace=namespace)


def flink(settings: Settings | None = None) -> Fleet:
    """Return the Flink clusters that are configured, whose jobs can be listed and looked at.

    Args:
        settings: The configuration; None reads `autostream.toml` and the environment.

    Raises:
        ConfigurationError: It cannot be read, or a value is not allowed.
    """
    from autostream.config import load_settings
    from autostream.flink.fleet import Fleet

    return Fleet((settings or load_settings()).flink)


def locks(catalog: str | None = None) -> LockListing:
    """Return the locks that are held on tables, in ZooKeeper and in Hive metastores, optionally of one catalog.

    Raises:
        ConfigurationError: The catalog is not configured, or neither ZooKeeper nor a Hive catalog is configured.
    """
    return Lakehouse().locks(catalog)


def to_epoch_ms(instant: Instant) -> int:
    """Return a point in time as epoch milliseconds.

    Raises:
        UsageError: It is a datetime without offset, or a text that is not a time.
    """
    if isinstance(instant, datetime):
        if instant.tzinfo is None:
            raise UsageError(f"Invalid time {instant.isoformat()}: it has no UTC offset. Add one, such as tzinfo=UTC.")
        return times.to_ms(instant)
    return times.parse_instant(instant) if isinstance(instant, str) else instant


def _matches(name: TableName, patterns: Iterable[str], namespace: str | None) -> bool:
    within = namespace is None or f"{name.namespace}.".startswith(f"{namespace}.")
    return within and any(fnmatchcase(str(name), pattern) for pattern in patterns)


def _may_match(catalog: str, pattern: str) -> bool:
    """Say whether a table of a catalog can match; a `*` stands for dots too."""
    first = catalog_of(pattern)
    return "*" in first or fnmatchcase(catalog, first)


def _options(table: Table, overrides: Mapping[str, str] | None) -> CompactionOptions:
    from autostream.iceberg.tables import full_name
    from autostream.lake.compaction.compaction_options import CompactionOptions

    return CompactionOptions.from_properties(table.properties, overrides or {}, table=full_name(table))
