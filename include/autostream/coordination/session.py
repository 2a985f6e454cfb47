"""The connection of one process to ZooKeeper, and what happened to it."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError, SequentialThreadingHandler
from kazoo.hosts import collect_hosts
from kazoo.protocol.serialization import SASL, Auth
from kazoo.protocol.states import KazooState

from autostream import times
from autostream.config.sections.zookeeper import ZooKeeperSettings
from autostream.coordination.session_failures import (
    ABOUT_NODES,
    IN_DOUBT,
    REFUSED,
    explain_session_failure,
    unreachable,
)
from autostream.coordination.session_settings import kazoo_arguments
from autostream.errors import AutostreamError, ConfigurationError

_CLOSE_TIMEOUT_SECONDS: Final = 5.0
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Interruption:
    """A moment from which on a session, and all that was locked in it, was in doubt.

    Attributes:
        at: When this process learnt of it.
        state: `suspended`: the connection was lost, the session may go on; `lost`: the session is over.
    """

    at: datetime
    state: str


class ZooKeeperSession:
    """The connection of one process to the ensemble, and what happened to it; used through `ZooKeeperClient`.

    The session that it stands for may expire, and be followed by another, as often as it takes: `interruptions` counts
    on, so that whoever noted the count can tell later whether the connection has been whole since.

    A connection that is cut for longer than a session lasts is given up, see `is_usable`.

    Attributes:
        kazoo: The client of kazoo.
        pid: The process that it belongs to.
    """

    def __init__(self, settings: ZooKeeperSettings) -> None:
        self._settings = settings
        self._complaints = _Complaints()
        self._mutex = threading.Lock()
        self._count = 0
        self._interruptions: deque[tuple[int, Interruption]] = deque(maxlen=1000)
        self._changed = threading.Event()
        self._cut_since: float | None = None
        self._ended = False
        self.pid = os.getpid()
        self.kazoo = KazooClient(
            handler=self._handler(len(collect_hosts(settings.hosts)[0])),
            logger=self._complaints.logger,
            **kazoo_arguments(settings),
        )
        self.kazoo.add_listener(self._on_state)

    def _handler(self, hosts: int) -> Any:
        handler = SequentialThreadingHandler()
        spawn, connect = handler.spawn, handler.create_connection

        def guarded_spawn(function: Callable[..., None], *args: Any, **kwargs: Any) -> Any:
            def run() -> None:
                try:
                    function(*args, **kwargs)
                except Exception as error:
                    # kazoo lets the error end its thread, where nobody but stderr would learn of it.
                    self._complaints.note(f"{type(error).__name__}: {error.__cause__ or error}")
                finally:
                    # Also where the account was refused at a later time, with an expired ticket, say: kazoo gives up.
                    if function == self.kazoo._connection.zk_loop:
                        self._ended = True
                        self._on_state(KazooState.LOST)

            return spawn(run)

        def impatient_connect(*args: Any, timeout: float, **kwargs: Any) -> Any:
            # One machine that swallows packets must leave time to reach the next before the session is over.
            return connect(*args, timeout=timeout / hosts, **kwargs)

        handler.spawn, handler.create_connection = guarded_spawn, impatient_connect
        return handler

    def _on_state(self, state: str) -> None:
        # Runs in kazoo's thread, before anybody can get an answer over the next connection.
        if state in (KazooState.SUSPENDED, KazooState.LOST):
            what = Interruption(times.now(), "suspended" if state == KazooState.SUSPENDED else "lost")
            with self._mutex:
                self._count += 1
                self._interruptions.append((self._count, what))
                if self._cut_since is None:
                    self._cut_since = times.monotonic()
            _logger.debug("the ZooKeeper session was %s", what.state)
        else:
            self._cut_since = None
        self._changed.set()

    @property
    def interruptions(self) -> int:
        """How often the connection or the session was lost so far."""
        with self._mutex:
            return self._count

    def first_interruption_after(self, count: int) -> Interruption | None:
        """Return the first one since `interruptions` was `count`; the oldest known where that is forgotten."""
        with self._mutex:
            return next((what for number, what in self._interruptions if number > count), None)

    @property
    def is_usable(self) -> bool:
        """Whether it is connected, or may come to be again.

        kazoo tells each server the last change that it has seen, also when it asks for a new session. Servers that are
        behind that refuse it, for ever where the ensemble was created again or restored from a copy. So once the
        session is over by its time-out, nothing is waited for any more: a new client begins with nothing seen.
        """
        if self.pid != os.getpid() or self._ended or self.kazoo._stopped.is_set():
            return False
        cut = self._cut_since
        return cut is None or times.monotonic() - cut < self._settings.session_timeout_seconds

    @property
    def session_id(self) -> int | None:
        """Id of the session while connected."""
        identity = self.kazoo.client_id
        return identity[0] if identity else None

    def connect(self, timeout_seconds: float) -> None:
        """Connect, and ask a first question, as a refused account shows only then.

        Raises:
            ServiceError: No server answered in time.
            DeniedError: The account was refused.
            ConfigurationError: The node that `hosts` ends in does not exist.
        """
        deadline = times.monotonic() + timeout_seconds
        self.kazoo.start_async()
        self.wait_until_connected(timeout_seconds)
        left = max(0.1, deadline - times.monotonic())
        try:
            found = self.kazoo.exists_async("/").get(timeout=left)
        except (*IN_DOUBT, *REFUSED) as error:
            raise self._unreachable(timeout_seconds, error) from error
        if found is None:
            raise ConfigurationError(
                f"The node {self.kazoo.chroot} at the end of zookeeper.hosts ({self._settings.hosts}) does not "
                "exist. Create it, or remove it from zookeeper.hosts and set zookeeper.root."
            )

    def wait_until_connected(self, timeout_seconds: float) -> bool:
        """Wait for the connection that kazoo makes, or makes again, by itself.

        Returns:
            Whether it is connected; it is not where another session has to be made.

        Raises:
            ServiceError: It did not come in time.
            DeniedError: The account was refused.
        """
        deadline = times.monotonic() + timeout_seconds
        while not self.kazoo.connected:
            self._changed.clear()
            left = deadline - times.monotonic()
            if left <= 0 or self._ended:
                raise self._unreachable(timeout_seconds, None)
            if not self.is_usable:
                return False
            self._changed.wait(min(left, 0.1))  # several threads may wait, and clear what another one waits for
        return True

    def request(self, operation: str, call: Callable[[Any], Any], *, timeout_seconds: float) -> Any:
        """Asks the server once.

        Args:
            operation: What is asked for, for messages, such as `listing /autostream/locks`.
            call: Starts the request on a KazooClient and returns its AsyncResult.
            timeout_seconds: How long to wait for the answer.

        Raises:
            InterruptedSessionError: There was no answer; it may or may not have been carried out.
            DeniedError: The account may not do that.
            ConfigurationError: The account cannot restrict nodes to itself.
            ServiceError: The server answered with another failure.
            ZookeeperError: As kazoo raises it, when the answer is about nodes (NoNodeError, NodeExistsError,
                NotEmptyError, BadVersionError).
        """
        try:
            return call(self.kazoo).get(timeout=max(0.0, timeout_seconds))
        except ABOUT_NODES:
            raise
        except (KazooTimeoutError, KazooException) as error:
            raise self.explain(operation, error) from error

    def explain(self, operation: str, error: Exception) -> AutostreamError:
        """Return what an error of kazoo means to a user."""
        return explain_session_failure(self._settings, operation, error)

    def _unreachable(self, timeout_seconds: float, error: Exception | None) -> AutostreamError:
        return unreachable(
            self._settings,
            timeout_seconds,
            error,
            complaint=self._complaints.last,
            was_interrupted=self.interruptions > 0,
            servers=self.kazoo.hosts,
        )

    def close(self) -> None:
        """End the session, with all its ephemeral nodes; wait five seconds at most for the server to know."""
        # kazoo waits for a connection that is just being tried, whatever time that takes.
        closing = threading.Thread(target=self._stop, name="zookeeper-close", daemon=True)
        closing.start()
        closing.join(_CLOSE_TIMEOUT_SECONDS)

    def _stop(self) -> None:
        with contextlib.suppress(Exception):  # it was of no more use anyway
            self.kazoo.stop()
            self.kazoo.close()

    def abandon(self) -> None:
        """Forgets, in a child, the connection of its parent, which goes on using it."""
        atexit.unregister(self.kazoo.handler.stop)
        connection = self.kazoo._connection
        for ours in (connection._socket, connection._read_sock, connection._write_sock):
            if ours is not None:
                with contextlib.suppress(OSError):
                    ours.close()  # a copy: the parent's stays open


class _Complaints(logging.Filter):
    """Listens to what kazoo logs: keeps its last complaint, and lets nothing through that holds a password.

    kazoo warns at each try to connect; the error that we raise in the end says it once, and better.

    Attributes:
        last: The last complaint, or an empty text.
        logger: What kazoo is to log to.
    """

    def __init__(self) -> None:
        super().__init__()
        self.last = ""
        self._parent = logging.getLogger("kazoo.client")
        self.logger = logging.Logger("kazoo.client")
        self.logger.parent = self._parent
        self.logger.setLevel(logging.DEBUG if self._parent.isEnabledFor(logging.DEBUG) else logging.WARNING)
        self.logger.addFilter(self)

    def note(self, text: str) -> None:
        """Keep a complaint that was not logged."""
        self.last = text

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep complaints; say whether the record may be shown."""
        if isinstance(record.args, tuple) and any(isinstance(argument, (Auth, SASL)) for argument in record.args):
            return False
        if record.levelno >= logging.WARNING and not record.getMessage().startswith("Transition to"):
            text = record.getMessage().removeprefix("Connection dropped: ").removeprefix("socket connection error: ")
            cause = record.exc_info[1] if record.exc_info else None
            self.last = f"{text}: {cause.__cause__ or cause}" if cause else text
        return self._parent.isEnabledFor(logging.DEBUG)
