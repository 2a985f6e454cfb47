"""A lock that processes queue for: with a deadline, the name of its holder, and a check right before a swap."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from autostream import times
from autostream.coordination.client import ZooKeeperClient
from autostream.coordination.lock_holder import Holder
from autostream.coordination.lock_queue import QueuePlace, touch
from autostream.coordination.lock_records import BrokenLock
from autostream.coordination.lock_registry import broken_record
from autostream.coordination.paths import LockKey, LockNode, QueueKey
from autostream.coordination.session import ZooKeeperSession
from autostream.errors import AutostreamError, LockLostError, LockTimeoutError, UsageError
from autostream.times import iso, to_ms

DEFAULT_TIMEOUT_SECONDS: Final = 300.0
# Who waits longer than this wants to know for whom.
QUIET_SECONDS: Final = 5.0
# ZooKeeper tells when the one before leaves; looking again now and then costs nothing and trusts nobody.
_LOOK_AGAIN_SECONDS: Final = 60.0
_READ_TIMEOUT_SECONDS: Final = 2.0

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Tenure:
    """What must stay as it was when the lock was got."""

    place: QueuePlace
    session: ZooKeeperSession
    interruptions: int
    since: datetime


class QueuedLock:
    """The lock on one table, or a place in an election, held by one session of one process; others wait in their order.

        with QueuedLock(client, LockKey("lake", "db.orders"), what="commit", timeout_seconds=60) as lock:
            ...
            lock.verify()  # right before the swap
            swap()

    It is not re-entrant: each lock object, of whatever thread, waits for all that came before it. From the moment at
    which the connection is lost the lock counts as lost, even if the session lives on: nobody can tell, while it is
    away, whether another one holds the table by now.

    Attributes:
        key: The table.
        what: What it is locked for.
        timeout_seconds: How long `acquire` waits for its turn, in all.
    """

    def __init__(
        self, client: ZooKeeperClient, key: QueueKey, *, what: str, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> None:
        """Prepare a lock; `acquire` or `with` takes it.

        Args:
            client: Where it is kept.
            key: The table.
            what: What it is for, shown to those who wait, such as `compaction`.
            timeout_seconds: How long to wait for it; 0: take it only if it is free. The servers themselves have
                `zookeeper.connect_timeout_seconds` more to answer.
        """
        self._client = client
        self._mutex = threading.Lock()
        self._tenure: _Tenure | None = None
        self._lost: str | None = None
        self.key = key
        self.what = what
        self.timeout_seconds = timeout_seconds

    @property
    def token(self) -> int:
        """The fencing token: larger than that of every earlier holder of the table.

        Raises:
            LockLostError: The lock is not held.
        """
        return self._held().place.token

    @property
    def lost(self) -> str | None:
        """Why the lock is lost, as far as this process knows without asking; None while it seems to be held."""
        tenure = self._tenure
        if self._lost is None and tenure is not None:
            self._lost = self._known_loss(tenure)
        return self._lost

    def acquire(self) -> None:
        """Wait until it is our turn.

        Raises:
            LockTimeoutError: It was not in time; the message says who holds the lock and how many come before us.
            LockLostError: Someone broke the lock just as it became ours.
            ServiceError: ZooKeeper cannot be reached, or gave no answer in time.
            DeniedError: The account may not lock the table.
            UsageError: This object holds the lock already.
        """
        waited_for = not self._mutex.acquire(blocking=False)
        try:
            if waited_for or self._tenure is not None:
                raise UsageError(
                    f"This QueuedLock on {self.key.subject} is already held or waiting: it is not re-entrant. Use "
                    "another QueuedLock."
                )
            self._lost = None
            self._tenure = self._wait_in_queue()
        finally:
            if not waited_for:
                self._mutex.release()

    def _wait_in_queue(self) -> _Tenure:
        deadline = times.monotonic() + self.timeout_seconds
        # Who waited in vain still wants to know for whom.
        answers_by = deadline + self._client.settings.connect_timeout_seconds
        me = Holder.of_this_process(self.what)
        while True:
            place = QueuePlace(self._client, self.key)
            try:
                place.enter(me.to_bytes(), deadline=answers_by)
                tenure = self._wait_for_turn(place, deadline=deadline, answers_by=answers_by)
                if tenure is not None:
                    self._write_since(place, me, tenure)
                    return tenure
            except BaseException:
                place.leave()
                raise
            _logger.info(
                ("The session ended, and with it the place in the queue for %s. Taking a new place."), self.key.subject
            )

    def _wait_for_turn(self, place: QueuePlace, *, deadline: float, answers_by: float) -> _Tenure | None:
        """Wait until a place is the first; None when it is not in the queue any more."""
        told = False
        while True:
            session = self._client.session(answers_by - times.monotonic())
            interruptions = session.interruptions
            owner = session.session_id
            ahead = place.ahead(deadline=answers_by)
            if session.interruptions != interruptions or session is not self._client.current_session():
                continue
            if ahead is None:
                self._raise_if_broken(place)
            if ahead is None or place.owner != owner:  # what is left of an earlier session will go, and is not ours
                return None
            if not ahead:
                return _Tenure(place, session, interruptions, times.now())
            if times.monotonic() >= deadline:
                raise self._timed_out(place, ahead)
            changed = threading.Event()
            if place.watch(ahead[-1], changed, deadline=answers_by):
                left = max(0.0, deadline - times.monotonic())
                quiet = min(left, _LOOK_AGAIN_SECONDS if told else QUIET_SECONDS)
                if not changed.wait(quiet) and quiet < left and not told:
                    told = True
                    _logger.info("waiting for the lock on %s: %s", self.key.subject, self._who(place, ahead))

    def _write_since(self, place: QueuePlace, me: Holder, tenure: _Tenure) -> None:
        """Tells, once it is our turn, since when; nobody waits for that to arrive."""
        now_ms = to_ms(tenure.since)
        if me.since_ms is not None and now_ms - me.since_ms >= 1000:
            tenure.session.kazoo.set_async(place.path, replace(me, since_ms=now_ms).to_bytes())

    def _timed_out(self, place: QueuePlace, ahead: list[LockNode]) -> LockTimeoutError:
        return LockTimeoutError(
            f"{_sentence(self.key.subject)} was not free within {self.timeout_seconds:g} s: "
            f"{self._who(place, ahead)}. Try again later or wait longer.{self.key.hint} a holder that died loses the "
            "lock when its session ends."
        )

    def _who(self, place: QueuePlace, ahead: list[LockNode]) -> str:
        try:
            found = self._client.get(f"{place.queue}/{ahead[0].name}", timeout_seconds=_READ_TIMEOUT_SECONDS)
        except AutostreamError as error:
            return f"it is locked, and its holder could not be read ({error})"
        holder = Holder.from_bytes(found[0]) if found else Holder()
        itself = ", which is this process: the lock is not re-entrant" if holder.is_this_process() else ""
        waiting = len(ahead) - 1
        others = f"; {waiting} more {'waits' if waiting == 1 else 'wait'} before us" if waiting else ""
        return f"it is locked by {holder}{itself}{others}"

    def _raise_if_broken(self, place: QueuePlace) -> None:
        record = self._record_of(place)
        if record is not None:
            raise LockLostError(
                f"The lock on {self.key.subject} was broken by {record} as soon as this process got it. Nothing was "
                "changed. Ask the person who broke it, then try again."
            )

    def verify(self, *, timeout_seconds: float | None = None) -> None:
        """Make sure, by asking a majority of the servers, that the lock is held; call it right before the swap.

        Args:
            timeout_seconds: How long to wait for the answer; the session's time-out when None.

        Raises:
            LockLostError: It is not, or may not be; it stays so. The message says what happened.
        """
        tenure = self._held()
        if self.lost is None:
            timeout = self._client.settings.session_timeout_seconds if timeout_seconds is None else timeout_seconds
            self._lost = self._loss(tenure, timeout)
        if self._lost is not None:
            raise self._lost_error(tenure)

    def _held(self) -> _Tenure:
        tenure = self._tenure
        if tenure is None:
            raise LockLostError(f"The lock on {self.key.subject} is not held: acquire it first. Nothing was changed.")
        return tenure

    def _lost_error(self, tenure: _Tenure) -> LockLostError:
        return LockLostError(
            f"The lock on {self.key.subject}, held for {self.what} since {_text(tenure.since)}, is lost: "
            f"{self._lost}. Nothing can be committed without it. Run the operation again."
        )

    def _known_loss(self, tenure: _Tenure) -> str | None:
        session = tenure.session
        if session.pid != os.getpid():
            return f"it belongs to process {session.pid}, the parent of this process {os.getpid()}"
        interruption = session.first_interruption_after(tenure.interruptions)
        if interruption is None:
            return None if session is self._client.current_session() else "the connection to ZooKeeper was closed"
        return f"the ZooKeeper session was {interruption.state} at {_text(interruption.at)}"

    def _loss(self, tenure: _Tenure, timeout_seconds: float) -> str | None:
        place = tenure.place
        try:
            exists = touch(tenure.session, place.path, timeout_seconds=timeout_seconds)
        except AutostreamError as error:
            return self._known_loss(tenure) or f"it is not known whether it is still held ({error})"
        return self._known_loss(tenure) if exists else self._why_gone(place)

    def _why_gone(self, place: QueuePlace) -> str:
        gone = f"its node did not exist when it was checked at {_text(times.now())}"
        try:
            record = self._record_of(place)
        except AutostreamError:
            return gone
        return f"it was broken by {record}" if record else f"{gone}: its session ended, or its node was removed by hand"

    def _record_of(self, place: QueuePlace) -> BrokenLock | None:
        """Return who broke the lock that a place stands for; nobody breaks elections."""
        if place.node is None or not isinstance(self.key, LockKey):
            return None
        return broken_record(self._client, self.key, place.node.name)

    def release(self) -> None:
        """Give the lock up; do nothing where it is not held. Nothing is raised here, whatever became of the lock.

        Where ZooKeeper does not answer, the node is removed in the background, as soon as it does.
        """
        tenure, self._tenure = self._tenure, None
        if tenure is not None and tenure.session.pid == os.getpid():
            tenure.place.leave()

    def __enter__(self) -> Self:
        """Acquires it."""
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Releases it; an error of the block goes on as it is."""
        self.release()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _text(time_: datetime) -> str:
    return iso(to_ms(time_)) or ""
