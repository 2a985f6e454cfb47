"""The whole route table, as everybody: a route that is added needs a decision here too."""

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from autostream.access.roles import Permission, Role
from autostream.console.alone import create_app as create_alone
from autostream.console.app import create_app
from autostream.console.guard import decision
from tests.console.support import Browser, KnownAccess

READ, OPEN = Permission.READ, None

DECISIONS: dict[tuple[str, str], Permission | None] = {
    ("GET", "/static"): OPEN,
    ("GET", "/healthz"): OPEN,
    ("GET", "/language/{language}"): OPEN,
    ("GET", "/openapi.json"): READ,
    ("GET", "/api/me"): READ,
    ("GET", "/"): READ,
    ("GET", "/tables/{table:name}"): READ,
    ("GET", "/api/tables/{table:name}/watermark"): READ,
    ("GET", "/api/tables/{table:name}/watermark/history"): READ,
}

CALLERS = [None, *Role]


def table(app: FastAPI) -> dict[tuple[str, str], Permission | None]:
    return {
        (method, route.path): decision(route)
        for route in app.routes
        for method in (route.methods if isinstance(route, APIRoute) else {"GET"})
    }


def test_every_route_has_a_decision(configured: object) -> None:
    assert table(create_alone()) == DECISIONS


@pytest.mark.parametrize("role", CALLERS)
def test_each_route_answers_whom_it_should(configured: object, role: Role | None) -> None:
    browser = Browser(create_app(KnownAccess(role)))

    for (method, path), permission in DECISIONS.items():
        address = path.replace("{table:name}", "lake.db.t").replace("{language}", "en")
        address = f"{address}/style.css" if path == "/static" else address
        status = browser.request(method, address).status_code
        if permission is None or (role and role.may(permission)):
            assert status in (200, 303), (method, path)
        else:
            assert status == (403 if role else 401), (method, path)
