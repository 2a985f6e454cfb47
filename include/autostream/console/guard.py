"""What stands before every route: who asks, whether that one may, and what is written down about it.

Each route has exactly one decision, as a dependency of it or of its router: `READ`, `REPORT`, `OPERATE`, `ADMINISTER`
or `OPEN`. An application with a route that has none is not made.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final, Protocol

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Mount

from autostream.access import audit
from autostream.access.limits import Limiter
from autostream.access.roles import Identity, Permission, Role
from autostream.console.forms import FIELD, HEADER, from_other_site, proves
from autostream.console.pages import identity_of, path_of, remember_identity, remember_root
from autostream.console.problems import LoginNeededError, TooManyRequestsError, answer_failure
from autostream.errors import DefectError, DeniedError
from autostream.store.database import open_database
from autostream.times import monotonic, now_ms

STATIC: Final = "/static"
HEALTH: Final = "/healthz"

_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_MOST_BYTES: Final = 1024 * 1024
_WRITE: Final = "autostream.write"


class Access(Protocol):
    """Through what the console is reached: by itself (`autostream.console.alone`), or within Airflow."""

    framed: bool
    """Whether pages of the same host may show ours in a frame, as Airflow does."""
    limiter: Limiter
    routers: Sequence[APIRouter]
    """What is served besides: a login page, for example."""

    async def identify(self, request: Request) -> Identity | None:
        """Return who makes a request; None for nobody.

        Raises:
            LoginNeededError: The request says who makes it, but that is not valid.
        """

    def login_url(self, request: Request) -> str | None:
        """Return where a browser logs in; None where it cannot."""

    def require_own_host(self, request: Request) -> None:
        """Refuse requests that are not meant for this console.

        Raises:
            AutostreamError: This one is not.
        """


@dataclass(frozen=True)
class Requires:
    """The decision that a route needs a permission."""

    permission: Permission

    async def __call__(self, request: Request) -> None:
        """Let the request pass, or refuse it."""
        access: Access = request.app.state.access
        identity = await _identified(access, request)
        if not identity.role.may(self.permission):
            roles = ", ".join(role for role in Role if role.may(self.permission))
            raise DeniedError(
                f"{identity.name!r} has the role {identity.role}, which may not do this. These roles may: {roles}."
            )
        if request.method not in _SAFE_METHODS:
            await require_own_form(request, identity.form_secret)
            await _record_write(request, identity)


class Open:
    """The decision that a route answers anybody: it shows nothing of what the console is there for."""

    def __call__(self) -> None:
        """Let every request pass."""


READ: Final = Depends(Requires(Permission.READ))
REPORT: Final = Depends(Requires(Permission.REPORT))
OPERATE: Final = Depends(Requires(Permission.OPERATE))
ADMINISTER: Final = Depends(Requires(Permission.ADMINISTER))
OPEN: Final = Depends(Open())


def _known(request: Request) -> Identity:
    identity = identity_of(request)
    if identity is None:
        raise DefectError(f"The route of {request.url.path} asks who makes the request, but is open to anybody.")
    return identity


Caller = Annotated[Identity, Depends(_known)]
"""Who makes the request: the type of a route's parameter."""


def decision(route: BaseRoute) -> Permission | None:
    """Return the permission that a route needs; None for an open one.

    Raises:
        DefectError: It was not decided, or twice.
    """
    if isinstance(route, Mount) and route.path == STATIC:
        return None
    dependencies = route.dependant.dependencies if isinstance(route, APIRoute) else []
    calls = [dependency.call for dependency in dependencies if isinstance(dependency.call, Requires | Open)]
    if len(calls) != 1:
        raise DefectError(
            f"{getattr(route, 'path', route)} needs exactly one decision about who may use it, and has {len(calls)}: "
            "add READ, REPORT, OPERATE, ADMINISTER or OPEN to its dependencies."
        )
    return calls[0].permission if isinstance(calls[0], Requires) else None


def require_decisions(routes: Iterable[BaseRoute]) -> None:
    """Refuse to serve routes of which one has no decision.

    Raises:
        DefectError: One has none.
    """
    for route in routes:
        decision(route)


