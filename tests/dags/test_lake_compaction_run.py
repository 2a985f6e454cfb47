"""The whole workflow on a real Airflow with a database of its own."""

import json
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import LongType, NestedField, StringType

from autostream.config import ZooKeeperSettings
from autostream.coordination.client import ZooKeeperClient
from autostream.coordination.lock_holder import Holder
from autostream.coordination.lock_registry import held_lock
from autostream.coordination.paths import LockKey
from autostream.coordination.queued_lock import QueuedLock
from autostream.demo.writer import Changes, UpsertWriter
from autostream.iceberg.state import read_state
from autostream.lake.scan import scan_table
from tests.dags.airflow_runs import run_dag

if TYPE_CHECKING:
    from tests.support.hadoop import ZooKeeper

SCHEMA = Schema(NestedField(1, "id", LongType(), required=True), NestedField(2, "value", StringType()))

pytestmark = [pytest.mark.airflow, pytest.mark.slow]


@dataclass
class Lake:
    """Tables, and what they were before anything ran."""

    catalog: SqlCatalog
    before: dict[str, Table]

    def now(self, name: str) -> Table:
        return self.catalog.load_table(("db", name))

    def unchanged(self, name: str) -> bool:
        return self.now(name).metadata_location == self.before[name].metadata_location


def make_table(
    catalog: SqlCatalog, name: str, *, enabled: bool = True, key: tuple[str, ...] = ("id",), checkpoints: int = 12
) -> Table:
    properties = {"format-version": "2"} | ({"autostream.compaction.enabled": "true"} if enabled else {})
    table = catalog.create_table(("db", name), SCHEMA, properties=properties)
    writer = UpsertWriter(table)
    for checkpoint in range(checkpoints):
        rows = [{"id": key, "value": f"{checkpoint}"} for key in range(10)]
        writer.checkpoint(Changes(key, upserts=pa.Table.from_pylist(rows)))
    return table


def local(path: str) -> Path:
    return Path(path.removeprefix("file://"))


def first_data_file(table: Table) -> str:
    return min(read_state(table).data)


def rows_of(table: Table) -> list[dict[str, Any]]:
    return sorted(scan_table(table).to_arrow().to_pylist(), key=lambda row: row["id"])


@pytest.fixture
def lake(lake: SqlCatalog) -> Lake:
    """Two good tables, one that is not enabled, one with nothing to do, and two that are damaged."""
    tables = {name: make_table(lake, name) for name in ("orders", "users", "truncated", "unreadable")}
    tables["off"] = make_table(lake, "off", enabled=False)
    tables["quiet"] = make_table(lake, "quiet", key=(), checkpoints=1)
    damaged = local(first_data_file(tables["truncated"]))
    damaged.write_bytes(damaged.read_bytes()[:-100])
    local(tables["unreadable"].metadata_location).write_text("{")
    return Lake(lake, tables)


def test_one_broken_table_holds_up_no_other_and_fails_the_run(lake: Lake, tmp_path: Path) -> None:
    expected = {name: rows_of(lake.before[name]) for name in ("orders", "users")}
    # An item for each table: a batch holds no more than the least that a table counts.
    misspelt, dry, real = run_dag(
        "lake_compaction",
        "collect",
        tmp_path,
        {"dry-run": True},
        {"tables": ["lake.db.or*", "lake.db.off"], "dry_run": True},
        {"options": {"min-input-files": 2}},
        AUTOSTREAM_COMPACTION__BATCH_SIZE_BYTES="1",
    )

    assert misspelt["state"] == "failed"
    assert ["discover_and_plan", None, "failed", 1] in misspelt["tasks"]  # that no table changed is seen below

    assert dry["state"] == "success"
    assert {row["table"]: row["status"] for row in dry["rows"]} == {
        "lake.db.off": "planned",  # named in full, so it need not be enabled
        "lake.db.orders": "planned",
    }
    assert dry["announced"] == {}

    assert real["state"] == "failed"
    rows = {row["table"]: row for row in real["rows"]}
    assert {table: row["status"] for table, row in rows.items()} == {
        "lake.db.orders": "committed",
        "lake.db.quiet": "nothing-to-do",
        "lake.db.truncated": "failed",
        "lake.db.unreadable": "failed",
        "lake.db.users": "committed",
    }
    assert first_data_file(lake.before["truncated"]) in rows["lake.db.truncated"]["error"]
    assert "lake.db.unreadable" in rows["lake.db.unreadable"]["error"]
    assert rows["lake.db.orders"]["before"]["data_files"] == 12
    assert rows["lake.db.orders"]["after"]["data_files"] == 1
    assert sorted(real["announced"]) == ["compaction:lake.db.orders", "compaction:lake.db.users"]
    # Nothing that repeating would not mend was repeated.
    assert real["tasks"] == [
        ["collect", None, "success", 1],
        ["compact", "lake.db.orders", "success", 1],
        ["compact", "lake.db.truncated", "failed", 1],
        ["compact", "lake.db.users", "success", 1],
        ["discover_and_plan", None, "success", 1],
        ["report", None, "failed", 1],
    ]
    for name, contents in expected.items():
        assert rows_of(lake.now(name)) == contents
        assert len(lake.now(name).metadata.snapshots) == 13, "one commit, of the second run"
    assert lake.unchanged("truncated")
    assert lake.unchanged("quiet")
    assert lake.unchanged("off")


@pytest.mark.integration
@pytest.mark.xdist_group("hadoop")
@pytest.mark.exhaustive
def test_a_compaction_waits_for_its_lock_under_the_name_of_its_run(
    lake: Lake, tmp_path: Path, zookeeper: "ZooKeeper"
) -> None:
    own = {"type": "sql", "autostream.lock.type": "zookeeper", "zookeeper_conn_id": "locks"}
    client = ZooKeeperClient(ZooKeeperSettings(hosts=zookeeper.hosts, root=f"/{uuid.uuid4()}"))
    key = LockKey("lake", "db.orders")
    with ThreadPoolExecutor(1) as other, closing(client):
        with QueuedLock(client, key, what="test", timeout_seconds=30):
            running = other.submit(
                run_dag,
                "lake_compaction",
                "collect",
                tmp_path,
                {"tables": ["lake.db.orders"]},
                AIRFLOW_CONN_LAKE=json.dumps({"conn_type": "iceberg", "extra": lake.catalog.properties | own}),
                AIRFLOW_CONN_LOCKS=json.dumps(
                    {"conn_type": "zookeeper", "host": zookeeper.hosts, "extra": {"root": client.root}}
                ),
            )
            waiting: Sequence[Holder] = ()
            while not waiting and not wait([running], timeout=0.2).done:
                held = held_lock(client, key)
                waiting = held.waiting if held else ()
        (run,) = running.result()
    assert run["state"] == "success", run["rows"]
    assert [holder.airflow_run for holder in waiting] == [f"lake_compaction.compact {run['run_id']}"]
    assert [row["status"] for row in run["rows"]] == ["committed"]
