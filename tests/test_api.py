"""`import autostream`: what it costs, what is there, and what it does on small tables."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog

import autostream
from autostream import times
from autostream.config import DatabaseSettings, EngineSettings, Settings, WatermarkSettings
from autostream.errors import ConfigurationError, TimedOutError, UsageError
from autostream.lake.compaction.runs.log import RunLog
from autostream.store.database import open_database
from autostream.watermark.history.log import WatermarkLog
from autostream.watermark.marks import WriterStatus
from tests.support.catalogs import IDS
from tests.support.clocks import FakeClock
from tests.support.commands import environment
from tests.support.lakes import Orders
from tests.support.rows import assert_same_rows

T = datetime(2026, 11, 23, 2, tzinfo=UTC)
T_MS = 1_795_399_200_000
COMPLETE = {"autostream.watermark": str(T_MS), "autostream.watermark.writer.ingest": str(T_MS)}


@pytest.fixture
def orders(lake: SqlCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Orders:
    monkeypatch.chdir(tmp_path)
    made = Orders(lake, "db.orders", **COMPLETE)
    made.checkpoint(3)
    return made


# ------------------------------------------------------------------------------------- the package


def test_importing_it_loads_nothing() -> None:
    program = "import sys; before = {*sys.modules}; import autostream; print(*sorted({*sys.modules} - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())
    assert {*done.stdout.split()} <= {"__future__", "autostream"}, done.stderr


def test_public_names_are_seen_and_loaded_when_used() -> None:
    assert {*autostream.__all__} <= {*dir(autostream)}
    assert all(getattr(autostream, name) for name in autostream.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        autostream.nonsense  # noqa: B018
    from autostream.locks import janitor  # a package all the same

    assert autostream.locks.janitor is janitor


# ------------------------------------------------------------------------------------- one table


def test_a_table_from_plan_to_compaction(orders: Orders) -> None:
    table = autostream.table("lake.db.orders")
    everything = {"rewrite-all": "true"}
    before, plan = table.inspect(), table.plan(options=everything)
    assert (before.counts.data_files, len(plan.groups)) == (table.summary().data_files, 1)
    assert before.to_dict()["partitions"][0]["data_files"] == before.partitions[0].data_files

    dry = table.compact(dry_run=True, options=everything)
    assert (dry.status, dry.to_dict()["plan"]) == ("planned", plan.to_dict())
    assert table.inspect().snapshot_id == before.snapshot_id

    done = table.compact(options=everything)
    assert (done.status, done.exit_code, done.after) == ("committed", 0, table.inspect().counts)
    assert_same_rows(table.scan().to_arrow(), orders.expected())


def test_partitions_and_options_are_checked_before_anything_is_done(orders: Orders) -> None:
    table = autostream.table("lake.db.orders")
    with pytest.raises(UsageError, match="not an option of a run"):
        table.compact(options={"enabled": "true"})
    with pytest.raises(UsageError, match="no partition"):
        table.plan(partitions=["day=1"])
    with pytest.raises(ConfigurationError, match="min-input-files"):
        table.inspect(options={"min-input-files": "many"})


def test_rows_in_every_form(orders: Orders) -> None:
    scan = autostream.table("lake.db.orders").scan(where="id < 20", columns=["id", "v"])
    expected = [{"id": row["id"], "v": row["v"]} for row in orders.expected() if row["id"] < 20]
    assert scan.count() == len(expected)
    assert_same_rows(scan.to_arrow(), expected)
    assert_same_rows(scan.to_batches().read_all(), expected)
    relation = scan.to_duckdb()
    for _ in range(2):
        assert relation.aggregate("count(*), sum(v)").fetchall() == [(len(expected), sum(row["v"] for row in expected))]


# ------------------------------------------------------------------------------------- watermarks


@pytest.mark.usefixtures("orders")
def test_waiting(clock: FakeClock, told: Callable[[], list[dict[str, Any]]]) -> None:
    table = autostream.table("lake.db.orders")
    assert (table.watermark().watermark_ms, table.watermark().writers[0].name) == (T_MS, "ingest")
    for until in (T, "2026-11-23T02:00Z", T_MS):
        assert table.wait(until=until).met
    with pytest.raises(TimedOutError):
        table.wait(until=T, lateness_seconds=60, timeout_seconds=0)
    assert told() == [], "that was a question"
    said: list[str] = []
    with pytest.raises(TimedOutError, match="held back by writer ingest"):
        table.wait(until=T, lateness_seconds=60, timeout_seconds=30, report_progress=said.append)
    assert len(said) == 1
    assert [(notice["kind"], notice["subject"]) for notice in told()] == [("wait-timed-out", "table lake.db.orders")]
    with pytest.raises(UsageError, match="no UTC offset"):
        table.wait(until=datetime(2026, 11, 23, 2))
    with pytest.raises(UsageError, match="does not exist"):
        autostream.table("lake.db.order").wait(until=T)


def test_what_people_record_of_writers(orders: Orders) -> None:
    table = autostream.table("lake.db.orders")
    later = T + timedelta(hours=1)
    update = table.set_watermark(later, writer="ingest", by="alice")
    assert (update.changed, update.mark.watermark_ms) == (True, T_MS + 3_600_000)
    assert update.to_dict() == table.watermark().to_dict() | {"changed": True}
    assert not table.set_watermark(T_MS, writer="ingest").changed  # it never goes back by that

    assert table.set_watermark(" Forever ", writer="backfill").mark.watermark_ms == T_MS + 3_600_000
    assert table.retire_writer("backfill", reason="done").mark.writers[0].status is WriterStatus.RETIRED
    assert table.reset_watermark("2026-11-23T01:00Z", reason="reload", by="bob").mark.watermark_ms == T_MS - 3_600_000

    entries = table.watermark_history(writer="ingest").entries
    assert [(entry.kind, entry.by) for entry in entries][-2:] == [("advance", "alice"), ("reset", "bob")]
    assert table.watermark_history(until=entries[-1].recorded_at_ms, newest=1).entries[0].kind != "reset"
    assert table.completion(T).withdrawn[0].reset.note == "reload"


@pytest.mark.usefixtures("orders", "clock")
def test_a_watermark_too_far_ahead_is_refused_before_the_table_is_opened() -> None:
    missing = autostream.table("lake.db.order")
    ahead = times.now() + timedelta(days=2)
    with pytest.raises(UsageError, match=r"2 d ahead of now.* give \"forever\" for a writer that has ended"):
        missing.set_watermark(ahead, writer="ingest")
    with pytest.raises(UsageError, match="does not exist"):
        missing.set_watermark(ahead, writer="ingest", force=True)


# ------------------------------------------------------------------------------------- many tables, configuration


def test_people_are_told_of_tables_that_cannot_be_compacted(
    orders: Orders, told: Callable[[], list[dict[str, Any]]]
) -> None:
    orders.checkpoint(3)
    for file in orders.load().inspect.data_files()["file_path"].to_pylist()[:1]:
        Path(file.removeprefix("file://")).unlink()
    rewrite = {"rewrite-all": "true"}
    autostream.Lakehouse().compact("lake.db.*", options=rewrite, dry_run=True)
    assert told() == []
    result = autostream.Lakehouse().compact("lake.db.*", options=rewrite)
    assert [row["status"] for row in result.rows] == ["failed"]
    assert [(notice["kind"], notice["subject"]) for notice in told()] == [("compaction-failed", "table lake.db.orders")]


ALL = {"rewrite-all": "true"}


def test_many_tables_are_enabled_and_compacted(lake: SqlCatalog, orders: Orders) -> None:
    lake.create_table("db.empty", IDS)
    lakehouse = autostream.Lakehouse()
    told: list[str] = []
    assert [row["status"] for row in lakehouse.enable("lake.db.*", report_progress=told.append).rows] == ["changed"] * 2
    assert told == ["1 of 2: lake.db.empty", "2 of 2: lake.db.orders"]
    assert not autostream.table("lake.db.empty").enable()
    assert lakehouse.disable("lake.db.e*").rows == ({"table": "lake.db.empty", "status": "changed", "enabled": False},)

    assert autostream.compact(enabled=True, dry_run=True, options=ALL).counts == {"planned": 1}
    told.clear()
    done = autostream.compact("lake.*", "lake.db.gone", options=ALL, report_progress=told.append)
    assert (done.counts, done.exit_code) == ({"nothing-to-do": 1, "failed": 1, "committed": 1}, 1)
    assert [row["table"] for row in done.failures] == ["lake.db.gone"]
    assert told[:2] == ["planning 3 tables", "1 of 1: lake.db.orders"]
    assert all(line.startswith("1 of 1: lake.db.orders: ") for line in told[2:])
    assert_same_rows(autostream.table("lake.db.orders").scan().to_arrow(), orders.expected())


@pytest.mark.usefixtures("orders")
def test_nothing_is_done_where_what_is_asked_for_is_not_there() -> None:
    lakehouse = autostream.Lakehouse()
    for change in (lakehouse.compact, lakehouse.enable):
        with pytest.raises(UsageError, match="Name a table or a pattern"):
            change()
        with pytest.raises(UsageError, match=r"'lake.none.\*' matches no table.* Nothing was done"):
            change("lake.*", "lake.none.*")
    with pytest.raises(UsageError, match="does not exist"):  # the only one
        lakehouse.enable("lake.db.gone")
    assert not lakehouse.table("lake.db.orders").summary().compaction_enabled


def test_what_was_done_is_recorded_in_the_database_that_is_given(orders: Orders, tmp_path: Path) -> None:
    database = DatabaseSettings(url=f"sqlite:///{tmp_path}/given.db")
    lakehouse = autostream.Lakehouse(settings=Settings(database=database))
    table = lakehouse.table("lake.db.orders")
    table.compact(options=ALL)
    lakehouse.compact("lake.*", options=ALL)
    table.set_watermark(T + timedelta(hours=1), writer="ingest")
    with open_database(database).read() as connection:
        assert len(RunLog(connection).newest("lake.db.orders", limit=9)) == 2
        entries = WatermarkLog(connection).entries(str(orders.load().metadata.table_uuid))
    assert [entry.kind for entry in entries if entry.watermark_ms == T_MS + 3_600_000]


def test_what_is_configured_is_checked(orders: Orders, tmp_path: Path) -> None:
    properties = {"type": "sql", "uri": f"sqlite:///{tmp_path}/lake.db", "warehouse": f"file://{tmp_path}/warehouse"}
    nowhere = {"type": "rest", "uri": "http://127.0.0.1:9"}
    database = DatabaseSettings(url=f"sqlite:///{tmp_path}/given.db")
    lakehouse = autostream.Lakehouse(
        settings=Settings(database=database), catalogs={"lake": properties, "away": nowhere}
    )
    report = lakehouse.check()
    found = {finding.subject: finding.severity.value for finding in report.findings}
    assert found == {"engine.spill_directory": "ok", "database": "ok", "catalog lake": "ok", "catalog away": "error"}
    assert (report.ok, report.to_dict()["ok"], lakehouse.check("lake").ok) == (False, False, True)
    with pytest.raises(ConfigurationError, match="No catalog is configured"):
        autostream.Lakehouse(catalogs={}).check()


def test_tables_by_pattern(lake: SqlCatalog) -> None:
    for name in ("a", "b"):
        lake.create_table(f"db.{name}", IDS)
    assert [str(table) for table in autostream.tables()] == ["lake.db.a", "lake.db.b"]
    assert [str(table) for table in autostream.tables("lake.*.a", "lake.db.c")] == ["lake.db.a"]
    assert autostream.tables(namespace="d") == ()
    with pytest.raises(ConfigurationError, match="Unknown catalog 'lak'"):
        autostream.tables("lak.db.*")


def test_catalogs_and_settings_may_be_given(orders: Orders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    properties = {"type": "sql", "uri": f"sqlite:///{tmp_path}/lake.db", "warehouse": f"file://{tmp_path}/warehouse"}
    for key in properties:
        monkeypatch.delenv(f"PYICEBERG_CATALOG__LAKE__{key.upper()}", raising=False)
    monkeypatch.setenv("AUTOSTREAM_ENGINE__THREADS", "not read")
    settings = Settings(
        engine=EngineSettings(spill_directory=str(tmp_path / "spill")), watermark=WatermarkSettings(max_ahead_seconds=1)
    )
    lakehouse = autostream.Lakehouse(settings=settings, catalogs={"lake": properties})
    (table,) = lakehouse.tables()
    assert (lakehouse.catalogs, str(table)) == (("lake",), "lake.db.orders")
    assert table.scan().count() == len(orders.expected())
    assert (tmp_path / "spill").is_dir()
    assert table.watermark().watermark_ms == T_MS
    assert table.wait(until=T).met
    with pytest.raises(ConfigurationError, match="Unknown catalog 'other'"):
        lakehouse.table("other.db.t").load()


def test_locks_where_nothing_locks() -> None:
    with pytest.raises(ConfigurationError, match="so no table can be locked"):
        autostream.locks()
    with pytest.raises(ConfigurationError, match="Neither ZooKeeper nor a Hive catalog is configured"):
        autostream.Lakehouse().elections()
    with pytest.raises(ConfigurationError, match="No Hive catalog is configured"):
        autostream.Lakehouse().release_stale_locks()
    with pytest.raises(ConfigurationError, match="no Flink cluster is configured"):
        autostream.Lakehouse().record_watermarks(seconds=0)
