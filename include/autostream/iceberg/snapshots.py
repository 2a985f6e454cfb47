"""The snapshots of a table: what each says of itself, and which ones a branch is made of. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyiceberg.table.metadata import TableMetadata


@dataclass(frozen=True)
class SnapshotFacts:
    """A snapshot without its files.

    Attributes:
        snapshot_id: Its id.
        parent_id: The snapshot that it was made upon; None where there was none, or it has expired.
        timestamp_ms: When it was made.
        summary: What it says of itself.
    """

    snapshot_id: int
    parent_id: int | None
    timestamp_ms: int
    summary: Mapping[str, str]

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> SnapshotFacts:
        """Return a snapshot as a metadata file has it.

        Raises:
            KeyError: It has no id, or no time.
        """
        return cls(
            snapshot_id=document["snapshot-id"],
            parent_id=document.get("parent-snapshot-id"),
            timestamp_ms=document["timestamp-ms"],
            summary=document.get("summary") or {},
        )


def snapshots_of(metadata: TableMetadata) -> Iterator[SnapshotFacts]:
    """Yield all snapshots of a table, of every branch."""
    for snapshot in metadata.snapshots:
        yield SnapshotFacts(
            snapshot_id=snapshot.snapshot_id,
            parent_id=snapshot.parent_snapshot_id,
            timestamp_ms=snapshot.timestamp_ms,
            summary=snapshot.summary.additional_properties if snapshot.summary else {},
        )


def lineage(snapshots: Iterable[SnapshotFacts], head_id: int | None) -> Iterator[SnapshotFacts]:
    """Yield the snapshot of an id and those that it was made upon, newest first, as far as they have not expired."""
    by_id = {snapshot.snapshot_id: snapshot for snapshot in snapshots}
    while head_id is not None and (snapshot := by_id.pop(head_id, None)) is not None:
        yield snapshot
        head_id = snapshot.parent_id


def lineage_of_main(metadata: TableMetadata) -> Iterator[SnapshotFacts]:
    """Yield the snapshots that readers of a table see, newest first: no branches, and nothing that is only staged."""
    return lineage(snapshots_of(metadata), metadata.current_snapshot_id)