async def require_own_form(request: Request, secret: bytes | None) -> None:
    """Refuse a change that another site had this browser ask for.

    Args:
        request: The change.
        secret: What the session of the browser has; None where the caller shows who it is with each request.

    Raises:
        DeniedError: It does not prove that it comes from our pages.
    """
    proved = not from_other_site(request.headers.get("sec-fetch-site"))
    if proved and secret is not None:
        given = request.headers.get(HEADER)
        proved = proves(str((await request.form()).get(FIELD, "")) if given is None else given, secret)
    if not proved:
        raise DeniedError(
            "This form was not sent from a page of this session. Go back, load the page again, and send it again."
        )


def count(access: Access, caller: str, *, cost: float = 1.0) -> None:
    """Count a request of a caller.

    Raises:
        TooManyRequestsError: It makes too many.
    """
    wait = access.limiter.take(caller, now_seconds=monotonic(), cost=cost)
    if wait:
        raise TooManyRequestsError(f"Too many requests. Wait {wait} s, and ask less often.", wait_seconds=wait)


def address_of(request: Request) -> str:
    """Return the address that a request comes from."""
    return request.client.host if request.client else "unknown"


async def _identified(access: Access, request: Request) -> Identity:
    try:
        identity = await access.identify(request)
        if identity is None:
            raise LoginNeededError("Log in, or send a bearer token in the header Authorization.")
    except LoginNeededError:
        count(access, f"address {address_of(request)}")
        raise
    remember_identity(request, identity)
    count(access, f"{identity.login} {identity.name}")
    return identity


async def _record_write(request: Request, identity: Identity) -> None:
    """Write down a change before it is made: where that fails, it is not made."""
    about = {
        "request": uuid.uuid4().hex,
        "method": request.method,
        "path": path_of(request),
        "address": address_of(request),
        "login": identity.login,
    }
    await run_in_threadpool(_record, "request", identity, about)
    request.scope[_WRITE] = about


def _record(kind: str, identity: Identity, about: dict[str, Any]) -> None:
    with open_database().write() as connection:
        audit.record(connection, kind, by=identity.name, about=about, now_ms=now_ms())


def add_protection(app: FastAPI, access: Access) -> None:
    """Answer only requests that are meant for this console and not too long, and send what browsers have to keep to.

    Every request is counted.
    """

    @app.middleware("http")
    async def protect(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        started = monotonic()
        remember_root(request)
        try:
            # Whoever looks whether it runs (a load balancer, Kubernetes) calls it by whatever name, and learns nothing.
            if path_of(request) != HEALTH:
                access.require_own_host(request)
            _require_short(request)
            response = await call_next(request)
        except Exception as error:
            response = answer_failure(request, error)
        if (about := request.scope.get(_WRITE)) and (identity := identity_of(request)):
            outcome = {"request": about["request"], "status": response.status_code}
            await run_in_threadpool(_record, "outcome", identity, outcome)
        for name, value in _headers(request, framed=access.framed).items():
            response.headers.setdefault(name, value)
        app.state.request_metrics.observe(request, status=response.status_code, seconds=monotonic() - started)
        return response


def _require_short(request: Request) -> None:
    if request.method in _SAFE_METHODS:
        return
    length = request.headers.get("content-length", "" if "transfer-encoding" in request.headers else "0")
    if not length.isdecimal():
        raise HTTPException(HTTPStatus.LENGTH_REQUIRED, "Send the header Content-Length.")
    if int(length) > _MOST_BYTES:
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Send at most {_MOST_BYTES} bytes.")


def _headers(request: Request, *, framed: bool) -> dict[str, str]:
    ancestors = "'self'" if framed else "'none'"
    headers = {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        # What is shown is for whoever is logged in; style sheets and scripts are asked for again only if they changed.
        "Cache-Control": "no-cache" if path_of(request).startswith(f"{STATIC}/") else "no-store",
    }
    if request.url.scheme == "https":
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers
