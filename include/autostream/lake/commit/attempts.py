"""A new snapshot for a table's main branch: decided upon the newest state, swapped in, and never left in doubt unsaid.

Whoever wants to commit says what to commit upon a state (`Decide`); an attempt that was overtaken is decided again upon
the newest one, as often as the table's `commit.*` properties say. All attempts carry one snapshot id, so an attempt
whose answer was lost is found again by it, and repeating is safe: of two attempts upon one base at most one can win the
catalog's compare-and-swap. What the attempts wrote is deleted here and nowhere else, once it is known who has won.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from pyiceberg.exceptions import NoSuchTableError, ValidationError
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import AddSnapshotUpdate, AssertRefSnapshotId, SetSnapshotRefUpdate

from autostream.catalogs.commit_answers import CommitAnswerLostError, OvertakenError, judged, reread, root_cause
from autostream.catalogs.retry_policy import RetryPolicy
from autostream.errors import (
    AutostreamError,
    ConflictError,
    OutcomeUnknownError,
    ServiceError,
    UnsupportedTableError,
)
from autostream.iceberg.absent_snapshots import is_in_no_history, went_on_without
from autostream.iceberg.unused_files import delete_files
from autostream.lake.commit.steps import SnapshotObserver, SnapshotStep, ignore_snapshot_step
from autostream.spelling import counted

logger = logging.getLogger(__name__)


@dataclass
class Attempt:
    """One attempt to make a snapshot the head of main.

    Attributes:
        number: Which attempt it is, from 1.
        table: The table as it is decided upon.
        snapshot_id: The id that the snapshot must have.
        files: What was written for it. The decision adds each file here before it writes the file.
        snapshot: The snapshot; None while it is not decided.
        is_pending: Whether it was sent, and may still be applied or have been.
        was_refused: Whether the catalog answered that it did not apply it: the next look at the table settles that.
        has_landed: Whether it is known to have been applied.
    """

    number: int
    table: Table
    snapshot_id: int
    files: list[str] = field(default_factory=list)
    snapshot: Snapshot | None = None
    is_pending: bool = False
    was_refused: bool = False
    has_landed: bool = False

    @property
    def base(self) -> TableMetadata:
        """The table's metadata that it is decided upon."""
        return self.table.metadata

    def look(self, metadata: TableMetadata) -> None:
        """Note what the table as it is now tells of the attempt."""
        found = metadata.snapshot_by_id(self.snapshot_id)
        if found is not None and self.snapshot is not None and found.manifest_list == self.snapshot.manifest_list:
            self.has_landed, self.is_pending = True, False
        elif went_on_without(metadata, ref=MAIN_BRANCH, base=self.base.current_snapshot_id):
            self.is_pending = False  # another commit has taken its place
        elif self.was_refused:  # so none is under way, and all that could be is a snapshot that has expired
            is_another_table = metadata.table_uuid != self.base.table_uuid
            if is_another_table or is_in_no_history(metadata, ref=MAIN_BRANCH, base=self.base):
                self.is_pending = False

    def transaction(self) -> Transaction:
        """Return the transaction that makes the snapshot the head of main, if the head is still the base."""
        assert self.snapshot is not None
        base, ref = self.base.current_snapshot_id, self.base.refs.get(MAIN_BRANCH)
        transaction = self.table.transaction()
        transaction._apply(
            (
                AddSnapshotUpdate(snapshot=self.snapshot),
                SetSnapshotRefUpdate(
                    snapshot_id=self.snapshot_id,
                    parent_snapshot_id=base,
                    ref_name=MAIN_BRANCH,
                    type=SnapshotRefType.BRANCH,
                    max_ref_age_ms=ref.max_ref_age_ms if ref else None,
                    max_snapshot_age_ms=ref.max_snapshot_age_ms if ref else None,
                    min_snapshots_to_keep=ref.min_snapshots_to_keep if ref else None,
                ),
            ),
            (AssertRefSnapshotId(snapshot_id=base, ref=MAIN_BRANCH),),
        )
        return transaction


Decide = Callable[[Attempt], Snapshot | None]
"""Says what is committed upon the table of an attempt, and writes what the snapshot refers to; None for nothing."""


