"""The login of the console that is served by itself: a page that takes a token and begins a session."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from autostream.access import audit
from autostream.access.roles import Role
from autostream.access.secrets import new_secret
from autostream.access.sessions import HOURS, begin_session, end_session
from autostream.access.tokens import find_token
from autostream.config import load_settings
from autostream.console.forms import proof
from autostream.console.guard import OPEN, READ, address_of, count, require_own_form
from autostream.console.pages import here, path_of, render, root_of, way_back
from autostream.store.database import open_database
from autostream.times import now_ms

SESSION: Final = "autostream_session"
"""The cookie of a session."""

_LOGIN: Final = "autostream_login"  # the cookie of a login page, which has no session yet
_PATH: Final = "/login"
_HOUR_SECONDS: Final = 3600
# A token cannot be guessed, but neither need anybody try ten times a second.
_COST: Final = 10.0

_logger = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False)


def login_url(request: Request) -> str:
    """Return where a browser logs in, to come back to the page that it asked for."""
    back = "" if request.method != "GET" or path_of(request) == "/" else f"?back={quote(here(request), safe='')}"
    return f"{root_of(request)}{_PATH}{back}"


@router.get(_PATH, dependencies=[OPEN])
def page(request: Request, back: str = "") -> Response:
    """Show the form that takes a token."""
    return _form(request, back)


@router.post(_PATH, dependencies=[OPEN])
async def log_in(request: Request, token: Annotated[str, Form()] = "", back: Annotated[str, Form()] = "") -> Response:
    """Begin a session by a token."""
    await require_own_form(request, request.cookies.get(_LOGIN, "").encode())
    count(request.app.state.access, f"address {address_of(request)}", cost=_COST)
    return await run_in_threadpool(_begin, request, token.strip(), back)


@router.post("/logout", dependencies=[READ])
def log_out(request: Request) -> Response:
    """End the session."""
    with open_database().write() as connection:
        end_session(connection, request.cookies.get(SESSION, ""))
    response = RedirectResponse(f"{root_of(request)}{_PATH}", status_code=HTTPStatus.SEE_OTHER)
    response.delete_cookie(SESSION, path=root_of(request) or "/")
    return response


def _begin(request: Request, secret: str, back: str) -> Response:
    now = now_ms()
    with open_database().write() as connection:
        token = find_token(connection, secret, now_ms=now)
        if token is None or token.role is Role.SERVICE:
            _logger.warning("a login from %s was refused", address_of(request))
            return _form(request, back, wrong="service" if token else "wrong", status=HTTPStatus.UNAUTHORIZED)
        session = begin_session(connection, token, now_ms=now)
        audit.record(connection, "login", by=token.name, about={"address": address_of(request)}, now_ms=now)
    response = RedirectResponse(way_back(request, back), status_code=HTTPStatus.SEE_OTHER)
    _set_cookie(request, response, SESSION, session, HOURS * _HOUR_SECONDS)
    return response


def _form(request: Request, back: str, *, wrong: str = "", status: int = HTTPStatus.OK) -> Response:
    secret = request.cookies.get(_LOGIN) or new_secret()
    context = {"back": back, "wrong": wrong, "form_proof": proof(secret.encode())}
    response = render(request, "login.html", context, status=status)
    _set_cookie(request, response, _LOGIN, secret, _HOUR_SECONDS)
    return response


def _set_cookie(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    url = urlsplit(load_settings().console.url)
    by_proxy = url.scheme == "https" and url.hostname == request.url.hostname
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=root_of(request) or "/",
        secure=request.url.scheme == "https" or by_proxy,
        httponly=True,
        samesite="strict",
    )
