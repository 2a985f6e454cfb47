"""The console served by itself: `autostream serve`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI, Request

from autostream.access.limits import Limiter
from autostream.access.roles import Identity, Role
from autostream.config import Settings, load_settings
from autostream.console.app import create_app as create_app_for
from autostream.console.hosts import is_loopback, is_own_host
from autostream.errors import UsageError

_NOBODY: Final = Identity(name="this machine", role=Role.VIEWER, login="none")

_logger = logging.getLogger(__name__)


class AloneAccess:
    """Who is on this machine may look at everything, and nobody may change anything."""

    framed = False
    routers: Sequence[APIRouter] = ()

    def __init__(self, settings: Settings) -> None:
        """Take the hosts at which people reach the console."""
        url = urlsplit(settings.console.url)
        self.limiter = Limiter(per_minute=settings.console.requests_per_minute)
        self._hosts = {host for host in (url.hostname, *settings.console.hosts) if host}

    async def identify(self, request: Request) -> Identity | None:
        """Return who makes a request."""
        return _NOBODY if self._is_this_machine(request) else None

    def login_url(self, request: Request) -> str | None:
        """Return None: there is no login."""
        del request
        return None

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

    def record(self, kind: str, identity: Identity, about: dict[str, Any]) -> None:
        """Write down what somebody does."""
        _logger.info("%s by %s: %s", kind, identity.name, about)

    def _is_this_machine(self, request: Request) -> bool:
        """Say whether a request came to, and is for, this machine alone; a proxy would have named what people type."""
        server = request.scope.get("server")
        return is_loopback(server[0] if server else "") and is_loopback(request.url.hostname or "")


def create_app() -> FastAPI:
    """Make the application for the configured catalogs."""
    settings = load_settings()
    return create_app_for(AloneAccess(settings), root_path=urlsplit(settings.console.url).path.rstrip("/"))
