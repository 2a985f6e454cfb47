"""The connection to ZooKeeper: one for each process and ensemble, with errors that say what to do."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import uuid
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from kazoo.client import KazooClient
from kazoo.exceptions import (
    AuthFailedError,
    BadVersionError,
    ConnectionLoss,
    InvalidACLError,
    KazooException,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    OperationTimeoutError,
    RequestTimeoutError,
    SessionClosedRequireSaslError,
    SessionExpiredError,
    SessionMovedError,
)
from kazoo.handlers.threading import KazooTimeoutError, SequentialThreadingHandler
from kazoo.hosts import collect_hosts
from kazoo.protocol.serialization import SASL, Auth
from kazoo.protocol.states import KazooState
from kazoo.security import CREATOR_ALL_ACL, OPEN_ACL_UNSAFE

from autostream import times
from autostream.config import ZooKeeperSettings
from autostream.coordination.probe import what_else_answers
from autostream.errors import AutostreamError, ConfigurationError, DeniedError, ServiceError

# kazoo waits up to an hour between two tries to reconnect unless it is told otherwise.
_RETRY: Final = {"max_tries": -1, "delay": 0.1, "backoff": 2, "max_delay": 2.0}
_CLOSE_TIMEOUT_SECONDS: Final = 5.0
# Whether the server did what it was asked to is not known after one of these.
_IN_DOUBT: Final = (
    ConnectionLoss,
    SessionExpiredError,
    SessionMovedError,
    OperationTimeoutError,
    RequestTimeoutError,
    KazooTimeoutError,
)
_ABOUT_NODES: Final = (NoNodeError, NodeExistsError, NotEmptyError, BadVersionError)
_REFUSED: Final = (AuthFailedError, SessionClosedRequireSaslError)

_logger = logging.getLogger(__name__)


class InterruptedSessionError(ServiceError):
    """A request got no answer, as the connection or the session ended: it may or may not have been carried out."""


@dataclass(frozen=True)
class Interruption:
    """A moment from which on a session, and all that was locked in it, was in doubt.

    Attributes:
        at: When this process learnt of it.
        state: `suspended`: the connection was lost, the session may go on; `lost`: the session is over.
    """

    at: datetime
    state: str


class Session:
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
        self.kazoo = KazooClient(**self._arguments())
        self.kazoo.add_listener(self._on_state)

    def _arguments(self) -> dict[str, Any]:
        settings = self._settings
        arguments: dict[str, Any] = {
            "hosts": settings.hosts,
            "timeout": settings.session_timeout_seconds,
            "handler": self._handler(len(collect_hosts(settings.hosts)[0])),
            "default_acl": CREATOR_ALL_ACL if _restricts(settings) else OPEN_ACL_UNSAFE,
            "connection_retry": dict(_RETRY),
            "logger": self._complaints.logger,
        }
        password = settings.password.get_secret_value()
        if settings.sasl_mechanism == "GSSAPI":
            arguments["sasl_options"] = {"mechanism": "GSSAPI", "service": settings.sasl_service}
            if settings.username:
                arguments["sasl_options"]["principal"] = settings.username
        elif settings.sasl_mechanism:
            arguments["sasl_options"] = {
                "mechanism": settings.sasl_mechanism,
                "username": settings.username,
                "password": password,
            }
        elif settings.username:
            arguments["auth_data"] = [("digest", f"{settings.username}:{password}")]
        if settings.tls:
            arguments |= {
                "use_ssl": True,
                "verify_certs": True,
                "check_hostname": True,
                "ca": settings.tls_ca or None,
                "certfile": settings.tls_certificate or None,
                "keyfile": settings.tls_key or settings.tls_certificate or None,
                # Never None: OpenSSL would ask the terminal.
                "keyfile_password": settings.tls_key_password.get_secret_value(),
            }
        return arguments

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
        behind that refuse it, for ever where the ensemble was made anew or restored from a copy. So once the session is
        over by its time-out, nothing is waited for any more: a new client begins with nothing seen.
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
        except (*_IN_DOUBT, *_REFUSED) as error:
            raise self._unreachable(timeout_seconds, error) from error
        if found is None:
            raise ConfigurationError(
                f"The node {self.kazoo.chroot} that zookeeper.hosts ({self._settings.hosts}) ends in does not exist. "
                "Create it, or leave it out and set zookeeper.root."
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
        except _ABOUT_NODES:
            raise
        except (KazooTimeoutError, KazooException) as error:
            raise self.explain(operation, error) from error

    def explain(self, operation: str, error: Exception) -> AutostreamError:
        """Return what an error of kazoo means to a user."""
        settings = self._settings
        if isinstance(error, NoAuthError):
            return DeniedError(
                f"ZooKeeper at {settings.hosts} forbids {operation} to {account(settings)}. Nodes belong to the "
                "account that made them: set zookeeper.username and zookeeper.password to that account's (a wrong "
                "password of the digest scheme shows only here), or have the nodes' ACL changed."
            )
        if isinstance(error, InvalidACLError):
            return ConfigurationError(
                f"ZooKeeper at {settings.hosts} does not know {account(settings)}, so that {operation} for it alone is "
                "not possible. Set zookeeper.username and zookeeper.password, or zookeeper.acl to 'open'."
            )
        if isinstance(error, _REFUSED):
            return self._refused()
        if not isinstance(error, _IN_DOUBT):
            return ServiceError(
                f"ZooKeeper at {settings.hosts} answered {type(error).__name__} to {operation}. Its log has the reason."
            )
        reason = "in time" if isinstance(error, KazooTimeoutError) else f"({type(error).__name__})"
        return InterruptedSessionError(
            f"ZooKeeper at {settings.hosts} gave no answer {reason} to {operation}. Check that a majority of its "
            "servers is up and reachable, then try again."
        )

    def _refused(self) -> DeniedError:
        settings = self._settings
        if settings.sasl_mechanism == "GSSAPI":
            remedy = (
                "Check that there is a valid Kerberos ticket (klist), that zookeeper.hosts names the servers as their "
                f"principals do, and that zookeeper.sasl_service ({settings.sasl_service}) is the servers' service."
            )
        elif settings.sasl_mechanism:
            remedy = "Correct zookeeper.username or zookeeper.password."
        else:
            remedy = "The servers require SASL: set zookeeper.sasl_mechanism."
        return DeniedError(f"ZooKeeper at {settings.hosts} refused {account(settings)}. {remedy}")

    def _unreachable(self, timeout_seconds: float, error: Exception | None) -> AutostreamError:
        settings, complaint = self._settings, self._complaints.last
        if isinstance(error, _REFUSED) or "AUTH_FAILED" in complaint or "SASL" in complaint:
            return self._refused()
        if settings.sasl_mechanism and self.interruptions:
            return self._refused()  # servers drop the connection of whom they refuse
        remedy = "Check zookeeper.hosts, that the servers are up, and that no firewall is between."
        if "CERTIFICATE_VERIFY_FAILED" in complaint:
            remedy = (
                "The servers' certificate cannot be trusted: set zookeeper.tls_ca to the certificates that sign it, "
                "and call the servers in zookeeper.hosts by a name that it holds."
            )
        elif settings.tls and not settings.tls_certificate:
            remedy += (
                " Servers that ask for a certificate of the client show no more than this without one: set "
                "zookeeper.tls_certificate and zookeeper.tls_key."
            )
        elif not settings.tls and ("broken" in complaint or "reset" in complaint):
            found = what_else_answers(self.kazoo.hosts)
            remedy = found or f"{remedy} If these are ports for TLS, set zookeeper.tls to true."
        said = f" (last: {complaint})" if complaint else ""
        return ServiceError(
            f"ZooKeeper at {settings.hosts} was not reached within {round(timeout_seconds, 1):g} s{said}. {remedy}"
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
        _require_sound(settings)
        self.settings = settings
        self._session: Session | None = None
        self._mutex = threading.Lock()
        _clients.add(self)

    @property
    def root(self) -> str:
        """Node below which all is kept."""
        return self.settings.root

    def session(self, timeout_seconds: float | None = None) -> Session:
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

    def _connect(self, deadline: float) -> Session:
        if not self._mutex.acquire(timeout=max(0.0, deadline - times.monotonic())):
            raise ServiceError(
                f"ZooKeeper at {self.settings.hosts} was not reached in time: another thread is still trying to."
            )
        try:
            session = self.current_session()  # another thread may have been faster
            if session is None:
                if self._session is not None:  # its threads would stay
                    threading.Thread(target=self._session.close, daemon=True).start()
                session = Session(self.settings)
                try:
                    session.connect(max(0.0, deadline - times.monotonic()))
                except BaseException:
                    threading.Thread(target=session.close, daemon=True).start()
                    raise
                self._session = session
            return session
        finally:
            self._mutex.release()

    def current_session(self) -> Session | None:
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
        # Whoever held the mutex is a thread that the child does not have.
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


def account(settings: ZooKeeperSettings) -> str:
    """Whom the servers take us for, for messages."""
    how = f"SASL {settings.sasl_mechanism}" if settings.sasl_mechanism else "digest"
    if settings.username:
        return f"account {settings.username!r} ({how})"
    if settings.sasl_mechanism:
        return f"the account of the Kerberos ticket ({how})"
    if settings.tls_certificate:
        return f"the account of the certificate {settings.tls_certificate}"
    return "a client without an account"


def _restricts(settings: ZooKeeperSettings) -> bool:
    """Whether nodes are made for one account only: an anonymous client has none to restrict them to."""
    known = settings.username or settings.sasl_mechanism or (settings.tls and settings.tls_certificate)
    return settings.acl == "creator" and bool(known)


def _require_sound(settings: ZooKeeperSettings) -> None:
    if not settings.hosts.strip():
        raise ConfigurationError(
            "No ZooKeeper is configured. Set zookeeper.hosts (AUTOSTREAM_ZOOKEEPER__HOSTS) to its servers, such as "
            "zk1:2181,zk2:2181,zk3:2181."
        )
    try:
        collect_hosts(settings.hosts)
    except ValueError as error:
        raise ConfigurationError(
            f"zookeeper.hosts cannot be {settings.hosts!r}: {error}. Write servers as zk1:2181,zk2:2181,zk3:2181."
        ) from error
    if settings.sasl_mechanism == "DIGEST-MD5" and not (settings.username and settings.password.get_secret_value()):
        raise ConfigurationError("zookeeper.sasl_mechanism DIGEST-MD5 needs zookeeper.username and zookeeper.password.")
    for key in ("tls_ca", "tls_certificate", "tls_key"):
        file = getattr(settings, key)
        if settings.tls and file and not Path(file).is_file():
            raise ConfigurationError(f"zookeeper.{key} names {file}, which is no file. Correct the path.")


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
