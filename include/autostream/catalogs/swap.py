"""The swap of a table's metadata pointer, and how its outcome is found out whatever happens to the answer.

A catalog that points to ``metadata.json`` files commits by swapping that pointer. The swap may be refused, or its
answer may be lost, and then the table says what became of it: Iceberg's status check (``commit.status-check.*``), made
stronger where the store compares and swaps. There the very same swap is sent again, which settles what a mere look
cannot: of all copies of one swap at most one is ever applied.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeGuard

from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException, ValidationException
from pyiceberg.io import FileIO
from pyiceberg.table.metadata import TableMetadata

from autostream.catalogs.retry_policy import RetryPolicy
from autostream.errors import (
    AutostreamError,
    CommitRefusedError,
    ConfigurationError,
    ConflictError,
    DeniedError,
    LockLostError,
    ResourceError,
    ServiceError,
)

logger = logging.getLogger(__name__)


class SwapStep(StrEnum):
    """A point of a commit at which it may die without harm; tests kill it at each."""

    BEFORE_LOCK = "before-lock"
    LOCKED = "locked"
    METADATA_WRITTEN = "metadata-written"
    LOCK_VERIFIED = "lock-verified"
    SWAPPED = "swapped"
    UNLOCKED = "unlocked"


SwapObserver = Callable[[SwapStep], None]


def no_observer(_step: SwapStep) -> None:
    """Observe nothing."""


class Verdict(StrEnum):
    """What is known of a swap."""

    COMMITTED = "committed"
    FAILED = "failed"
    PENDING = "pending"


@dataclass(frozen=True)
class PointerView:
    """Where a table points to, as read just now.

    Attributes:
        location: its current ``metadata.json``; None if there is no such table.
        previous: the metadata files before that one, as its metadata log has them.
        snapshots: ids of the snapshots that it has.
    """

    location: str | None
    previous: frozenset[str] = frozenset()
    snapshots: frozenset[int] = frozenset()

    @classmethod
    def of(cls, location: str, metadata: TableMetadata) -> PointerView:
        """Return what the metadata file at a location says."""
        previous = frozenset(entry.metadata_file for entry in metadata.metadata_log)
        return cls(location, previous, frozenset(snapshot.snapshot_id for snapshot in metadata.snapshots))


def judge(
    view: PointerView,
    *,
    base: str | None,
    new: str,
    refused: bool,
    compare_and_swap: bool,
    adds: Collection[int] = (),
) -> Verdict:
    """Say what became of the swap ``base`` -> ``new`` by what the table points to afterwards.

    Args:
        view: read after the swap was last sent.
        base: the location that the swap replaces; None where it creates the table.
        new: the location that it sets.
        refused: every copy that was sent was answered by a refusal: none is under way.
        compare_and_swap: the store applies a swap only where the table still points to ``base``.
        adds: ids of the snapshots that the swap adds.
    """
    if new == view.location or new in view.previous or not view.snapshots.isdisjoint(adds):
        return Verdict.COMMITTED
    if refused:
        return Verdict.FAILED
    # Metadata locations are never used twice, so a table that has left `base` does not come back to it, and the store
    # turns down whatever copy may still arrive. What it left `base` for is known as long as its log reaches back to
    # there: not where more commits came since than the log keeps, nor where the table has gone, to another name maybe.
    left_for_another = base in view.previous if base is not None else view.location is not None and not view.previous
    if compare_and_swap and left_for_another:
        return Verdict.FAILED
    return Verdict.PENDING


class RefusedError(Exception):
    """The store answered that it did not apply the swap, and why."""


class NotSentError(RefusedError):
    """The store was not even asked: there was no connection."""


class RejectedError(RefusedError, CommitRefusedError):
    """The store would refuse the swap again: it says why, and what to do."""


class ForbiddenError(RefusedError, DeniedError):
    """The store does not let this account swap: it says why, and what to do."""


class Pointer(Protocol):
    """A table's metadata pointer in a store.

    Attributes:
        compare_and_swap: whether ``swap`` is applied only where the table still points to the base.
    """

    compare_and_swap: bool

    def swap(self) -> None:
        """Send the swap.

        Raises:
            RefusedError: it was not applied.
            Exception: anything else: whether it was applied is not known.
        """

    def read(self) -> PointerView:
        """Return where the table points to now; any exception means that this cannot be told at present."""


class CommitLock(Protocol):
    """What protects a commit from others; entered before the table is read, left after the swap."""

    def verify(self) -> None:
        """Make sure that the lock is still held.

        Raises:
            LockLostError: it is not, or nobody can tell.
        """


@dataclass
class Swap:
    """One swap, from the lock's last check to a known outcome.

    Attributes:
        table: the table's name, for messages.
        base: the location that it replaces; None where it creates the table.
        new: the location that it sets.
        pointer: the store.
        lock: is verified right before each sending.
        policy: how often and how long the outcome is asked after.
        adds: ids of the snapshots that it adds: they tell that it was applied when the metadata log has forgotten it.
        observe: told when the lock is verified and when the swap has been applied.
    """

    table: str
    base: str | None
    new: str
    pointer: Pointer
    lock: CommitLock
    policy: RetryPolicy
    adds: Collection[int] = ()
    observe: SwapObserver = no_observer

    def run(self) -> None:
        """Swap the pointer.

        Raises:
            CommitFailedException: it was not applied, and never will be.
            CommitStateUnknownException: nobody can tell; the new metadata file must be kept.
        """
        self._verify_lock()
        self.observe(SwapStep.LOCK_VERIFIED)
        error = self._send()
        if error is not None:
            self._settle(error)
        self.observe(SwapStep.SWAPPED)

    def _verify_lock(self) -> None:
        try:
            self.lock.verify()
        except LockLostError as error:
            raise CommitFailedException(str(error)) from error

    def _send(self) -> Exception | None:
        """Send the swap; what it raised, if anything."""
        try:
            self.pointer.swap()
        except Exception as error:
            return error
        return None

    def _settle(self, error: Exception) -> None:
        """Find out what became of a swap that was not answered by a success."""
        if isinstance(error, NotSentError):
            raise CommitFailedException(f"A commit to {self.table} could not be sent: {_text(error)}") from error
        refused = isinstance(error, RefusedError)
        for _ in self.policy.status_checks():
            verdict = self._look(refused=refused)
            if verdict is Verdict.PENDING and self.pointer.compare_and_swap:
                again = self._send_again()
                if again is None:
                    return
                error = again
                verdict = self._look(refused=False)
            if verdict is Verdict.COMMITTED:
                logger.info("The answer to a commit to %s was lost (%s); it was applied.", self.table, error)
                return
            if verdict is Verdict.FAILED:
                raise CommitFailedException(f"A commit to {self.table} was not applied: {_text(error)}") from error
        raise CommitStateUnknownException(
            f"Whether a commit to {self.table} was applied is not known: {_text(error)}. Every file was kept. Look "
            f"whether the table's metadata_location, or the metadata log of the file that it names, has {self.new}: if "
            f"it does, the commit was applied; if it goes back to {self.base} without it, it failed, and {self.new} "
            "can go."
        ) from error

    def _look(self, *, refused: bool) -> Verdict:
        """Return what the table says of the swap; pending where it cannot be asked."""
        try:
            view = self.pointer.read()
        except Exception as error:  # the store may be down for a while: that is what the back-off is for
            logger.warning("Table %s cannot be re-read after a commit: %s", self.table, _text(error))
            return Verdict.PENDING
        return judge(
            view,
            base=self.base,
            new=self.new,
            refused=refused,
            compare_and_swap=self.pointer.compare_and_swap,
            adds=self.adds,
        )

    def _send_again(self) -> Exception | None:
        """Send the same swap once more, if the lock still stands."""
        try:
            self.lock.verify()
        except LockLostError as lost:
            return lost
        return self._send()


def added_snapshots(staged: TableMetadata, current: TableMetadata | None) -> frozenset[int]:
    """Return the ids of the snapshots that new metadata has and the metadata before it has not."""
    before = {snapshot.snapshot_id for snapshot in current.snapshots} if current is not None else set()
    return frozenset(snapshot.snapshot_id for snapshot in staged.snapshots) - before


def write_and_swap(swap: Swap, *, write: Callable[[], None], io: FileIO) -> None:
    """Write the new ``metadata.json`` and swap the pointer to it; the file goes only where the swap surely failed.

    Args:
        swap: the swap.
        write: writes the file ``swap.new``.
        io: deletes it.

    Raises:
        CommitFailedException: nothing was changed, and nothing is left.
        CommitStateUnknownException: nobody can tell; the file was kept.
    """
    try:
        write()
    except Exception as error:
        _remove(io, swap.new)
        cause = _cannot_write(swap, error)
        raise CommitFailedException(f"Nothing was changed in {swap.table}: {cause}") from cause
    swap.observe(SwapStep.METADATA_WRITTEN)
    try:
        swap.run()
    except CommitFailedException:
        _remove(io, swap.new)
        raise


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
        raise CommitFailedException(f"Nothing was changed in {table}: {_text(cause)}") from cause


def report_lost_updates(swap: Swap) -> None:
    """After a swap without comparison, look whether somebody swapped at the same time, and one of us is lost.

    Raises:
        CommitFailedException: ours was overwritten by a commit that had not seen it, so it has to be made again.
    """
    try:
        view = swap.pointer.read()
    except Exception as error:
        logger.warning("Table %s cannot be re-read after a commit: %s", swap.table, _text(error))
        return
    if swap.new != view.location and swap.new not in view.previous and swap.base in view.previous:
        message = (
            f"A commit to {swap.table} was lost: {swap.new} was the table's metadata, and was overwritten by a commit "
            f"upon {swap.base} that had not seen it; the table points to {view.location} now. All writers of the table "
            "must use the same lock, as its metastore does not compare when it swaps."
        )
        logger.error("%s", message)
        raise CommitFailedException(message) from ConflictError(message)
    try:
        swap.lock.verify()
    except LockLostError as error:
        logger.error(
            "The lock of %s was lost while %s was swapped in, upon %s. Its metastore does not compare when it swaps: a "
            "commit of the lock's next holder may have been overwritten (%s). Look for another metadata file upon the "
            "same base.",
            swap.table,
            swap.new,
            swap.base,
            error,
        )


def _text(error: Exception) -> str:
    """Return an error's words on one line; SQLAlchemy's has the database's own in ``orig``."""
    return " ".join(str(getattr(error, "orig", None) or error).split()) or type(error).__name__


