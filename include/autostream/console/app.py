"""The FastAPI application: routes, and how what was found is shown. Every route is run in a thread, for reads block."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable
from datetime import tzinfo
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from pyiceberg.table import Table
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.exceptions import HTTPException

from autostream.config import load_settings
from autostream.console import view
from autostream.console.tables import BAD_REQUEST, Refusal, Tables, logged, mark, now_ms, unavailable
from autostream.errors import AutostreamError, UsageError
from autostream.times import parse_instant, parse_length, parse_zone
from autostream.watermark.conditions import Answer, Condition, judge
from autostream.watermark.history.table_history import Completion, History, completed_at, entries
from autostream.watermark.marks import TableMark

_HERE: Final = Path(__file__).parent
_FAILED: Final = 500
_MOST_TABLES: Final = 200
_PAGE_ENTRIES: Final = 25
# A page must not wait for a hundred files; those that are left are read when it is looked at again.
_PAGE_FILES: Final = 20
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

Until = Annotated[str | None, Query(description="Is the table complete up to this time? ISO 8601, or epoch ms.")]
Lateness = Annotated[str, Query(description="How much further the watermark has to be, such as 5min.")]
Zone = Annotated[str, Query(description="Of times without offset, such as Europe/Berlin.")]


def create_app() -> FastAPI:
    """Make the application for the configured catalogs."""
    url = urlsplit(load_settings().console.url)
    root_path = url.path.rstrip("/")
    # The pages that FastAPI has for its documentation load scripts from elsewhere; /openapi.json describes the REST.
    app = FastAPI(title="autostream", version=version("autostream"), root_path=root_path, docs_url=None, redoc_url=None)
    tables = Tables()
    templates = Jinja2Templates(directory=_HERE / "templates")
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    _protect(app, templates, public_host=url.hostname)
    _add_api(app, tables)
    _add_pages(app, tables, templates)
    return app


def _protect(app: FastAPI, templates: Jinja2Templates, *, public_host: str | None) -> None:
    """Have errors answered without what is inside of them, and only requests that are meant for this console."""

    def answer(request: Request, status: int, message: str) -> Response:
        if request.url.path.removeprefix(request.scope.get("root_path", "")).startswith("/api/"):
            return JSONResponse({"detail": message}, status_code=status)
        context = {"status": status, "message": message}
        return templates.TemplateResponse(request, "error.html", context, status_code=status)

    @app.exception_handler(Refusal)
    def refuse(request: Request, error: Refusal) -> Response:
        return answer(request, error.status, str(error))

    @app.exception_handler(HTTPException)
    def miss(request: Request, error: HTTPException) -> Response:
        return answer(request, error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    def reject(request: Request, error: RequestValidationError) -> Response:
        wrong = "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in error.errors())
        return answer(request, BAD_REQUEST, wrong)

    @app.middleware("http")
    async def protect(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        host, server = request.url.hostname or "", request.scope.get("server")
        # Whoever looks whether it runs (a load balancer, Kubernetes) calls it by whatever name, and learns nothing.
        if request.url.path != "/healthz" and not is_own_host(host, public_host=public_host, server=server):
            response = answer(
                request,
                BAD_REQUEST,
                f"This console does not answer requests for the host {host!r}. Set console.url to the address at which "
                "people reach it.",
            )
        else:
            try:
                response = await call_next(request)
            except Exception:
                response = answer(request, _FAILED, logged("The request failed."))
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def is_own_host(host: str, *, public_host: str | None, server: tuple[str, int | None] | None) -> bool:
    """Say whether a request for this host is meant for us: the pages of another site may not read what is here.

    A site whose name leads to our address for a moment (DNS rebinding) would be taken for the same site by a browser.

    Args:
        host: What the request says.
        public_host: That of `console.url`.
        server: The address that the request has come to.
    """
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.lower().rstrip(".") in {"localhost", (public_host or "localhost").lower()}
    return address.is_loopback or host in {public_host, server[0] if server else None}


class _NameConvertor(PathConvertor):
    """A table's name within a path: there may be anything in it, slashes and line ends too."""

    regex = r"[\s\S]+"


register_url_convertor("name", _NameConvertor())


