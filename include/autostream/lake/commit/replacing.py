"""Live files replaced by others in one replace snapshot, whatever else is committed meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot, Summary

from autostream import __version__, times
from autostream.catalogs.retry_policy import RetryPolicy
from autostream.errors import AutostreamError, DefectError
from autostream.iceberg.deletes import removable
from autostream.iceberg.files import LiveFile
from autostream.iceberg.manifests import ManifestReader
from autostream.iceberg.state import TableState, read_state
from autostream.lake.commit.attempts import Attempt, SnapshotCommit
from autostream.lake.commit.conflicts import ReferencedPaths, find_conflicts
from autostream.lake.commit.replacements import Replacement
from autostream.lake.commit.snapshot_manifests import SnapshotManifests
from autostream.lake.commit.snapshot_summary import summarize
from autostream.lake.commit.steps import SnapshotObserver, SnapshotStep, ignore_snapshot_step


@dataclass(frozen=True)
class ReplaceOutcome:
    """What is, or was, replaced upon a state.

    Attributes:
        base: The state.
        replaced: What the state allows to be replaced.
        conflicts: Why the rest may not be, by group number.
        removed_deletes: Delete files that leave the table.
        snapshot_id: The new snapshot; None if nothing was committed.
    """

    base: TableState
    replaced: tuple[Replacement, ...]
    conflicts: dict[int, str]
    removed_deletes: tuple[LiveFile, ...]
    snapshot_id: int | None = None


@dataclass
class ReplaceCommit:
    """Commits replacements as one replace snapshot.

    Attributes:
        table: The table; it is loaded again before each attempt.
        name: Its name for messages.
        what: What is committed, for messages: `compaction`.
        planned: The state that the replacements were made from.
        reader: Reads manifests once.
        referenced_paths: Opens a position-delete file for validation.
        policy: Retries and waits.
        on_step: Told at each step of the protocol.
    """

    table: Table
    name: str
    what: str
    planned: TableState
    reader: ManifestReader
    referenced_paths: ReferencedPaths
    policy: RetryPolicy
    on_step: SnapshotObserver = ignore_snapshot_step
    _outcomes: dict[int, ReplaceOutcome] = field(default_factory=dict)

    def commit(self, replacements: Sequence[Replacement]) -> ReplaceOutcome:
        """Commit the replacements that the table's present state allows.

        Raises:
            DefectError: The rows of a replacement do not add up; nothing was committed.
            ConflictError: Other writers were faster at every attempt, or the table is gone; nothing was committed.
            OutcomeUnknownError: Whether it was committed could not be found out; every file is kept.
            DeniedError: The catalog refused it.
            AutostreamError: The table cannot be read or written to; nothing was committed.
        """
        self._refuse_defects(replacements)
        landed = SnapshotCommit(
            table=self.table,
            name=self.name,
            what=self.what,
            policy=self.policy,
            decide=lambda attempt: self._decide(attempt, replacements),
            on_step=self.on_step,
        ).run()
        return self._outcomes[landed.number] if landed else self._outcomes[max(self._outcomes)]

    def _refuse_defects(self, replacements: Sequence[Replacement]) -> None:
        if defects := [defect for item in replacements if (defect := item.defect)]:
            raise DefectError(
                f"The check of the {self.what} of {self.name} failed: {'; '.join(defects)}. Nothing was committed, "
                "and the new files were removed. This is a defect of autostream. Please report it with this "
                f"message, the version ({__version__}), the output of `autostream table inspect {self.name} --files "
                f"--json` and, if you can, the files of snapshot {self.planned.snapshot_id}."
            )

    def _decide(self, attempt: Attempt, replacements: Sequence[Replacement]) -> Snapshot | None:
        """Say what may be committed upon the table as it is now (rules 4 and 5), and write its manifests."""
        base = read_state(attempt.table, reader=self.reader, name=self.name)
        conflicts = find_conflicts(self.planned, base, [r.group for r in replacements], self.referenced_paths)
        chosen = tuple(r for r in replacements if r.group.number not in conflicts)
        removed = self._removable(base, chosen)
        nothing = not chosen and (replacements or not removed)
        snapshot_id = None if nothing else attempt.snapshot_id
        outcome = self._outcomes[attempt.number] = ReplaceOutcome(base, chosen, conflicts, removed, snapshot_id)
        return None if nothing else self._write(attempt, outcome)

    def _removable(self, base: TableState, chosen: Sequence[Replacement]) -> tuple[LiveFile, ...]:
        replaced = {file.path for r in chosen for file in r.group.files}
        left = removable(
            deletes=base.deletes,
            index=base.index,
            remaining=[file for path, file in base.data.items() if path not in replaced],
            applied=frozenset(self.planned.deletes),
            outputs=[file for r in chosen for file in r.live_outputs()],
        )
        return tuple(left.values())

    def _write(self, attempt: Attempt, outcome: ReplaceOutcome) -> Snapshot:
        """Write the manifests and the manifest list of an attempt."""
        base, metadata = outcome.base, attempt.base
        sequence_number = metadata.next_sequence_number()
        gone = {file.path for r in outcome.replaced for file in r.group.files}
        gone |= {file.path for file in outcome.removed_deletes}
        writer = SnapshotManifests(attempt)
        try:
            manifests = writer.added(outcome.replaced) + writer.carried_over(base, self.reader, gone)
            self.on_step(SnapshotStep.MANIFESTS_WRITTEN)
            path = writer.write_list(manifests, parent=base.snapshot_id, sequence_number=sequence_number)
        except Exception as error:
            raise AutostreamError(
                f"Cannot write the manifests of the {self.what} of {self.name}: {error}. Nothing was changed. Check "
                f"the free space and the permissions of {self.table.location()}."
            ) from error
        self.on_step(SnapshotStep.MANIFEST_LIST_WRITTEN)
        return Snapshot(
            snapshot_id=attempt.snapshot_id,
            parent_snapshot_id=base.snapshot_id,
            manifest_list=path,
            sequence_number=sequence_number,
            # Java refuses to read a table whose snapshot log goes back by more than a minute: a clock that is behind
            # the writer's must not make it so.
            timestamp_ms=max(times.now_ms(), metadata.last_updated_ms),
            summary=Summary(Operation.REPLACE, **summarize(base, outcome.replaced, outcome.removed_deletes)),
            schema_id=metadata.current_schema_id,
        )
