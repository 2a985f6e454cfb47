"""Who gets in where the console is served by itself."""

import re
from collections.abc import Callable, Iterator
from html import unescape

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from autostream.access.roles import Role
from autostream.access.tokens import create_token, revoke_token
from autostream.console.alone import create_app_alone
from autostream.store.database import open_database
from tests.console.support import Browser, recorded, text
from tests.support.clocks import FakeClock

Create = Callable[..., str]


@pytest.fixture
def create(configured: SqlCatalog, clock: FakeClock) -> Create:
    """Creates a token."""

    def act(name: str = "ann", *, role: Role = Role.VIEWER, days: int | None = 90) -> str:
        with open_database().write() as connection:
            return create_token(connection, name, role=role, days=days, by="root@desk", now_ms=clock.ms)[1]

    return act


@pytest.fixture
def browser(configured: SqlCatalog) -> Iterator[Browser]:
    with Browser(create_app_alone()) as browser:
        yield browser


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def log_in(browser: Browser, token: str, *, path: str = "/login") -> object:
    """Load the login page, fill its form and send it, as a person does."""
    form = browser.get(path).text
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
    return browser.post("/login", data={name: unescape(value) for name, value in fields.items()} | {"token": token})


def csrf(page: str) -> str:
    return re.findall(r'name="csrf" value="(\w+)"', page)[0]


# Without any token


def test_without_any_token_this_machine_looks_at_everything_and_changes_nothing(browser: Browser) -> None:
    page = browser.get("/")

    assert page.status_code == 200
    assert "No login is needed on this machine, since no token was ever created" in text(page.text)
    assert "/logout" not in page.text
    assert browser.get("/api/me").json() == {
        "name": "this machine",
        "role": "viewer",
        "team": "",
        "permissions": ["read"],
    }


@pytest.mark.parametrize(
    ("base_url", "headers"),
    [
        ("http://10.1.2.3:8090", {}),  # TestClient says that requests come in at the host of the URL
        ("http://localhost:8090", {"X-Forwarded-For": "10.9.9.9"}),
        ("http://localhost:8090", {"Forwarded": "for=10.9.9.9"}),
        ("http://localhost:8090", {"X-Real-IP": "10.9.9.9"}),
    ],
)
def test_without_any_token_other_machines_see_nothing(
    configured: SqlCatalog, base_url: str, headers: dict[str, str]
) -> None:
    with Browser(create_app_alone(), base_url=base_url) as browser:
        assert browser.get("/api/me", headers=headers).status_code == 401


