"""Marks of tables, read again and again by those who wait: what failed is told, not raised."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from autostream.errors import AutostreamError, UsageError
from autostream.masking import mask
from autostream.names import TableName
from autostream.watermark.waiting import MarkReading

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from autostream.config import WatermarkSettings

_MOST_CHARACTERS = 500
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def open_configured(name: str) -> Catalog:
    """Open a catalog of PyIceberg's own configuration."""
    # It loads PyIceberg, which importers of this module may not need yet.
    from autostream.catalogs.opening import open_catalog

    return open_catalog(name)


class MarkReader:
    """Reads the marks of tables, blocking; for use by several threads.

    Each thread opens each catalog for itself, and once: no catalog promises that two threads can use it at a time. A
    catalog that failed is opened again, with what is configured by then.

    Args:
        open_catalog: Opens a catalog by its name.
        refusals: The errors after which looking again will not help.
        settings: Tells which foreign keys count; those of the configuration where None.
    """

    def __init__(
        self,
        open_catalog: Callable[[str], Catalog] = open_configured,
        *,
        refusals: tuple[type[AutostreamError], ...] = (UsageError,),
        settings: Callable[[], WatermarkSettings] | None = None,
    ) -> None:
        self._open_catalog = open_catalog
        self._refusals = refusals
        self._settings = settings
        self._opened = threading.local()
        self._lost: dict[str, int] = {}
        self._lock = threading.Lock()

    def read(self, table: str) -> MarkReading:
        """Look at a table."""
        from autostream.watermark.reading.table_marks import read_mark

        try:
            name = TableName.parse(table)
        except UsageError as error:
            return MarkReading(None, str(error), refusal=type(error))
        try:
            settings = self._settings() if self._settings else None
            return MarkReading(read_mark(name, catalog=self._catalog(name.catalog), settings=settings))
        except self._refusals as error:
            return MarkReading(None, str(error), refusal=type(error))
        except Exception as error:  # each catalog and each file system fails in its own way
            self._lose(name.catalog)
            return MarkReading(None, describe_failure(error))

    def _catalog(self, name: str) -> Catalog:
        catalogs: dict[str, tuple[int, Catalog]] = self._opened.__dict__
        with self._lock:
            losses = self._lost.get(name, 0)
        if name not in catalogs or catalogs[name][0] != losses:
            catalogs[name] = losses, self._open_catalog(name)
        return catalogs[name][1]

    def _lose(self, name: str) -> None:
        with self._lock:
            self._lost[name] = self._lost.get(name, 0) + 1


def describe_failure(error: Exception) -> str:
    """Say what failed in one line, the same each time: people are told again when it changes."""
    text = str(error) if isinstance(error, AutostreamError) else mask(f"{type(error).__name__}: {error}")
    text = " ".join(_ADDRESS.sub("", text).split())
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
