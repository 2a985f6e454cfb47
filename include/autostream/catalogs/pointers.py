"""Catalogs that point to `metadata.json` files (Hive, SQL): a commit writes the next one and swaps the pointer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io import FileIO
from pyiceberg.table import CommitTableResponse, StagedTable, Table
from pyiceberg.table.metadata import TableMetadata

from autostream.catalogs.committing import (
    Commit,
    CommitAttempt,
    CommitObserver,
    CommitStep,
    CommittingCatalog,
    CommitVerdict,
    ignore_step,
    text_of,
)
from autostream.catalogs.locking import CommitLock
from autostream.catalogs.retry_policy import RetryPolicy
from autostream.errors import (
    AutostreamError,
    ConfigurationError,
    ConflictError,
    DeniedError,
    LockLostError,
    ResourceError,
)
from autostream.iceberg.tables import full_name, properties_of

if TYPE_CHECKING:
    from pyiceberg.catalog import MetastoreCatalog as _Base
else:
    _Base = object

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PointerView:
    """Where a table points to, as read just now.

    Attributes:
        location: its current `metadata.json`; None if there is no such table.
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


def judge_swap(
    view: PointerView,
    *,
    base: str | None,
    new: str,
    refused: bool,
    compare_and_swap: bool,
    adds: Collection[int] = (),
) -> CommitVerdict:
    """Say what became of the swap `base` -> `new` by what the table points to afterwards.

    Args:
        view: read after the swap was last sent.
        base: the location that the swap replaces; None where it creates the table.
        new: the location that it sets.
        refused: every copy that was sent was answered by a refusal: none is under way.
        compare_and_swap: the store applies a swap only where the table still points to `base`.
        adds: ids of the snapshots that the swap adds.
    """
    if new == view.location or new in view.previous or not view.snapshots.isdisjoint(adds):
        return CommitVerdict.COMMITTED
    if refused:
        return CommitVerdict.FAILED
    # Metadata locations are never used twice, so a table that has left `base` does not come back to it, and the store
    # turns down whatever copy may still arrive. What it left `base` for is known as long as its log reaches back to
    # there: not where more commits came since than the log keeps, nor where the table has gone, to another name maybe.
    left_for_another = base in view.previous if base is not None else view.location is not None and not view.previous
    if compare_and_swap and left_for_another:
        return CommitVerdict.FAILED
    return CommitVerdict.PENDING


class Pointer(Protocol):
    """A table's metadata pointer in a store.

    Attributes:
        compare_and_swap: Whether `swap` is applied only where the table still points to the base.
    """

    compare_and_swap: bool

    def swap(self) -> None:
        """Send the swap.

        Raises:
            NotAppliedError: It was not applied.
            Exception: Anything else: whether it was applied is not known.
        """

    def read(self) -> PointerView:
        """Return where the table points to now; any exception means that this cannot be told at present."""


