"""What one attempt to commit is, in every kind of catalog: locked, decided, sent, and its outcome found out.

A catalog decides upon the table as it is now what has to be sent (`CommittingCatalog._decide`): Hive and SQL swap the
pointer to a `metadata.json` (`pointers`), REST sends the updates to a server (`rest`). From there on all is the same
(`Sending`). The attempt may be refused, or its answer may be lost, and then the table says what became of it: Iceberg's
status check (`commit.status-check.*`), made stronger where an attempt can be repeated. There the very same one is sent
again, which settles what a mere look cannot: of all copies at most one is ever applied.

Trying again upon a newer state is for the caller to decide: see `commit_answers`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NoSuchTableError,
    ValidationException,
)
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.update import TableRequirement, TableUpdate

from autostream.catalogs.acting import ActingCatalog
from autostream.catalogs.locking import AllOf, CommitLock, holding
from autostream.catalogs.retry_policy import RetryPolicy
from autostream.errors import CommitRefusedError, DeniedError, LockLostError
from autostream.names import TableName

logger = logging.getLogger(__name__)

Requirements = tuple[TableRequirement, ...]
Updates = tuple[TableUpdate, ...]


class CommitStep(StrEnum):
    """A point of a commit at which it may die without harm; tests kill it at each."""

    BEFORE_LOCK = "before-lock"
    LOCKED = "locked"
    METADATA_WRITTEN = "metadata-written"
    LOCK_VERIFIED = "lock-verified"
    SWAPPED = "swapped"
    UNLOCKED = "unlocked"


CommitObserver = Callable[[CommitStep], None]


def ignore_step(_step: CommitStep) -> None:
    """Observe nothing."""


class CommitVerdict(StrEnum):
    """What is known of an attempt."""

    COMMITTED = "committed"
    FAILED = "failed"
    PENDING = "pending"


class NotAppliedError(Exception):
    """The store answered that it did not apply what was sent, and why."""


class NotSentError(NotAppliedError):
    """The store was not even asked: there was no connection."""


class RejectedError(NotAppliedError, CommitRefusedError):
    """The store would refuse it again: it says why, and what to do."""


class NotAllowedError(NotAppliedError, DeniedError):
    """The store does not let this account commit: it says why, and what to do."""


class CommitAttempt(Protocol):
    """What a kind of catalog sends in one attempt to commit.

    Attributes:
        policy: How often and how long its outcome is asked after.
        response: What the caller is told once it was applied.
    """

    policy: RetryPolicy
    response: CommitTableResponse

    @property
    def repeatable(self) -> bool:
        """Whether the store applies at most one of all copies of it, so that it may be sent again."""

    @property
    def evidence(self) -> str:
        """What shows whether it was applied, for a message: it follows `Look`."""

    def stage(self) -> None:
        """Write what the attempt refers to.

        Raises:
            CommitFailedException: It cannot be written, and nothing is left.
        """

    def send(self) -> None:
        """Send the attempt.

        Raises:
            CommitFailedException: This copy was not applied: nothing has to be looked for.
            NoSuchTableError: Nor was it, as the table is gone.
            NotAppliedError: It was refused; a look tells whether an earlier copy, or one in between, was the reason.
            Exception: Anything else: whether it was applied is not known.
        """

    def look(self, *, refused: bool) -> CommitVerdict:
        """Say what became of the attempt by the table as it is now; an exception means that nobody can tell at present.

        Args:
            refused: Every copy that was sent was answered by a refusal: none is under way.
        """

    def discard(self) -> None:
        """Delete what was written for the attempt, which has surely failed."""

    def confirm(self, lock: CommitLock) -> None:
        """Look back at an attempt that was applied, where others may have overwritten it.

        Raises:
            CommitFailedException: They have, so it has to be made again.
        """


@dataclass
class Sending:
    """One attempt on its way, from what it writes to a known outcome.

    Attributes:
        table: The table's name, for messages.
        attempt: What is sent.
        lock: Is verified right before each sending.
        observe: Told when the lock is verified and when the attempt has been applied.
    """

    table: str
    attempt: CommitAttempt
    lock: CommitLock
    observe: CommitObserver = ignore_step

    def run(self) -> None:
        """Have the attempt applied; what it wrote goes only where it has surely failed.

        Raises:
            CommitFailedException: It was not applied, and never will be.
            CommitStateUnknownException: Nobody can tell; everything was kept.
        """
        self.attempt.stage()
        try:
            self._verify_lock()
            self.observe(CommitStep.LOCK_VERIFIED)
            error = self._send()
            if error is not None:
                self._settle(error)
        except (CommitFailedException, NoSuchTableError):
            self.attempt.discard()
            raise
        self.observe(CommitStep.SWAPPED)
        self.attempt.confirm(self.lock)

    def _verify_lock(self) -> None:
        try:
            self.lock.verify()
        except LockLostError as error:
            raise CommitFailedException(str(error)) from error

    def _send(self) -> Exception | None:
        """Send the attempt; what it raised, if anything."""
        try:
            self.attempt.send()
        except Exception as error:
            return error
        return None

    def _settle(self, error: Exception) -> None:
        """Find out what became of an attempt that was not answered by a success."""
        if isinstance(error, CommitFailedException | NoSuchTableError):
            raise error
        if isinstance(error, NotSentError):
            raise CommitFailedException(f"A commit to {self.table} could not be sent: {text_of(error)}") from error
        refused = isinstance(error, NotAppliedError)
        for _ in self.attempt.policy.status_checks():
            verdict = self._look(refused=refused)
            if verdict is CommitVerdict.PENDING and self.attempt.repeatable:
                again = self._send_again()
                if again is None:
                    return
                error = again
                verdict = self._look(refused=False)
            if verdict is CommitVerdict.COMMITTED:
                logger.info("The answer to a commit to %s was lost (%s); it was applied.", self.table, error)
                return
            if verdict is CommitVerdict.FAILED:
                raise CommitFailedException(f"A commit to {self.table} was not applied: {text_of(error)}") from error
        raise CommitStateUnknownException(
            f"It is not known whether a commit to {self.table} was applied: {text_of(error)}. All files were kept. "
            f"Check {self.attempt.evidence}."
        ) from error

    def _look(self, *, refused: bool) -> CommitVerdict:
        """Return what the table says of the attempt; pending where it cannot be asked."""
        try:
            return self.attempt.look(refused=refused)
        except Exception as error:  # the store may be down for a while: that is what the back-off is for
            logger.warning("Cannot read table %s again after a commit: %s", self.table, text_of(error))
            return CommitVerdict.PENDING

    def _send_again(self) -> Exception | None:
        """Send the same attempt once more, if the lock still stands."""
        try:
            self.lock.verify()
        except LockLostError as lost:
            return lost
        return self._send()


@dataclass(frozen=True)
class Commit:
    """A commit as it was asked for, and the locks that it is made under.

    Attributes:
        name: The table's name.
        table: The table as the caller had it.
        requirements: What must be true of the table as it is now.
        updates: What is to be done.
        locks: What protects it from others, in the order in which they are taken.
    """

    name: TableName
    table: Table
    requirements: Requirements
    updates: Updates
    locks: Sequence[CommitLock]


class CommittingCatalog(ActingCatalog):
    """Mixed into PyIceberg's catalogs: their commits by this frame.

    Attributes:
        observe: Told at each step of a commit.
    """

    def __init__(self, name: str, **properties: str) -> None:
        """Open the catalog."""
        self.observe: CommitObserver = ignore_step
        super().__init__(name, **properties)

    def commit_table(self, table: Table, requirements: Requirements, updates: Updates) -> CommitTableResponse:
        """Commit updates to a table.

        Raises:
            CommitFailedException: Nothing was changed, and what was written for it is gone: a requirement does not
                hold, another commit was faster, the lock was not got or was lost, or the store refused it.
            NoSuchTableError: The table is gone.
            CommitStateUnknownException: Whether it was applied could not be found out; everything is kept.
        """
        name = TableName.of(self.name, table.name())
        self.observe(CommitStep.BEFORE_LOCK)
        with ExitStack() as held:
            with nothing_changed(str(name)):
                commit = Commit(name, table, requirements, updates, self._locks(name, table))
                lock = held.enter_context(holding(commit.locks))
                self.observe(CommitStep.LOCKED)
                attempt = self._decide(commit, held)
            if isinstance(attempt, CommitTableResponse):
                return attempt
            self._send(name, attempt, lock)
        self.observe(CommitStep.UNLOCKED)
        return attempt.response

    def _locks(self, name: TableName, table: Table) -> Sequence[CommitLock]:
        """Return the locks of a table's commits, in the order in which they are taken."""
        raise NotImplementedError

    def _decide(self, commit: Commit, held: ExitStack) -> CommitAttempt | CommitTableResponse:
        """Return what has to be sent, decided upon the table as it is now; the answer where that would change nothing.

        Args:
            commit: What was asked for; its locks are held.
            held: Ends when the attempt has: for what has to last as long.
        """
        raise NotImplementedError

    def _send(self, name: TableName, attempt: CommitAttempt, lock: CommitLock | None = None) -> None:
        Sending(str(name), attempt, lock or AllOf(()), self.observe).run()


@contextmanager
def nothing_changed(table: str) -> Iterator[None]:
    """Tell PyIceberg that whatever goes wrong here leaves the table as it was: it then removes what it wrote."""
    try:
        yield
    except (CommitFailedException, ValidationException):
        raise
    except Exception as error:
        from autostream.catalogs.failures import explained  # loads the libraries of all types of catalogs

        cause = explained(error) or error
        raise CommitFailedException(f"Nothing was changed in {table}: {text_of(cause)}") from cause


def text_of(error: BaseException) -> str:
    """Return an error's words on one line; SQLAlchemy's has the database's own in `orig`."""
    return " ".join(str(getattr(error, "orig", None) or error).split()) or type(error).__name__
