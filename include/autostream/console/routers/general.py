"""What belongs to no package: whether the console runs, who asks, and the language of the pages."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from autostream.access.roles import Permission, Role
from autostream.console.guard import HEALTH, OPEN, READ, Caller
from autostream.console.language import COOKIE, LANGUAGES
from autostream.console.pages import root_of, way_back
from autostream.errors import NotFoundError

router = APIRouter(tags=["general"])

_YEAR_SECONDS = 365 * 86_400


class Health(BaseModel):
    """That the console runs."""

    status: str = Field(description="Always `ok`: what does not run does not answer.")


class Me(BaseModel):
    """Who makes the request."""

    name: str
    role: Role
    team: str = Field(description="Empty for none.")
    permissions: list[Permission]


@router.get(HEALTH, dependencies=[OPEN])
def healthz() -> Health:
    """Say that the console runs; nothing else is asked, and nothing else is said."""
    return Health(status="ok")


@router.get("/api/me", dependencies=[READ])
def me(caller: Caller) -> Me:
    """Say who makes the request, and what that one may do."""
    permissions = [permission for permission in Permission if caller.role.may(permission)]
    return Me(name=caller.name, role=caller.role, team=caller.team, permissions=permissions)


@router.get("/language/{language}", dependencies=[OPEN], include_in_schema=False)
def language(request: Request, language: str, back: Annotated[str, Query()] = "") -> Response:
    """Remember in which language this browser's pages are written, and go back to the page."""
    if language not in LANGUAGES:
        raise NotFoundError(f"Unknown language {language!r}. Known: {', '.join(LANGUAGES)}.")
    response = RedirectResponse(way_back(request, back), status_code=HTTPStatus.SEE_OTHER)
    response.set_cookie(
        COOKIE,
        language,
        max_age=_YEAR_SECONDS,
        path=root_of(request) or "/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response
