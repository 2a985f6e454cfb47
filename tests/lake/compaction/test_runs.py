"""The record of compactions: what is written down when, and asked for by table."""

import logging
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from sqlalchemy import create_engine, insert

import autostream
from autostream.actions import ActionFailed, Workbench, perform
from autostream.config import load_settings
from autostream.errors import ConflictError, UsageError
from autostream.lake.compaction.compaction_result import CompactionResult
from autostream.lake.compaction.fleet import FleetOrder, compact_part, plan_tables
from autostream.lake.compaction.runs.log import CompactionCount, CompactionRun, RunLog
from autostream.lake.compaction.runs.recording import record_outcomes, run_recorded
from autostream.lake.compaction.runs.rows import CompactionRunRow
from autostream.lake.compaction.table_selection import ChosenTable, TableSelection
from autostream.lake.compaction.workload import WorkPart
from autostream.store.database import Database, open_database
from autostream.store.schema import migrate
from tests.support.clocks import FakeClock
from tests.support.lakes import Orders

DAY = 86_400_000
OUTCOME = {"table": "lake.db.t", "status": "committed"}


@pytest.fixture
def in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The configured database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", f"sqlite:///{tmp_path}/control.db")
    return open_database()


def runs(database: Database, table: str = "lake.db.t") -> list[CompactionRun]:
    with database.read() as connection:
        return RunLog(connection).newest(table, limit=10)


def run(table: str, ended_at_ms: int, status: str = "committed", **more: object) -> CompactionRun:
    return CompactionRun(
        table_name=table,
        by="ann",
        started_at_ms=ended_at_ms - 5,
        ended_at_ms=ended_at_ms,
        status=status,
        **more,  # type: ignore[arg-type]
    )


def test_runs_are_asked_for_by_table(database: Database) -> None:
    full = run("a.b.c", 20, "conflict", error="late", planned_snapshot_id=2**62, rewrite_seconds=1.5, partitions=3)
    with database.write() as connection:
        log = RunLog(connection)
        for each in (run("a.b.c", 10), full, replace(full, status="committed"), run("a.b.d", 15)):
            log.add(each)

        assert log.newest("a.b.c", limit=2) == [replace(full, status="committed"), full]
        assert log.last_of(["a.b.c", "a.b.d", "a.b.e"]) == {
            "a.b.c": replace(full, status="committed"),
            "a.b.d": run("a.b.d", 15),
        }
    assert full.to_dict()["planned_snapshot_id"] == 2**62


def test_old_runs_are_forgotten_once_a_day(database: Database) -> None:
    with database.write() as connection:
        log = RunLog(connection)
        log.add(run("x.b.t", 4 * DAY))
        log.add(run("x.b.t", 5 * DAY))
        log.forget_when_due(now_ms=14 * DAY + 1, keep_days=10)
        assert [each.ended_at_ms for each in log.newest("x.b.t", limit=9)] == [5 * DAY]
        log.forget_when_due(now_ms=15 * DAY, keep_days=1)
        assert len(log.newest("x.b.t", limit=9)) == 1


def test_sums_only_grow(database: Database) -> None:
    first = run("s.b.t", 5, rows_read=10, rows_deleted=2, bytes_read=2**40, bytes_written=7)
    with database.write() as connection:
        log = RunLog(connection)
        for each in (first, replace(first, rows_read=None), run("s.b.t", 6, "failed"), run("s.b.u", 7)):
            log.add(each)
        log.forget_when_due(now_ms=20 * DAY, keep_days=1)
        counts = [count for count in log.counts() if count.table_name.startswith("s.")]

    one = CompactionCount.of(first)
    assert counts == [
        replace(one, runs=2, duration_ms=10, rows_deleted=4, bytes_read=2**41, bytes_written=14),
        CompactionCount.of(run("s.b.t", 6, "failed")),
        CompactionCount.of(run("s.b.u", 7)),
    ]