def _add_api(app: FastAPI, tables: Tables) -> None:
    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Say that the console runs; catalogs are not asked."""
        return {"status": "ok"}

    @app.get("/api/tables/{table:name}/watermark")
    def watermark(
        table: str, until: Until = None, lateness: Lateness = "0s", time_zone: Zone = "UTC"
    ) -> dict[str, Any]:
        """How complete a table is; with `until`, whether it is complete up to there, and why not."""
        condition = _condition(table, until, lateness, _zone(time_zone))
        found = tables.mark(table)
        document = found.to_dict()
        return document if condition is None else document | {"condition": judge(condition, {table: found}).to_dict()}

    @app.get("/api/tables/{table:name}/watermark/history")
    def history(
        table: str,
        since: Annotated[str | None, Query(description="What was recorded from then on.")] = None,
        until: Annotated[str | None, Query(description="What was recorded before then.")] = None,
        at: Annotated[str | None, Query(description="When was the table complete up to this time?")] = None,
        writer: Annotated[str | None, Query(description="Of this writer only.")] = None,
        limit: Annotated[int, Query(ge=1, le=10_000, description="The newest so many.")] = 100,
        time_zone: Zone = "UTC",
    ) -> dict[str, Any]:
        """Return what happened to a table's watermarks, oldest first; or when it became complete up to some time."""
        zone = _zone(time_zone)
        at_ms, since_ms, until_ms = (None if text is None else _instant(text, zone) for text in (at, since, until))
        loaded, _ = tables.load(table)
        if at_ms is not None:
            return _completion(loaded, at_ms).to_dict()
        return _asked(
            lambda: entries(loaded, since_ms=since_ms, until_ms=until_ms, writer=writer, newest=limit)
        ).to_dict()


def _add_pages(app: FastAPI, tables: Tables, templates: Jinja2Templates) -> None:
    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def index(request: Request, q: str = "") -> Response:
        word = q.strip().lower()
        rows, count, problems = tables.overview(pick=lambda name: word in name.lower(), most=_MOST_TABLES)
        now = now_ms()
        context = {
            "rows": [view.table_row(row.name, row.mark, row.problem, now) for row in rows],
            "count": count,
            "problems": problems,
            "q": q,
        }
        return templates.TemplateResponse(request, "index.html", context)

    @app.get("/tables/{table:name}", response_class=HTMLResponse, include_in_schema=False)
    def page(
        request: Request, table: str, until: Until = None, lateness: Lateness = "0s", time_zone: Zone = "UTC"
    ) -> Response:
        # A form that is sent empty asks nothing.
        condition = _condition(table, until or None, lateness or "0s", _zone(time_zone))
        loaded, name = tables.load(table)
        found = mark(loaded, name)
        answer, completion = _answers(condition, loaded, found)
        recent = _asked(lambda: entries(loaded, newest=_PAGE_ENTRIES, most_files=_PAGE_FILES))
        now = now_ms()
        context = {
            "table": name,
            "mark": view.mark(found, now),
            "writers": view.writers(found, now),
            "entries": [view.entry(item) for item in reversed(recent.entries)],
            "problems": [*found.problems, *recent.problems],
            "answer": view.answer(answer, completion) if answer else None,
            "until": until or "",
            "lateness": "" if lateness == "0s" else lateness,
        }
        return templates.TemplateResponse(request, "table.html", context)


def _answers(condition: Condition | None, table: Table, found: TableMark) -> tuple[Answer | None, Completion | None]:
    if condition is None:
        return None, None
    answer = judge(condition, {found.table: found})
    return answer, _completion(table, condition.need_ms, _PAGE_FILES) if answer.met else None


def _completion(table: Table, at_ms: int, most_files: int = 100) -> Completion:
    try:
        return completed_at(table, at_ms, most_files=most_files)
    except AutostreamError as error:
        raise unavailable("When the table was complete cannot be found out.") from error


def _asked(question: Callable[[], History]) -> History:
    try:
        return question()
    except AutostreamError as error:
        raise unavailable("The history of the table cannot be read.") from error


def _condition(table: str, until: str | None, lateness: str, zone: tzinfo) -> Condition | None:
    if until is None:
        return None
    try:
        return Condition((table,), _instant(until, zone), lateness_ms=parse_length(lateness), zone=zone)
    except UsageError as error:
        raise Refusal(BAD_REQUEST, error) from error


def _instant(text: str, zone: tzinfo) -> int:
    # A plus sign that was not encoded arrives as a space.
    mended = re.sub(r"(T\S+) ([0-9]{2}:[0-9]{2})$", r"\1+\2", text.strip())
    try:
        return parse_instant(mended, zone)
    except UsageError as error:
        raise Refusal(BAD_REQUEST, error) from error


def _zone(name: str) -> tzinfo:
    try:
        return parse_zone(name)
    except UsageError as error:
        raise Refusal(BAD_REQUEST, error) from error
