"""The pages in a real browser: updated without losing what is typed, fit for a small screen, readable by all."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from pyiceberg.catalog.sql import SqlCatalog

from autostream.console.alone import create_app_alone
from autostream.console.language import LANGUAGES
from autostream.lake.compaction.runs.log import CompactionRun, RunLog
from autostream.lake.compaction.runs.recording import run_recorded
from autostream.store.database import open_database
from autostream.times import now_ms
from autostream.watermark.changes import WriterReport, apply_reports
from autostream.watermark.history.publications import record_publication
from autostream.watermark.publish import publish
from tests.console.jobs import fill_fleet
from tests.support.chromium import Tab, chromium
from tests.support.lakes import Orders, compact

LARGE_RUN = CompactionRun(
    table_name="lake.db.orders",
    by="lake_compaction.compact scheduled__2026-11-25T02:00:00+00:00",
    started_at_ms=0,
    ended_at_ms=1_000_000,
    status="failed",
    error="The disk of /var/tmp/autostream-spill-0123456789abcdef0123456789abcdef0123456789abcdef is full.",
    partitions=4,
    data_files_before=123_456,
    delete_files_before=123_456,
    bytes_before=123_456_789_012,
    rows_read=123_456_789_012,
    peak_memory_bytes=123_456_789_012,
)


@pytest.fixture
def address(lake: SqlCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The console, served over two tables of which one was compacted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", f"sqlite:///{tmp_path}/control.db")
    orders = Orders(lake, "db.orders")
    orders.checkpoint(2)
    run_recorded("lake.db.orders", lambda: compact(orders.load(), "lake.db.orders"))
    orders.checkpoint(6)
    Orders(lake, "db.payments")
    note = "the watermark of its source has not advanced since 2026-11-28T12:00:00Z"
    reports = [WriterReport("cdc-mysql-orders", 0, job_id="b" * 32, note=note), WriterReport("ingest", 1)]
    done = publish(orders.load(), lambda properties: apply_reports(properties, reports, now_ms=now_ms()))
    record_publication(orders.load(), done.events)
    with open_database().write() as connection:
        RunLog(connection).add(LARGE_RUN)
    fill_fleet(now_ms())
    server = uvicorn.Server(uvicorn.Config(create_app_alone(), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(30)


def names(tab: Tab, of: str = "tables") -> list[str]:
    found: list[str] = tab.run(f"[...document.querySelectorAll('#{of} tbody th > a')].map(a => a.textContent)")
    return found


def require_no_scrolling_sideways(tab: Tab) -> None:
    wide = "e => e.clientWidth && e.scrollWidth > e.clientWidth && e.tagName !== 'INPUT'"
    told = "e => [e.outerHTML.slice(0, 80), e.scrollWidth, e.clientWidth]"
    assert tab.run(f"[...document.querySelectorAll('html, body *')].filter({wide}).map({told})") == []


def require_readable(tab: Tab) -> None:
    """Fail where the page is not for all: axe's rules where it is installed, and ours."""
    assert tab.run("document.documentElement.lang") == "en"
    assert tab.run("document.querySelectorAll('h1').length") == 1
    assert tab.run("document.querySelectorAll('tr > th:not([scope])').length") == 0
    require_no_scrolling_sideways(tab)
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    (script,) = Path(axe.__path__[0]).rglob("axe.min.js")
    tab.run(f"{script.read_text('utf-8')}; true")
    told = "v => [v.impact, v.id, v.nodes.map(n => n.html).slice(0, 3)]"
    found = tab.run(f"axe.run().then(r => r.violations.map({told}))")
    assert [violation for violation in found if violation[0] in ("serious", "critical")] == []


