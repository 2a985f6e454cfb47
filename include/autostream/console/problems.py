"""What a request that fails is answered: one table from errors to statuses, as problem details or as a page.

The table is `http_status` of each class in `autostream.errors`. Up to 499 the message is told: it says what was wrong
with the request. From 500 on it is written to the log, for it speaks of servers and drivers, and the answer says where
in the log it is.
"""

from __future__ import annotations

import logging
import re
import uuid
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from autostream.console.pages import path_of, render
from autostream.errors import AutostreamError, DeniedError, ServiceError

MEDIA_TYPE: Final = "application/problem+json"

_logger = logging.getLogger(__name__)


class Problem(BaseModel):
    """Why a request failed: problem details as in RFC 9457."""

    type: str = Field(description="`urn:autostream:error:NAME`, or `about:blank` where the status says all.")
    title: str = Field(description="The words of the status.")
    status: int
    detail: str = Field(description="What was wrong, and what to do.")
    entry: str | None = Field(None, description="Where the console's log says more; from status 500 on.")


class LoginNeededError(DeniedError):
    """The request does not say who makes it, or what it says is not valid."""

    http_status = 401


class TooManyRequestsError(DeniedError):
    """The caller makes more requests than are answered."""

    http_status = 429

    def __init__(self, message: str, *, wait_seconds: int = 1) -> None:
        """Keep how long to wait."""
        super().__init__(message)
        self.wait_seconds = wait_seconds


class UnavailableError(ServiceError):
    """A service that is asked for the answer fails. The message may be told: what the service said is in the log."""

    def __init__(self, message: str, *, entry: str | None = None) -> None:
        """Keep where in the log it is."""
        super().__init__(message)
        self.entry = entry


def unavailable(what: str) -> UnavailableError:
    """Log the exception that is being handled, and return what to tell of it."""
    message, entry = _logged(what)
    return UnavailableError(message, entry=entry)


def logged(what: str) -> str:
    """Log the exception that is being handled, and return what may be shown of it: not its text, but where it is.

    Texts of servers and drivers are for whoever runs the console, not for all who look at it.
    """
    return _logged(what)[0]


def problem_of(error: Exception) -> Problem:
    """Return what to tell of an error, and log it where its text may not be told. Call it while handling the error."""
    if isinstance(error, RequestValidationError):
        wrong = "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in error.errors())
        return _problem(HTTPStatus.BAD_REQUEST, wrong)
    if isinstance(error, HTTPException):
        return _problem(error.status_code, str(error.detail))
    if isinstance(error, UnavailableError):
        return _problem(error.http_status, str(error), kind=_kind(ServiceError), entry=error.entry)
    if isinstance(error, AutostreamError) and error.http_status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _problem(error.http_status, str(error), kind=_kind(type(error)))
    message, entry = _logged("The request failed.")
    if isinstance(error, AutostreamError):
        return _problem(error.http_status, message, kind=_kind(type(error)), entry=entry)
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, message, entry=entry)


def answer_failure(request: Request, error: Exception) -> Response:
    """Return the answer to a request that failed by this error: a page for browsers, else problem details."""
    problem = problem_of(error)
    response: Response
    if not wants_page(request):
        content = problem.model_dump(exclude_none=True)
        response = JSONResponse(content, status_code=problem.status, media_type=MEDIA_TYPE)
    elif isinstance(error, LoginNeededError) and (login := request.app.state.access.login_url(request)):
        response = _lead_to(login, request, status=problem.status)
    else:
        response = render(request, "error.html", {"problem": problem}, status=problem.status)
    if isinstance(error, LoginNeededError):
        response.headers["WWW-Authenticate"] = 'Bearer realm="autostream"'
    if isinstance(error, TooManyRequestsError):
        response.headers["Retry-After"] = str(error.wait_seconds)
    if isinstance(error, HTTPException):
        response.headers.update(error.headers or {})
    return response


def _lead_to(login: str, request: Request, *, status: int) -> Response:
    if "hx-request" in request.headers:  # htmx would put the login page into a part of this one
        return Response(status_code=status, headers={"HX-Redirect": login})
    if request.headers.get("sec-fetch-site") == "cross-site" and request.method == "GET":
        # A browser keeps our strict cookies back when a link of another site leads here. Asked by our own page to load
        # it again, it sends them.
        return render(request, "continue.html", {}, status=status)
    return RedirectResponse(login, status_code=HTTPStatus.SEE_OTHER)


def wants_page(request: Request) -> bool:
    """Say whether whoever asks is a browser that shows what comes; REST is answered as REST whoever asks."""
    if path_of(request).startswith("/api/"):
        return False
    return "text/html" in request.headers.get("accept", "") or "hx-request" in request.headers


def add_handlers(app: FastAPI) -> None:
    """Have all errors of routes answered by the table."""
    for kind in (AutostreamError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, answer_failure)


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route says of the statuses that it may fail by, for its `responses`; those of all are added."""
    return {status: {"model": Problem} for status in statuses}


def _problem(status: int, detail: str, *, kind: str = "about:blank", entry: str | None = None) -> Problem:
    return Problem(type=kind, title=HTTPStatus(status).phrase, status=status, detail=detail, entry=entry)


def _kind(error: type[AutostreamError]) -> str:
    words = re.findall("[A-Z][a-z]*", error.__name__.removesuffix("Error"))
    return f"urn:autostream:error:{'-'.join(words).lower()}"


def _logged(what: str) -> tuple[str, str]:
    entry = uuid.uuid4().hex[:8]
    _logger.exception("%s (%s)", what, entry)
    return f"{what} The console's log says why, at {entry}.", entry