@dataclass
class SnapshotCommit:
    """Attempts at one snapshot, until one lands or none can.

    Attributes:
        table: The table; it is loaded again before each attempt.
        name: Its name, for messages.
        what: What is committed, for messages: `compaction`.
        policy: Retries and waits.
        decide: Says what is committed.
        on_step: Told at each step.
    """

    table: Table
    name: str
    what: str
    policy: RetryPolicy
    decide: Decide
    on_step: SnapshotObserver = ignore_snapshot_step
    _attempts: list[Attempt] = field(default_factory=list)

    def run(self) -> Attempt | None:
        """Commit, and return the attempt that landed; None where nothing was to be committed.

        Raises:
            ConflictError: Other writers were faster at every attempt, or the table is gone; nothing was committed.
            OutcomeUnknownError: Whether it was committed could not be found out; every file is kept.
            DeniedError: The catalog refused it.
            AutostreamError: The table cannot be read or written to; nothing was committed.
        """
        snapshot_id = self.table.metadata.new_snapshot_id()
        try:
            return self._attempt(snapshot_id)
        except AutostreamError as error:
            if self._is_in_doubt:  # whatever went wrong now, an earlier attempt may still land
                raise self._outcome_unknown(snapshot_id, error) from error
            raise
        finally:
            self._clean_up()

    def _attempt(self, snapshot_id: int) -> Attempt | None:
        error: AutostreamError | None = None
        for number in self.policy.attempts():
            try:
                self._reread()
                if (landed := self._landed) is not None:
                    return landed
                attempt = Attempt(number, self.table, snapshot_id)
                self._attempts.append(attempt)
                attempt.snapshot = self.decide(attempt)
            except AutostreamError as failure:
                if not self._is_in_doubt:
                    raise
                logger.warning("Try %d to commit to %s failed: %s", number, self.name, failure)
                continue  # the next try may find out what became of the one before
            if attempt.snapshot is None:
                if self._is_in_doubt:  # what is in the way may be the attempt before
                    continue
                return None
            try:
                return self._send(attempt)
            except (OvertakenError, CommitAnswerLostError) as failure:
                error = failure
        return self._find() or self._give_up(error)

    def _reread(self) -> None:
        try:
            reread(self._reload, table=self.name, purpose="for the commit")
        except NoSuchTableError as error:
            for attempt in self._attempts:
                attempt.is_pending &= not attempt.was_refused
            raise ConflictError(
                f"Table {self.name} was dropped during its {self.what}. Nothing was changed."
            ) from error

    def _reload(self) -> None:
        # Not Table.refresh(), which fails on a table that was dropped and created again: the decision says so.
        self.table = self.table.catalog.load_table(self.table.name())
        for attempt in self._attempts:
            attempt.look(self.table.metadata)

    def _send(self, attempt: Attempt) -> Attempt:
        """Ask the catalog to take an attempt; return what has landed.

        Raises:
            OvertakenError: The attempt was not applied, and another one may be.
            CommitAnswerLostError: Whether it was applied is not known, or it was not.
            AutostreamError: It was not applied, and another one would not be.
        """
        try:
            transaction = attempt.transaction()
        except ValidationError as error:
            raise UnsupportedTableError(
                f"This version cannot change the metadata of {self.name}: {error}. Nothing was changed. Use another "
                "engine for this table."
            ) from error
        self.on_step(SnapshotStep.SWAP_PREPARED)
        attempt.is_pending = True
        landed = attempt
        try:
            with judged(f"the {self.what} of {self.name}"):
                transaction.commit_transaction()
            attempt.has_landed, attempt.is_pending = True, False
        except CommitAnswerLostError as error:
            logger.warning("The answer to a commit to %s was lost (%s). Asking the catalog.", self.name, error)
            if (found := self._find()) is None:
                raise
            landed = found  # which may be an earlier one
        except OvertakenError as error:  # or the transport repeated it, and met its own effect
            attempt.was_refused = True
            logger.info("Commit %d to %s was overtaken: %s", attempt.number, self.name, error)
            raise
        except AutostreamError:
            attempt.is_pending = False
            raise
        self.on_step(SnapshotStep.SWAPPED)
        return landed

    def _find(self) -> Attempt | None:
        """Ask the catalog, with back-off, whether an attempt landed whose answer was lost."""
        for number in self.policy.status_checks():
            try:
                self._reload()
            except Exception as failure:  # the catalog may be down for a while: that is what the back-off is for
                logger.warning("Cannot read table %s again (%s), try %d.", self.name, failure, number)
                continue
            return self._landed
        return None

    @property
    def _landed(self) -> Attempt | None:
        return next((attempt for attempt in self._attempts if attempt.has_landed), None)

    @property
    def _is_in_doubt(self) -> bool:
        return any(attempt.is_pending for attempt in self._attempts)

    def _give_up(self, error: AutostreamError | None) -> Attempt:
        """End after the last attempt, none of which has landed."""
        if error is not None and self._is_in_doubt:
            raise error
        tries = len(self._attempts)
        if error is not None and isinstance(cause := root_cause(error), ServiceError):
            raise ServiceError(
                f"Could not commit the {self.what} of {self.name} after {counted(tries, 'try', 'tries')}: {cause} "
                "Nothing was changed. Run it again."
            ) from error
        raise ConflictError(
            f"Could not commit the {self.what} of {self.name}: other commits were faster {counted(tries, 'time')}: "
            f"{error}. Nothing was changed. Run it again, or raise the table's commit.retry.num-retries."
        ) from error

    def _outcome_unknown(self, snapshot_id: int, error: AutostreamError) -> OutcomeUnknownError:
        return OutcomeUnknownError(
            f"It is not known whether the {self.what} of {self.name} was committed: {error}. All files were kept. "
            f"Look for snapshot {snapshot_id} in the table when the catalog answers again. If it is absent, the "
            "commit failed, and its unused files stay in the table's location: the names of the data files start "
            "with autostream-compact-. Iceberg's remove_orphan_files deletes them."
        )

    def _clean_up(self) -> None:
        """Delete what the attempts wrote that are known to have failed: all but the one that landed."""
        if self._landed is not None or not self._is_in_doubt:
            failed = [attempt for attempt in self._attempts if not attempt.has_landed]
            delete_files(self.table.io, [file for attempt in failed for file in attempt.files])
