import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.utils.config import Config
from typer.testing import CliRunner, Result

from autostream.cli import config
from autostream.cli.lock import app
from autostream.coordination.client import ZooKeeperClient, close_all
from autostream.coordination.election import Election
from autostream.coordination.paths import LockKey
from autostream.coordination.queued_lock import QueuedLock
from autostream.errors import ConfigurationError, LockLostError, UsageError
from tests.coordination.conftest import connect, root
from tests.coordination.locking import KEY, in_queue, lock, until
from tests.support.hadoop import ZooKeeper

__all__ = ["connect", "root"]
integration = pytest.mark.integration


@pytest.fixture
def client(
    zookeeper: ZooKeeper, root: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[ZooKeeperClient]:
    """A client of what the commands are configured for."""
    from autostream.config import load_settings

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOSTREAM_ZOOKEEPER__HOSTS", zookeeper.hosts)
    monkeypatch.setenv("AUTOSTREAM_ZOOKEEPER__ROOT", root)
    monkeypatch.setenv("COLUMNS", "200")
    client = ZooKeeperClient(load_settings().zookeeper)
    yield client
    client.close()
    close_all()


@pytest.fixture
def held(client: ZooKeeperClient) -> Iterator[QueuedLock]:
    with lock(client, "compaction") as held:
        yield held


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


@pytest.mark.parametrize("table", ["orders", "db.orders", "lake..orders"])
def test_a_table_has_three_names(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="Invalid table name"):
        invoke("show", table)


def test_without_zookeeper_there_are_no_locks_to_show(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOSTREAM_ZOOKEEPER__HOSTS", raising=False)
    with pytest.raises(ConfigurationError, match=r"so no table can be locked\. Set zookeeper\.hosts"):
        invoke("list")


@integration
def test_list_as_json(held: QueuedLock) -> None:
    (found,) = json.loads(invoke("list", "--json").stdout)["locks"]

    assert (found["table"], found["kind"], found["state"]) == ("lake.db.orders", "zookeeper", "held")
    assert (found["holder"]["what"], found["holder"]["pid"]) == ("compaction", os.getpid())
    assert found["since"].endswith("Z")
    assert found["since_ms"] == found["holder"]["since_ms"]
    assert found["waiting"] == []
    assert json.loads(invoke("list", "--catalog", "other", "--json").stdout) == {"locks": [], "errors": []}


@integration
def test_a_catalog_that_cannot_be_asked_does_not_hide_the_locks_of_others(
    held: QueuedLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__BROKEN__TYPE", "hive")  # and no uri
    monkeypatch.setenv("PYICEBERG_CATALOG__WRONG__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__WRONG__ZOOKEEPER__SESSION_TIMEOUT_SECONDS", "soon")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
        result, people = invoke("list", "--json"), invoke("list")

    document = json.loads(result.stdout)
    assert (result.exit_code, [found["table"] for found in document["locks"]]) == (1, ["lake.db.orders"])
    assert [error.partition(":")[0] for error in document["errors"]] == ["catalog wrong", "catalog broken"]
    assert people.exit_code == 1
    assert "lake.db.orders" in people.stdout
    assert "catalog broken: " in people.stderr


@integration
def test_elections_are_listed_apart(held: QueuedLock, client: ZooKeeperClient) -> None:
    assert invoke("list", "--elections").stdout == "No process is elected for anything.\n"
    with Election(client, "watermark-recorder") as election:
        until(election.leads)
        (found,) = json.loads(invoke("list", "--elections", "--json").stdout)["elections"]
        assert (found["election"], found["elected"]["pid"], found["candidates"]) == (
            "watermark-recorder",
            os.getpid(),
            [],
        )
        lines = invoke("list", "--elections").stdout.splitlines()
        assert lines[0].split() == ["election", "since", "elected", "candidates"]
        assert lines[1].startswith("watermark-recorder ")
        assert [lock["table"] for lock in json.loads(invoke("list", "--json").stdout)["locks"]] == ["lake.db.orders"]
    with pytest.raises(UsageError, match="--elections and --catalog exclude each other"):
        invoke("list", "--elections", "--catalog", "lake")


@integration
def test_list_for_people(held: QueuedLock, client: ZooKeeperClient) -> None:
    with lock(client, key=LockKey("archive", "db.[red]odd[/red]")):
        lines = invoke("list").stdout.splitlines()

    assert lines[0].split() == ["table", "lock", "since", "holder", "for", "waiting"]
    assert lines[1].startswith("archive.db.[red]odd[/red] ")
    assert [
        word for word in ("lake.db.orders", "zookeeper", "compaction", "s)", f"({os.getpid()})") if word not in lines[2]
    ] == []


@integration
def test_nothing_is_locked(client: ZooKeeperClient) -> None:
    assert invoke("list").stdout == "No table is locked.\n"
    assert invoke("show", "lake.db.orders").stdout == "lake.db.orders is not locked.\n"
    result = invoke("break", "lake.db.orders", "--json")
    assert (result.exit_code, json.loads(result.stdout)["status"]) == (0, "not-locked")


@integration
def test_show_has_the_queue_and_the_history(held: QueuedLock, client: ZooKeeperClient) -> None:
    waiting = in_queue(client, lock(client, "commit"))
    text = invoke("show", "lake.db.orders").stdout
    document = json.loads(invoke("show", "lake.db.orders", "--json").stdout)

    assert [
        word for word in ("is locked", "held", "waits (1)", "commit", f"token {held.token}") if word not in text
    ] == []
    assert [waiter["what"] for waiter in document["locks"][0]["waiting"]] == ["commit"]
    assert document["broken"] == []

    result = invoke("break", "lake.db.orders", "--yes", "--reason", "it hung")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "The lock on lake.db.orders was taken from " in result.stdout
    assert "(commit, since" in result.stdout
    assert "is next." in result.stdout

    waiting.wait().verify()
    with pytest.raises(LockLostError, match="it hung"):
        held.verify()
    text = invoke("show", "lake.db.orders").stdout
    (record,) = json.loads(invoke("show", "lake.db.orders", "--json").stdout)["broken"]
    assert "Broken locks, the newest first:" in text
    assert "it hung; it was held by" in text
    assert (record["reason"], record["holder"]["what"], record["by"]["pid"]) == ("it hung", "compaction", os.getpid())
    waiting.lock.release()
    assert invoke("show", "lake.db.orders").stdout.startswith("lake.db.orders is not locked.\nBroken locks")


@integration
def test_break_as_json(held: QueuedLock) -> None:
    document = json.loads(invoke("break", "lake.db.orders", "-y", "--json").stdout)

    assert (document["table"], document["status"]) == ("lake.db.orders", "broken")
    assert document["broken"][0]["token"] == held.token


@integration
def test_break_is_refused_without_a_terminal(held: QueuedLock) -> None:
    with pytest.raises(UsageError, match="must be confirmed: run this on a terminal, or give --yes"):
        invoke("break", "lake.db.orders")
    held.verify()


def on_a_terminal(answer: bytes) -> tuple[int, str]:
    """`autostream lock break` as a person types it, and what is seen."""
    ours, theirs = pty.openpty()
    program = "from autostream.cli.main import run_command; run_command()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "lock", "break", str(KEY)], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen = b""
    answered = False
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # how the end of a terminal is told
            break
        if not data:
            break
        seen += data
        if b"[y/N]" in seen and not answered:
            os.write(ours, answer)
            answered = True
    os.close(ours)
    return process.wait(30), " ".join(seen.decode().split())


@integration
def test_break_asks_on_a_terminal(held: QueuedLock) -> None:
    code, seen = on_a_terminal(b"n\n")

    assert code == 1
    assert "is locked by" in seen
    assert "Breaking the lock does not stop that process" in seen
    assert "Nothing was broken." in seen
    held.verify()

    code, seen = on_a_terminal(b"y\n")

    assert code == 0
    assert "was taken from" in seen
    with pytest.raises(LockLostError, match="it was broken by"):
        held.verify()


@integration
def test_config_check_proves_that_locks_can_be_made(
    client: ZooKeeperClient, lake: SqlCatalog, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def checks() -> tuple[int, dict[str, tuple[bool, str]]]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
            result = CliRunner().invoke(config.app, ["check", "--catalog", "lake", "--json"], catch_exceptions=False)
        found = json.loads(result.stdout)["checks"]
        return result.exit_code, {check["subject"]: (check["severity"] == "ok", check["reason"]) for check in found}

    code, found = checks()
    assert (code, found["zookeeper"][0]) == (0, True)
    assert f"may lock below {root}" in found["zookeeper"][1]

    monkeypatch.setenv("AUTOSTREAM_ZOOKEEPER__HOSTS", "127.0.0.1:1")
    monkeypatch.setenv("AUTOSTREAM_ZOOKEEPER__CONNECT_TIMEOUT_SECONDS", "0.2")
    code, found = checks()
    assert (code, found["zookeeper"][0], found["catalog lake"][0]) == (1, False, True)
    assert "Could not reach ZooKeeper" in found["zookeeper"][1]
