"""The pages of Flink jobs: all jobs."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from autostream.console import view
from autostream.console.guard import READ
from autostream.console.job_board import Board
from autostream.console.job_questions import JobSort, JobsWanted
from autostream.console.job_rows import ANY_STATE, SORTS, choose_jobs
from autostream.console.job_words import job_row, team_row
from autostream.console.pages import Words, render
from autostream.console.paging import PageNumber, page_of
from autostream.console.team_rows import TeamRow

router = APIRouter(dependencies=[READ], default_response_class=HTMLResponse, include_in_schema=False)


@router.get("/jobs")
def index(
    request: Request, board: Board, wanted: JobsWanted, t: Words, sort: JobSort = "score", page: PageNumber = 1
) -> Response:
    """Show the jobs of all clusters, those of the lowest score first."""
    chosen = choose_jobs(board.rows, wanted, sort)
    shown = page_of(chosen, page)
    context = {
        "rows": [job_row(row, board.now_ms, t) for row in shown.items],
        "list_columns": view.list_columns("jobs", sort, SORTS, t),
        "together": team_row(TeamRow.of(None, chosen), t),
        "shown": shown,
        "wanted": wanted,
        "asked": {name: value for name, value in asdict(wanted).items() if value},
        "sort": sort,
        "any_state": ANY_STATE,
        "teams": _choices(board.teams, wanted.team),
        "clusters": _choices(board.clusters, wanted.cluster),
        "states": _choices(board.states, "" if wanted.state == ANY_STATE else wanted.state),
        "known": bool(board.rows),
    }
    return render(request, "jobs.html", context)


def _choices(known: list[str], chosen: str) -> list[str]:
    """Return what can be chosen: also what was, where it is not known any more."""
    return known if not chosen or chosen in known else [chosen, *known]
