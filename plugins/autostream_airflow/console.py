"""The console in Airflow's API server: what `autostream serve` serves, with Airflow's users and permissions.

Airflow asks for no login on what plugins mount. Here each request is asked for one by the console itself: Airflow says
who makes it, and what that user may do.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow.configuration import conf

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
    from fastapi import APIRouter, Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from autostream.access.roles import Identity, Role
    from autostream.config import Settings

PREFIX = "/autostream"

_logger = logging.getLogger(__name__)


def airflow_root() -> str:
    """Return the path below which Airflow is reached; empty where it has the host for itself."""
    return urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")


class MountedConsole:
    """The console, made at the first request: of all of Airflow's processes only the API server gets any."""

    def __init__(self) -> None:
        """Load nothing yet."""
        self._app: ASGIApp | None = None
        self._making = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        from starlette.concurrency import run_in_threadpool

        app = self._app
        if app is None:
            app = await run_in_threadpool(self._make)
        await app(scope, receive, send)

    def _make(self) -> ASGIApp:
        """Make the console; where its configuration is wrong, an answer that says so, until it is mended."""
        from starlette.responses import PlainTextResponse

        from autostream.config import load_settings
        from autostream.errors import AutostreamError

        with self._making:
            if self._app is not None:
                return self._app
            try:
                from autostream.console.app import create_app

                self._app = app = create_app(AirflowAccess(load_settings()))
            except (AutostreamError, ImportError) as error:
                remedy = (
                    "; install autostream[console] into Airflow's environment" if isinstance(error, ImportError) else ""
                )
                _logger.error("Cannot serve the console of autostream: %s%s", error, remedy)
                return PlainTextResponse("Cannot serve the console. The log of the API server says why.", 503)
            return app


class AirflowAccess:
    """Who is logged in to Airflow, by its cookie or token, has the role that Airflow's permissions make."""

    framed = True
    routers: Sequence[APIRouter] = ()

    def __init__(self, settings: Settings) -> None:
        """Take the limit of requests."""
        from autostream.access.limits import Limiter

        self.limiter = Limiter(per_minute=settings.console.requests_per_minute)

    async def identify(self, request: Request) -> Identity | None:
        """Return who makes a request; None for nobody.

        Raises:
            LoginNeededError: What it shows is not valid.
            DeniedError: Airflow's user may not even look.
        """
        from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
        from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
        from fastapi import HTTPException
        from starlette.concurrency import run_in_threadpool

        from autostream.access.roles import Identity
        from autostream.console.problems import LoginNeededError
        from autostream.errors import DeniedError

        shown = await bearer_scheme(request)
        if shown is None and COOKIE_NAME_JWT_TOKEN not in request.cookies:
            return None
        try:
            user = await get_user(request, None, shown)
        except HTTPException as error:
            raise LoginNeededError(f"Airflow does not know this login: {error.detail}.") from error
        role = await run_in_threadpool(role_of, user)
        if role is None:
            raise DeniedError(f"{user.get_name()!r} may not read assets in Airflow, and so may not read tables here.")
        secret = None if shown else form_secret(user)
        return Identity(name=user.get_name(), role=role, login="airflow", form_secret=secret)

    def login_url(self, request: Request) -> str | None:
        """Return where a browser logs in to Airflow."""
        return f"{airflow_root()}/api/v2/auth/login?next={quote(str(request.url), safe='')}"

    def require_own_host(self, request: Request) -> None:
        """Leave it to Airflow to which hosts it answers: its logins are tied to them."""


def role_of(user: BaseUser) -> Role | None:
    """Return the role that Airflow's permissions make of a user; None for one who may not even look.

    A viewer may read assets, as which Airflow knows tables. An operator may edit pools, which are resources that many
    share. An admin may read Airflow's audit log besides.
    """
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity

    from autostream.access.roles import Role

    manager = get_auth_manager()
    if not manager.is_authorized_asset(method="GET", user=user):
        return None
    if not manager.is_authorized_pool(method="PUT", user=user):
        return Role.VIEWER
    if not manager.is_authorized_dag(method="GET", access_entity=DagAccessEntity.AUDIT_LOG, user=user):
        return Role.OPERATOR
    return Role.ADMIN


def form_secret(user: BaseUser) -> bytes:
    """Return what forms of a user's pages prove to know; the same in all processes of the API server."""
    from airflow.api_fastapi.auth.tokens import get_signing_key

    return hashlib.sha256(f"{get_signing_key('api', 'secret_key')}\0{user.get_id()}".encode()).digest()


def menu_entry() -> dict[str, Any]:
    """Return the entry in Airflow's menu, which shows the console as a page of Airflow's."""
    address = f"{airflow_root()}{PREFIX}"
    return {
        "name": "autostream",
        "href": f"{address}/",
        "icon": f"{address}/static/icon.svg",
        "destination": "nav",
        "url_route": "autostream",
        "nav_top_level": True,
    }
