"""The commit of a compaction: a replace snapshot, validated before every attempt, never left in doubt unsaid."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

from pyiceberg.exceptions import (
    AuthorizationExpiredError,
    BadRequestError,
    CommitFailedException,
    ForbiddenError,
    NoSuchTableError,
    UnauthorizedError,
    ValidationError,
)
from pyiceberg.manifest import DataFile, ManifestFile
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import AddSnapshotUpdate, AssertRefSnapshotId, SetSnapshotRefUpdate

from autostream import __version__, times
from autostream.catalogs.commit_answers import is_permanent, root_cause
from autostream.catalogs.failures import explained
from autostream.catalogs.retry_policy import RetryPolicy
from autostream.errors import (
    AutostreamError,
    ConflictError,
    DefectError,
    DeniedError,
    OutcomeUnknownError,
    ServiceError,
    UnsupportedTableError,
)
from autostream.iceberg.deletes import removable
from autostream.iceberg.files import Content, LiveFile, partition_key
from autostream.iceberg.manifests import (
    ManifestContent,
    ManifestReader,
    ManifestWriter,
    Status,
    partition_values,
    with_counts,
    write_list,
)
from autostream.iceberg.state import TableState, read_state
from autostream.lake.commit.steps import Step, StepObserver, no_observer
from autostream.lake.commit.validation import ReferencedPaths, find_conflicts, find_defect
from autostream.lake.compaction.group_rewriter import RewrittenGroup
from autostream.lake.engine.output_files import delete_files

logger = logging.getLogger(__name__)

# What a catalog answers only without having done anything.
_REFUSALS = (ForbiddenError, UnauthorizedError, AuthorizationExpiredError, BadRequestError)

# Entries a manifest: about 8 MB, Iceberg's commit.manifest.target-size-bytes, at the usual 400 bytes an entry.
_MANIFEST_ENTRIES = 20_000


@dataclass(frozen=True)
class Committed:
    """What a commit did.

    Attributes:
        snapshot_id: the new snapshot; None if every group was in conflict.
        groups: groups that were committed.
        conflicts: why the others were not, by group number.
        removed_deletes: delete files that left the table.
        base: the state that was committed upon (or that the conflicts were found in).
        attempts: how many attempts it took.
    """

    snapshot_id: int | None
    groups: tuple[RewrittenGroup, ...]
    conflicts: dict[int, str]
    removed_deletes: tuple[LiveFile, ...]
    base: TableState
    attempts: int


@dataclass
class _Attempt:
    """One attempt: the snapshot it would make, the files it wrote for it, and what to report if it lands."""

    snapshot: Snapshot
    files: list[str]
    outcome: Committed
    outcome_known: bool = True


@dataclass
class ReplaceCommit:
    """Commits rewritten groups as one replace snapshot.

    All attempts carry one snapshot id, so an attempt whose answer was lost is found again by it, and repeating is
    safe: of two attempts upon one base at most one can win the catalog's compare-and-swap.

    Attributes:
        table: the table; it is refreshed before each attempt.
        name: its name for messages.
        planned: the state that the groups were planned on.
        reader: reads manifests once.
        referenced_paths: opens a position-delete file for validation.
        policy: retries and waits.
        on_step: told at each step of the protocol.
    """

    table: Table
    name: str
    planned: TableState
    reader: ManifestReader
    referenced_paths: ReferencedPaths
    policy: RetryPolicy
    on_step: StepObserver = no_observer
    _attempts: list[_Attempt] = field(default_factory=list)
    _last_error: Exception | None = None

    def commit(self, rewritten: Sequence[RewrittenGroup]) -> Committed:
        """Commit the groups that the table's present state allows.

        Raises:
            DefectError: the rows of a group do not add up; nothing was committed.
            ConflictError: other writers were faster at every attempt, or the table is gone; nothing was committed.
            OutcomeUnknownError: whether it was committed could not be found out; every file is kept.
            DeniedError: the catalog refused it.
            AutostreamError: the table cannot be read or written to; nothing was committed.
        """
        self._refuse_defects(rewritten)
        self._snapshot_id = self.planned.metadata.new_snapshot_id()
        for number in self.policy.attempts():
            try:
                done = self._try(rewritten, number)
            except AutostreamError as error:
                if self._unknown():  # whatever went wrong now, an earlier attempt may still land
                    raise self._outcome_unknown(error) from error
                self._abandon()
                raise
            if done is not None:
                return done
        return self._give_up()

    def _refuse_defects(self, rewritten: Sequence[RewrittenGroup]) -> None:
        if defects := [defect for item in rewritten if (defect := find_defect(item))]:
            raise DefectError(
                f"The compaction of {self.name} does not add up: {'; '.join(defects)}. Nothing was committed, and what "
                "was written was removed. This is a defect of autostream: please report it with this message, the "
                f"version ({__version__}), the output of `autostream table inspect {self.name} --files --json` and, if "
                f"you can, the files of snapshot {self.planned.snapshot_id}."
            )

    def _try(self, rewritten: Sequence[RewrittenGroup], number: int) -> Committed | None:
        """Make one attempt; None if it has to be repeated."""
        try:
            base = self._refresh()
        except AutostreamError:
            if self._unknown():  # the catalog is down: the next try may find out
                return None
            raise
        if (landed := self._landed()) is not None:
            return self._finish(landed)
        outcome = self._decide(base, rewritten, number)
        if outcome.snapshot_id is None:
            if self._unknown():
                raise ConflictError("; ".join(outcome.conflicts.values()))
            self._abandon()
            return outcome
        attempt = self._prepare(outcome)
        if not self._send(attempt):
            return None
        self.on_step(Step.SWAPPED)
        return self._finish(attempt)

    def _send(self, attempt: _Attempt) -> bool:
        """Ask the catalog to take an attempt; whether it is known to have done so."""
        try:
            transaction = self._stage(attempt)
        except ValidationError as error:
            raise UnsupportedTableError(
                f"The metadata of {self.name} cannot be changed by this version: {error}. Nothing was changed. Compact "
                "the table with another engine."
            ) from error
        try:
            transaction.commit_transaction()
        except CommitFailedException as error:
            self._last_error = error
            if is_permanent(cause := root_cause(error)):
                self._abandon()
                raise cause from error  # trying again would end the same way
            logger.info("Commit %d to %s was overtaken: %s", attempt.outcome.attempts, self.name, error)
            return False
        except _REFUSALS as error:
            self._abandon()
            raise DeniedError(
                f"The catalog refused the compaction of {self.name}: {error}. Nothing was changed. Give this account "
                "the right to write to the table."
            ) from error
        except Exception as error:  # anything else may have been raised after the catalog took the commit
            attempt.outcome_known = False
            self._last_error = error
            logger.warning("The answer to a commit to %s was lost (%s); asking the catalog.", self.name, error)
            return self._ask()
        return True

    def _decide(self, base: TableState, rewritten: Sequence[RewrittenGroup], attempt: int) -> Committed:
        """Return what may be committed upon a state: no snapshot if there is nothing left."""
        conflicts = find_conflicts(self.planned, base, [r.group for r in rewritten], self.referenced_paths)
        chosen = tuple(r for r in rewritten if r.group.number not in conflicts)
        removed = tuple(self._removable(base, chosen).values())
        nothing = not chosen and (rewritten or not removed)
        return Committed(None if nothing else self._snapshot_id, chosen, conflicts, removed, base, attempt)

    def _give_up(self) -> Committed:
        """End after the last attempt: it may have landed after all, have failed, or stay unknown."""
        last = self._last_error
        if self._ask() and (landed := self._landed()) is not None:
            return self._finish(landed)
        if self._unknown():
            raise self._outcome_unknown(last) from last
        self._abandon()
        if isinstance(cause := root_cause(last) if last else None, ServiceError):
            raise ServiceError(
                f"The compaction of {self.name} could not be committed, {len(self._attempts)} times: {cause} Nothing "
                "was changed. Run it again."
            ) from last
        raise ConflictError(
            f"The compaction of {self.name} was overtaken by other commits {len(self._attempts)} times: {last}. "
            "Nothing was changed. Run it again, or raise the table's commit.retry.num-retries."
        ) from last

    def _outcome_unknown(self, error: Exception | None) -> OutcomeUnknownError:
        return OutcomeUnknownError(
            f"Whether the compaction of {self.name} was committed is not known: {error}. Every file was kept. Look for "
            f"snapshot {self._snapshot_id} in the table; if it is absent once the catalog answers again, the commit "
            "failed, and the orphan sweep removes what it left."
        )

    def _refresh(self) -> TableState:
        try:
            self._reload()
        except NoSuchTableError as error:
            self._abandon()
            raise ConflictError(
                f"Table {self.name} was dropped while it was compacted. Nothing was changed."
            ) from error
        except Exception as error:  # each catalog fails in its own way
            failure = explained(error) or AutostreamError(f"{error or type(error).__name__}.")
            raise type(failure)(
                f"Table {self.name} cannot be re-read for the commit: {failure} Nothing was changed by this attempt. "
                "Check the catalog, then run the compaction again."
            ) from error
        base = read_state(self.table, reader=self.reader, name=self.name)
        for attempt in self._attempts:  # one that was built upon another head can no longer land
            attempt.outcome_known |= attempt.outcome.base.snapshot_id != base.snapshot_id
        return base

    def _reload(self) -> None:
        # Not Table.refresh(), which fails on a table that was dropped and made anew: that is for validation to say.
        self.table = self.table.catalog.load_table(self.table.name())

    def _unknown(self) -> bool:
        return any(not attempt.outcome_known for attempt in self._attempts)

    def _landed(self) -> _Attempt | None:
        """Return the attempt that the table, as last read, shows to have landed."""
        snapshot = self.table.metadata.snapshot_by_id(self._snapshot_id)
        if snapshot is None:
            return None
        return next(a for a in self._attempts if a.snapshot.manifest_list == snapshot.manifest_list)

    def _ask(self) -> bool:
        """Ask the catalog, with back-off, whether an attempt landed whose answer was lost."""
        for number in self.policy.status_checks():
            try:
                self._reload()
            except Exception as error:  # the catalog may be down for a while: that is what the back-off is for
                logger.warning("Table %s cannot be re-read (%s), try %d.", self.name, error, number)
                continue
            return self._landed() is not None
        return False

    def _removable(self, base: TableState, chosen: Sequence[RewrittenGroup]) -> dict[str, LiveFile]:
        replaced = {file.path for r in chosen for file in r.group.files}
        outputs = [_live(file, r.group.sequence_number) for r in chosen for file in r.outputs]
        return removable(
            deletes=base.deletes,
            index=base.index,
            remaining=[file for path, file in base.data.items() if path not in replaced],
            applied=frozenset(self.planned.deletes),
            outputs=outputs,
        )

    def _prepare(self, outcome: Committed) -> _Attempt:
        """Write the manifests and the manifest list of an attempt."""
        base = outcome.base
        metadata = base.metadata
        removed = {file.path: file for file in outcome.removed_deletes}
        attempt_id = uuid.uuid4()
        locations = self.table.location_provider()
        files: list[str] = []
        try:
            writer = _ManifestFiles(self.table, metadata, self._snapshot_id, attempt_id, files)
            manifests = writer.added(outcome.groups)
            gone = {file.path for r in outcome.groups for file in r.group.files} | set(removed)
            manifests += writer.carried_over(base, self.reader, gone)
            self.on_step(Step.MANIFESTS_WRITTEN)
            path = locations.new_metadata_location(f"snap-{self._snapshot_id}-{len(self._attempts)}-{attempt_id}.avro")
            files.append(path)
            sequence_number = metadata.next_sequence_number()
            write_list(
                self.table.io,
                path,
                manifests,
                metadata=metadata,
                snapshot_id=self._snapshot_id,
                parent_snapshot_id=base.snapshot_id,
                sequence_number=sequence_number,
            )
        except Exception as error:
            delete_files(self.table.io, files)
            self._abandon()
            raise AutostreamError(
                f"The manifests of the compaction of {self.name} cannot be written: {error}. Nothing was changed. "
                f"Check the space and permissions of {self.table.location()}."
            ) from error
        self.on_step(Step.MANIFEST_LIST_WRITTEN)
        snapshot = Snapshot(
            snapshot_id=self._snapshot_id,
            parent_snapshot_id=base.snapshot_id,
            manifest_list=path,
            sequence_number=sequence_number,
            # Java refuses to read a table whose snapshot log goes back by more than a minute: a clock that is behind
            # the writer's must not make it so.
            timestamp_ms=max(times.now_ms(), metadata.last_updated_ms),
            summary=Summary(Operation.REPLACE, **summarize(base, outcome.groups, removed.values())),
            schema_id=metadata.current_schema_id,
        )
        attempt = _Attempt(snapshot, files, outcome)
        self._attempts.append(attempt)
        return attempt

    def _stage(self, attempt: _Attempt) -> Transaction:
        """Return the transaction that makes the snapshot the head of main, if the head is still the base."""
        base = attempt.outcome.base
        ref = base.metadata.refs.get(MAIN_BRANCH)
        transaction = self.table.transaction()
        transaction._apply(
            (
                AddSnapshotUpdate(snapshot=attempt.snapshot),
                SetSnapshotRefUpdate(
                    snapshot_id=self._snapshot_id,
                    parent_snapshot_id=base.snapshot_id,
                    ref_name=MAIN_BRANCH,
                    type=SnapshotRefType.BRANCH,
                    max_ref_age_ms=ref.max_ref_age_ms if ref else None,
                    max_snapshot_age_ms=ref.max_snapshot_age_ms if ref else None,
                    min_snapshots_to_keep=ref.min_snapshots_to_keep if ref else None,
                ),
            ),
            (AssertRefSnapshotId(snapshot_id=base.snapshot_id, ref=MAIN_BRANCH),),
        )
        self.on_step(Step.SWAP_PREPARED)
        return transaction

    def _finish(self, landed: _Attempt) -> Committed:
        """Remove what the other attempts wrote, and report."""
        delete_files(self.table.io, [f for a in self._attempts if a is not landed for f in a.files])
        return landed.outcome

    def _abandon(self) -> None:
        """Remove what attempts wrote, if all of them are known to have failed."""
        if not self._unknown():
            delete_files(self.table.io, [f for a in self._attempts for f in a.files])


def _live(file: DataFile, sequence_number: int) -> LiveFile:
    """Return an output as the file it will be once it is committed."""
    return LiveFile(
        content=Content.DATA,
        path=file.file_path,
        file_format=file.file_format.value.lower(),
        partition=partition_key(file.spec_id, partition_values(file)),
        record_count=file.record_count,
        size_bytes=file.file_size_in_bytes,
        sequence_number=sequence_number,
        value_counts=file.value_counts,
        null_counts=file.null_value_counts,
        lower_bounds=file.lower_bounds,
        upper_bounds=file.upper_bounds,
        entry=file,
    )


class _ManifestFiles:
    """Writes the manifests of one attempt."""

    def __init__(
        self, table: Table, metadata: TableMetadata, snapshot_id: int, attempt_id: uuid.UUID, files: list[str]
    ) -> None:
        self._table = table
        self._metadata = metadata
        self._snapshot_id = snapshot_id
        self._attempt_id = attempt_id
        self._files = files

    def added(self, groups: Sequence[RewrittenGroup]) -> list[ManifestFile]:
        """Write the outputs, with their data sequence numbers (rule 1; v1 tables have none)."""
        by_spec: dict[int, list[tuple[DataFile, int | None]]] = {}
        for item in groups:
            number = item.group.sequence_number if self._metadata.format_version > 1 else None
            by_spec.setdefault(item.group.partition_key[0], []).extend((file, number) for file in item.outputs)
        return [
            manifest
            for spec_id, files in by_spec.items()
            for manifest in self._write(
                spec_id,
                ManifestContent.DATA,
                [partial(ManifestWriter.add, file=f, sequence_number=n) for f, n in files],
            )
        ]

    def carried_over(self, base: TableState, reader: ManifestReader, gone: set[str]) -> list[ManifestFile]:
        """Return the base's manifests without the files that go.

        A manifest that lists none of them is kept as it is; one without live files is dropped, as Java drops it. Of
        the others, what stays and what goes is gathered by spec and content: kept apart, so that the next commit need
        not rewrite what stays.
        """
        manifests: list[ManifestFile] = []
        kept: dict[tuple[int, ManifestContent], list[Callable[[ManifestWriter], None]]] = {}
        dropped: dict[tuple[int, ManifestContent], list[Callable[[ManifestWriter], None]]] = {}
        for manifest in base.manifests:
            live = reader.live(manifest)
            if not any(file.path in gone for file in live):
                manifests += [with_counts(manifest, reader.entries(manifest))] if live else []
                continue
            key = (manifest.partition_spec_id, manifest.content)
            for entry in reader.entries(manifest):
                if entry.status == Status.DELETED:
                    continue
                if entry.data_file.file_path in gone:
                    dropped.setdefault(key, []).append(partial(ManifestWriter.delete, entry=entry))
                else:
                    kept.setdefault(key, []).append(partial(ManifestWriter.keep, entry=entry))
        for entries in (kept, dropped):
            for (spec_id, content), writes in entries.items():
                manifests += self._write(spec_id, content, writes)
        return manifests

    def _write(
        self, spec_id: int, content: ManifestContent, writes: Sequence[Callable[[ManifestWriter], None]]
    ) -> list[ManifestFile]:
        manifests = []
        for start in range(0, len(writes), _MANIFEST_ENTRIES):
            name = f"{self._attempt_id}-m{len(self._files)}.avro"
            path = self._table.location_provider().new_metadata_location(name)
            self._files.append(path)
            writer = ManifestWriter(
                self._table.io,
                path,
                metadata=self._metadata,
                spec_id=spec_id,
                content=content,
                snapshot_id=self._snapshot_id,
            )
            for write in writes[start : start + _MANIFEST_ENTRIES]:
                write(writer)
            manifests.append(writer.close())
        return manifests


def summarize(base: TableState, groups: Sequence[RewrittenGroup], removed: Collection[LiveFile]) -> dict[str, str]:
    """Return the summary of a replace snapshot: what it changes, and totals counted from the live files themselves.

    A total of rows of which some file's writer did not say how many it has is left out, as Java leaves it out.
    """
    outputs = [file for item in groups for file in item.outputs]
    inputs = [file for item in groups for file in item.group.files]
    gone = {file.path for file in (*inputs, *removed)}
    data = [file for path, file in base.data.items() if path not in gone]
    deletes = [file for path, file in base.deletes.items() if path not in gone]

    def of(content: Content, files: Collection[LiveFile]) -> list[LiveFile]:
        return [file for file in files if file.content == content]

    equality, position = of(Content.EQUALITY_DELETES, removed), of(Content.POSITION_DELETES, removed)
    changes = {
        "added-data-files": len(outputs),
        "deleted-data-files": len(inputs),
        "added-records": sum(f.record_count for f in outputs),
        "deleted-records": sum(item.rows_read for item in groups),
        "added-files-size": sum(f.file_size_in_bytes for f in outputs),
        "removed-files-size": sum(f.size_bytes for f in (*inputs, *removed)),
        "removed-delete-files": len(removed),
        "removed-equality-delete-files": len(equality),
        "removed-position-delete-files": len(position),
        "removed-equality-deletes": sum(f.claimed_rows for f in equality),
        "removed-position-deletes": sum(f.claimed_rows for f in position),
        "changed-partition-count": len({f.partition for f in (*inputs, *removed)}),
    }
    rows = _rows(data)
    totals = {
        "total-data-files": len(data) + len(outputs),
        "total-delete-files": len(deletes),
        "total-records": None if rows is None else rows + changes["added-records"],
        "total-files-size": sum(f.size_bytes for f in (*data, *deletes)) + changes["added-files-size"],
        "total-position-deletes": _rows(of(Content.POSITION_DELETES, deletes)),
        "total-equality-deletes": _rows(of(Content.EQUALITY_DELETES, deletes)),
    }
    counts = {key: str(value) for key, value in changes.items() if value}
    counts |= {key: str(value) for key, value in totals.items() if value is not None}
    return counts | {"engine-name": "autostream", "engine-version": __version__}


def _rows(files: Collection[LiveFile]) -> int | None:
    counts = [file.record_count for file in files]
    return None if any(count < 0 for count in counts) else sum(counts)
