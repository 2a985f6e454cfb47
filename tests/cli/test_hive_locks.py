"""`autostream lock` on the locks of a real Hive Metastore."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autostream.catalogs.hive_lock import HiveLock, show_hive_locks
from autostream.hadoop.metastore import Metastore, MetastoreSettings
from tests.support import commands
from tests.support.hadoop import HiveMetastore

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("hadoop")]


@pytest.fixture
def metastore(hive_metastore: HiveMetastore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Metastore:
    """The metastore of the only catalog, ``hive``, that the commands find configured."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYICEBERG_CATALOG__HIVE__TYPE", "hive")
    monkeypatch.setenv("PYICEBERG_CATALOG__HIVE__URI", hive_metastore.uri)
    return Metastore(MetastoreSettings.from_properties({"uri": hive_metastore.uri}))


def _of_a_dead_process(metastore: Metastore, table: str) -> HiveLock:
    lock = HiveLock(metastore, "cli", table, user="svc")
    lock.agent = f"autostream-{'c' * 36} pid={os.getpid()} started=1"
    return lock


def test_listed_shown_and_broken(metastore: Metastore) -> None:
    with HiveLock(metastore, "cli", "orders", user="svc") as held:
        listed = commands.autostream("lock", "list", "--json")
        (row,) = [r for r in listed.document["locks"] if r["table"] == "hive.cli.orders"]
        assert (row["kind"], row["state"], row["holder"]["user"], row["waiting"]) == ("hive", "held", "svc", [])
        assert row["holder"]["agent"] == held.agent
        text = commands.autostream("lock", "show", "hive.cli.orders")
        assert "hive.cli.orders is locked" in text.stdout
        assert "svc" in text.stdout
        refused = commands.autostream("lock", "break", "hive.cli.orders")
        assert refused.exit_code == 2
        broken = commands.autostream("lock", "break", "hive.cli.orders", "--yes", "--reason", "it hangs", "--json")
        assert (broken.exit_code, broken.document["status"]) == (0, "broken")
        assert "it hangs" in broken.stderr
    assert show_hive_locks(metastore, "cli", "orders") == []
    assert "not locked" in commands.autostream("lock", "show", "hive.cli.orders").stdout


def test_the_janitor_releases_what_is_dead_and_keeps_what_lives(
    metastore: Metastore,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    told: Callable[[], list[dict[str, Any]]],
) -> None:
    monkeypatch.setenv("AUTOSTREAM_JANITOR__STALE_AFTER_SECONDS", "1")
    monkeypatch.setenv("AUTOSTREAM_JANITOR__RECORD_FILE", str(tmp_path / "released.jsonl"))
    dead = _of_a_dead_process(metastore, "dead")
    with HiveLock(metastore, "cli", "alive", user="svc"), dead:
        # Both are silent for a second: the metastore's clock is looked at until then.
        for _ in range(30):
            dry = commands.autostream("lock", "janitor", "--dry-run", "--json")
            assert dry.exit_code == 0, dry.stderr
            rows = {row["table"]: row for row in dry.document["locks"]}
            if rows["hive.cli.dead"]["stale"]:
                break
        assert (rows["hive.cli.dead"]["stale"], rows["hive.cli.dead"]["released"]) == (True, False)
        assert len(show_hive_locks(metastore, "cli", "dead")) == 1
        assert told() == []
        done = commands.autostream("lock", "janitor", "--json")
        rows = {row["table"]: row for row in done.document["locks"]}
        assert (rows["hive.cli.dead"]["released"], rows["hive.cli.alive"]["released"]) == (True, False)
        assert f"process {os.getpid()} on this machine is running" in rows["hive.cli.alive"]["reason"]
        assert show_hive_locks(metastore, "cli", "dead") == []
        text = commands.autostream("lock", "janitor")
        assert "kept" in text.stdout
    (line,) = (tmp_path / "released.jsonl").read_text().splitlines()
    assert json.loads(line)["table"] == "hive.cli.dead"
    assert "lock janitor" in json.loads(line)["by"]
    assert [(notice["kind"], notice["subject"]) for notice in told()] == [("lock-released", "table hive.cli.dead")]


def test_nothing_is_released_that_cannot_be_recorded(metastore: Metastore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_JANITOR__STALE_AFTER_SECONDS", "1")
    monkeypatch.setenv("AUTOSTREAM_JANITOR__RECORD_FILE", "/nowhere/released.jsonl")
    done = commands.autostream("lock", "janitor", "--json")
    assert done.exit_code == 1
    assert "No lock was released. Correct janitor.record_file" in done.document["errors"][0]


def test_a_metastore_that_is_down_holds_up_no_other(metastore: Metastore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__DOWN__URI", "thrift://localhost:1")
    with HiveLock(metastore, "cli", "alive"):
        done = commands.autostream("lock", "janitor", "--json")
    assert done.exit_code == 1
    assert [row["table"] for row in done.document["locks"]] == ["hive.cli.alive"]
    (error,) = done.document["errors"]
    assert error.startswith("catalog down: No metastore answered")
    assert "No metastore answered" in commands.autostream("lock", "janitor").stderr


def test_what_is_not_configured(metastore: Metastore, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = commands.autostream("lock", "janitor", "--catalog", "lake")
    assert (unknown.exit_code, "Unknown Hive catalog 'lake'. Configured: hive." in unknown.stderr) == (2, True)
    monkeypatch.delenv("PYICEBERG_CATALOG__HIVE__URI")
    monkeypatch.delenv("PYICEBERG_CATALOG__HIVE__TYPE")
    none = commands.autostream("lock", "janitor")
    assert (none.exit_code, "No Hive catalog is configured" in none.stderr) == (2, True)
