"""REST about all Flink jobs."""

from __future__ import annotations

from fastapi import APIRouter

from autostream.console.guard import READ
from autostream.console.job_answers import JobItem, JobPage
from autostream.console.job_board import Board
from autostream.console.job_questions import JobSort, JobsWanted
from autostream.console.job_rows import choose_jobs
from autostream.console.paging import Cursor, Limit, cursor_of, key_of

router = APIRouter(prefix="/api/jobs", tags=["jobs"], dependencies=[READ])


@router.get("")
def jobs(board: Board, wanted: JobsWanted, sort: JobSort = "job", limit: Limit = 100, cursor: Cursor = None) -> JobPage:
    """List the Flink jobs of all clusters, as the database has them: no cluster is asked."""
    start = key_of(cursor, int) or 0
    rows = choose_jobs(board.rows, wanted, sort)
    end = start + limit
    return JobPage(
        items=[JobItem.of(row) for row in rows[start:end]],
        next_cursor=cursor_of(end) if end < len(rows) else None,
        total=len(rows),
    )
