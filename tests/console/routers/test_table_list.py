"""The list of all tables: as a page, by REST and for Prometheus, from one look at them."""

import re
import threading
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

from autostream.access.roles import Role
from autostream.console import table_watch as module
from autostream.console.alone import create_app_alone
from autostream.console.request_metrics import REQUEST_SECONDS, REQUESTS
from autostream.console.routers.metrics import CATALOG_UP, COUNTERS, METRICS
from autostream.console.table_watch import TableWatch
from autostream.console.tables import Tables
from autostream.lake.compaction.runs.log import CompactionRun, RunLog
from autostream.lake.compaction.runs.recording import run_recorded
from autostream.store.database import open_database
from tests.console.support import MINUTE, T0, Browser, known_app, text
from tests.support.clocks import FakeClock
from tests.support.lakes import Orders, compact

SCHEMA = Schema(NestedField(1, "id", LongType()))


def listed(browser: Browser, query: str = "") -> list[str]:
    return [item["table"].removeprefix("lake.db.") for item in browser.get(f"/api/tables{query}").json()["items"]]


@pytest.fixture
def compacted(filled: Browser, lake: SqlCatalog) -> Browser:
    """Three tables: one with watermarks, one that was compacted, one of which compaction failed."""
    orders = Orders(lake, "db.orders")
    orders.checkpoint(3)
    run_recorded("lake.db.orders", lambda: compact(orders.load(), "lake.db.orders"))
    orders.checkpoint()
    Orders(lake, "db.big").checkpoint(2)
    with open_database().write() as connection:
        RunLog(connection).add(
            CompactionRun(
                table_name="lake.db.big",
                by="ann@host",
                started_at_ms=T0,
                ended_at_ms=T0 + MINUTE,
                status="failed",
                error="no disk",
            )
        )
    return filled


def test_rest_tells_what_is_known_of_each_table(compacted: Browser, lake: SqlCatalog) -> None:
    document = compacted.get("/api/tables").json()
    big, orders, watermarked = document["items"]

    assert document["total"] == 3
    assert [(each["catalog"], each["up"], each["problem"]) for each in document["catalogs"]] == [("lake", True, None)]
    assert (orders["data_files"], orders["delete_files"], orders["small_files_ratio"]) == (2, 2, 1.0)
    assert orders["last_compaction"]["status"] == "committed"
    assert (orders["last_compaction"]["data_files_before"], orders["last_compaction"]["data_files_after"]) == (3, 1)
    assert int(orders["last_compaction"]["snapshot_id"]) in [
        s.snapshot_id for s in lake.load_table("db.orders").snapshots()
    ]
    assert (big["last_compaction"]["by"], big["last_compaction"]["error"]) == ("ann@host", "no disk")
    assert (watermarked["watermark_ms"], watermarked["lag_seconds"]) == (T0, 1800.0)
    assert (watermarked["held_back_by"], watermarked["held_back_because"]) == ("slow", "idle since 15:00")
    assert (watermarked["last_compaction"], watermarked["problem"]) == (None, None)

    (run,) = compacted.get("/api/tables/lake.db.orders/compactions").json()
    assert run == orders["last_compaction"]
    assert compacted.get("/api/tables/lake.db.nothing/compactions").status_code == 404


def test_the_list_is_searched_sorted_and_cut(compacted: Browser) -> None:
    assert listed(compacted) == ["big", "orders", "t"]
    assert listed(compacted, "?sort=-table") == ["t", "orders", "big"]
    assert listed(compacted, "?sort=data_files") == ["t", "big", "orders"]
    assert listed(compacted, "?sort=-data_files") == ["big", "orders", "t"]
    # Those of which it is not known are last, whichever way.
    assert listed(compacted, "?sort=lag") == listed(compacted, "?sort=-lag") == ["t", "big", "orders"]
    assert listed(compacted, "?sort=-compacted") == ["orders", "big", "t"]
    assert listed(compacted, "?q=ORD") == ["orders"]

    first = compacted.get("/api/tables?limit=2&sort=-table").json()
    assert listed(compacted, f"?limit=2&sort=-table&cursor={first['next_cursor']}") == ["big"]

    wrong = compacted.get("/api/tables?sort=files")
    assert wrong.status_code == 400
    assert "Invalid sort 'files'. There are: table, data_files" in wrong.json()["detail"]


