"""REST about the compactions of a table."""

from __future__ import annotations

from fastapi import APIRouter

from autostream.console.compaction_answers import Compaction
from autostream.console.guard import READ
from autostream.console.paging import Limit
from autostream.console.problems import declared
from autostream.console.questions import TablesOfApp
from autostream.lake.compaction.runs.log import RunLog
from autostream.store.database import open_database

router = APIRouter(prefix="/api/tables", tags=["compactions"], dependencies=[READ], responses=declared(404))


@router.get("/{table:name}/compactions")
def compactions(table: str, tables: TablesOfApp, limit: Limit = 100) -> list[Compaction]:
    """List the last compactions of a table that are recorded, the newest first."""
    _, name = tables.load(table)
    with open_database().read() as connection:
        return [Compaction.of(run) for run in RunLog(connection).newest(name, limit=limit)]