@dataclass
class PointerSwap:
    """One attempt to swap a table's pointer: see `CommitAttempt`.

    Attributes:
        table: The table's name, for messages.
        base: The location that it replaces; None where it creates the table.
        new: The location that it sets.
        pointer: The store.
        write: Writes the metadata file `new`.
        io: Deletes it.
        policy: How often and how long the outcome is asked after.
        response: What the caller is told once it was applied.
        adds: Ids of the snapshots that it adds: they tell that it was applied when the metadata log has forgotten it.
        observe: Told when the file is written.
    """

    table: str
    base: str | None
    new: str
    pointer: Pointer
    write: Callable[[], None]
    io: FileIO
    policy: RetryPolicy
    response: CommitTableResponse
    adds: Collection[int] = ()
    observe: CommitObserver = ignore_step

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again."""
        return self.pointer.compare_and_swap

    @property
    def evidence(self) -> str:
        """What shows whether it was applied."""
        return (
            f"whether {self.new} is the table's metadata_location, or is in the metadata log of that file. If it is, "
            f"the commit was applied. If the log reaches {self.base} without it, the commit failed, and you can "
            f"delete {self.new}"
        )

    def stage(self) -> None:
        """Write the new metadata file."""
        try:
            self.write()
        except Exception as error:
            self.discard()
            cause = self._cannot_write(error)
            raise CommitFailedException(f"Nothing was changed in {self.table}: {cause}") from cause
        self.observe(CommitStep.METADATA_WRITTEN)

    def send(self) -> None:
        """Send the swap."""
        self.pointer.swap()

    def look(self, *, refused: bool) -> CommitVerdict:
        """Return what the table says of the swap."""
        return judge_swap(
            self.pointer.read(),
            base=self.base,
            new=self.new,
            refused=refused,
            compare_and_swap=self.pointer.compare_and_swap,
            adds=self.adds,
        )

    def discard(self) -> None:
        """Delete the metadata file, to which nothing refers; a failure must not hide why it is deleted."""
        try:
            self.io.delete(self.new)
        except (FileNotFoundError, ConfigurationError):  # nothing was written where it says not where that would be
            return
        except Exception as error:
            logger.warning(
                "Could not delete the unused metadata file %s (%s). It stays in the table's location: delete it by "
                "hand, or with Iceberg's remove_orphan_files.",
                self.new,
                error,
            )

    def confirm(self, lock: CommitLock) -> None:
        """After a swap without comparison, look whether another one was sent at the same time, and one of them is lost.

        Raises:
            CommitFailedException: Ours was overwritten by a commit that had not seen it, so it has to be made again.
        """
        if self.pointer.compare_and_swap:
            return
        try:
            view = self.pointer.read()
        except Exception as error:
            logger.warning("Table %s cannot be re-read after a commit: %s", self.table, text_of(error))
            return
        if self.new != view.location and self.new not in view.previous and self.base in view.previous:
            message = (
                f"A commit to {self.table} was lost: another commit, based on {self.base}, overwrote {self.new}. The "
                f"table now points to {view.location}. All writers of the table must use the same lock, because its "
                "metastore does not compare when it swaps."
            )
            logger.error("%s", message)
            raise CommitFailedException(message) from ConflictError(message)
        try:
            lock.verify()
        except LockLostError as error:
            logger.error(
                "The lock of %s was lost during the swap to %s, which is based on %s. The metastore does not "
                "compare when it swaps, so this may have overwritten a commit of the lock's next holder (%s). Look "
                "for another metadata file with the same base.",
                self.table,
                self.new,
                self.base,
                error,
            )

    def _cannot_write(self, error: Exception) -> AutostreamError:
        """Return why the file is not there, as an error that says whether another attempt may fare better."""
        kind: type[AutostreamError] = ResourceError if isinstance(error, OSError) else AutostreamError
        remedy = "Check the free space and the permissions of the table's location."
        if isinstance(error, AutostreamError):  # it has a remedy of its own
            kind, remedy = type(error), ""
        elif isinstance(error, PermissionError):
            kind = DeniedError
        words = text_of(error).rstrip(".")
        failure = kind(f"Cannot write the metadata file {self.new} of {self.table}: {words}. {remedy}".rstrip())
        failure.__cause__ = error
        return failure


@dataclass(frozen=True)
class CommitBase:
    """A table as it is now, which a commit is decided upon.

    Attributes:
        table: The table; None if there is none.
        account: The account that acts for it; None for the service itself.
        entry: What the store has of it.
    """

    table: Table | None
    account: str | None
    entry: Any = None


class PointerCatalog(CommittingCatalog, _Base):
    """Mixed into PyIceberg's catalogs that point to `metadata.json` files."""

    def _decide(self, commit: Commit, held: ExitStack) -> CommitAttempt | CommitTableResponse:
        base = self._base(commit)
        held.enter_context(self._acting_as(base.account))
        staged = self._update_and_stage_table(base.table, commit.table.name(), commit.requirements, commit.updates)
        if base.table is not None and staged.metadata == base.table.metadata:
            return _response(base.table)
        return self._swap(staged, self._pointer(commit, staged, base), base.table)

    def _base(self, commit: Commit) -> CommitBase:
        """Return the table as it is now."""
        raise NotImplementedError

    def _pointer(self, commit: Commit, staged: StagedTable, base: CommitBase) -> Pointer:
        """Return the pointer that is swapped to what was staged."""
        raise NotImplementedError

    def _swap(self, staged: StagedTable, pointer: Pointer, base: Table | None) -> PointerSwap:
        return PointerSwap(
            table=full_name(staged),
            base=base.metadata_location if base else None,
            new=staged.metadata_location,
            pointer=pointer,
            write=lambda: self._write_metadata(staged.metadata, staged.io, staged.metadata_location),
            io=staged.io,
            policy=RetryPolicy.from_properties(properties_of(staged)),
            response=_response(staged),
            adds=added_snapshots(staged.metadata, base.metadata if base else None),
            observe=self.observe,
        )


def _response(table: Table) -> CommitTableResponse:
    return CommitTableResponse(metadata=table.metadata, metadata_location=table.metadata_location)


def added_snapshots(staged: TableMetadata, current: TableMetadata | None) -> frozenset[int]:
    """Return the ids of the snapshots that new metadata has and the metadata before it has not."""
    before = {snapshot.snapshot_id for snapshot in current.snapshots} if current is not None else set()
    return frozenset(snapshot.snapshot_id for snapshot in staged.snapshots) - before
