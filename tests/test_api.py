"""`import autostream`: what it costs, what is there, and what it does on small tables."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog

import autostream
from autostream.config import EngineSettings, Settings, WatermarkSettings
from autostream.errors import ConfigurationError, TimedOutError, UsageError
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
def test_waiting(clock: FakeClock) -> None:
    table = autostream.table("lake.db.orders")
    assert (table.watermark().watermark_ms, table.watermark().writers[0].name) == (T_MS, "ingest")
    for until in (T, "2026-11-23T02:00Z", T_MS):
        assert table.wait(until=until).met
    told: list[str] = []
    with pytest.raises(TimedOutError, match="held back by writer ingest"):
        table.wait(until=T, lateness_seconds=60, timeout_seconds=30, report_progress=told.append)
    assert len(told) == 1
    with pytest.raises(UsageError, match="no UTC offset"):
        table.wait(until=datetime(2026, 11, 23, 2))
    with pytest.raises(UsageError, match="does not exist"):
        autostream.table("lake.db.order").wait(until=T)


# ------------------------------------------------------------------------------------- many tables, configuration


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