def test_the_pages_work_in_a_browser(address: str, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as tab:
        tab.open(f"{address}/")
        assert names(tab) == ["lake.db.orders", "lake.db.payments"]
        require_readable(tab)

        tab.run("document.querySelector('#sort-table').click()")
        tab.until("document.querySelector('#tables tbody th a').textContent === 'lake.db.payments'")
        tab.type_into("#find input", "ord")
        tab.until("document.querySelectorAll('#tables tbody tr').length === 1")
        assert names(tab) == ["lake.db.orders"]
        assert tab.run("location.search") == "?q=ord&sort=-table"

        # The list is loaded again while a person types on.
        tab.run("document.addEventListener('htmx:afterSettle', () => { window.loadedAgain = true })")
        tab.run("document.querySelector('#find input').value = 'order, not sent yet'")
        how = "{source: '#tables', target: '#tables', select: '#tables', swap: 'outerHTML'}"
        tab.run(f"htmx.ajax('GET', document.querySelector('#tables').getAttribute('hx-get'), {how}); true")
        tab.until("window.loadedAgain")
        assert tab.run("document.querySelector('#find input').value") == "order, not sent yet"

        tab.open(f"{address}/tables/lake.db.orders", width=400)
        tab.until("document.querySelector('#locks').textContent.includes('Nobody holds a lock')")
        assert tab.run("document.querySelectorAll('figure.chart rect.after').length") == 1
        tab.run("document.querySelector('#plan a').click()")
        tab.until("document.querySelector('#plan').textContent.includes('Compaction would merge 1 groups')")
        require_readable(tab)

        tab.call("Page.navigate", url=f"{address}/language/zh-CN?back=/tables/lake.db.orders")
        tab.until("document.documentElement.lang === 'zh-CN' && document.body.textContent.includes('快照')")


def test_jobs_are_found_and_looked_at_in_a_browser(address: str, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as tab:
        tab.open(f"{address}/jobs")
        assert names(tab, "jobs") == ["prod/orders", "prod/bids", "test/a/../b?c=<d>&é"]
        require_readable(tab)

        tab.run("document.querySelector('#sort-job').click()")
        tab.until("location.search.includes('sort=job')")
        tab.type_into("#find input", "ord")
        tab.until("document.querySelectorAll('#jobs tbody tr').length === 1")
        choose = "s => { s.value = 'ads'; s.dispatchEvent(new Event('input', {bubbles: true})) }"
        tab.run("document.querySelector('#find input').value = ''")
        tab.run(f"({choose})(document.querySelector('#find select[name=team]'))")
        tab.until("document.querySelector('#jobs tbody th a').textContent === 'prod/bids'")
        assert names(tab, "jobs") == ["prod/bids"]
        assert tab.run("location.search").endswith("team=ads&cluster=&state=&sort=job")

        tab.open(f"{address}/job?name=prod/orders", width=400)
        assert tab.run("document.querySelectorAll('figure.chart path.used').length") == 4
        require_readable(tab)
        tab.run("document.querySelector('#range-7d').click()")
        tab.until("document.querySelector('#live [aria-current]').textContent === '7d'")
        assert tab.run("document.querySelectorAll('figure.chart path.used').length") == 4


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_has_to_be_scrolled_sideways(address: str, tmp_path: Path, language: str) -> None:
    with chromium(tmp_path / "profile") as tab:
        tab.call("Network.enable")
        tab.call("Network.setExtraHTTPHeaders", headers={"Accept-Language": language})
        parts = [f"/{part}/lake.db.orders" for part in ("tables", "plan", "locks")]
        for path in (
            "/",
            "/jobs",
            "/teams",
            "/job?name=prod/orders",
            "/login",
            "/nothing",
            f"{parts[0]}?until=2026-11-28T02:00",
            *parts[1:],
        ):
            for width in (1440, 1240, 800, 390):
                tab.open(f"{address}{path}", width=width)
                require_no_scrolling_sideways(tab)
                columns = "getComputedStyle(document.querySelector('tbody tr')).display === 'table-row'"
                if tab.run("!!document.querySelector('tbody tr')"):
                    assert tab.run(columns) == (width > 1000)
            # The list can be sorted on a telephone too.
            assert path != "/" or tab.run("document.querySelector('#sort-size').checkVisibility()")
            assert path != "/jobs" or tab.run("document.querySelector('#sort-score').checkVisibility()")
