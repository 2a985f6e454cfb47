"""The client of ZooKeeper: one for each process and ensemble, which connects when it is used."""

from __future__ import annotations

import atexit
import os
import threading
import uuid
import weakref
from collections.abc import Callable
from typing import Any

from kazoo.exceptions import NoNodeError

from autostream import times
from autostream.config.sections.zookeeper import ZooKeeperSettings
from autostream.coordination.session import ZooKeeperSession
from autostream.coordination.session_failures import InterruptedSessionError
from autostream.coordination.session_settings import account, require_sound
from autostream.errors import ServiceError


class ZooKeeperClient:
    """Talks to one ensemble; connects when first used, and once in each process that uses it.

    It may be used by several threads, and be carried over a fork: the child makes a connection of its own.

    Attributes:
        settings: How it connects.
    """

    def __init__(self, settings: ZooKeeperSettings) -> None:
        """Prepare the connection; the first use makes it.

        Raises:
            ConfigurationError: No servers are configured, a server is no `host:port`, or a file is missing.
        """
        require_sound(settings)
        self.settings = settings
        self._session: ZooKeeperSession | None = None
        self._mutex = threading.Lock()
        _clients.add(self)

    @property
    def root(self) -> str:
        """Node below which all is kept."""
        return self.settings.root

    def session(self, timeout_seconds: float | None = None) -> ZooKeeperSession:
        """Return the session of this process, connected.

        Args:
            timeout_seconds: How long to try; `zookeeper.connect_timeout_seconds` when None.

        Raises:
            ServiceError: The ensemble cannot be reached.
            DeniedError: The account was refused.
        """
        timeout = self.settings.connect_timeout_seconds if timeout_seconds is None else timeout_seconds
        deadline = times.monotonic() + timeout
        while True:
            session = self.current_session() or self._connect(deadline)
            if session.wait_until_connected(max(0.0, deadline - times.monotonic())):
                return session

    def _connect(self, deadline: float) -> ZooKeeperSession:
        if not self._mutex.acquire(timeout=max(0.0, deadline - times.monotonic())):
            raise ServiceError(
                f"Could not reach ZooKeeper at {self.settings.hosts} in time: another thread is still connecting."
            )
        try:
            session = self.current_session()  # another thread may have been faster
            if session is None:
                if self._session is not None:  # its threads would stay
                    threading.Thread(target=self._session.close, daemon=True).start()
                session = ZooKeeperSession(self.settings)
                try:
                    session.connect(max(0.0, deadline - times.monotonic()))
                except BaseException:
                    threading.Thread(target=session.close, daemon=True).start()
                    raise
                self._session = session
            return session
        finally:
            self._mutex.release()

    def current_session(self) -> ZooKeeperSession | None:
        """Return the session of this process, connected or not, if there is one."""
        session = self._session
        return session if session is not None and session.is_usable else None

    def ask(self, operation: str, call: Callable[[Any], Any], *, timeout_seconds: float | None = None) -> Any:
        """Asks what may be asked again, as often as it takes to get an answer in time.

        Args:
            operation: What is asked for, for messages.
            call: Starts the request on a KazooClient and returns its AsyncResult.
            timeout_seconds: How long to try; `zookeeper.connect_timeout_seconds` when None.

        Raises:
            ServiceError: There was no answer in time.
            DeniedError: The account may not do that.
            ZookeeperError: As kazoo raises it, when the answer is about nodes.
        """
        timeout = self.settings.connect_timeout_seconds if timeout_seconds is None else timeout_seconds
        deadline = times.monotonic() + timeout
        while True:
            session = self.session(deadline - times.monotonic())
            try:
                return session.request(operation, call, timeout_seconds=deadline - times.monotonic())
            except InterruptedSessionError:
                if times.monotonic() >= deadline:
                    raise

    def ensure_path(self, path: str, *, timeout_seconds: float | None = None) -> None:
        """Create a node and those above it that do not exist."""
        self.ask(f"creating {path}", lambda kazoo: kazoo.ensure_path_async(path), timeout_seconds=timeout_seconds)

    def children(self, path: str, *, timeout_seconds: float | None = None) -> list[str]:
        """Names of the nodes below a node, in no order; none where it does not exist."""
        try:
            return list(
                self.ask(
                    f"listing {path}", lambda kazoo: kazoo.get_children_async(path), timeout_seconds=timeout_seconds
                )
            )
        except NoNodeError:
            return []

    def get(self, path: str, *, timeout_seconds: float | None = None) -> tuple[bytes, Any] | None:
        """Content and ZnodeStat of a node, or None where it does not exist."""
        try:
            data, stat = self.ask(
                f"reading {path}", lambda kazoo: kazoo.get_async(path), timeout_seconds=timeout_seconds
            )
        except NoNodeError:
            return None
        return data, stat

    def delete(self, path: str, *, timeout_seconds: float | None = None) -> bool:
        """Remove a node that has none below it; False where it did not exist."""
        try:
            self.ask(f"removing {path}", lambda kazoo: kazoo.delete_async(path), timeout_seconds=timeout_seconds)
        except NoNodeError:
            return False
        return True

    def check(self) -> str:
        """Proves that locks can be made: connects, makes an ephemeral node below the root and removes it.

        Returns:
            What was found, for people.

        Raises:
            ServiceError: The ensemble cannot be reached.
            DeniedError: The account was refused, or may not make nodes below the root.
        """
        self.ensure_path(self.root)
        path = f"{self.root}/check-{uuid.uuid4().hex}"
        self.ask(f"creating a node below {self.root}", lambda kazoo: kazoo.create_async(path, ephemeral=True))
        self.delete(path)
        return f"reachable at {self.settings.hosts}, {account(self.settings)} may lock below {self.root}"

    def close(self) -> None:
        """End the session of this process; the next use makes another."""
        with self._mutex:
            session, self._session = self._session, None
        if session is not None and session.pid == os.getpid():
            session.close()

    def _after_fork_in_child(self) -> None:
        # The holder of the mutex is a thread that the child does not have.
        self._mutex = threading.Lock()
        session, self._session = self._session, None
        if session is not None:
            session.abandon()


def shared_client(settings: ZooKeeperSettings) -> ZooKeeperClient:
    """Return the client of this process for these settings; closed when the process ends.

    Raises:
        ConfigurationError: As `ZooKeeperClient`.
    """
    with _shared_mutex:
        client = _shared.get(settings)
        if client is None:
            client = _shared[settings] = ZooKeeperClient(settings)
        return client


_clients: weakref.WeakSet[ZooKeeperClient] = weakref.WeakSet()
_shared: dict[ZooKeeperSettings, ZooKeeperClient] = {}
_shared_mutex = threading.Lock()


def _after_fork_in_child() -> None:
    global _shared_mutex
    _shared_mutex = threading.Lock()
    for client in list(_clients):
        client._after_fork_in_child()


@atexit.register
def close_all() -> None:
    """End all sessions of this process, so that what it locked is free at once."""
    for client in list(_clients):
        client.close()


os.register_at_fork(after_in_child=_after_fork_in_child)
