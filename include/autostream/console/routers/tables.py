"""The pages: all tables, and one table."""

from __future__ import annotations

from itertools import islice
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from autostream.console import view
from autostream.console.chart import chart_of
from autostream.console.guard import READ
from autostream.console.pages import Words, render
from autostream.console.paging import PageNumber, page_of
from autostream.console.problems import logged
from autostream.console.questions import (
    Lateness,
    OverviewOfTables,
    TablesOfApp,
    Until,
    Zone,
    asked,
    completion_of,
    condition_of,
)
from autostream.console.table_rows import SORTS, find_rows, sort_rows
from autostream.console.tables import mark_of_loaded
from autostream.errors import AutostreamError
from autostream.iceberg.snapshots import lineage_of_main
from autostream.lake.compaction.runs.log import CompactionRun, RunLog
from autostream.store.database import open_database
from autostream.times import now_ms, parse_zone
from autostream.watermark.conditions import Answer, Condition, judge
from autostream.watermark.history.completion import Completion
from autostream.watermark.history.table_history import watermark_history
from autostream.watermark.marks import TableMark

router = APIRouter(dependencies=[READ], default_response_class=HTMLResponse, include_in_schema=False)

_PAGE_ENTRIES: Final = 25
_PAGE_SNAPSHOTS: Final = 15
_PAGE_RUNS: Final = 15
_CHART_RUNS: Final = 60
# A page must not wait for a hundred files; those that are left are read when it is looked at again.
_PAGE_FILES: Final = 20


@router.get("/")
def index(
    request: Request,
    overview: OverviewOfTables,
    t: Words,
    q: str = "",
    sort: str = "table",
    page: PageNumber = 1,
) -> Response:
    """Show all tables, or those with a word in their name, in parts."""
    rows = sort_rows(find_rows(overview.rows, q), sort)
    shown = page_of(rows, page)
    now = now_ms()
    context = {
        "rows": [view.table_row(row, now, t) for row in shown.items],
        "list_columns": view.list_columns("tables", sort, SORTS, t),
        "problems": [*(look.problem for look in overview.catalogs if look.problem), *filter(None, [overview.problem])],
        "q": q,
        "sort": sort,
        "shown": shown,
    }
    return render(request, "index.html", context)


@router.get("/tables/{table:name}")
def page(
    request: Request,
    table: str,
    tables: TablesOfApp,
    t: Words,
    until: Until = None,
    lateness: Lateness = "0s",
    time_zone: Zone = "UTC",
) -> Response:
    """Show how complete a table is, its writers, and what happened lately."""
    # A form that is sent empty asks nothing.
    condition = condition_of(table, until or None, lateness or "0s", parse_zone(time_zone))
    loaded, name = tables.load(table)
    found = mark_of_loaded(loaded, name)
    answer, completion = _answers(condition, loaded, found)
    runs, unrecorded = _runs_of(name)
    recent = asked(lambda: watermark_history(loaded, newest=_PAGE_ENTRIES, most_files=_PAGE_FILES))
    now = now_ms()
    context = {
        "table": name,
        "mark": view.mark(found, now, t),
        "writers": view.writers(found, now, t),
        "entries": [view.entry(item, t) for item in reversed(recent.entries)],
        "problems": [*found.problems, *recent.problems, *filter(None, [unrecorded])],
        "runs": [view.run_row(run, now, t) for run in runs[:_PAGE_RUNS]],
        "chart": chart_of(runs),
        "snapshots": [view.snapshot_row(each, now, t) for each in _newest_snapshots(loaded)],
        "answer": view.answer(answer, completion, t) if answer else None,
        "until": until or "",
        "lateness": "" if lateness == "0s" else lateness,
    }
    return render(request, "table.html", context)


def _answers(condition: Condition | None, table: Table, found: TableMark) -> tuple[Answer | None, Completion | None]:
    if condition is None:
        return None, None
    answer = judge(condition, {found.table: found})
    return answer, completion_of(table, condition.need_ms, most_files=_PAGE_FILES) if answer.met else None


def _runs_of(name: str) -> tuple[list[CompactionRun], str]:
    """Return the last compactions of a table, and why they are not known."""
    try:
        with open_database().read() as connection:
            return RunLog(connection).newest(name, limit=_CHART_RUNS), ""
    except AutostreamError:
        return [], logged("Cannot read the record of compactions.")


def _newest_snapshots(table: Table) -> list[Snapshot]:
    newest = islice(lineage_of_main(table.metadata), _PAGE_SNAPSHOTS)
    found = (table.metadata.snapshot_by_id(facts.snapshot_id) for facts in newest)
    return [snapshot for snapshot in found if snapshot]
