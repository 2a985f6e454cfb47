"""The console served by itself: `autostream serve`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI, Request
from fastapi.concurrency import run_in_threadpool

from autostream.access.limits import Limiter
from autostream.access.roles import Identity, Role
from autostream.access.sessions import find_session
from autostream.access.tokens import Token, find_token, has_tokens
from autostream.config import Settings, load_settings
from autostream.console import login
from autostream.console.app import create_app
from autostream.console.hosts import is_loopback, is_own_host
from autostream.console.problems import LoginNeededError, unavailable
from autostream.errors import AutostreamError, UsageError
from autostream.store.database import open_database
from autostream.times import now_ms

_NOBODY: Final = Identity(name="this machine", role=Role.VIEWER, login="none")
# What a proxy adds: whoever asks through it is not on this machine, though the proxy is.
_PROXY_HEADERS: Final = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


class AloneAccess:
    """Callers show a token, browsers a session; while there was never a token, this machine may look at everything."""

    framed = False
    routers: Sequence[APIRouter] = (login.router,)

    def __init__(self, settings: Settings) -> None:
        """Take the hosts at which people reach the console."""
        url = urlsplit(settings.console.url)
        self.limiter = Limiter(per_minute=settings.console.requests_per_minute)
        self._hosts = {host for host in (url.hostname, *settings.console.hosts) if host}

    async def identify(self, request: Request) -> Identity | None:
        """Return who makes a request; None for nobody.

        Raises:
            LoginNeededError: The token that it shows is not valid.
            UnavailableError: The database cannot be read: nobody gets in by that.
        """
        return await run_in_threadpool(self._identify, request)

    def login_url(self, request: Request) -> str | None:
        """Return where a browser logs in."""
        return login.login_url(request)

    def require_own_host(self, request: Request) -> None:
        """Refuse requests for other hosts.

        Raises:
            UsageError: This one is for another.
        """
        host = request.url.hostname or ""
        if not is_own_host(host, public_hosts=self._hosts, server=request.scope.get("server")):
            raise UsageError(
                f"This console does not answer requests for the host {host!r}. Set console.url to the address at which "
                "people reach it, or add the host to console.hosts."
            )

    def _identify(self, request: Request) -> Identity | None:
        authorization, session = request.headers.get("authorization"), request.cookies.get(login.SESSION)
        try:
            with open_database().read() as connection:
                if authorization is not None:
                    token = find_token(connection, _bearer(authorization), now_ms=now_ms())
                    if token is None:
                        raise LoginNeededError("The token is not valid: it is wrong, revoked or expired.")
                    return _identity(token, login="token")
                if session and (token := find_session(connection, session, now_ms=now_ms())):
                    return _identity(token, login="session", form_secret=session.encode())
                return None if has_tokens(connection) or not self._is_this_machine(request) else _NOBODY
        except LoginNeededError:
            raise
        except AutostreamError as error:
            raise unavailable("Cannot read the database of tokens.") from error

    def _is_this_machine(self, request: Request) -> bool:
        """Say whether a request came to this machine alone, and not through a proxy that lets others in."""
        server = request.scope.get("server")
        local = (server[0] if server else "", request.url.hostname or "", *self._hosts)
        return all(map(is_loopback, local)) and not any(name in request.headers for name in _PROXY_HEADERS)


def create_app_alone() -> FastAPI:
    """Make the application for the configured catalogs."""
    settings = load_settings()
    return create_app(AloneAccess(settings), root_path=urlsplit(settings.console.url).path.rstrip("/"))


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _identity(token: Token, *, login: str, form_secret: bytes | None = None) -> Identity:
    return Identity(name=token.name, role=token.role, team=token.team, login=login, form_secret=form_secret)
