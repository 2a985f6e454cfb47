"""The recorder beside real Flink jobs: no watermark before its rows are there, whatever becomes of the jobs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from autostream.config import WatermarkSettings
from autostream.watermark.marks import TableMark
from autostream.watermark.read import mark_of
from autostream.watermark.times import FOREVER_MS
from tests.support import event_jobs
from tests.support.event_jobs import EventJob, wait_for
from tests.support.watermarks import KEEP_ALL_METADATA, QUICK_PAGES, assert_sound, published, recording

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.xdist_group("java")]

JOB: dict[str, Any] = {"rate": 400, "ckpt": 400, **QUICK_PAGES}


def settings(*jobs: EventJob, **changes: Any) -> WatermarkSettings:
    rule = {"job": "ingest-(?P<table>.+)", "table": "lake.db.{table}"}
    given = {"writers": [rule], "interval_seconds": 0.5, "poll_seconds": 0.2, **changes}
    return WatermarkSettings(flink_urls=[job.rest for job in jobs], **given)


def mark(lake: SqlCatalog, name: str) -> TableMark:
    return mark_of(lake.load_table(f"db.{name}"), f"lake.db.{name}", settings=WatermarkSettings())


def advances(lake: SqlCatalog, name: str, *, times: int) -> None:
    """Wait until a watermark has been seen to advance."""

    def watermark() -> int:
        return mark(lake, name).watermark_ms or 0

    for _ in range(times):
        before = watermark()
        wait_for(f"the watermark of {name} to advance", lambda before=before: watermark() > before)


def test_failures_and_restored_jobs(lake: SqlCatalog, tmp_path: Path) -> None:
    table = event_jobs.create_table(lake, "db.events", **KEEP_ALL_METADATA)
    first = event_jobs.start(lake, tmp_path / "job", "db.events", sink="v2", par=2, name="ingest-events", **JOB)
    try:
        with recording(lake, settings(first)), recording(lake, settings(first)):
            advances(lake, "events", times=2)
            first.fail_over()
            advances(lake, "events", times=2)
            first.fail_over(wait=False)
            advances(lake, "events", times=1)
    finally:
        first.kill()
    second = first.restored()
    try:
        with recording(lake, settings(second)):
            advances(lake, "events", times=3)
            writer = mark(lake, "events").writer("ingest-events")
            assert writer is not None
            assert writer.job_id == second.job_id != first.job_id
    finally:
        second.kill()
    table.refresh()
    assert len(assert_sound(table)) >= 8


@pytest.mark.parametrize("sink", ["v1", pytest.param("v2", marks=pytest.mark.exhaustive)])
def test_a_job_that_ends_leaves_its_table_complete_for_ever(lake: SqlCatalog, tmp_path: Path, sink: str) -> None:
    table = event_jobs.create_table(lake, "db.bounded", **KEEP_ALL_METADATA)
    options = {**JOB, "limit": 1000, "linger": 60_000}
    with event_jobs.running(lake, tmp_path / "job", "db.bounded", sink=sink, name="ingest-bounded", **options) as job:
        with recording(lake, settings(job)):
            wait_for("the end", lambda: mark(lake, "bounded").ended)
    table.refresh()
    assert published(table)[-1].watermark_ms == FOREVER_MS
    assert_sound(table, end=1000)


@pytest.mark.exhaustive
def test_a_job_that_is_stopped_is_not_taken_for_one_that_has_ended(lake: SqlCatalog, tmp_path: Path) -> None:
    table = event_jobs.create_table(lake, "db.stopped", **KEEP_ALL_METADATA)
    options = {**JOB, "linger": 60_000}
    with event_jobs.running(lake, tmp_path / "job", "db.stopped", sink="v1", name="ingest-stopped", **options) as job:
        with recording(lake, settings(job)) as recorder:
            advances(lake, "stopped", times=1)
            job.stop()
            job.wait_until_ended()
            wait_for("the recorder has seen it", lambda: _looked_for_the_end(recorder))
    table.refresh()
    assert not mark(lake, "stopped").ended
    assert_sound(table)


def _looked_for_the_end(recorder: Any) -> bool:
    return all(job.end_looked_for and not job.busy for cluster in recorder._clusters for job in cluster.jobs.values())


@pytest.mark.exhaustive
def test_one_job_into_two_tables_named_by_itself(lake: SqlCatalog, tmp_path: Path) -> None:
    for name in ("a", "b"):
        event_jobs.create_table(lake, f"db.{name}", **KEEP_ALL_METADATA)
    params = "autostream.watermark.table=lake.db.a, lake.db.b;autostream.watermark.writer=both"
    options = {**JOB, "sink": "v2", "par": 2, "params": params}
    with event_jobs.running(lake, tmp_path / "job", "db.a", "db.b", name="no-rule-fits", **options) as job:
        with recording(lake, settings(job)):
            for name in ("a", "b"):
                advances(lake, name, times=2)
                assert [writer.name for writer in mark(lake, name).writers] == ["both"]
    for name in ("a", "b"):
        assert_sound(lake.load_table(f"db.{name}"))


@pytest.mark.exhaustive
def test_a_table_without_rows_and_a_job_without_watermarks(lake: SqlCatalog, tmp_path: Path) -> None:
    """Empty checkpoints make a snapshot only now and then, which is awaited; no watermark strategy is said."""
    idle = event_jobs.create_table(lake, "db.idle", **KEEP_ALL_METADATA)
    event_jobs.create_table(lake, "db.none")
    options = {**JOB, "ckpt": 200, "dry": 300}
    with event_jobs.running(lake, tmp_path / "idle", "db.idle", name="ingest-idle", **options) as job:
        with recording(lake, settings(job)):
            wait_for("the rows", lambda: (mark(lake, "idle").watermark_ms or 0) > event_jobs.T0 + 300 * event_jobs.STEP)
            advances(lake, "idle", times=2)
    idle.refresh()
    assert_sound(idle, end=300)
    with event_jobs.running(lake, tmp_path / "none", "db.none", name="ingest-none", watermark="none", **JOB) as job:
        with recording(lake, settings(job)) as recorder:
            wait_for("the note", lambda: "no watermark strategy" in str(recorder.notes()))
            note: Callable[[], str] = lambda: next(w.note for w in mark(lake, "none").writers)  # noqa: E731
            wait_for("the note in the table", lambda: "no watermark strategy" in note())
    assert mark(lake, "none").watermark_ms is None
