"""What a compaction of one table did: counts before and after, groups, conflicts, and the report as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from autostream.iceberg.files import Content
from autostream.iceberg.state import TableState
from autostream.lake.compaction.compaction_plan import CompactionPlan
from autostream.resources import peak_memory_bytes

if TYPE_CHECKING:
    from autostream.lake.commit.replacing import ReplaceOutcome

CompactionStatus = Literal["committed", "nothing-to-do", "conflict", "failed", "unknown", "planned"]


@dataclass(frozen=True)
class FileCounts:
    """What is live in a snapshot; `records` are those in data files by their manifests, deletes not subtracted."""

    data_files: int
    equality_delete_files: int
    position_delete_files: int
    bytes: int
    records: int

    @classmethod
    def of(cls, state: TableState) -> FileCounts:
        """Count a state's files."""
        deletes = state.deletes.values()
        return cls(
            data_files=len(state.data),
            equality_delete_files=sum(f.content == Content.EQUALITY_DELETES for f in deletes),
            position_delete_files=sum(f.content == Content.POSITION_DELETES for f in deletes),
            bytes=sum(f.size_bytes for f in (*state.data.values(), *deletes)),
            records=sum(f.claimed_rows for f in state.data.values()),
        )

    def after(self, done: ReplaceOutcome) -> FileCounts:
        """Return the counts after a commit upon the state that these are of."""
        inputs = [file for item in done.replaced for file in item.group.files]
        outputs = [file for item in done.replaced for file in item.outputs]
        removed = done.removed_deletes
        equality = sum(f.content == Content.EQUALITY_DELETES for f in removed)
        return FileCounts(
            data_files=self.data_files - len(inputs) + len(outputs),
            equality_delete_files=self.equality_delete_files - equality,
            position_delete_files=self.position_delete_files - (len(removed) - equality),
            bytes=self.bytes
            - sum(f.size_bytes for f in (*inputs, *removed))
            + sum(f.file_size_in_bytes for f in outputs),
            records=self.records - sum(f.claimed_rows for f in inputs) + sum(f.record_count for f in outputs),
        )


@dataclass
class CompactionResult:
    """What a compaction of one table did; `to_dict` is what `table compact --json` prints.

    Attributes:
        table: full name.
        status: `committed` if anything was; `conflict` if only other writers' commits prevented it; `planned`
            for a dry run.
        plan: what was planned; None if planning itself failed.
        conflicts: why groups were dropped, by group number.
        failures: what went wrong with groups, by group number.
        error: the message, for `conflict`, `failed` and `unknown`.
        exit_code: of the command.
        repeat: whether what failed may pass by itself, such as a lack of disk space.
    """

    table: str
    status: CompactionStatus
    before: FileCounts
    after: FileCounts
    plan: CompactionPlan | None = None
    snapshot_id: int | None = None
    committed: int = 0
    conflicts: dict[int, str] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    rows_read: int = 0
    rows_deleted: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"plan": 0.0, "rewrite": 0.0, "commit": 0.0})
    commits: int = 0
    error: str | None = None
    exit_code: int = 0
    repeat: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON carries it."""
        planned = self.plan.groups if self.plan else ()
        document: dict[str, Any] = {
            "table": self.table,
            "status": self.status,
            "planned_snapshot_id": self.plan.state.snapshot_id if self.plan else None,
            "snapshot_id": self.snapshot_id,
            "groups": {
                "planned": len(planned),
                "committed": self.committed,
                "conflicted": len(self.conflicts),
                "failed": len(self.failures),
            },
            "before": vars(self.before),
            "after": vars(self.after),
            "rows_read": self.rows_read,
            "rows_deleted": self.rows_deleted,
            "bytes_read": self.bytes_read,
            "bytes_written": self.bytes_written,
            "seconds": {step: round(seconds, 3) for step, seconds in self.seconds.items()},
            "peak_memory_bytes": peak_memory_bytes(),
        }
        if self.status == "planned" and self.plan:
            document["plan"] = self.plan.to_dict()
        if self.conflicts or self.failures:
            document["problems"] = [
                {"group": number, "kind": kind, "reason": reason}
                for kind, found in (("conflict", self.conflicts), ("failure", self.failures))
                for number, reason in sorted(found.items())
            ]
        if self.error:
            document["error"] = self.error
            document["repeat"] = self.repeat
        return document
