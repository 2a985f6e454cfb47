import re
from html import unescape
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.routing import Mount

from autostream.access.roles import Role
from autostream.console import tables as module
from autostream.console.app import create_app
from autostream.console.forms import proof
from autostream.console.guard import ADMINISTER, OPEN, OPERATE, READ, REPORT, require_decisions
from autostream.console.table_watch import TableWatch
from autostream.errors import ConflictError, DefectError
from tests.console.support import Browser, KnownAccess, known_app, recorded
from tests.support.clocks import FakeClock

API = "/api/tables/lake.db.t/watermark"


def test_only_requests_for_this_console_are_answered(configured: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_CONSOLE__URL", "https://console.example.org/")
    client = Browser(known_app(Role.VIEWER), base_url="http://localhost")
    hosts = dict.fromkeys(["localhost", "LOCALHOST:8090", "127.0.0.1:8090", "127.8.9.10", "[::1]:8090"], 200)
    hosts |= {"console.example.org": 200, "evil.example.org": 400, "localhost.evil.example.org": 400}
    hosts |= {"console.example.org.evil.net": 400, "10.1.2.3": 400}

    for host, status in hosts.items():
        for path in ("/api/me", "/openapi.json", "/static/style.css"):
            answer = client.get(path, headers={"Host": host, "X-Forwarded-Host": "localhost"})
            assert answer.status_code == status, (host, path)
            assert answer.headers["x-content-type-options"] == "nosniff"
        # Who only looks whether it runs may call it as he likes.
        assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", [API, "/tables/lake.db.t", "/"])
def test_an_unexpected_error_is_shown_as_where_to_look(
    client: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("inside <b>stuff</b>")

    monkeypatch.setattr(module.Tables, "load", fail)
    monkeypatch.setattr(TableWatch, "overview", fail)

    answer = client.get(path)

    assert answer.status_code == 500
    assert "inside" not in answer.text
    (entry,) = re.findall(r"The request failed\. The console.{1,5}s log says why, at (\w{8})\.", unescape(answer.text))
    assert f"({entry})" in caplog.text
    assert "RuntimeError: inside" in caplog.text


def test_pages_load_nothing_from_elsewhere(filled: Browser) -> None:
    for path in ("/", "/tables/lake.db.t", "/nothing"):
        answer = filled.get(path)
        loaded = re.findall(r'<(?:link|script|img)[^>]*(?:href|src)="([^"]+)"', answer.text)
        assert loaded
        assert [filled.get(link).status_code for link in loaded] == [200] * len(loaded)
        assert all(link.startswith("/static/") for link in loaded)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert [filled.get(path).status_code for path in ("/docs", "/redoc")] == [404, 404]


def test_links_keep_the_path_at_which_people_reach_the_console(
    filled: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSTREAM_CONSOLE__URL", "https://example.org/autostream/")
    with Browser(known_app(Role.VIEWER), base_url="https://example.org") as client:
        page = client.get("/").text
        assert 'href="/autostream/tables/lake.db.t"' in page
        assert 'href="/autostream/static/style.css"' in page
        # Whether the proxy takes the path away or not.
        for path in ("/api/tables/lake.db.none/watermark", "/autostream/api/tables/lake.db.none/watermark"):
            assert client.get(path).json()["detail"].startswith("Table lake.db.none does not exist")


# Writes, by routes that no page has yet


def changing(*, changed: list[str]) -> APIRouter:
    """Routes that change something, each for another permission."""
    router = APIRouter()

    def change() -> dict[str, str]:
        changed.append("done")
        return {}

    def refuse() -> None:
        raise ConflictError("somebody was quicker")

    router.add_api_route("/report", change, methods=["POST"], dependencies=[REPORT], include_in_schema=False)
    router.add_api_route("/operate", change, methods=["POST"], dependencies=[OPERATE], include_in_schema=False)
    router.add_api_route("/administer", change, methods=["PUT"], dependencies=[ADMINISTER], include_in_schema=False)
    router.add_api_route("/refuse", refuse, methods=["DELETE"], dependencies=[OPERATE], include_in_schema=False)
    return router


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (None, set()),
        (Role.VIEWER, set()),
        (Role.SERVICE, {"/report"}),
        (Role.OPERATOR, {"/report", "/operate"}),
        (Role.ADMIN, {"/report", "/operate", "/administer"}),
    ],
)
def test_a_change_is_made_for_whom_it_should_and_written_down(
    configured: object, role: Role | None, allowed: set[str]
) -> None:
    changed: list[str] = []
    browser = Browser(create_app(KnownAccess(role, routers=[changing(changed=changed)])))

    for method, path in (("POST", "/report"), ("POST", "/operate"), ("PUT", "/administer")):
        before = len(changed), len(recorded())
        status = browser.request(method, path).status_code
        assert status == (200 if path in allowed else 403 if role else 401)
        assert len(changed) - before[0] == (path in allowed)
        written = recorded()[before[1] :]
        if path not in allowed:
            assert written == []
            continue
        (kind, name, about), (then, _, outcome) = written
        assert (kind, name, then) == ("request", "ann", "outcome")
        assert {name: about[name] for name in about if name != "request"} == {
            "method": method,
            "path": path,
            "address": "testclient",
            "login": "session",
        }
        assert outcome == {"request": about["request"], "status": 200}


def test_a_refusal_says_who_may(configured: object) -> None:
    browser = Browser(create_app(KnownAccess(Role.VIEWER, routers=[changing(changed=[])])), headers={})

    answer = browser.post("/operate")

    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:autostream:error:denied",
        "title": "Forbidden",
        "status": 403,
        "detail": "'ann' has the role viewer, which may not do this. These roles may: operator, admin.",
    }


