"""Hive's own table lock, for warehouses whose other writers use it: heartbeats, bounded waits, always released."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

from hive_metastore.ttypes import (
    CheckLockRequest,
    HeartbeatRequest,
    LockComponent,
    LockLevel,
    LockRequest,
    LockState,
    LockType,
    NoSuchLockException,
    ShowLocksRequest,
    UnlockRequest,
)
from thrift.Thrift import TApplicationException, TException
from thrift.transport.TTransport import TTransportException

from autostream import times
from autostream.backoff import Backoff
from autostream.coordination.lock_holder import process_started_ms
from autostream.errors import AutostreamError, LockLostError, LockTimeoutError, ServiceError
from autostream.hadoop.metastore import Metastore
from autostream.hadoop.thrift_answers import MetastoreAnswerLostError
from autostream.properties import Properties

logger = logging.getLogger(__name__)

AGENT: Final = "autostream"
_STATES: Final[Mapping[int, str]] = LockState._VALUES_TO_NAMES
_PASSES: Final = (TApplicationException, TTransportException, MetastoreAnswerLostError)
"""Errors of a request for a lock that say nothing about the request itself: it is made again."""


@dataclass(frozen=True)
class HiveLockPolicy:
    """How long a Hive lock is waited for, and how often it is kept alive: Iceberg's own properties.

    Attributes:
        timeout_ms: the longest wait.
        check_min_wait_ms: first wait between two looks.
        check_max_wait_ms: longest wait between two looks.
        heartbeat_interval_ms: must be well below the metastore's `metastore.txn.timeout` (300 s by default).
    """

    timeout_ms: int = 180_000
    check_min_wait_ms: int = 50
    check_max_wait_ms: int = 5_000
    heartbeat_interval_ms: int = 60_000

    @classmethod
    def from_properties(cls, properties: Properties) -> HiveLockPolicy:
        """Return the policy that properties of table and catalog give.

        Raises:
            ConfigurationError: a value is not a whole number above 0.
        """

        def value(key: str, default: int) -> int:
            return properties.whole(f"iceberg.hive.lock-{key}", default, minimum=1)

        return cls(
            timeout_ms=value("timeout-ms", cls.timeout_ms),
            check_min_wait_ms=value("check-min-wait-ms", cls.check_min_wait_ms),
            check_max_wait_ms=value("check-max-wait-ms", cls.check_max_wait_ms),
            heartbeat_interval_ms=value("heartbeat-interval-ms", cls.heartbeat_interval_ms),
        )

    @property
    def waits(self) -> Backoff:
        """The pauses between two looks."""
        return Backoff(self.check_min_wait_ms / 1000, self.check_max_wait_ms / 1000, factor=1.5)


@dataclass(frozen=True)
class HiveLockEntry:
    """One lock as the metastore lists it.

    Attributes:
        lock_id: its number.
        database: database of the table.
        table: the table; None for a lock of the whole database.
        state: `ACQUIRED` or `WAITING`.
        user: who asked for it.
        host: from where.
        agent: what the client said of itself; Iceberg's Java writers say `Iceberg-UUID`.
        acquired_ms: since when it is held; None while it waits.
        heartbeat_ms: when the metastore last heard of its holder; None where it does not say (locks of transactions).
        transaction_id: of the transaction that it belongs to; 0 for none.
    """

    lock_id: int
    database: str
    table: str | None
    state: str
    user: str
    host: str
    agent: str
    acquired_ms: int | None
    heartbeat_ms: int | None
    transaction_id: int = 0

    @classmethod
    def of(cls, element: Any) -> HiveLockEntry:
        """Return a Thrift element as a value."""
        return cls(
            lock_id=element.lockid,
            database=element.dbname,
            table=element.tablename,
            state=_STATES.get(element.state, str(element.state)),
            user=element.user or "",
            host=element.hostname or "",
            agent=element.agentInfo or "",
            acquired_ms=element.acquiredat or None,
            heartbeat_ms=element.lastheartbeat or None,
            transaction_id=element.txnid or 0,
        )

    @property
    def holder(self) -> str:
        """Who holds it, for messages."""
        return f"lock {self.lock_id} of {self.user} on {self.host} ({self.agent or 'no agent info'})"


def show_hive_locks(metastore: Metastore, database: str | None = None, table: str | None = None) -> list[HiveLockEntry]:
    """Return the metastore's locks, of one database or table where named.

    Raises:
        ServiceError: the metastore cannot be reached or does not answer.
    """
    try:
        with metastore.session() as client:
            answer = client.show_locks(ShowLocksRequest(dbname=database, tablename=table))
    except TException as error:
        raise ServiceError(f"The metastore did not list its locks: {error}.") from error
    return [HiveLockEntry.of(element) for element in answer.locks or ()]


def release_hive_lock(metastore: Metastore, lock_id: int) -> bool:
    """Release a lock by its number; False if it was gone already.

    Raises:
        ServiceError: the metastore cannot be reached or does not answer.
    """
    try:
        with metastore.session() as client:
            client.unlock(UnlockRequest(lockid=lock_id))
    except NoSuchLockException:
        return False
    except (TException, MetastoreAnswerLostError) as error:
        raise ServiceError(f"Cannot release Hive lock {lock_id}: {error}. Try again.") from error
    return True


@dataclass
class HiveLock:
    """An exclusive Hive lock of one table; a context manager, for one use.

    Attributes:
        metastore: where it is taken, as the service itself.
        database: database of the table.
        table: the table.
        policy: waits and heartbeats.
        user: who it is taken for, as lists show it.
    """

    metastore: Metastore
    database: str
    table: str
    policy: HiveLockPolicy = field(default_factory=HiveLockPolicy)
    user: str = ""
    _lock_id: int | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _heartbeat: threading.Thread | None = None
    _lost: str | None = None
    _refusal: str = ""

    def __post_init__(self) -> None:
        # Found by it where the answer to the request is lost; process and start tell the janitor who lives.
        self.agent = f"{AGENT}-{uuid.uuid4()} pid={os.getpid()} started={process_started_ms(os.getpid())}"

    def __enter__(self) -> HiveLock:
        """Take the lock.

        Raises:
            LockTimeoutError: others held it for all of the allowed time.
            ServiceError: the metastore cannot be asked.
        """
        try:
            self._acquire()
        except BaseException:
            self._release()
            raise
        self._heartbeat = threading.Thread(target=self._keep_alive, name=f"hive-lock-{self._lock_id}", daemon=True)
        self._heartbeat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock; what cannot be released is logged, expires, and hides no error."""
        self._release()

    def verify(self) -> None:
        """Ask the metastore whether the lock is still held.

        Raises:
            LockLostError: it is not, or the metastore does not say.
        """
        if self._lost is None:
            try:
                with self.metastore.session() as client:
                    state = client.check_lock(CheckLockRequest(lockid=self._lock_id)).state
                if state == LockState.ACQUIRED:
                    return
                self._lost = f"it is {_STATES.get(state, state)}"
            except (TException, AutostreamError) as error:
                self._lost = str(error) or type(error).__name__
        raise LockLostError(
            f"Hive lock {self._lock_id} of {self.database}.{self.table} was lost before the commit: {self._lost}. "
            "Nothing was changed. The metastore lets locks expire after metastore.txn.timeout without a heartbeat. "
            "Check whether this process was paused for long."
        )

    def _acquire(self) -> None:
        deadline = times.monotonic() + self.policy.timeout_ms / 1000
        looks, state = 1, self._request()
        while state != LockState.ACQUIRED:
            if state not in (LockState.WAITING, None):
                raise ServiceError(
                    f"The metastore did not lock {self.database}.{self.table}: {_STATES.get(state, state)}. Try again."
                )
            wait = self.policy.waits.seconds(looks)
            if times.monotonic() + wait > deadline:
                raise self._timed_out() if state is not None else self._refused()
            times.sleep(wait)
            looks += 1
            try:
                if state is None:
                    state = self._request()
                    continue
                with self.metastore.session() as client:
                    state = client.check_lock(CheckLockRequest(lockid=self._lock_id)).state
            except NoSuchLockException:  # expired while it waited: the metastore was not asked for too long
                state = self._request()
            except (TException, ServiceError) as error:
                logger.warning("The metastore did not say whether %s is locked: %s", self.table, error)

    def _request(self) -> int | None:
        """Ask for the lock and return its state; None where the metastore has no entry of it after an error.

        Where the answer is lost, the lock is looked for by its agent. Metastores fail single requests by themselves,
        as when two transactions of their database block each other: Java's writers ask again until their time is up,
        and so does the caller.
        """
        component = LockComponent(
            level=LockLevel.TABLE,
            type=LockType.EXCLUSIVE,
            dbname=self.database,
            tablename=self.table,
            isTransactional=True,
        )
        request = LockRequest(
            component=[component], user=self.user or "unknown", hostname=socket.gethostname(), agentInfo=self.agent
        )
        try:
            with self.metastore.session() as client:
                answer = client.lock(request)
            self._lock_id = answer.lockid
            return int(answer.state)
        except (TException, MetastoreAnswerLostError) as error:
            found = self._find()
            if found is None:
                self._refusal = str(error) or type(error).__name__
                if not isinstance(error, _PASSES):
                    raise self._refused() from error
                logger.warning("The metastore did not lock %s.%s: %s", self.database, self.table, self._refusal)
                return None
            self._lock_id = found.lock_id
            return int(LockState._NAMES_TO_VALUES[found.state])

    def _find(self) -> HiveLockEntry | None:
        locks = show_hive_locks(self.metastore, self.database, self.table)
        return next((lock for lock in locks if lock.agent == self.agent), None)

    def _refused(self) -> ServiceError:
        return ServiceError(
            f"The metastore did not lock {self.database}.{self.table}: {self._refusal}. Nothing was changed. Try again."
        )

    def _timed_out(self) -> LockTimeoutError:
        seconds = self.policy.timeout_ms / 1000
        try:
            held = describe_holders(show_hive_locks(self.metastore, self.database, self.table), self.agent)
        except ServiceError as error:
            held = f"the holder is not known: {error}"
        return LockTimeoutError(
            f"Table {self.database}.{self.table} was locked for {seconds:g} s: {held}. Nothing was changed. If the "
            "holder is dead, 'autostream lock janitor' releases its lock."
        )

    def _keep_alive(self) -> None:
        while not self._stop.wait(self.policy.heartbeat_interval_ms / 1000):
            try:
                with self.metastore.session() as client:
                    client.heartbeat(HeartbeatRequest(lockid=self._lock_id))
            except NoSuchLockException as error:
                self._lost = error.message or "the metastore no longer knows it"
                return
            except (TException, AutostreamError) as error:  # the next one may arrive in time
                logger.warning("No heartbeat for Hive lock %s of %s: %s", self._lock_id, self.table, error)

    def _release(self) -> None:
        self._stop.set()
        if self._heartbeat is not None:
            self._heartbeat.join(timeout=5)  # one that waits for an answer must not keep the lock
        for attempt in self.policy.waits.attempts(retries=2):
            try:
                lock_id = self._lock_id if self._lock_id is not None else getattr(self._find(), "lock_id", None)
                if lock_id is not None:
                    release_hive_lock(self.metastore, lock_id)
                return
            except AutostreamError as error:
                logger.warning(
                    "Hive lock %s of %s.%s, try %d: %s", self._lock_id, self.database, self.table, attempt, error
                )


def describe_holders(locks: Iterable[HiveLockEntry], own_agent: str) -> str:
    """Say who holds a table and how many wait for it."""
    others = [lock for lock in locks if lock.agent != own_agent]
    held = [lock.holder for lock in others if lock.state == "ACQUIRED"]
    waiting = sum(lock.state == "WAITING" for lock in others)
    return f"held by {', '.join(held) or 'no listed lock'}; {waiting} more waiting"
