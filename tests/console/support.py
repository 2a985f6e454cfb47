"""A browser that checks what it is answered, and what pages say."""

import re
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from httpx import Response
from jsonschema import validate

from autostream.access import audit
from autostream.access.roles import Identity, Role
from autostream.config import load_settings
from autostream.console.alone import AloneAccess
from autostream.console.app import create_app
from autostream.console.openapi import openapi_document
from autostream.store.database import open_database

T0 = 1_790_002_800_000  # 2026-09-21T15:00Z
MINUTE = 60_000


class KnownAccess(AloneAccess):
    """Everyone is known, and has a role; none: nobody is known."""

    def __init__(
        self, role: Role | None, *, form_secret: bytes | None = None, routers: Sequence[APIRouter] = ()
    ) -> None:
        super().__init__(load_settings())
        self.routers = routers
        self.identity = Identity(name="ann", role=role, login="session", form_secret=form_secret) if role else None

    async def identify(self, request: Request) -> Identity | None:
        return self.identity

    def login_url(self, request: Request) -> str | None:
        return None


def known_app(role: Role) -> FastAPI:
    """Return the console of which everyone is known, and has a role."""
    return create_app(KnownAccess(role), root_path=urlsplit(load_settings().console.url).path.rstrip("/"))


class Browser(TestClient):
    """Asks as a browser does, and believes no answer of REST that the OpenAPI document does not declare."""

    def __init__(self, app: FastAPI, *, base_url: str = "http://localhost:8090", **how: Any) -> None:
        how.setdefault("headers", {"Accept": "text/html"})
        super().__init__(app, base_url=base_url, raise_server_exceptions=False, follow_redirects=False, **how)
        self.event_hooks = {"response": [lambda response: require_declared(app, response)]}


def require_declared(app: FastAPI, response: Response) -> None:
    """Fail where an answer is not what the OpenAPI document says of its route."""
    method, path = response.request.method, response.request.url.path.removeprefix(app.root_path)
    for route in app.routes:
        if isinstance(route, APIRoute) and method in route.methods and route.path_regex.match(path):
            if route.include_in_schema:
                document = _document(app)
                answers = document["paths"][route.path_format][method.lower()]["responses"]
                _require(answers[str(response.status_code)]["content"], document, response)
            return
    if path.startswith("/api/"):
        document = _document(app)
        _require({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}, document, response)


_documents: dict[tuple[str, ...], dict[str, Any]] = {}


def _document(app: FastAPI) -> dict[str, Any]:
    """Return what an application declares; applications with the same routes declare the same."""
    paths = tuple(getattr(route, "path", "") for route in app.routes)
    if paths not in _documents:
        _documents[paths] = openapi_document(app)
    return _documents[paths]


def _require(content: dict[str, Any], document: dict[str, Any], response: Response) -> None:
    response.read()
    schema = content[response.headers["content-type"]]["schema"]
    validate(response.json(), schema | {"components": document["components"]})


def recorded() -> list[tuple[str, str, Mapping[str, Any]]]:
    """Return the audit log, oldest first."""
    with open_database().read() as connection:
        return [(entry.kind, entry.by, entry.body) for entry in reversed(audit.newest(connection, limit=100))]


def text(html: str) -> str:
    """Return what a page says, without its tags; a place where a word may be broken is none."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", html.replace("<wbr>", ""))))