def test_a_change_that_fails_is_written_down_as_failed(configured: object) -> None:
    app = create_app(KnownAccess(Role.ADMIN, routers=[changing(changed=[])]))

    assert Browser(app, headers={}).delete("/refuse").json()["type"] == "urn:autostream:error:conflict"
    assert [about.get("status") for _, _, about in recorded()] == [None, 409]


def test_what_cannot_be_written_down_is_not_done(configured: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", "sqlite:////proc/none/a.db")
    changed: list[str] = []
    browser = Browser(create_app(KnownAccess(Role.ADMIN, routers=[changing(changed=changed)])))

    assert browser.post("/operate").status_code == 503
    assert changed == []


def test_only_forms_of_our_own_pages_change_something(configured: object) -> None:
    changed: list[str] = []
    app = create_app(KnownAccess(Role.OPERATOR, form_secret=b"secret", routers=[changing(changed=changed)]))
    cases: list[tuple[dict[str, Any], int]] = [
        ({"data": {"csrf": proof(b"secret")}}, 200),
        ({"headers": {"X-CSRF-Token": proof(b"secret")}}, 200),
        ({"headers": {"X-CSRF-Token": proof(b"secret"), "Sec-Fetch-Site": "same-origin"}}, 200),
        ({}, 403),
        ({"data": {"csrf": proof(b"another")}}, 403),
        ({"data": {"csrf": ""}}, 403),
        ({"data": {"csrf": "é"}}, 403),
        ({"json": {"csrf": proof(b"secret")}}, 403),
        ({"params": {"csrf": proof(b"secret")}}, 403),
        ({"data": {"csrf": proof(b"secret")}, "headers": {"Sec-Fetch-Site": "cross-site"}}, 403),
        ({"data": {"csrf": proof(b"secret")}, "headers": {"Sec-Fetch-Site": "same-site"}}, 403),
    ]

    for how, status in cases:
        changed.clear()
        assert Browser(app).post("/operate", **how).status_code == status, how
        assert len(changed) == (status == 200), how


def test_a_browser_changes_nothing_for_another_site_however_it_is_known(configured: object) -> None:
    changed: list[str] = []
    browser = Browser(create_app(KnownAccess(Role.OPERATOR, routers=[changing(changed=changed)])))

    assert browser.post("/operate", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert changed == []


@pytest.mark.parametrize(
    ("dependencies", "count"), [([], 0), ([READ, OPERATE], 2), ([READ, OPEN], 2), ([Depends(lambda: None)], 0)]
)
def test_a_route_without_exactly_one_decision_is_not_served(
    configured: object, dependencies: list[Any], count: int
) -> None:
    router = APIRouter()

    @router.get("/forgotten", dependencies=dependencies)
    def forgotten() -> None: ...

    with pytest.raises(DefectError, match=rf"/forgotten needs exactly one decision .* has {count}"):
        create_app(KnownAccess(Role.ADMIN, routers=[router]))


def test_an_application_that_is_mounted_without_a_decision_is_not_served() -> None:
    with pytest.raises(DefectError, match="/other needs exactly one decision"):
        require_decisions([Mount("/other", FastAPI())])


# Limits


def test_a_caller_that_asks_too_often_is_told_to_wait(
    configured: object, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    monkeypatch.setenv("AUTOSTREAM_CONSOLE__REQUESTS_PER_MINUTE", "60")
    browser = Browser(known_app(Role.VIEWER))

    answers = [browser.get("/api/me") for _ in range(16)]

    assert [answer.status_code for answer in answers] == [200] * 15 + [429]
    assert answers[-1].headers["retry-after"] == "1"
    assert answers[-1].json()["detail"] == "Too many requests. Wait 1 s, and ask less often."
    assert browser.get("/healthz").status_code == 200
    clock.advance(1)
    assert browser.get("/api/me").status_code == 200


def test_unknown_clients_are_counted_by_address(configured: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_CONSOLE__REQUESTS_PER_MINUTE", "40")
    browser = Browser(create_app(KnownAccess(None)))

    assert [browser.get("/api/me").status_code for _ in range(11)] == [401] * 10 + [429]


def test_what_is_too_long_is_not_read(configured: object) -> None:
    browser = Browser(create_app(KnownAccess(Role.ADMIN, routers=[changing(changed=[])])))
    cases = {"1048576": 200, "1048577": 413, "-1": 411}

    assert {
        length: browser.post("/operate", headers={"Content-Length": length}).status_code for length in cases
    } == cases
    assert browser.post("/operate", headers={"Transfer-Encoding": "chunked"}).status_code == 411


# Headers


def test_browsers_are_told_what_to_keep_to(client: Browser) -> None:
    headers = client.get("/").headers

    assert "'unsafe-inline'" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers
    assert client.get("/static/style.css").headers["cache-control"] == "no-cache"


def test_a_browser_that_came_by_tls_keeps_to_it(configured: object) -> None:
    browser = Browser(known_app(Role.VIEWER), base_url="https://localhost")

    assert browser.get("/").headers["strict-transport-security"] == "max-age=31536000"


def test_pages_have_no_code_and_no_styles_in_them(filled: Browser) -> None:
    for path in ("/", "/tables/lake.db.t", "/nothing"):
        page = filled.get(path).text
        assert re.findall(r"<style|\bstyle=|\bon\w+=|javascript:|<script>", page) == []


def test_what_is_missing_below_a_mount_leads_back_to_the_first_page(client: Browser) -> None:
    answer = client.get("/static/nothing.css")

    assert answer.status_code == 404
    assert '<a href="/">All tables</a>' in answer.text
