"""Who holds a table's lock, and who waits for it: what the page says of a real ZooKeeper."""

import getpass
import os
import socket
from collections.abc import Iterator

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema

from autostream.config import load_settings
from autostream.coordination.client import ZooKeeperClient, close_all
from tests.console.support import Browser, text
from tests.coordination.conftest import root
from tests.coordination.locking import in_queue, lock
from tests.support.hadoop import ZooKeeper

__all__ = ["root"]
pytestmark = pytest.mark.integration


@pytest.fixture
def session(zookeeper: ZooKeeper, root: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ZooKeeperClient]:
    """A session with the ensemble that the console is configured for; the console's own is another."""
    monkeypatch.setenv("AUTOSTREAM_ZOOKEEPER__HOSTS", zookeeper.hosts)
    monkeypatch.setenv("AUTOSTREAM_ZOOKEEPER__ROOT", root)
    client = ZooKeeperClient(load_settings().zookeeper)
    yield client
    client.close()
    close_all()


def test_the_page_follows_the_lock(session: ZooKeeperClient, client: Browser, lake: SqlCatalog) -> None:
    lake.create_table("db.orders", Schema())

    def said() -> str:
        answer = client.get("/locks/lake.db.orders")
        assert answer.status_code == 200
        return text(answer.text)

    free = "Nobody holds a lock on this table."
    me = f"{getpass.getuser()} on {socket.gethostname()}, process {os.getpid()}"
    assert free in said()

    with lock(session, "compaction"):
        assert f"zookeeper: {me} (compaction" in said()
        assert free not in said()
        waiter = in_queue(session, lock(session, "maintenance"))
        holder, _, waiting = said().partition("2026-09-21 15:30")  # since then it is held
        assert f"{me} (compaction" in holder
        assert f"{me} (maintenance" in waiting
        assert free in text(client.get("/locks/lake.db.t").text)

    next_holder = waiter.wait()
    assert f"zookeeper: {me} (maintenance" in said()
    assert "compaction" not in said()
    next_holder.release()
    assert free in said()