def test_the_page_lists_tables(compacted: Browser) -> None:
    page = compacted.get("/").text
    said = text(page)

    assert 'href="/tables/lake.db.t"' in page
    assert re.search(r"lake\.db\.orders 2 2 100% \S+ KiB now – – ", said)
    assert "29 min ago failed" in said
    assert "lake.db.t 0 0 – 0 B – 30 min 2026-09-21 15:00 writers slow idle since 15:00" in said
    assert "3 tables" in said
    assert 'aria-sort="ascending"' in page
    assert "/?q=&amp;sort=-data_files&amp;page=1" in page

    assert text(compacted.get("/?sort=-table").text).index("lake.db.t") < said.index("lake.db.orders")
    assert "lake.db.t " not in text(compacted.get("/?q=OTH").text)
    assert "No table has “none” in its name." in text(compacted.get("/?q=none").text)
    assert "3 个表" in text(compacted.get("/", headers={"Accept-Language": "zh-CN"}).text)


def test_what_is_typed_stays_when_the_list_is_updated(compacted: Browser) -> None:
    page = compacted.get("/?q=lake&sort=-lag").text
    form, _, rest = page.partition('<div id="tables"')

    assert 'name="q" value="lake"' in form
    assert 'hx-trigger="every 30s" hx-select="#tables"' in rest
    assert 'name="sort" value="-lag" form="find"' in rest
    assert "http-equiv" not in page


