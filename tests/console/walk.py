"""What was decided about each route, written down a second time, and requests to all of them."""

from collections.abc import Iterator, Mapping
from typing import Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

from autostream.access.roles import Permission
from autostream.console.guard import decision

Decisions = Mapping[tuple[str, str], Permission | None]

OPEN: Final = None
READ, OPERATE, ADMINISTER = Permission.READ, Permission.OPERATE, Permission.ADMINISTER

DECISIONS: Final[Decisions] = {
    ("GET", "/static"): OPEN,
    ("GET", "/healthz"): OPEN,
    ("GET", "/language/{language}"): OPEN,
    ("GET", "/openapi.json"): READ,
    ("GET", "/api/me"): READ,
    ("GET", "/api/audit"): ADMINISTER,
    ("GET", "/api/notices"): OPERATE,
    ("GET", "/"): READ,
    ("GET", "/jobs"): READ,
    ("GET", "/teams"): READ,
    ("GET", "/api/teams"): READ,
    ("GET", "/job"): READ,
    ("GET", "/api/jobs"): READ,
    ("GET", "/api/jobs/health"): READ,
    ("GET", "/api/jobs/settings"): READ,
    ("GET", "/api/jobs/metrics"): READ,
    ("GET", "/tables/{table:name}"): READ,
    ("GET", "/plan/{table:name}"): READ,
    ("GET", "/locks/{table:name}"): READ,
    ("GET", "/metrics"): READ,
    ("GET", "/api/tables"): READ,
    ("GET", "/api/tables/{table:name}/compactions"): READ,
    ("GET", "/api/tables/{table:name}/watermark"): READ,
    ("GET", "/api/tables/{table:name}/watermark/history"): READ,
}
ALONE: Final[Decisions] = {
    ("GET", "/login"): OPEN,
    ("POST", "/login"): OPEN,
    ("POST", "/logout"): READ,
}
"""What there is besides where the console is served by itself."""

# What takes the name of a job, by what.
_WITH_A_JOB: Final = {"/job": "name"} | {f"/api/jobs/{part}": "job" for part in ("health", "settings", "metrics")}
# It refuses whoever did not load the login page before: see test_alone.
_NOT_WALKED: Final = ("POST", "/login")


def decisions(app: FastAPI) -> Decisions:
    """Return what an application decides about its routes."""
    return {
        (method, route.path): decision(route)
        for route in app.routes
        for method in (route.methods if isinstance(route, APIRoute) else {"GET"})
    }


def requests(table: Decisions) -> Iterator[tuple[str, str, Permission | None]]:
    """Give a request to each route, and the permission that it needs."""
    for (method, path), permission in table.items():
        if (method, path) != _NOT_WALKED:
            filled = path.replace("{table:name}", "lake.db.t").replace("{language}", "en")
            if path in _WITH_A_JOB:
                filled += f"?{_WITH_A_JOB[path]}=prod/orders"
            yield method, f"{filled}/style.css" if filled == "/static" else filled, permission
