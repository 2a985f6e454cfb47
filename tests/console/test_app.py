import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField
from pyiceberg.utils.config import Config

from autostream.catalogs import open_catalog
from autostream.console import tables as module
from autostream.console.app import create_app, is_own_host
from autostream.times import FOREVER_MS
from autostream.watermark.codec import Change, Report, advance, reset, retire
from autostream.watermark.history.table_history import record
from autostream.watermark.publish import publish

T0 = 1_790_002_800_000  # 2026-09-21T15:00Z
MINUTE = 60_000
API = "/api/tables/lake.db.t/watermark"


@pytest.fixture
def client(lake: SqlCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PYICEBERG_HOME", raising=False)
    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", f"sqlite:///{tmp_path}/control.db")
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
    monkeypatch.setattr(module, "now_ms", lambda: T0 + 30 * MINUTE)
    monkeypatch.setattr("autostream.console.app.now_ms", lambda: T0 + 30 * MINUTE)
    monkeypatch.setattr("autostream.watermark.history.table_history._now_ms", lambda: T0 + 30 * MINUTE)
    lake.create_table("db.t", Schema(NestedField(1, "id", LongType())))
    with TestClient(create_app(), base_url="http://localhost:8090", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def change(lake: SqlCatalog) -> Callable[..., None]:
    def act(decide: Callable[..., Change], *arguments: object, at: int = T0 + 20 * MINUTE, **more: object) -> None:
        table = lake.load_table("db.t")
        done = publish(table, lambda properties: decide(properties, *arguments, now_ms=at, **more))
        record(table, done.events)

    return act


@pytest.fixture
def filled(client: TestClient, change: Callable[..., None]) -> TestClient:
    reports = [Report("fast", T0 + 10 * MINUTE), Report("slow", T0, job_id="abc", note="idle since 15:00")]
    change(advance, reports, at=T0 + 11 * MINUTE)
    return client


def text(html: str) -> str:
    """Return what a page says, without its tags."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", html)))


# REST


def test_the_watermark_as_json(filled: TestClient) -> None:
    document = filled.get(API).json()

    assert (document["table"], document["source"]) == ("lake.db.t", "writers")
    assert (document["watermark"], document["watermark_ms"]) == ("2026-09-21T15:00:00Z", T0)
    assert document["writers"]["slow"] == {
        "watermark": "2026-09-21T15:00:00Z",
        "watermark_ms": T0,
        "recorded_at": "2026-09-21T15:11:00Z",
        "recorded_at_ms": T0 + 11 * MINUTE,
        "active": True,
        "status": "active",
        "job_id": "abc",
        "note": "idle since 15:00",
    }
    assert "condition" not in document


def test_what_is_not_known_is_null(client: TestClient) -> None:
    answer = client.get(API)

    assert answer.status_code == 200
    assert (answer.json()["watermark"], answer.json()["watermark_ms"], answer.json()["source"]) == (None, None, None)


def test_each_answer_is_of_now(filled: TestClient, change: Callable[..., None]) -> None:
    assert filled.get(API).json()["watermark_ms"] == T0
    change(advance, [Report("slow", T0 + 5 * MINUTE)])

    assert filled.get(API).json()["watermark_ms"] == T0 + 5 * MINUTE


@pytest.mark.parametrize(
    ("query", "met", "need_ms"),
    [
        ("until=2026-09-21T15:00Z", True, T0),
        ("until=2026-09-21T15:00Z&lateness=5min", False, T0 + 5 * MINUTE),
        ("until=2026-09-21T17:00&time_zone=Europe/Berlin", True, T0),
        ("until=2026-09-21T17:00:00%2B02:00", True, T0),
        ("until=2026-09-21T17:00:00+02:00", True, T0),
        (f"until={T0 + 1}", False, T0 + 1),
    ],
)
def test_a_condition_is_answered(filled: TestClient, query: str, met: bool, need_ms: int) -> None:
    condition = filled.get(f"{API}?{query}").json()["condition"]

    assert (condition["met"], condition["need_ms"]) == (met, need_ms)
    assert condition["held_back_by"] == (None if met else "slow")
    assert "lake.db.t: watermark" in condition["explanation"]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/api/tables/lake.db.none/watermark", 404, "Table lake.db.none does not exist in catalog 'lake'"),
        ("/api/tables/lake.none.t/watermark", 404, "Table lake.none.t does not exist"),
        ("/api/tables/none.db.t/watermark", 404, "No catalog 'none' is configured. There are: lake"),
        ("/api/tables/orders/watermark", 404, "'orders' does not name a table"),
        (f"{API}?until=soon", 400, "Invalid time 'soon'"),
        (f"{API}?until={T0}&lateness=later", 400, "Invalid length of time 'later'"),
        (f"{API}?time_zone=Nowhere", 400, "There is no time zone 'Nowhere'"),
        (f"{API}/history?limit=0", 400, "limit: Input should be greater than or equal to 1"),
        (f"{API}/history?since=soon", 400, "Invalid time 'soon'"),
        ("/api/nothing", 404, "Not Found"),
        ("/nothing", 404, "Not Found"),
        ("/tables/lake.db.none", 404, "Table lake.db.none does not exist"),
    ],
)
def test_what_cannot_be_answered_says_why(client: TestClient, path: str, status: int, message: str) -> None:
    answer = client.get(path)

    assert answer.status_code == status
    assert message in (answer.json()["detail"] if path.startswith("/api/") else text(answer.text))


def test_a_wrong_table_property_is_the_tables_fault(client: TestClient, lake: SqlCatalog) -> None:
    with lake.load_table("db.t").transaction() as transaction:
        transaction.set_properties({"autostream.watermark.column": "none"})

    answer = client.get(API)

    assert answer.status_code == 422
    assert "property autostream.watermark.column names column 'none'" in answer.json()["detail"]


def test_a_catalog_that_is_down_is_unavailable_and_opened_again_when_it_is_up(
    filled: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(module, "open_catalog", lambda name: opened.append(name) or open_catalog(name))
    assert [filled.get(API).status_code for _ in range(3)] == [200] * 3
    assert opened == ["lake"]

    def fail(*_: object) -> None:
        raise ConnectionError("connection refused by postgresql://me:hidden@host/db")

    with monkeypatch.context() as down:
        down.setattr(SqlCatalog, "load_table", fail)
        answers = [filled.get(path) for path in (API, f"{API}/history", "/tables/lake.db.t")]

    assert [answer.status_code for answer in answers] == [503] * 3
    assert answers[0].json()["detail"].startswith("Table lake.db.t cannot be read. The console's log says why, at ")
    for inside in ("hidden", "refused", "Error"):
        assert inside not in "".join(answer.text for answer in answers)
    assert "Not available at the moment" in answers[2].text
    assert [filled.get(API).status_code for _ in range(2)] == [200, 200]
    # Each time that it failed it is opened anew, for its connection may be dead.
    assert opened == ["lake"] * 4


def test_passwords_are_not_shown(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg2")
    monkeypatch.setenv("PYICEBERG_CATALOG__DOWN__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__DOWN__URI", "postgresql+psycopg2://me:hidden@localhost:1/db")
    monkeypatch.setenv("PYICEBERG_CATALOG__DOWN__WAREHOUSE", "file:///tmp")
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())

    answer = client.get("/api/tables/down.db.t/watermark")

    assert answer.status_code == 503
    assert "hidden" not in answer.text
    # One catalog that is down does not hide the others.
    page = client.get("/")
    assert page.status_code == 200
    assert "lake.db.t" in page.text
    assert "Catalog 'down' cannot be opened" in unescape(page.text)
    assert "hidden" not in page.text


def test_history_as_json(filled: TestClient) -> None:
    document = filled.get(f"{API}/history").json()

    assert [(entry["kind"], entry["writer"]) for entry in document["entries"]] == [
        ("join", "fast"),
        ("join", "slow"),
        ("advance", None),
    ]
    assert document["problems"] == []
    assert [entry["writer"] for entry in filled.get(f"{API}/history?writer=slow").json()["entries"]] == ["slow"]
    assert [entry["writer"] for entry in filled.get(f"{API}/history?limit=1").json()["entries"]] == [None]
    assert filled.get(f"{API}/history?since=2026-09-21T15:12Z").json()["entries"] == []
    assert filled.get(f"{API}/history?until=2026-09-21T15:11Z").json()["entries"] == []


def test_when_it_was_complete_as_json(filled: TestClient) -> None:
    reached = filled.get(f"{API}/history?at=2026-09-21T15:00Z").json()
    later = filled.get(f"{API}/history?at=2026-09-21T15:01Z").json()

    assert (reached["complete"], reached["reached_at"]) == (True, "2026-09-21T15:11:00Z")
    assert (later["complete"], later["reached_at"]) == (False, None)


def test_history_without_a_database(filled: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", "sqlite:////proc/none/a.db")

    document = filled.get(f"{API}/history").json()

    assert len(document["entries"]) == 3
    assert "from the table's metadata alone" in document["problems"][0]
    assert "from the table's metadata alone" in unescape(filled.get("/tables/lake.db.t").text)


def test_the_console_says_that_it_runs(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


# Pages


def test_the_page_of_a_table(filled: TestClient, change: Callable[..., None]) -> None:
    change(retire, "fast", by="ann", reason="replaced")

    said = text(filled.get("/tables/lake.db.t").text)

    assert "Complete up to 2026-09-21 15:00 30 min ago · reported by its writers" in said
    assert "slow active 2026-09-21 15:00 30 min ago 19 min ago abc idle since 15:00" in said
    assert "fast retired 2026-09-21 15:10 20 min ago 19 min ago retired by ann: replaced" in said
    assert "2026-09-21 15:20 retire fast 2026-09-21 15:10 ann, replaced" in said
    assert "2026-09-21 15:11 advance table 2026-09-21 15:00" in said
    # The newest is first.
    assert said.index("retire fast") < said.index("advance table")


def test_the_page_tells_who_holds_a_table_back(filled: TestClient) -> None:
    said = text(filled.get("/tables/lake.db.t").text)

    assert "slow holds the table back active" in said
    assert "fast active" in said


def test_the_page_of_a_table_of_which_nothing_is_known(client: TestClient) -> None:
    said = text(client.get("/tables/lake.db.t").text)

    assert "Complete up to not known nobody reports one" in said
    assert "Nothing is known of its history." in said


def test_the_page_of_a_table_whose_writers_have_ended(client: TestClient, change: Callable[..., None]) -> None:
    change(advance, [Report("load", FOREVER_MS)])

    assert "the end of all data all its writers have ended" in text(client.get("/tables/lake.db.t").text)


def test_the_page_answers_a_question(filled: TestClient, change: Callable[..., None]) -> None:
    met = text(filled.get("/tables/lake.db.t?until=2026-09-21T15:00&lateness=").text)
    short = filled.get("/tables/lake.db.t?until=2026-09-21T15:00&lateness=5min").text

    assert "complete lake.db.t: watermark 15:00, need 15:00 UTC: complete" in met
    assert "is complete up to 2026-09-21 15:00 UTC since 2026-09-21 15:11 UTC" in met
    assert "not complete yet lake.db.t: watermark 15:00, need 15:05 UTC (15:00 + 5 min), 5 min short" in text(short)
    assert 'value="5min"' in short
    assert text(filled.get("/tables/lake.db.t?until=&lateness=").text).count("need") == 0

    change(reset, T0 - MINUTE, by="ann", reason="bad rows")
    change(advance, [Report("slow", T0), Report("fast", T0)], at=T0 + 25 * MINUTE)
    again = text(filled.get("/tables/lake.db.t?until=2026-09-21T15:00").text)
    assert "since 2026-09-21 15:25 UTC; it had been since 2026-09-21 15:11" in again


def test_names_and_notes_are_escaped(client: TestClient, change: Callable[..., None]) -> None:
    change(advance, [Report("<script>x()</script>", T0, note="<b>n</b>")], by="<i>ann</i>")

    for page in ("/tables/lake.db.t", "/", "/?q=<script>q()</script>", "/tables/<script>y"):
        html = client.get(page).text
        assert re.findall(r"<script|<b>|<i>", html) == []
    assert "&lt;script&gt;x()&lt;/script&gt;" in client.get("/tables/lake.db.t").text


def test_all_tables_are_listed(filled: TestClient, lake: SqlCatalog) -> None:
    lake.create_table("db.other", Schema(NestedField(1, "id", LongType())))
    with lake.load_table("db.other").transaction() as transaction:
        transaction.set_properties({"autostream.watermark": "soon"})

    page = filled.get("/").text

    assert 'href="/tables/lake.db.t"' in page
    said = text(page)
    assert "lake.db.t 2026-09-21 15:00 30 min ago writers slow" in said
    assert "lake.db.other – writers table property autostream.watermark is 'soon'" in said


def test_tables_are_found_by_a_part_of_their_name(filled: TestClient, lake: SqlCatalog) -> None:
    lake.create_table("db.other", Schema(NestedField(1, "id", LongType())))

    found = text(filled.get("/?q=OTH").text)

    assert "lake.db.other" in found
    assert "lake.db.t " not in found
    assert "No table has “none” in its name." in text(filled.get("/?q=none").text)


def test_a_long_list_is_cut_and_says_so(filled: TestClient, lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autostream.console.app._MOST_TABLES", 1)
    lake.create_table("db.z", Schema(NestedField(1, "id", LongType())))

    said = text(filled.get("/").text)

    assert "lake.db.t" in said
    assert "lake.db.z" not in said
    assert "These are the first 1 of 2" in said


def test_tables_and_catalogs_that_fail_do_not_hide_the_others(
    filled: TestClient, lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.create_table("db.z", Schema(NestedField(1, "id", LongType())))
    real = module.mark_of
    monkeypatch.setattr(module, "mark_of", lambda table, name: 1 / 0 if name.endswith("z") else real(table, name))

    said = text(filled.get("/").text)

    assert "lake.db.t 2026-09-21 15:00" in said
    assert "lake.db.z – It cannot be read. The console's log says why, at " in said
    assert "division" not in said

    def fail(*_: object) -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr(SqlCatalog, "list_namespaces", fail)
    answer = filled.get("/")
    assert answer.status_code == 200
    assert "Catalog 'lake' cannot be listed. The console's log says why, at " in unescape(answer.text)
    assert "refused" not in answer.text


def test_a_watermark_that_takes_long_is_left_out(filled: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "wait", lambda started, timeout: None)
    monkeypatch.setattr(module.Future, "done", lambda self: False)

    assert "lake.db.t – not read in time" in text(filled.get("/").text)


def test_pages_load_nothing_from_elsewhere(filled: TestClient) -> None:
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
    filled: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSTREAM_CONSOLE__URL", "https://example.org/autostream/")
    with TestClient(create_app(), base_url="https://example.org") as client:
        page = client.get("/").text
        assert 'href="/autostream/tables/lake.db.t"' in page
        assert 'href="/autostream/static/style.css"' in page
        # Whether the proxy takes the path away or not.
        for path in ("/api/tables/lake.db.none/watermark", "/autostream/api/tables/lake.db.none/watermark"):
            assert client.get(path).json()["detail"].startswith("Table lake.db.none does not exist")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8090", 200),
        ("127.0.0.1:8090", 200),
        ("127.8.9.10", 200),
        ("[::1]:8090", 200),
        ("console.example.org", 200),
        ("evil.example.org", 400),
        ("localhost.evil.example.org", 400),
        ("console.example.org.evil.net", 400),
        ("10.1.2.3", 400),
    ],
)
def test_only_requests_for_this_console_are_answered(
    lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch, host: str, status: int
) -> None:
    monkeypatch.setenv("AUTOSTREAM_CONSOLE__URL", "https://console.example.org/")
    with TestClient(create_app(), base_url="http://localhost") as client:
        for path in ("/", "/openapi.json", "/static/style.css"):
            answer = client.get(path, headers={"Host": host, "X-Forwarded-Host": "localhost"})
            assert answer.status_code == status
            assert answer.headers["x-content-type-options"] == "nosniff"
        # Who only looks whether it runs may call it as he likes.
        assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_an_address_of_this_machine_is_its_own_where_requests_come_in_by_it() -> None:
    assert is_own_host("10.1.2.3", public_host=None, server=("10.1.2.3", 8090))
    assert not is_own_host("10.1.2.4", public_host=None, server=("10.1.2.3", 8090))
    assert not is_own_host("evil.example.org", public_host=None, server=("evil.example.org", 8090))


@pytest.mark.parametrize("path", [API, "/tables/lake.db.t", "/"])
def test_what_nobody_foresaw_is_shown_as_where_to_look(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("inside <b>stuff</b>")

    monkeypatch.setattr(module.Tables, "load", fail)
    monkeypatch.setattr(module.Tables, "overview", fail)

    answer = client.get(path)

    assert answer.status_code == 500
    assert "inside" not in answer.text
    (entry,) = re.findall(r"The request failed\. The console.{1,5}s log says why, at (\w{8})\.", unescape(answer.text))
    assert f"({entry})" in caplog.text
    assert "RuntimeError: inside" in caplog.text


@pytest.mark.parametrize("name", ["[red]x[/red]", "a/watermark", "new\nline", "50%", "a?b#c", "<b>"])
def test_each_table_that_is_listed_has_its_page(client: TestClient, lake: SqlCatalog, name: str) -> None:
    lake.create_table(("db", name), Schema(NestedField(1, "id", LongType())))
    links = re.findall(r'href="(/tables/[^"]*)"', client.get("/").text)
    pages = [client.get(unescape(link)) for link in links]
    assert [page.status_code for page in pages] == [200, 200]
    api = "/api" + next(link for link in links if link != "/tables/lake.db.t")
    for path in ("/watermark", "/watermark/history"):
        assert client.get(unescape(api) + path).json()["table"] == f"lake.db.{name}"
