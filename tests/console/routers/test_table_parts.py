"""What a table's page says of compactions, snapshots and locks, and what is looked at on request."""

import re

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from autostream.console.chart import chart_of
from autostream.coordination.lock_holder import Holder
from autostream.coordination.lock_records import HeldLock
from autostream.coordination.paths import LockKey
from autostream.lake.compaction.runs.log import CompactionRun, RunLog
from autostream.lake.compaction.runs.recording import run_recorded
from autostream.locks.table_locks import LocksOfTable
from autostream.store.database import open_database
from tests.console.support import MINUTE, T0, Browser, text
from tests.support.lakes import Orders, compact


def run(before: int | None, after: int | None, status: str = "committed", **more: object) -> CompactionRun:
    return CompactionRun(
        table_name="lake.db.t",
        by="compaction.compact hourly",
        started_at_ms=T0,
        ended_at_ms=T0 + MINUTE,
        status=status,
        data_files_before=before,
        delete_files_before=None if before is None else 0,
        data_files_after=after,
        delete_files_after=None if after is None else 0,
        **more,  # type: ignore[arg-type]
    )


def test_a_chart_has_a_bar_for_each_compaction_the_newest_at_the_right() -> None:
    chart = chart_of([run(50, 5), run(None, None, "failed"), run(100, 10)])

    assert chart
    assert [(bar.before, bar.after) for bar in chart.bars] == [(100, 10), (None, None), (50, 5)]
    assert chart.most == 100
    assert chart.bars[0].before_height == chart.height == 2 * chart.bars[2].before_height
    assert chart.bars[0].x < chart.bars[1].x < chart.bars[2].x <= chart.width - chart.bars[2].width
    many = chart_of([run(1, 1)] * 60)
    assert many
    assert max(bar.x + bar.width for bar in many.bars) <= many.width
    assert chart_of([]) is chart_of([run(None, None, "failed")]) is None


def test_the_page_shows_compactions_and_snapshots(client: Browser, lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.orders")
    orders.checkpoint(3)
    run_recorded("lake.db.orders", lambda: compact(orders.load(), "lake.db.orders"))
    with open_database().write() as connection:
        failed = run(9, None, "failed", error="the disk is <full>", partitions=2)
        RunLog(connection).add(CompactionRun(**(vars(failed) | {"table_name": "lake.db.orders"})))

    page = client.get("/tables/lake.db.orders").text
    said = text(page)

    assert "committed 3 → 1" in said
    assert "2026-09-21 15:01 failed 9 → –" in said
    assert "compaction.compact hourly 2 partitions the disk is <full>" in said
    assert "2026-09-21 15:01, failed: 9 files before, – after" in said
    assert page.count('<rect class="failed"') == 1
    newest = lake.load_table("db.orders").metadata.current_snapshot_id
    assert re.search(rf"replace 1 3 1 {newest}", said)
    assert "No compaction is recorded." in text(client.get("/tables/lake.db.t").text)
    assert "The table has no snapshot yet." in text(client.get("/tables/lake.db.t").text)


def test_what_is_typed_stays_when_the_page_is_updated(filled: Browser) -> None:
    page = filled.get("/tables/lake.db.t?until=2026-09-21T15:00").text
    mark, form, live = (page.index(part) for part in ('id="mark"', '<form class="ask"', 'id="live"'))

    assert mark < page.index("</div>", mark) < form < live
    assert 'hx-trigger="every 60s" hx-select="#mark" hx-select-oob="#live"' in page
    assert "http-equiv" not in page


def test_what_compaction_would_do_is_shown_with_its_reasons(client: Browser, lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.orders")
    orders.checkpoint(6)

    said = text(client.get("/plan/lake.db.orders").text)

    assert "Compaction would merge 1 groups of files, apply" in said
    assert re.search(r"spec=0 6 \d+ \S+ KiB \d+% merge \d", said)
    assert "every 10th checkpoint" in said
    assert "Compaction would do nothing." in text(client.get("/plan/lake.db.t").text)
    assert client.get("/plan/lake.db.nothing").status_code == 404
    orders.load().transaction().set_properties({"autostream.compaction.min-input-files": "few"}).commit_transaction()
    wrong = client.get("/plan/lake.db.orders")
    assert wrong.status_code == 422
    assert "autostream.compaction.min-input-files is" in text(wrong.text)


def test_the_holder_of_a_lock_is_shown(client: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Nobody holds a lock on this table." in text(client.get("/locks/lake.db.t").text)

    lock = HeldLock(
        kind="zookeeper",
        key=LockKey("lake", "db.t"),
        lock_id="lock-1",
        holder=Holder(user="svc", host="host-7", pid=4711, what="compaction", airflow_dag_id="compaction"),
        since_ms=T0,
        waiting=(Holder(user="ann", host="host-8"),),
    )
    monkeypatch.setattr(
        "autostream.console.routers.table_parts.locks_of_table", lambda name: LocksOfTable(name, (lock,))
    )
    said = text(client.get("/locks/lake.db.t").text)
    assert "zookeeper: svc on host-7, process 4711 (compaction, Airflow compaction)" in said
    assert "2026-09-21 15:00 ann on host-8" in said
