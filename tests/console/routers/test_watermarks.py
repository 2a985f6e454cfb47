from collections.abc import Callable
from html import unescape

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.utils.config import Config

from autostream.access.roles import Role
from autostream.catalogs.opening import open_catalog
from autostream.console import tables as module
from autostream.watermark.changes import WriterReport, apply_reports
from tests.console.support import MINUTE, T0, Browser, known_app, text

API = "/api/tables/lake.db.t/watermark"


def test_the_watermark_as_json(filled: Browser) -> None:
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


def test_what_is_not_known_is_null(client: Browser) -> None:
    answer = client.get(API)

    assert answer.status_code == 200
    assert (answer.json()["watermark"], answer.json()["watermark_ms"], answer.json()["source"]) == (None, None, None)


def test_each_answer_is_of_now(filled: Browser, change: Callable[..., None]) -> None:
    assert filled.get(API).json()["watermark_ms"] == T0
    change(apply_reports, [WriterReport("slow", T0 + 5 * MINUTE)])

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
def test_a_condition_is_answered(filled: Browser, query: str, met: bool, need_ms: int) -> None:
    condition = filled.get(f"{API}?{query}").json()["condition"]

    assert (condition["met"], condition["need_ms"]) == (met, need_ms)
    assert condition["held_back_by"] == (None if met else "slow")
    assert "lake.db.t: watermark" in condition["explanation"]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/api/tables/lake.db.none/watermark", 404, "Table lake.db.none does not exist in catalog 'lake'"),
        ("/api/tables/lake.none.t/watermark", 404, "Table lake.none.t does not exist"),
        ("/api/tables/none.db.t/watermark", 404, "Unknown catalog 'none'. Configured: lake"),
        ("/api/tables/orders/watermark", 404, "Invalid table name 'orders'"),
        (f"{API}?until=soon", 400, "Invalid time 'soon'"),
        (f"{API}?until={T0}&lateness=later", 400, "Invalid duration 'later'"),
        (f"{API}?time_zone=Nowhere", 400, "Unknown time zone 'Nowhere'"),
        (f"{API}/history?limit=0", 400, "limit: Input should be greater than or equal to 1"),
        (f"{API}/history?since=soon", 400, "Invalid time 'soon'"),
        ("/api/nothing", 404, "Not Found"),
        ("/nothing", 404, "Not Found"),
        ("/tables/lake.db.none", 404, "Table lake.db.none does not exist"),
    ],
)
def test_what_cannot_be_answered_says_why(client: Browser, path: str, status: int, message: str) -> None:
    answer = client.get(path)

    assert answer.status_code == status
    assert message in (answer.json()["detail"] if path.startswith("/api/") else text(answer.text))


def test_a_wrong_table_property_is_the_tables_fault(client: Browser, lake: SqlCatalog) -> None:
    with lake.load_table("db.t").transaction() as transaction:
        transaction.set_properties({"autostream.watermark.column": "none"})

    answer = client.get(API)

    assert answer.status_code == 422
    assert "property autostream.watermark.column names column 'none'" in answer.json()["detail"]


def test_a_catalog_that_is_down_is_unavailable_and_opened_again_when_it_is_up(
    filled: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(module, "open_catalog", lambda name: opened.append(name) or open_catalog(name))
    assert [filled.get(API).status_code for _ in range(3)] == [200] * 3
    assert opened == ["lake"]

    def fail(*_: object) -> None:
        raise ConnectionError("connection refused by postgresql://me:hunter2@host/db")

    with monkeypatch.context() as down:
        down.setattr(SqlCatalog, "load_table", fail)
        answers = [filled.get(path) for path in (API, f"{API}/history", "/tables/lake.db.t")]

    assert [answer.status_code for answer in answers] == [503] * 3
    assert answers[0].json()["detail"].startswith("Cannot read table lake.db.t. The console's log says why, at ")
    for inside in ("hidden", "refused", "Error"):
        assert inside not in "".join(answer.text for answer in answers)
    assert "Not available at the moment" in answers[2].text
    assert [filled.get(API).status_code for _ in range(2)] == [200, 200]
    # Each time that it failed it is opened again, for its connection may be dead.
    assert opened == ["lake"] * 4


def test_passwords_are_not_shown(client: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg2")
    monkeypatch.setenv("PYICEBERG_CATALOG__DOWN__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__DOWN__URI", "postgresql+psycopg2://me:hunter2@localhost:1/db")
    monkeypatch.setenv("PYICEBERG_CATALOG__DOWN__WAREHOUSE", "file:///tmp")
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())

    answer = client.get("/api/tables/down.db.t/watermark")

    assert answer.status_code == 503
    assert "hunter2" not in answer.text
    # One catalog that is down does not hide the others.
    page = client.get("/")
    assert page.status_code == 200
    assert "lake.db.t" in page.text
    assert "Cannot open catalog 'down'" in unescape(page.text)
    assert "hunter2" not in page.text


def test_history_as_json(filled: Browser) -> None:
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


def test_when_it_was_complete_as_json(filled: Browser) -> None:
    reached = filled.get(f"{API}/history?at=2026-09-21T15:00Z").json()
    later = filled.get(f"{API}/history?at=2026-09-21T15:01Z").json()

    assert (reached["complete"], reached["reached_at"]) == (True, "2026-09-21T15:11:00Z")
    assert (later["complete"], later["reached_at"]) == (False, None)


def test_history_without_a_database(filled: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", "sqlite:////proc/none/a.db")
    browser = Browser(known_app(Role.VIEWER))  # known without the database, as in Airflow

    document = browser.get(f"{API}/history").json()

    assert len(document["entries"]) == 3
    assert "only from the table's metadata" in document["problems"][0]
    assert "only from the table's metadata" in unescape(browser.get("/tables/lake.db.t").text)


def test_the_console_says_that_it_runs(client: Browser) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
