"""Tables and their watermarks for the console: catalogs are opened once, and what fails says which answer it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from autostream.catalogs.opening import list_tables, open_catalog, open_table
from autostream.config import pyiceberg_catalogs
from autostream.console.problems import UnavailableError, logged, unavailable
from autostream.errors import AutostreamError, ConfigurationError, NotFoundError, UsageError
from autostream.names import TableName
from autostream.watermark.marks import TableMark
from autostream.watermark.reading.table_marks import mark_of

_READERS: Final = 8
_MOST_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Row:
    """One table of the list: its watermark, or why there is none."""

    name: str
    mark: TableMark | None
    problem: str = ""


class Tables:
    """Reads tables. Safe for use by several threads."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._catalogs: dict[str, Catalog] = {}
        self._guard = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}

    def load(self, text: str) -> tuple[Table, str]:
        """Return a table as it is now, and its full name.

        Raises:
            NotFoundError: There is no such table.
            UnavailableError: Its catalog or metadata cannot be read.
        """
        try:
            name = TableName.parse(text)
        except UsageError as error:
            raise NotFoundError(str(error)) from error
        catalog = self._catalog(name.catalog)
        try:
            return open_table(name, catalog=catalog), str(name)
        except UsageError as error:
            raise NotFoundError(str(error)) from error
        except AutostreamError as error:
            self._forget(name.catalog, catalog)
            raise unavailable(f"Table {name} cannot be read.") from error

    def mark(self, text: str) -> TableMark:
        """Return how complete a table is.

        Raises:
            NotFoundError, UnavailableError: As `load`.
            ConfigurationError: A property of the table is wrong.
        """
        table, name = self.load(text)
        return mark(table, name)

    def overview(self, *, pick: Callable[[str], bool], most: int) -> tuple[list[Row], int, list[str]]:
        """Return the first so many tables of all catalogs by name, how many there are, and which catalogs failed.

        Watermarks that are not read within some seconds are left out.
        """
        names: list[str] = []
        problems = []
        for catalog in pyiceberg_catalogs():
            try:
                names += [str(name) for name in list_tables(self._catalog(catalog), catalog) if pick(str(name))]
            except UnavailableError as error:
                problems.append(str(error))
            except Exception:  # each catalog fails in its own way, and must not hide the others
                self._forget(catalog)
                problems.append(logged(f"Catalog {catalog!r} cannot be listed."))
        names.sort()
        return self._rows(names[:most]), len(names), problems

    def _rows(self, names: Sequence[str]) -> list[Row]:
        pool = ThreadPoolExecutor(_READERS, thread_name_prefix="console")
        try:
            started = [pool.submit(self._row, name) for name in names]
            wait(started, timeout=_MOST_SECONDS)
            return [_done(future, name) for future, name in zip(started, names, strict=True)]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _row(self, name: str) -> Row:
        try:
            return Row(name, self.mark(name))
        except (NotFoundError, UnavailableError, ConfigurationError) as error:
            return Row(name, None, str(error))
        except Exception:  # one broken table must not hide the others
            return Row(name, None, logged("It cannot be read."))

    def _catalog(self, name: str) -> Catalog:
        configured = pyiceberg_catalogs()
        if name not in configured:
            known = ", ".join(configured) or "none"
            raise NotFoundError(f"No catalog {name!r} is configured. There are: {known}.")
        with self._guard:
            opening = self._opening.setdefault(name, threading.Lock())
        with opening:
            if name not in self._catalogs:
                try:
                    self._catalogs[name] = open_catalog(name)
                except AutostreamError as error:
                    raise unavailable(f"Catalog {name!r} cannot be opened.") from error
            return self._catalogs[name]

    def _forget(self, name: str, catalog: Catalog | None = None) -> None:
        """Have a catalog that failed opened anew: its connection may be dead."""
        with self._guard:
            if catalog is None or self._catalogs.get(name) is catalog:
                self._catalogs.pop(name, None)


def mark(table: Table, name: str) -> TableMark:
    """Return how complete a loaded table is.

    Raises:
        ConfigurationError: A property of the table is wrong.
        UnavailableError: Its metadata cannot be read.
    """
    try:
        return mark_of(table, name)
    except ConfigurationError:
        raise
    except AutostreamError as error:
        raise unavailable(f"The metadata of table {name} cannot be read.") from error


def _done(future: Future[Row], name: str) -> Row:
    return future.result() if future.done() and not future.cancelled() else Row(name, None, "not read in time")