def test_a_long_list_is_cut_and_says_so(filled: Browser, lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autostream.console.paging.PAGE_ROWS", 1)
    lake.create_table("db.z", SCHEMA)

    first, second = filled.get("/").text, filled.get("/?page=2").text

    assert ("lake.db.t" in first, "lake.db.z" in first, "1 of 2" in first, "Next" in first) == (True, False, True, True)
    assert ("lake.db.t" in second, "lake.db.z" in second, "Back" in second) == (False, True, True)
    assert "lake.db.z" in filled.get("/?page=99").text


def test_tables_and_catalogs_that_fail_do_not_hide_the_others(
    filled: Browser, lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    for name, wrong in {"y": {"autostream.watermark": "soon"}, "z": {}}.items():
        lake.create_table(f"db.{name}", SCHEMA, properties=wrong)
    real = module.mark_of_loaded
    monkeypatch.setattr(
        module, "mark_of_loaded", lambda table, name: 1 / 0 if name.endswith("z") else real(table, name)
    )

    said = text(filled.get("/").text)

    assert "lake.db.t 0 0" in said
    assert "lake.db.y table property autostream.watermark is 'soon'" in said
    assert "lake.db.z It cannot be read. The console's log says why, at " in said
    assert "division" not in said

    def fail(*_: object) -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr(SqlCatalog, "list_namespaces", fail)
    clock.advance(20)
    answer = filled.get("/")
    assert answer.status_code == 200
    assert "Cannot list the tables of catalog 'lake'. The console's log says why, at " in unescape(answer.text)
    assert "refused" not in answer.text
    assert [look["up"] for look in filled.get("/api/tables").json()["catalogs"]] == [False]


def test_a_catalog_that_does_not_answer_does_not_hold_up_the_others(
    configured: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in configured.properties.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__STUCK__{key.upper()}", value)
    monkeypatch.setenv("PYICEBERG_CATALOG__STUCK__TYPE", "sql")
    answered, real = threading.Event(), SqlCatalog.list_namespaces

    def list_namespaces(catalog: SqlCatalog, *arguments: Any) -> Any:
        if catalog.name == "stuck":
            answered.wait()
        return real(catalog, *arguments)

    monkeypatch.setattr(SqlCatalog, "list_namespaces", list_namespaces)
    watch = TableWatch(Tables(), patience_seconds=3)
    found = {look.catalog: (look.up, len(look.rows)) for look in watch.overview().catalogs}
    assert found == {"lake": (True, 1), "stuck": (False, 0)}

    answered.set()
    assert {look.catalog: look.up for look in watch.overview().catalogs} == {"lake": True, "stuck": True}


def test_tables_are_not_read_again_for_some_seconds(
    filled: Browser, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    real = module.mark_of_loaded
    monkeypatch.setattr(module, "mark_of_loaded", lambda table, name: looks.append(name) or real(table, name))

    for seconds in (0, 14, 2):
        clock.advance(seconds)
        filled.get("/api/tables")

    assert looks == ["lake.db.t"] * 2


def scraped(browser: Browser) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(browser.get("/metrics").text)}


def value(families: dict[str, Metric], name: str, **labels: str) -> float | None:
    samples = [sample for family in families.values() for sample in family.samples]
    found = [each.value for each in samples if each.name == name and labels.items() <= each.labels.items()]
    assert len(found) < 2
    return found[0] if found else None


def test_prometheus_is_told_what_is_known(compacted: Browser) -> None:
    assert compacted.get("/metrics").headers["content-type"].startswith("text/plain")
    families = scraped(compacted)

    assert {name: family.type for name, family in families.items()} == {
        **dict.fromkeys([*METRICS, CATALOG_UP], "gauge"),
        **dict.fromkeys((name.removesuffix("_total") for name in [*COUNTERS, REQUESTS]), "counter"),
        REQUEST_SECONDS: "histogram",
    }
    assert all(family.documentation for family in families.values())
    for expected, name, label in (
        (1, "catalog_up", {"catalog": "lake"}),
        (2, "table_data_files", {"table": "lake.db.orders"}),
        (1800, "table_watermark_lag_seconds", {"table": "lake.db.t"}),
        (None, "table_watermark_lag_seconds", {"table": "lake.db.orders"}),
        (0, "table_compaction_success", {"table": "lake.db.big"}),
        (1, "table_compaction_success", {"table": "lake.db.orders"}),
        (1, "compaction_runs_total", {"table": "lake.db.orders"}),
        (1, "compaction_runs_total", {"table": "lake.db.big", "status": "failed"}),
        (60, "compaction_run_seconds_total", {"table": "lake.db.big", "status": "failed"}),
        (None, "compaction_runs_total", {"table": "lake.db.t"}),
    ):
        assert value(families, f"autostream_{name}", **label) == expected, (name, label)


def test_counters_of_compactions_outlive_the_record_and_the_console(
    compacted: Browser, lake: SqlCatalog, clock: FakeClock
) -> None:
    labels = {"table": "lake.db.big", "status": "failed"}
    run = CompactionRun(
        table_name="lake.db.big", by="a", started_at_ms=T0, ended_at_ms=T0 + MINUTE, status="failed", bytes_read=7
    )
    with open_database().write() as connection:
        log = RunLog(connection)
        log.add(run)
        log.add(replace(run, table_name="lake.db.dropped"))
        log.forget_when_due(now_ms=T0 + 1000 * 86_400_000, keep_days=1)
        assert log.newest("lake.db.big", limit=1) == []

    families = scraped(Browser(create_app_alone()))

    assert value(families, "autostream_compaction_runs_total", **labels) == 2
    assert value(families, "autostream_compaction_read_bytes_total", **labels) == 7
    # A table that is no longer there is no longer told of.
    assert value(families, "autostream_compaction_runs_total", table="lake.db.dropped") is None


def test_without_its_database_prometheus_is_told_the_rest(filled: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", "sqlite:////proc/none/a.db")

    families = scraped(Browser(known_app(Role.VIEWER)))  # known without the database, as in Airflow

    assert value(families, "autostream_table_data_files", table="lake.db.t") == 0
    assert "autostream_compaction_runs" not in families


def test_requests_are_counted_by_route(filled: Browser) -> None:
    for path in ("/api/tables/lake.db.t/watermark", "/api/tables/lake.db.none/watermark", "/wp-login.php"):
        filled.get(path)
    filled.request("BREW", "/")
    filled.get("/static/style.css")

    families = scraped(filled)

    watermark = {"method": "GET", "route": "/api/tables/{table:name}/watermark"}
    assert value(families, REQUESTS, **watermark, status="200") == 1
    assert value(families, REQUESTS, **watermark, status="404") == 1
    assert value(families, f"{REQUEST_SECONDS}_count", **watermark) == 2
    assert value(families, REQUESTS, route="other", method="GET", status="404") == 1
    assert value(families, REQUESTS, route="other", method="GET", status="200") == 1
    assert value(families, REQUESTS, method="other") == 1


def test_the_guide_names_each_metric() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "console.md").read_text()

    told = set(re.findall(r"`(autostream_\w+)\{", guide))
    assert told == {*METRICS, *COUNTERS, CATALOG_UP, REQUESTS, REQUEST_SECONDS}
