"""What tests of locks do again and again."""

import threading
import time
from collections.abc import Callable

from kazoo.client import KazooClient

from autostream.coordination.client import ZooKeeperClient
from autostream.coordination.paths import LockKey, Paths
from autostream.coordination.queued_lock import QueuedLock
from tests.support.faultproxy import FaultProxy

KEY = LockKey("lake", "db.orders")


def lock(
    client: ZooKeeperClient, what: str = "commit", *, timeout_seconds: float = 120, key: LockKey = KEY
) -> QueuedLock:
    return QueuedLock(client, key, what=what, timeout_seconds=timeout_seconds)


def until(condition: Callable[[], object], *, what: str = "it", timeout_seconds: float = 120) -> None:
    """Look until a real service has done what it does in its own time; the limit is for what never comes."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {timeout_seconds} s")
        threading.Event().wait(0.01)


def nodes(client: ZooKeeperClient, key: LockKey = KEY) -> list[str]:
    """The lock nodes of a table."""
    return client.children(Paths(client.root).queue(key))


def expire(client: ZooKeeperClient) -> None:
    """End a client's session as its time-out would, without waiting for that."""
    session = client.session()
    other = KazooClient(hosts=client.settings.hosts, client_id=session.kazoo.client_id)
    before = session.interruptions
    other.start()
    other.stop()
    other.close()
    until(lambda: session.interruptions > before, what="the end of the session")


def before(hosts: str) -> FaultProxy:
    """A proxy before the only server; `hosts_of` tells where."""
    host, _, port = hosts.partition(":")
    return FaultProxy(host, int(port))


def hosts_of(proxy: FaultProxy) -> str:
    """What a client of the proxy is configured with."""
    return f"127.0.0.1:{proxy.port}"


def interrupt(proxy: FaultProxy) -> None:
    """Cut all connections; new ones get through."""
    proxy.down()
    proxy.up()


class Waiter:
    """Acquires a lock in a thread of its own."""

    def __init__(self, waiting: QueuedLock) -> None:
        self.lock = waiting
        self.error: BaseException | None = None
        self.done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.lock.acquire()
        except BaseException as error:
            self.error = error
        self.done.set()

    @property
    def holds(self) -> bool:
        return self.done.is_set() and self.error is None

    def wait(self) -> QueuedLock:
        """Wait until it holds the lock, or raise what it met."""
        assert self.done.wait(60), "the lock was not got"
        if self.error is not None:
            raise self.error
        return self.lock


def in_queue(client: ZooKeeperClient, waiting: QueuedLock) -> Waiter:
    """Let a lock take its place behind all others, and return when it has."""
    before = len(nodes(client))
    waiter = Waiter(waiting)
    until(lambda: len(nodes(client)) == before + 1, what="the place in the queue")
    return waiter
