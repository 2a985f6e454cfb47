"""What is asked of a table's watermarks, by REST and on its page alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import tzinfo
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request
from pyiceberg.table import Table
from starlette.convertors import PathConvertor, register_url_convertor

from autostream.console.problems import unavailable
from autostream.console.table_watch import Overview, TableWatch
from autostream.console.tables import Tables
from autostream.errors import AutostreamError
from autostream.times import parse_instant, parse_length
from autostream.watermark.conditions import Condition
from autostream.watermark.history.completion import Completion, completed_at

Result = TypeVar("Result")
Until = Annotated[str | None, Query(description="Is the table complete up to this time? ISO 8601, or epoch ms.")]
Lateness = Annotated[str, Query(description="How much further the watermark has to be, such as 5min.")]
Zone = Annotated[str, Query(description="Of times without offset, such as Europe/Berlin.")]


def _tables(request: Request) -> Tables:
    tables: Tables = request.app.state.tables
    return tables


TablesOfApp = Annotated[Tables, Depends(_tables)]
"""The tables of the configured catalogs: the type of a route's parameter."""


def _overview(request: Request) -> Overview:
    watch: TableWatch = request.app.state.watch
    return watch.overview()


OverviewOfTables = Annotated[Overview, Depends(_overview)]
"""What is known of all tables: the type of a route's parameter."""


class _NameConvertor(PathConvertor):
    """A table's name within a path: there may be anything in it, slashes and line ends too."""

    regex = r"[\s\S]+"


register_url_convertor("name", _NameConvertor())


def condition_of(table: str, until: str | None, lateness: str, zone: tzinfo) -> Condition | None:
    """Return what is asked of a table; None where nothing is.

    Raises:
        UsageError: A time or length is not understood.
    """
    if until is None:
        return None
    return Condition((table,), instant_of(until, zone), lateness_ms=parse_length(lateness), zone=zone)


def instant_of(text: str, zone: tzinfo) -> int:
    """Return the instant that a query names.

    Raises:
        UsageError: It is not understood.
    """
    # A plus sign that was not encoded arrives as a space.
    return parse_instant(re.sub(r"(T\S+) ([0-9]{2}:[0-9]{2})$", r"\1+\2", text.strip()), zone)


def completion_of(table: Table, at_ms: int, *, most_files: int = 100) -> Completion:
    """Return when a table became complete up to an instant.

    Raises:
        UnavailableError: Its history cannot be read.
    """
    return asked(lambda: completed_at(table, at_ms, most_files=most_files))


def asked(question: Callable[[], Result]) -> Result:
    """Return the answer of a table's history.

    Raises:
        UnavailableError: It cannot be read.
    """
    try:
        return question()
    except AutostreamError as error:
        raise unavailable("Cannot read the history of the table.") from error