def test_where_people_reach_it_by_another_host_this_machine_logs_in_too(
    configured: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSTREAM_CONSOLE__HOSTS", "console.example.org")

    assert Browser(create_app_alone()).get("/api/me").status_code == 401


def test_with_the_first_token_the_login_is_on_and_stays_on(browser: Browser, create: Create, clock: FakeClock) -> None:
    assert browser.get("/api/me").status_code == 200
    create()
    assert browser.get("/api/me").status_code == 401
    with open_database().write() as connection:
        revoke_token(connection, "ann", by="root@desk", now_ms=clock.ms)
    assert browser.get("/api/me").status_code == 401


# Tokens


def test_a_token_says_who_asks(browser: Browser, create: Create) -> None:
    answers = [browser.get("/api/me", headers=bearer(create(f"a-{role}", role=role))).json() for role in Role]

    assert [(answer["name"], answer["role"]) for answer in answers] == [(f"a-{role}", role) for role in Role]


def test_what_is_no_valid_token_is_refused(browser: Browser, create: Create) -> None:
    create()

    for shown in ("Bearer x", "Bearer", "Bearer ", "Basic YW5uOng=", "", "nonsense", "Bearer é"):
        answer = browser.get("/api/me", headers={"Authorization": shown.encode()})
        assert answer.status_code == 401, shown
        assert answer.headers["www-authenticate"] == 'Bearer realm="autostream"'
        assert "is not valid: it is wrong, revoked or expired" in answer.json()["detail"]


def test_a_wrong_token_is_refused_though_none_is_needed(browser: Browser) -> None:
    assert browser.get("/api/me", headers=bearer("x")).status_code == 401


def test_a_token_that_has_ended_is_refused_at_once(browser: Browser, create: Create, clock: FakeClock) -> None:
    short, long = create("short", days=1), create("long")
    assert browser.get("/api/me", headers=bearer(short)).status_code == 200

    clock.advance(86_400)
    assert browser.get("/api/me", headers=bearer(short)).status_code == 401
    assert browser.get("/api/me", headers=bearer(long)).status_code == 200
    with open_database().write() as connection:
        revoke_token(connection, "long", by="root@desk", now_ms=clock.ms)
    assert browser.get("/api/me", headers=bearer(long)).status_code == 401


def test_no_login_works_where_the_database_cannot_be_read(
    configured: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", "sqlite:////proc/none/a.db")
    browser = Browser(create_app_alone())

    answer = browser.get("/api/me")

    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("Cannot read the database of tokens. The console's log says why, at ")
    assert "Not available at the moment" in browser.get("/").text
    assert browser.get("/healthz").status_code == 200


# Browsers


def test_a_browser_is_led_to_the_login_and_back(browser: Browser, create: Create) -> None:
    token = create()
    assert browser.get("/").headers["location"] == "/login"
    led = browser.get("/tables/lake.db.t?until=2026-09-21T15:00").headers["location"]
    assert led.startswith("/login?back=")

    answer = log_in(browser, token, path=led)

    assert (answer.status_code, answer.headers["location"]) == (303, "/tables/lake.db.t?until=2026-09-21T15:00")
    page = browser.get("/")
    assert page.status_code == 200
    assert "ann (viewer)" in text(page.text)
    assert token not in page.text


def test_a_part_of_a_page_has_the_whole_browser_led_to_the_login(browser: Browser, create: Create) -> None:
    create()

    answer = browser.get("/", headers={"HX-Request": "true"})

    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login")


@pytest.mark.parametrize(
    ("base_url", "url", "secure"),
    [
        ("http://localhost:8090", "", False),
        ("https://localhost:8090", "", True),
        ("http://console.example.org", "https://console.example.org", True),
        ("http://localhost:8090", "https://console.example.org", False),
    ],
)
def test_the_cookie_of_a_session_is_for_this_console_alone(
    create: Create, monkeypatch: pytest.MonkeyPatch, base_url: str, url: str, secure: bool
) -> None:
    monkeypatch.setenv("AUTOSTREAM_CONSOLE__URL", url)
    token = create()
    browser = Browser(create_app_alone(), base_url=base_url)
    page = browser.get("/login")
    # A client keeps no secure cookie of a plain address: this one arrived through a proxy.
    sent = {"Cookie": page.headers["set-cookie"].partition(";")[0]}

    cookie = browser.post("/login", data={"csrf": csrf(page.text), "token": token}, headers=sent).headers["set-cookie"]

    assert cookie.startswith("autostream_session=")
    assert "HttpOnly; Max-Age=43200; Path=/; SameSite=strict" in cookie
    assert ("Secure" in cookie) == secure
    assert token not in cookie


def test_a_wrong_token_does_not_log_in(browser: Browser, create: Create) -> None:
    create()

    for token in ("", "autostream_wrong", " "):
        answer = log_in(browser, token)
        assert answer.status_code == 401
        assert "This token is not valid" in text(answer.text)
        assert "autostream_session" not in browser.cookies


def test_tokens_for_programs_are_not_for_browsers(browser: Browser, create: Create) -> None:
    answer = log_in(browser, create(role=Role.SERVICE))

    assert answer.status_code == 401
    assert "it is for programs" in text(answer.text)


def test_a_login_comes_from_the_login_page(browser: Browser, create: Create) -> None:
    token = create()
    proof = csrf(browser.get("/login").text)

    for field in ("", "0" * 64):
        assert browser.post("/login", data={"csrf": field, "token": token}).status_code == 403
    browser.cookies.clear()
    assert browser.post("/login", data={"csrf": proof, "token": token}).status_code == 403


def test_the_login_leads_nowhere_else(browser: Browser, create: Create) -> None:
    token = create()

    assert log_in(browser, token, path="/login?back=https://evil.example/").headers["location"] == "/"


def test_many_wrong_tokens_have_to_wait(browser: Browser, create: Create) -> None:
    create()

    statuses = [log_in(browser, "x").status_code for _ in range(17)]

    assert statuses == [401] * 15 + [429] * 2


def test_a_browser_logs_out(browser: Browser, create: Create) -> None:
    log_in(browser, create())
    session = browser.cookies["autostream_session"]
    assert browser.post("/logout").status_code == 403

    answer = browser.post("/logout", data={"csrf": csrf(browser.get("/").text)})

    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert "autostream_session" not in browser.cookies
    browser.cookies["autostream_session"] = session
    assert browser.get("/api/me").status_code == 401


def test_a_session_ends_with_its_token_and_by_itself(browser: Browser, create: Create, clock: FakeClock) -> None:
    log_in(browser, create())
    assert browser.get("/api/me").status_code == 200
    clock.advance(12 * 3600)
    assert browser.get("/api/me").status_code == 401

    log_in(browser, create("bob"))
    with open_database().write() as connection:
        revoke_token(connection, "bob", by="root@desk", now_ms=clock.ms)
    assert browser.get("/api/me").status_code == 401


def test_logins_and_changes_are_in_the_audit_log(browser: Browser, create: Create) -> None:
    log_in(browser, create(role=Role.ADMIN))
    browser.post("/logout", data={"csrf": csrf(browser.get("/").text)})

    entries = recorded()

    assert [(kind, by) for kind, by, _ in entries] == [
        ("token-created", "root@desk"),
        ("login", "ann"),
        ("request", "ann"),
        ("outcome", "ann"),
    ]
    assert entries[2][2]["path"] == "/logout"
    assert entries[3][2] == {"request": entries[2][2]["request"], "status": 303}


def test_a_link_on_another_site_leads_to_the_page_of_a_browser_that_is_logged_in(
    browser: Browser, create: Create
) -> None:
    """With SameSite=Strict the cookie does not come along with the first request; it does with ours to ourselves."""
    create()
    linked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}

    answer = browser.get("/tables/lake.db.t?until=1", headers=linked)

    assert answer.status_code == 401
    assert '<meta http-equiv="refresh" content="0; url=/tables/lake.db.t?until=1">' in answer.text
    assert browser.get("/tables/lake.db.t?until=1", headers=linked | {"Sec-Fetch-Site": "same-origin"}).is_redirect
