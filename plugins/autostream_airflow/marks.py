"""How complete tables are, read through the catalogs of Airflow's connections: what failed is said, not raised."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autostream.errors import AutostreamError, UsageError
from autostream.masking import mask
from autostream.watermark.conditions import Answer, Condition, judge
from autostream_airflow.hooks.catalog import CatalogHook

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.catalog import Catalog

    from autostream.watermark.marks import TableMark

_MOST_CHARACTERS = 500
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


@dataclass(frozen=True)
class Reading:
    """What was found when a table was looked at.

    Attributes:
        mark: How complete it is; None where that could not be read.
        problem: Why it could not.
        hopeless: Whether looking again will not help, as the table does not exist.
    """

    mark: TableMark | None
    problem: str = ""
    hopeless: bool = False


class MarkReader:
    """Reads the marks of tables, blocking; for use by several threads.

    Each thread opens each catalog for itself, and once: nobody promises that any catalog there may be can be used by
    two threads at a time. A catalog that failed is opened anew, with what its connection says by then.
    """

    def __init__(self) -> None:
        self._opened = threading.local()
        self._lost: dict[str, int] = {}
        self._lock = threading.Lock()

    def read(self, table: str) -> Reading:
        """Look at a table."""
        from autostream.names import TableName
        from autostream.watermark.reading.table_marks import read_mark

        try:
            name = TableName.parse(table)
        except UsageError as error:
            return Reading(None, str(error), hopeless=True)
        try:
            return Reading(read_mark(table, catalog=self._catalog(name.catalog)))
        except UsageError as error:
            return Reading(None, str(error), hopeless=True)
        except Exception as error:  # each catalog and each file system fails in its own way
            self._lose(name.catalog)
            return Reading(None, describe(error))

    def _catalog(self, name: str) -> Catalog:
        catalogs: dict[str, tuple[int, Catalog]] = self._opened.__dict__
        with self._lock:
            losses = self._lost.get(name, 0)
        if name not in catalogs or catalogs[name][0] != losses:
            catalogs[name] = losses, CatalogHook(name).get_conn()
        return catalogs[name][1]

    def _lose(self, name: str) -> None:
        with self._lock:
            self._lost[name] = self._lost.get(name, 0) + 1


def describe(error: Exception) -> str:
    """Says what failed in one line, the same each time: people are told again when it changes."""
    text = str(error) if isinstance(error, AutostreamError) else mask(f"{type(error).__name__}: {error}")
    text = " ".join(_ADDRESS.sub("", text).split())
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


def judge_readings(condition: Condition, readings: Mapping[str, Reading]) -> tuple[Answer, str]:
    """Return whether a condition is met, and the explanation, with why tables could not be read.

    Raises:
        UsageError: A table does not exist.
    """
    for table in condition.tables:
        if readings[table].hopeless:
            raise UsageError(readings[table].problem)
    answer = judge(condition, {table: reading.mark for table, reading in readings.items() if reading.mark})
    problems = dict.fromkeys(readings[table].problem for table in condition.tables if readings[table].problem)
    if answer.met or not problems:
        return answer, answer.explanation
    return answer, f"{answer.explanation} ({'; '.join(problems)})"