def _cannot_write(swap: Swap, error: Exception) -> AutostreamError:
    """Return why a metadata file is not there, as an error that says whether another attempt may fare better."""
    kind: type[AutostreamError] = ResourceError if isinstance(error, OSError) else AutostreamError
    remedy = "Check the space and permissions of the table's location."
    if isinstance(error, AutostreamError):  # it has a remedy of its own
        kind, remedy = type(error), ""
    elif isinstance(error, PermissionError):
        kind = DeniedError
    words = _text(error).rstrip(".")
    failure = kind(f"The metadata file {swap.new} of {swap.table} cannot be written: {words}. {remedy}".rstrip())
    failure.__cause__ = error
    return failure


def _remove(io: FileIO, location: str) -> None:
    """Delete a metadata file that nothing refers to; a failure must not hide why it is deleted."""
    try:
        io.delete(location)
    except (FileNotFoundError, ConfigurationError):  # nothing was written where it says not where that would be
        return
    except Exception as error:
        logger.warning("The unused metadata file %s could not be deleted (%s); the orphan sweep will.", location, error)


def root_cause(error: BaseException) -> AutostreamError | None:
    """Return autostream's own error that a catalog's exception was raised from, if there is one."""
    while (cause := error.__cause__) is not None:
        if isinstance(cause, AutostreamError):
            return cause
        error = cause
    return None


def is_permanent(cause: AutostreamError | None) -> TypeGuard[AutostreamError]:
    """Say whether a commit that failed for this cause would fail again: nobody was faster, and no service is away."""
    return cause is not None and not isinstance(cause, ConflictError | ServiceError)
