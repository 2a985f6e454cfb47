"""Parts of a table's page that take longer and are read on request: a page each without scripts."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from autostream.console import view
from autostream.console.guard import READ
from autostream.console.pages import Words, render
from autostream.console.problems import unavailable
from autostream.console.questions import TablesOfApp
from autostream.errors import AutostreamError, ConfigurationError, ServiceError
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.planning import plan_compaction
from autostream.lake.compaction.table_report import inspect_table
from autostream.locks.table_locks import LocksOfTable, NoLocksError, locks_of_table
from autostream.names import TableName
from autostream.times import now_ms

router = APIRouter(dependencies=[READ], default_response_class=HTMLResponse, include_in_schema=False)

_MOST_PARTITIONS: Final = 50


@router.get("/plan/{table:name}")
def plan(request: Request, table: str, tables: TablesOfApp, t: Words) -> Response:
    """Show what compaction would do with a table, and why: its manifests are read for it."""
    loaded, name = tables.load(table)
    options = CompactionOptions.from_properties(loaded.properties, table=name)
    try:
        report = inspect_table(plan_compaction(loaded, options=options, name=name, only_to_show=True), name)
    except ServiceError as error:
        raise unavailable(f"Cannot read the manifests of table {name}.") from error
    context = {
        "table": name,
        "plan": report.compaction,
        "advice": [view.advice(found, t) for found in report.advice],
        "partitions": [view.partition_row(each, t) for each in report.partitions[:_MOST_PARTITIONS]],
        "more": max(0, len(report.partitions) - _MOST_PARTITIONS),
    }
    return render(request, "plan.html", context)


@router.get("/locks/{table:name}")
def locks(request: Request, table: str, tables: TablesOfApp, t: Words) -> Response:
    """Show who holds a table's locks, and who waits for them."""
    _, name = tables.load(table)
    try:
        found = locks_of_table(TableName.parse(name))
    except NoLocksError:
        found = LocksOfTable(TableName.parse(name), ())
    except ConfigurationError:
        raise
    except AutostreamError as error:
        raise unavailable("Cannot read the locks.") from error
    now = now_ms()
    return render(
        request, "locks.html", {"table": name, "locks": [view.lock_row(lock, now, t) for lock in found.locks]}
    )
