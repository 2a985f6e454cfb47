"""Tables and their watermarks for the console: catalogs are opened once, and what fails says which answer it is."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from autostream.catalogs import list_tables, open_catalog, open_table
from autostream.config import pyiceberg_catalogs
from autostream.errors import AutostreamError, ConfigurationError, UsageError
from autostream.masking import mask
from autostream.names import TableName
from autostream.watermark.marks import TableMark
from autostream.watermark.reading.table_marks import mark_of

BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404
UNPROCESSABLE: Final = 422
UNAVAILABLE: Final = 503

_logger = logging.getLogger(__name__)

_READERS: Final = 8
_MOST_SECONDS: Final = 5.0


class Refusal(Exception):
    """Why there is no answer, as an HTTP status and a message without secrets."""

    def __init__(self, status: int, message: object) -> None:
        """Keep both; secrets are hidden."""
        super().__init__(mask(str(message)))
        self.status = status


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
            Refusal: 404 where there is no such table, 503 where its catalog or metadata cannot be read.
        """
        try:
            name = TableName.parse(text)
        except UsageError as error:
            raise Refusal(NOT_FOUND, error) from error
        catalog = self._catalog(name.catalog)
        try:
            return open_table(name, catalog=catalog), str(name)
        except UsageError as error:
            raise Refusal(NOT_FOUND, error) from error
        except AutostreamError as error:
            self._forget(name.catalog, catalog)
            raise unavailable(f"Table {name} cannot be read.") from error

    def mark(self, text: str) -> TableMark:
        """Return how complete a table is.

        Raises:
            Refusal: as ``load``; 422 where a property of the table is wrong.
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
            except Refusal as refusal:
                problems.append(str(refusal))
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
        except Refusal as refusal:
            return Row(name, None, str(refusal))
        except Exception:  # one broken table must not hide the others
            return Row(name, None, logged("It cannot be read."))

    def _catalog(self, name: str) -> Catalog:
        configured = pyiceberg_catalogs()
        if name not in configured:
            known = ", ".join(configured) or "none"
            raise Refusal(NOT_FOUND, f"No catalog {name!r} is configured. There are: {known}.")
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
        Refusal: 422 where a property of the table is wrong, 503 where its metadata cannot be read.
    """
    try:
        return mark_of(table, name)
    except ConfigurationError as error:
        raise Refusal(UNPROCESSABLE, error) from error
    except AutostreamError as error:
        raise unavailable(f"The metadata of table {name} cannot be read.") from error


def logged(what: str) -> str:
    """Log the exception that is being handled, and return what may be shown of it: not its text, but where it is.

    Texts of servers and drivers are for whoever runs the console, not for all who look at it.
    """
    entry = uuid.uuid4().hex[:8]
    _logger.exception("%s (%s)", what, entry)
    return f"{what} The console's log says why, at {entry}."


def unavailable(what: str) -> Refusal:
    """Log the exception that is being handled, and return the refusal for it."""
    return Refusal(UNAVAILABLE, logged(what))


def _done(future: Future[Row], name: str) -> Row:
    return future.result() if future.done() and not future.cancelled() else Row(name, None, "not read in time")


def now_ms() -> int:
    """Return the present, epoch ms."""
    return time.time_ns() // 1_000_000
