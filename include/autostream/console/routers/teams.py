"""Teams: a page of all, and REST."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from autostream.console.guard import READ
from autostream.console.job_answers import Use
from autostream.console.job_board import Board
from autostream.console.job_words import team_row
from autostream.console.pages import Words, render
from autostream.console.team_rows import teams_of

router = APIRouter(dependencies=[READ])


class TeamItem(BaseModel):
    """The jobs of a team that have not ended, together."""

    team: str | None = Field(description="Null: jobs without a team.")
    jobs: int
    without_score: int = Field(description="How many of them have no score.")
    unwell: int = Field(description="How many of them have a warning or an error.")
    score: int | None = Field(description="The mean of their scores, weighted by allotted cores and memory.")
    use: Use = Field(description="Sums over the jobs of which both use and size are known.")


@router.get("/api/teams", tags=["jobs"])
def teams(board: Board) -> list[TeamItem]:
    """List the teams that have Flink jobs, with their scores and what they use; jobs without a team come last."""
    return [
        TeamItem(
            team=row.team,
            jobs=row.jobs,
            without_score=row.without_score,
            unwell=row.unwell,
            score=row.score,
            use=Use.of(row.use),
        )
        for row in teams_of(board.rows)
    ]


@router.get("/teams", response_class=HTMLResponse, include_in_schema=False)
def page(request: Request, board: Board, t: Words) -> Response:
    """Show the teams that have Flink jobs."""
    return render(request, "teams.html", {"rows": [team_row(row, t) for row in teams_of(board.rows)]})
