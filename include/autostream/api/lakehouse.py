"""Catalogs and configuration that tables share, and what is asked and done across tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from autostream.api.lake_table import LakeTable
from autostream.errors import AutostreamError, ConfigurationError, ServiceError, UsageError
from autostream.names import TableName, catalog_of
from autostream.spelling import one_of

if TYPE_CHECKING:
    import threading
    from contextlib import AbstractContextManager

    from pyiceberg.catalog import Catalog

    from autostream.api.many_tables import FleetObserver
    from autostream.api.service_checks import CheckReport
    from autostream.config import Settings
    from autostream.lake.compaction.table_outcomes import EnablingResult, FleetResult, Row
    from autostream.locks.janitor import SweepReport
    from autostream.locks.table_locks import ElectionListing, LockListing
    from autostream.notify.delivery import DeliveryReport
    from autostream.resources import EngineResources
    from autostream.watermark.conditions import Condition
    from autostream.watermark.recorder_run import RecorderReport
    from autostream.watermark.waiting import Step

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
            self._opened[name] = self.reopen_catalog(name)
        return self._opened[name]

    def reopen_catalog(self, name: str) -> Catalog:
        """Return a catalog, opened anew: for another thread, or to see whether it can be.

        Raises:
            ConfigurationError: The catalog is not configured, or it cannot be opened.
        """
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

    def elections(self) -> ElectionListing:
        """Return which process is elected for what, in all configured ZooKeeper ensembles.

        Raises:
            ConfigurationError: ZooKeeper is not configured.
        """
        from autostream.locks.table_locks import list_elections

        return list_elections()

    def release_stale_locks(self, *catalogs: str, dry_run: bool = False) -> SweepReport:
        """Release Hive locks whose holder is gone: long silent, and neither its process nor its Flink job lives.

        A metastore that cannot be asked does not block the others: it is a problem of the report.

        Args:
            catalogs: Hive catalogs; none: those of the setting `janitor.catalogs`, or else all that are configured.
            dry_run: Only say what would be released.

        Raises:
            ConfigurationError: There is no such Hive catalog, or none at all.
        """
        from autostream.locks.janitor import sweep_catalogs

        return sweep_catalogs(catalogs, dry_run=dry_run)

    def compact(
        self,
        *patterns: str,
        enabled: bool = False,
        where: str | None = None,
        options: Mapping[str, str] | None = None,
        dry_run: bool = False,
        report_progress: Callable[[str], None] | None = None,
        on_row: Callable[[Row], None] | None = None,
        on_step: FleetObserver | None = None,
    ) -> FleetResult:
        """Compact tables one after the other, as the hourly workflow does it, and say what became of each.

        A table that fails does not stop the others: it is told in the result, whose `exit_code` is 0 where nothing
        went wrong. Catalogs that are looked through are those of the setting `compaction.catalogs`, or else all, and
        those that a pattern names.

        Args:
            patterns: Full names, or patterns of them such as `lake.shop.*`; `*` stands for any characters, dots
                included, `?` for one.
            enabled: Only tables with `autostream.compaction.enabled=true`, of those that match; without patterns, of
                all. A table that is named in full is compacted in any case.
            where: Expression on partition columns that limits the work.
            options: Compaction options that override the tables' properties, by their names without prefix.
            dry_run: Only plan.
            report_progress: Called with a line each time the run starts something new.
            on_row: Gets each outcome of a table, or of a part of a large one, as soon as there is one.
            on_step: Gets each step of the protocol, and the table that it is about.

        Raises:
            UsageError: No table is asked for, or a pattern matches none: nothing was done then.
            ConfigurationError: An option is unknown or its value not allowed, or there is no catalog.
        """
        from autostream.api.many_tables import compact_tables

        return compact_tables(
            self,
            patterns,
            enabled=enabled,
            where=where,
            options=options or {},
            dry_run=dry_run,
            report_progress=report_progress,
            on_row=on_row,
            on_step=on_step,
        )

    def enable(self, *patterns: str, report_progress: Callable[[str], None] | None = None) -> EnablingResult:
        """Have the hourly workflow compact tables. One that fails does not stop the others, unless it is the only one.

        Args:
            patterns: Full names, or patterns of them, as `compact` takes.
            report_progress: Gets a line before each table.

        Raises:
            UsageError: No table is asked for, or a pattern matches none: nothing was done then.
            AutostreamError: The only table cannot be changed, as `LakeTable.enable` says.
        """
        from autostream.api.many_tables import set_tables_enabled

        return set_tables_enabled(self, patterns, enabled=True, report_progress=report_progress)

    def disable(self, *patterns: str, report_progress: Callable[[str], None] | None = None) -> EnablingResult:
        """Have the hourly workflow leave tables alone.

        Args:
            patterns: Full names, or patterns of them, as `compact` takes.
            report_progress: Gets a line before each table.

        Raises:
            AutostreamError: As `enable` says.
        """
        from autostream.api.many_tables import set_tables_enabled

        return set_tables_enabled(self, patterns, enabled=False, report_progress=report_progress)

    def check(self, *catalogs: str) -> CheckReport:
        """Prove that catalogs, ZooKeeper, Flink and the database can be reached, and that the engine has room to spill.

        What is out of order is told in the report, and does not hide the state of the others.

        Args:
            catalogs: Only these catalogs; none: those of the setting `compaction.catalogs`, or else all.

        Raises:
            ConfigurationError: The configuration cannot be read, or no catalog is configured.
        """
        from autostream.api.service_checks import check_services

        return check_services(self, catalogs)

    def record_watermarks(
        self,
        *,
        seconds: float | None = None,
        stop: threading.Event | None = None,
        on_step: Callable[[], None] | None = None,
    ) -> RecorderReport:
        """Record the watermarks of running Flink jobs in their tables, as the configuration says, until told to stop.

        Flink and its jobs stay as they are. A watermark is published only once its rows are proved to be in the table.
        Several recorders may run: where ZooKeeper is configured one is elected, and the others are ready to take over.

        Args:
            seconds: End after so long; None: when `stop` is set.
            stop: Ends it once set, from another thread or a signal's handler.
            on_step: Called again and again while it runs, by which others can see that it lives.

        Raises:
            ConfigurationError: No Flink cluster is configured, or one that is not known is named.
        """
        from autostream.watermark.recorder_run import record_watermarks

        return record_watermarks(
            self.settings, open_catalog=self.reopen_catalog, seconds=seconds, stop=stop, on_step=on_step
        )

    def deliver_notices(self) -> DeliveryReport:
        """Send the notices to people that are due, as `[[notify.targets]]` says.

        Raises:
            ConfigurationError: The database is not of this version.
            ServiceError: The database cannot be reached, or fails.
        """
        from autostream.notify.delivery import deliver_due
        from autostream.store.database import open_database

        return deliver_due(open_database(self.settings.database), self.settings)

    def delivering_notices(self) -> AbstractContextManager[None]:
        """Send the notices that are due in a thread of its own, as long as the context lasts: `with` it.

        Nothing happens where no target is configured.
        """
        from autostream.notify.delivery import delivering

        return delivering(self.settings)

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
        from autostream.watermark.vain_waits import tell_of_wait
        from autostream.watermark.waiting import wait_until

        for table in condition.tables:
            self._require(TableName.parse(table).catalog)
        reader = MarkReader(
            self.reopen_catalog, refusals=(DeniedError, UsageError), settings=lambda: self.settings.watermark
        )
        found = wait_until(
            condition,
            reader.read,
            timeout_seconds=timeout_seconds,
            poll_seconds=poll_seconds,
            report=report_progress or (lambda _: None),
        )
        if timeout_seconds and not found.answer.met:  # with no time allowed it was a question, and nobody waited
            tell_of_wait(condition, found.answer, waited_seconds=timeout_seconds, settings=self.settings)
        return found


def _matches(name: TableName, patterns: Iterable[str], namespace: str | None) -> bool:
    within = namespace is None or f"{name.namespace}.".startswith(f"{namespace}.")
    return within and any(fnmatchcase(str(name), pattern) for pattern in patterns)


def _may_match(catalog: str, pattern: str) -> bool:
    """Say whether a table of a catalog can match; a `*` stands for dots too."""
    first = catalog_of(pattern)
    return "*" in first or fnmatchcase(catalog, first)
