"""The pages in a real browser: updated without losing what is typed, fit for a small screen, readable by all."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from pyiceberg.catalog.sql import SqlCatalog

from autostream.console.alone import create_app_alone
from autostream.lake.compaction.runs.recording import run_recorded
from tests.support.chromium import Tab, chromium
from tests.support.lakes import Orders, compact


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
    server = uvicorn.Server(uvicorn.Config(create_app_alone(), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(30)


def names(tab: Tab) -> list[str]:
    found: list[str] = tab.run("[...document.querySelectorAll('#tables tbody th a')].map(a => a.textContent)")
    return found


def require_readable(tab: Tab) -> None:
    """Fail where the page is not for all: axe's rules where it is installed, and ours."""
    assert tab.run("document.documentElement.lang") == "en"
    assert tab.run("document.querySelectorAll('h1').length") == 1
    assert tab.run("document.querySelectorAll('tr > th:not([scope])').length") == 0
    assert tab.run("document.documentElement.scrollWidth <= innerWidth"), "it has to be scrolled sideways"
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

        # The list is loaded again while somebody types on.
        tab.run("document.addEventListener('htmx:afterSettle', () => { window.loadedAgain = true })")
        tab.run("document.querySelector('#find input').value = 'order, not sent yet'")
        how = "{source: '#tables', target: '#tables', select: '#tables', swap: 'outerHTML'}"
        tab.run(f"htmx.ajax('GET', document.querySelector('#tables').getAttribute('hx-get'), {how}); true")
        tab.until("window.loadedAgain")
        assert tab.run("document.querySelector('#find input').value") == "order, not sent yet"

        tab.open(f"{address}/tables/lake.db.orders", width=400)
        tab.until("document.querySelector('#locks').textContent.includes('Nobody holds a lock')")
        assert tab.run("document.querySelectorAll('svg.chart rect.after').length") == 2  # one, and the legend's
        tab.run("document.querySelector('#plan a').click()")
        tab.until("document.querySelector('#plan').textContent.includes('Compaction would merge 1 groups')")
        require_readable(tab)

        tab.call("Page.navigate", url=f"{address}/language/zh-CN?back=/tables/lake.db.orders")
        tab.until("document.documentElement.lang === 'zh-CN' && document.body.textContent.includes('快照')")
