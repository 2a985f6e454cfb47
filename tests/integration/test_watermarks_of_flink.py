"""The recorder beside real Flink jobs: no watermark before its rows are there, whatever becomes of the jobs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from autostream.config import WatermarkSettings
from autostream.times import FOREVER_MS
from autostream.watermark.marks import TableMark
from autostream.watermark.reading.table_marks import mark_of
from autostream.watermark.recording.recorder import Recorder
from tests.support import event_jobs
from tests.support.event_jobs import EventJob, wait_for
from tests.support.watermarks import KEEP_ALL_METADATA, QUICK_PAGES, assert_sound, published, recording

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.xdist_group("java")]

JOB: dict[str, Any] = {"rate": 400, "ckpt": 400, **QUICK_PAGES}


def settings(**changes: Any) -> WatermarkSettings:
    rule = {"job": "ingest-(?P<table>.+)", "table": "lake.db.{table}", "ends_forever": changes.pop("ends", False)}
    given = {"writers": [rule], "interval_seconds": 0.5, "poll_seconds": 0.2, **changes}
    return WatermarkSettings(**given)


@contextmanager
def recorded(
    lake: SqlCatalog, directory: Path, *tables: str, ends: bool = False, **options: Any
) -> Iterator[tuple[EventJob, Recorder]]:
    """A job, and a recorder beside it."""
    names = [f"db.{table}" for table in tables]
    given = {"name": f"ingest-{tables[0]}", **JOB, **options}
    with (
        event_jobs.running(lake, directory, *names, **given) as job,
        recording(lake, job, settings(ends=ends)) as recorder,
    ):
        yield job, recorder


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
        with recording(lake, first, settings()), recording(lake, first, settings()):
            advances(lake, "events", times=2)
            first.fail_over()
            advances(lake, "events", times=2)
            first.fail_over(wait=False)
            advances(lake, "events", times=1)
    finally:
        first.kill()
    second = first.restored()
    try:
        with recording(lake, second, settings()):
            advances(lake, "events", times=3)
            writer = mark(lake, "events").writer("ingest-events")
            assert writer is not None
            assert writer.job_id == second.job_id != first.job_id
    finally:
        second.kill()
    table.refresh()
    assert len(assert_sound(table)) >= 8


@pytest.mark.parametrize("sink", ["v1", pytest.param("v2", marks=pytest.mark.exhaustive)])
def test_a_job_that_ends_completes_its_table_for_ever_where_its_rule_says_so(
    lake: SqlCatalog, tmp_path: Path, sink: str
) -> None:
    table = event_jobs.create_table(lake, "db.bounded", **KEEP_ALL_METADATA)
    with recorded(lake, tmp_path / "job", "bounded", ends=True, sink=sink, limit=1000, linger=60_000):
        wait_for("the end", lambda: mark(lake, "bounded").ended)
    table.refresh()
    assert published(table)[-1].watermark_ms == FOREVER_MS
    assert_sound(table, end=1000)


@pytest.mark.exhaustive
@pytest.mark.parametrize("ends", [False, True])
def test_the_next_run_of_a_job_that_has_ended(lake: SqlCatalog, tmp_path: Path, ends: bool) -> None:
    """Half of the rows in each run: what was called complete for ever is taken back, and without that never is."""
    table = event_jobs.create_table(lake, "db.runs", **KEEP_ALL_METADATA)
    run: dict[str, Any] = {"ends": ends, "sink": "v1", "limit": 2000, "linger": 60_000}
    with recorded(lake, tmp_path / "first", "runs", **run) as (job, recorder):
        advances(lake, "runs", times=1)
        job.wait_until_ended()
        wait_for("the end", lambda: mark(lake, "runs").ended if ends else _looked_for_the_end(recorder))
    assert mark(lake, "runs").ended is ends
    before = mark(lake, "runs")
    with recorded(lake, tmp_path / "second", "runs", **run, first=2000) as (job, _):
        wait_for("the run", lambda: mark(lake, "runs").writers[0].job_id == job.job_id)
        after = mark(lake, "runs")
        assert not after.ended
        beyond = before.writers[0].before_end_ms if ends else before.watermark_ms
        assert beyond is not None
        wait_for("the watermark to advance", lambda: (mark(lake, "runs").watermark_ms or 0) > beyond)
    table.refresh()
    history = [entry for entry in published(table) if entry.watermark_ms < FOREVER_MS]
    rows = event_jobs.Rows()
    for entry in history:
        snapshot = entry.metadata.current_snapshot()
        assert snapshot
        present = rows(table, snapshot.snapshot_id, metadata=entry.metadata)
        assert [n for n in event_jobs.rows_up_to(entry.watermark_ms, end=4000) if n not in present] == []


@pytest.mark.exhaustive
def test_a_job_that_is_stopped_is_not_taken_for_one_that_has_ended(lake: SqlCatalog, tmp_path: Path) -> None:
    table = event_jobs.create_table(lake, "db.stopped", **KEEP_ALL_METADATA)
    with recorded(lake, tmp_path / "job", "stopped", sink="v1", linger=60_000) as (job, recorder):
        advances(lake, "stopped", times=1)
        job.stop()
        job.wait_until_ended()
        wait_for("the recorder has seen it", lambda: _looked_for_the_end(recorder))
    table.refresh()
    assert not mark(lake, "stopped").ended
    assert_sound(table)


def _looked_for_the_end(recorder: Recorder) -> bool:
    jobs = [job for cluster in recorder.jobs.clusters for job in cluster.jobs.values()]
    return all(job.end_looked_for and not job.busy for job in jobs)


ALIGNED: dict[str, Any] = {}
UNALIGNED: dict[str, Any] = {"conf.execution.checkpointing.unaligned.enabled": "true"}
TIMED = {**UNALIGNED, "conf.execution.checkpointing.aligned-checkpoint-timeout": "1 ms"}
NOT_CHAINED = {"conf.pipeline.operator-chaining.enabled": "false"}


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("options", "proves"),
    [
        pytest.param({"sink": "v1", "par": 2, **ALIGNED}, True, id="FlinkSink, parallel, aligned"),
        pytest.param({"sink": "v1", "par": 2, **UNALIGNED}, False, id="FlinkSink, parallel, unaligned"),
        pytest.param({"sink": "v1", "par": 2, **TIMED}, False, id="FlinkSink, parallel, timed"),
        pytest.param({"sink": "v1", **UNALIGNED}, True, id="FlinkSink, chained, unaligned"),
        pytest.param({"sink": "v1", **UNALIGNED, **NOT_CHAINED}, True, id="FlinkSink, one to one, unaligned"),
        pytest.param({"sink": "v2", "par": 2, **UNALIGNED}, True, id="IcebergSink, parallel, unaligned"),
        pytest.param({"sink": "v2", "par": 2, **TIMED}, True, id="IcebergSink, parallel, timed"),
        pytest.param({"sink": "v2", **UNALIGNED, **NOT_CHAINED}, True, id="IcebergSink, not chained, unaligned"),
    ],
)
def test_checkpoints_that_overtake_files(
    lake: SqlCatalog, tmp_path: Path, options: dict[str, Any], proves: bool
) -> None:
    """At intervals of seconds: in shorter ones, what comes too late is there before it is missed."""
    table = event_jobs.create_table(lake, "db.overtaken", **KEEP_ALL_METADATA)
    with recorded(lake, tmp_path / "job", "overtaken", ckpt=3000, **options) as (job, _):
        if proves:
            advances(lake, "overtaken", times=4)
        else:
            wait_for("four commits", lambda: len(lake.load_table("db.overtaken").metadata.snapshots) >= 4)
            (writer,) = mark(lake, "overtaken").writers
            assert "its checkpoints may be unaligned, and overtake files of a FlinkSink" in writer.note
        listed = {entry["checkpoint_type"] for entry in job.get("/checkpoints")["history"]}
        print(sorted(listed))
    table.refresh()
    assert bool(assert_sound(table)) is proves


@pytest.mark.exhaustive
def test_one_job_into_two_tables_named_by_itself(lake: SqlCatalog, tmp_path: Path) -> None:
    for name in ("a", "b"):
        event_jobs.create_table(lake, f"db.{name}", **KEEP_ALL_METADATA)
    params = "autostream.watermark.table=lake.db.a, lake.db.b;autostream.watermark.writer=both"
    with recorded(lake, tmp_path / "job", "a", "b", name="no-rule-fits", sink="v2", par=2, params=params):
        for name in ("a", "b"):
            advances(lake, name, times=2)
            assert [writer.name for writer in mark(lake, name).writers] == ["both"]
    for name in ("a", "b"):
        assert_sound(lake.load_table(f"db.{name}"))


@pytest.mark.exhaustive
def test_empty_checkpoints_which_make_a_snapshot_only_now_and_then(lake: SqlCatalog, tmp_path: Path) -> None:
    table = event_jobs.create_table(lake, "db.idle", **KEEP_ALL_METADATA)
    beyond = event_jobs.T0 + 300 * event_jobs.STEP
    with recorded(lake, tmp_path / "job", "idle", ckpt=200, dry=300):
        wait_for("the rows", lambda: (mark(lake, "idle").watermark_ms or 0) > beyond)
        advances(lake, "idle", times=2)
    table.refresh()
    assert_sound(table, end=300)


@pytest.mark.exhaustive
def test_a_job_without_watermarks_says_so_in_its_table(lake: SqlCatalog, tmp_path: Path) -> None:
    event_jobs.create_table(lake, "db.none")
    with recorded(lake, tmp_path / "job", "none", watermark="none"):
        wait_for("the note", lambda: any("no watermark strategy" in w.note for w in mark(lake, "none").writers))
    assert mark(lake, "none").watermark_ms is None
