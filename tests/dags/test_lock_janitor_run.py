"""The janitor as a workflow, on a real Airflow and a real metastore with a dead lock and a live one."""

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from autostream.catalogs.hive_lock import HiveLock, HiveLockPolicy
from tests.dags.airflow_runs import run_dag
from tests.support.locks import AGENT, dead_lock, locks_of, metastore_at

if TYPE_CHECKING:
    from tests.support.hadoop import HiveMetastore

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.slow,
    pytest.mark.integration,
    pytest.mark.xdist_group("hadoop"),
]


def test_exactly_the_dead_lock_is_released_and_what_failed_is_named(
    hive_metastore: "HiveMetastore", tmp_path: Path
) -> None:
    uri, alive = hive_metastore.uri, f"ns_{uuid.uuid4().hex[:12]}"
    policy = HiveLockPolicy(heartbeat_interval_ms=250)
    record = tmp_path / "released.jsonl"
    with dead_lock(uri) as dead, HiveLock(metastore_at(uri), alive, "orders", policy, user="svc") as lock:
        dry, real = run_dag(
            "lock_janitor",
            "sweep",
            tmp_path,
            {"dry_run": True},
            {"catalogs": ["gone", "lake"]},
            # Airflow takes longer than that to start, so the dead one has been silent for long enough.
            AUTOSTREAM_JANITOR__STALE_AFTER_SECONDS="2",
            AUTOSTREAM_JANITOR__RECORD_FILE=str(record),
            AUTOSTREAM_COMPACTION__CATALOGS="files,lake",
            AIRFLOW_CONN_LAKE=json.dumps({"conn_type": "hive_metastore", "host": uri}),
            AIRFLOW_CONN_FILES=json.dumps({"conn_type": "iceberg", "extra": {"type": "sql", "uri": "sqlite://"}}),
            AIRFLOW_CONN_GONE=json.dumps({"conn_type": "hive_metastore", "host": "localhost", "port": 1}),
        )
        lock.verify()
        assert len(locks_of(uri, f"{alive}.orders")) == 1
        assert locks_of(uri, dead) == []

    assert dry["state"] == "success"  # catalogs that are not Hive's are no concern of it
    assert {row["table"]: row["status"] for row in dry["rows"]} == {
        f"lake.{dead}": "stale",
        f"lake.{alive}.orders": "kept",
    }
    assert dry["announced"] == {}

    assert real["state"] == "failed"
    rows = {row["table"]: row for row in real["rows"]}
    assert {table: row["status"] for table, row in rows.items()} == {
        "gone": "failed",
        f"lake.{dead}": "released",
        f"lake.{alive}.orders": "kept",
    }
    assert "thrift://localhost:1" in rows["gone"]["error"]
    assert real["announced"] == {f"released-lock:lake.{dead}": rows[f"lake.{dead}"]}
    assert [task[:3:2] for task in real["tasks"]] == [["report", "failed"], ["sweep", "success"]]
    (line,) = record.read_text().splitlines()
    assert json.loads(line)["agent"] == AGENT
    assert f"Airflow lock_janitor.sweep {real['run_id']}" in json.loads(line)["by"]
