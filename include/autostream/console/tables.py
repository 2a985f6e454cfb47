"""Tables and their watermarks for the console: catalogs are opened once, and what fails says which answer it is."""

from __future__ import annotations

import threading

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from autostream.catalogs.opening import list_tables, open_catalog, open_table
from autostream.config import pyiceberg_catalogs
from autostream.console.problems import unavailable
from autostream.errors import AutostreamError, ConfigurationError, NotFoundError, UsageError
from autostream.names import TableName
from autostream.watermark.marks import TableMark
from autostream.watermark.reading.table_marks import mark_of


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
            raise unavailable(f"Cannot read table {name}.") from error

    def mark(self, text: str) -> TableMark:
        """Return how complete a table is.

        Raises:
            NotFoundError, UnavailableError: As `load`.
            ConfigurationError: A property of the table is wrong.
        """
        table, name = self.load(text)
        return mark_of_loaded(table, name)

    def names(self, catalog: str) -> list[str]:
        """Return the full names of all tables of a catalog.

        Raises:
            NotFoundError: There is no such catalog.
            UnavailableError: It cannot be opened or listed.
        """
        opened = self._catalog(catalog)
        try:
            return sorted(str(name) for name in list_tables(opened, catalog))
        except Exception as error:  # each catalog fails in its own way
            self._forget(catalog, opened)
            raise unavailable(f"Cannot list the tables of catalog {catalog!r}.") from error

    def _catalog(self, name: str) -> Catalog:
        configured = pyiceberg_catalogs()
        if name not in configured:
            known = ", ".join(configured) or "none"
            raise NotFoundError(f"Unknown catalog {name!r}. Configured: {known}.")
        with self._guard:
            opening = self._opening.setdefault(name, threading.Lock())
        with opening:
            if name not in self._catalogs:
                try:
                    self._catalogs[name] = open_catalog(name)
                except AutostreamError as error:
                    raise unavailable(f"Cannot open catalog {name!r}.") from error
            return self._catalogs[name]

    def _forget(self, name: str, catalog: Catalog | None = None) -> None:
        """Have a catalog that failed opened again: its connection may be dead."""
        with self._guard:
            if catalog is None or self._catalogs.get(name) is catalog:
                self._catalogs.pop(name, None)


def mark_of_loaded(table: Table, name: str) -> TableMark:
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
        raise unavailable(f"Cannot read the metadata of table {name}.") from error
