"""The FastAPI application: what `autostream serve` and Airflow's API server serve."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from autostream.console.guard import READ, STATIC, Access, add_protection, require_decisions
from autostream.console.openapi import FAILURES_OF_ALL, openapi_document
from autostream.console.problems import add_handlers
from autostream.console.request_metrics import RequestMetrics
from autostream.console.routers import ROUTERS
from autostream.console.table_watch import TableWatch
from autostream.console.tables import Tables

_STATIC_FILES: Final = Path(__file__).parent / "static"


def create_app(access: Access, *, root_path: str = "") -> FastAPI:
    """Make the application for the configured catalogs.

    Args:
        access: Through what it is reached: who may use it, and how that is found out.
        root_path: The path below which a proxy makes it reached; an application that is mounted knows it by itself.

    Raises:
        DefectError: A route does not say who may use it.
    """
    # The pages that FastAPI has for its documentation load scripts from elsewhere; /openapi.json describes the REST.
    app = FastAPI(
        title="autostream",
        version=version("autostream"),
        root_path=root_path,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.access = access
    app.state.tables = Tables()
    app.state.watch = TableWatch(app.state.tables)
    app.state.request_metrics = RequestMetrics()
    app.mount(STATIC, StaticFiles(directory=_STATIC_FILES), name="static")
    add_handlers(app)
    add_protection(app, access)
    for router in (*ROUTERS, *access.routers):
        app.include_router(router, responses=FAILURES_OF_ALL)

    @app.get("/openapi.json", dependencies=[READ], include_in_schema=False)
    def openapi() -> dict[str, Any]:
        app.openapi_schema = app.openapi_schema or openapi_document(app)
        return app.openapi_schema

    require_decisions(app.routes)
    return app