def test_sums_begin_with_what_was_recorded_before_there_were_any(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    engine = create_engine(url)
    with engine.begin() as connection:
        migrate(connection, to="0004")
        for duration in (3, 4):
            values = asdict(run("lake.db.t", 9)) | {"started_at_ms": 9 - duration, "bytes_read": None}
            connection.execute(insert(CompactionRunRow).values(**values))
    engine.dispose()
    database = Database(url)
    database.upgrade()

    with database.read() as connection:
        (count,) = RunLog(connection).counts()
    assert (count.table_name, count.status) == ("lake.db.t", "committed")
    assert (count.runs, count.duration_ms, count.bytes_read) == (2, 7, 0)


def test_a_compaction_of_many_tables_is_recorded_by_part(
    lake: SqlCatalog, in_use: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"DAG_ID": "compaction", "DAG_RUN_ID": "hourly-7", "TASK_ID": "compact"}.items():
        monkeypatch.setenv(f"AIRFLOW_CTX_{name}", value)
    Orders(lake, "db.t").checkpoint(3)
    order = FleetOrder(TableSelection(), {"rewrite-all": "true"})
    bench = Workbench(load_settings())

    for asked in (order, replace(order, dry_run=True)):
        compact_part(asked, WorkPart("lake.db.t", None, 1, 1), lambda action: perform(action, bench))

    (found,) = runs(in_use)
    assert (found.by, found.status, found.error) == ("compaction.compact hourly-7", "committed", "")
    assert (found.data_files_before, found.data_files_after) == (3, 1)
    assert (bool(found.delete_files_before), found.delete_files_after) == (True, 0)
    assert (found.bytes_before or 0) > (found.bytes_after or 0) > 0
    assert (found.rows_read or 0) > (found.rows_deleted or 0) > 0
    assert found.snapshot_id == lake.load_table("db.t").metadata.current_snapshot_id != found.planned_snapshot_id
    assert found.ended_at_ms >= found.started_at_ms
    assert found.peak_memory_bytes
    assert None not in (found.plan_seconds, found.rewrite_seconds, found.commit_seconds)


def test_tables_that_cannot_be_planned_or_are_killed_are_recorded(in_use: Database) -> None:
    def killed(action: object) -> object:
        raise ActionFailed.of({"table": "lake.db.t", "status": "failed", "error": "was killed"})

    order = FleetOrder(TableSelection())
    plan_tables(order, [ChosenTable("lake.db.t", named=True)], killed)  # type: ignore[arg-type]
    compact_part(order, WorkPart("lake.db.t", ("day=1", "day=2"), 1, 1), killed)  # type: ignore[arg-type]

    assert [(each.status, each.error, each.partitions) for each in runs(in_use)] == [
        ("failed", "was killed", 2),
        ("failed", "was killed", None),
    ]


def test_an_error_of_one_table_is_recorded_and_raised(in_use: Database) -> None:
    def fail(error: Exception) -> CompactionResult:
        raise error

    for error in (ConflictError("too late"), UsageError("a typing error")):
        with pytest.raises(type(error)):
            run_recorded("lake.db.t", lambda error=error: fail(error))  # type: ignore[misc]

    assert [(each.status, each.error) for each in runs(in_use)] == [("conflict", "too late")]


def test_nothing_is_made_where_no_database_is_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOSTREAM_DATABASE__URL", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    record_outcomes([OUTCOME], started_at_ms=0)
    assert not any(tmp_path.rglob("*.db"))

    open_database().prepare()  # as the console does, for example
    record_outcomes([OUTCOME | {"status": "nothing-to-do"}, OUTCOME], started_at_ms=0)
    assert [each.status for each in runs(open_database())] == ["committed"]


def test_a_database_that_fails_is_told_once_and_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").touch()
    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", f"sqlite:///{tmp_path}/a-file/control.db")

    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            record_outcomes([OUTCOME], started_at_ms=0)

    assert len([line for line in caplog.messages if "Could not record this compaction" in line]) == 1


def test_a_call_of_the_library_is_recorded(lake: SqlCatalog, in_use: Database) -> None:
    Orders(lake, "db.t").checkpoint(2)

    autostream.table("lake.db.t").compact(options={"rewrite-all": "true"}, dry_run=True)
    done = autostream.table("lake.db.t").compact(options={"rewrite-all": "true"})

    assert [(each.status, each.snapshot_id) for each in runs(in_use)] == [("committed", done.snapshot_id)]
