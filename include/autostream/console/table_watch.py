"""What is known of all tables: looked at when someone asks, by few threads, and kept for a little while.

Each catalog is looked at by itself, so one that is away or slow does not hold up the others. Only the newest metadata
of a table is read, no manifest, but for a watermark that is derived from the bounds of a column.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Final

from pyiceberg.table import Table

from autostream.config import pyiceberg_catalogs
from autostream.console.problems import UnavailableError, logged
from autostream.console.table_rows import TableRow
from autostream.console.tables import Tables, mark_of_loaded
from autostream.errors import AutostreamError, ConfigurationError, NotFoundError
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.runs.log import RunLog
from autostream.lake.table_sizes import TableSizes
from autostream.store.database import open_database
from autostream.times import monotonic, now_ms

_READERS_A_CATALOG: Final = 4
_FRESH_SECONDS: Final = 15.0


@dataclass(frozen=True)
class CatalogLook:
    """What a look at a catalog found.

    Attributes:
        catalog: Its name.
        rows: Its tables by name.
        problem: Why it could not be looked at; empty where it could.
        looked_at_ms: When the look was over; None while the first one is under way.
    """

    catalog: str
    rows: tuple[TableRow, ...] = ()
    problem: str = ""
    looked_at_ms: int | None = None

    @property
    def up(self) -> bool:
        """Whether the catalog answers."""
        return self.looked_at_ms is not None and not self.problem


@dataclass(frozen=True)
class Overview:
    """What is known of all tables.

    Attributes:
        catalogs: What was found in each catalog.
        rows: The tables of all catalogs by name, with their last compactions.
        problem: Why compactions are not known; empty where they are.
    """

    catalogs: tuple[CatalogLook, ...]
    rows: tuple[TableRow, ...]
    problem: str = ""


class TableWatch:
    """Looks at tables. Safe for use by several threads."""

    def __init__(self, tables: Tables, *, patience_seconds: float = 5.0) -> None:
        """Look at nothing yet.

        Args:
            tables: Opens catalogs and tables.
            patience_seconds: For how long whoever asks waits for looks; what is known by then is the answer.
        """
        self._tables = tables
        self._patience_seconds = patience_seconds
        self._guard = threading.Lock()
        self._looks: dict[str, CatalogLook] = {}
        self._looked: dict[str, float] = {}
        self._under_way: dict[str, Future[None]] = {}

    def overview(self) -> Overview:
        """Return what is known of all tables."""
        catalogs = pyiceberg_catalogs()
        wait([future for catalog in catalogs if (future := self._due(catalog))], timeout=self._patience_seconds)
        with self._guard:
            looks = tuple(self._looks.get(catalog, CatalogLook(catalog)) for catalog in catalogs)
        rows = sorted((row for look in looks for row in look.rows), key=lambda row: row.name)
        try:
            with open_database().read() as connection:
                last = RunLog(connection).last_of([row.name for row in rows])
        except AutostreamError:
            return Overview(looks, tuple(rows), logged("Cannot read the record of compactions."))
        return Overview(looks, tuple(replace(row, last_run=last.get(row.name)) for row in rows))

    def _due(self, catalog: str) -> Future[None] | None:
        """Return the look at a catalog that is under way, begun now where it is time; None where none is needed."""
        with self._guard:
            under_way = self._under_way.get(catalog)
            if under_way and not under_way.done():
                return under_way
            looked = self._looked.get(catalog)
            if looked is not None and monotonic() - looked < _FRESH_SECONDS:
                return None
            self._under_way[catalog] = future = Future[None]()
        threading.Thread(target=self._look, args=(catalog, future), name=f"look at {catalog}", daemon=True).start()
        return future

    def _look(self, catalog: str, future: Future[None]) -> None:
        try:
            found = self._found_in(catalog)
        except (NotFoundError, UnavailableError) as error:
            found = CatalogLook(catalog, problem=str(error))
        except Exception:  # no catalog hides the others
            found = CatalogLook(catalog, problem=logged(f"Cannot list the tables of catalog {catalog!r}."))
        with self._guard:
            self._looks[catalog] = replace(found, looked_at_ms=now_ms())
            self._looked[catalog] = monotonic()
        future.set_result(None)

    def _found_in(self, catalog: str) -> CatalogLook:
        names = self._tables.names(catalog)
        with self._guard:
            known = {row.name: row for row in self._looks.get(catalog, CatalogLook(catalog)).rows}
            # Whoever waits no longer is shown all names at least.
            early = tuple(known.get(name, TableRow(name, problem="not read in time")) for name in names)
            self._looks[catalog] = CatalogLook(catalog, early, looked_at_ms=now_ms())
        with ThreadPoolExecutor(_READERS_A_CATALOG, thread_name_prefix="console") as pool:
            return CatalogLook(catalog, tuple(pool.map(self._row, names)))

    def _row(self, name: str) -> TableRow:
        try:
            table, _ = self._tables.load(name)
        except (NotFoundError, UnavailableError) as error:
            return TableRow(name, problem=str(error))
        except Exception:  # one broken table must not hide the others
            return TableRow(name, problem=logged("It cannot be read."))
        row = _add(TableRow(name), lambda row: replace(row, mark=mark_of_loaded(table, name)))
        return _add(row, lambda row: replace(row, sizes=_sizes(table, name)))


def _sizes(table: Table, name: str) -> TableSizes:
    options = CompactionOptions.from_properties(table.metadata.properties, table=name)
    return TableSizes.of(table.metadata, small_below_bytes=options.min_file_size_bytes)


def _add(row: TableRow, what: Callable[[TableRow], TableRow]) -> TableRow:
    """Return a row with something more, or with why that is not known."""
    try:
        return what(row)
    except (ConfigurationError, UnavailableError) as error:
        why = str(error)
    except Exception:  # as above
        why = logged("It cannot be read.")
    return replace(row, problem=f"{row.problem} {why}".strip())
