"""What the history of a branch tells of a snapshot that is not in the table (any more, or yet). Pure.

Snapshots expire, and what remains may then name a parent that is gone (Java), or none at all (PyIceberg).
"""

from __future__ import annotations

from collections.abc import Iterator

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot


def went_on_without(metadata: TableMetadata, *, ref: str, base: int | None) -> bool:
    """Say whether a branch has gone on from a snapshot, as far back as the table remembers; nothing is known otherwise.

    A commit upon `base` that is not in the table has then failed: another commit took its place. That
    the head is another one proves nothing, as what was built upon ours may have outlived it.

    Args:
        metadata: The table as it is now.
        ref: The branch.
        base: The snapshot that it pointed to; None for a branch that was not there.
    """
    for snapshot in _history(metadata, ref):
        if snapshot.snapshot_id == base:
            return False
        if snapshot.parent_snapshot_id == base:
            return base is not None or (snapshot.sequence_number or 0) <= 1
    return False


def is_in_no_history(metadata: TableMetadata, *, ref: str, base: TableMetadata) -> bool:
    """Say whether a snapshot that was made upon a state, and that the table does not list, never was in a branch.

    It may have been, and have expired, where the table forgot an ancestor of the head that is younger than the state.
    """
    oldest = None
    for oldest in _history(metadata, ref):
        if oldest.snapshot_id == base.current_snapshot_id or oldest.parent_snapshot_id == base.current_snapshot_id:
            return True
    if oldest is None:
        return True
    return (oldest.sequence_number or 0) < base.next_sequence_number()  # all numbers are 0 in version 1


def _history(metadata: TableMetadata, ref: str) -> Iterator[Snapshot]:
    """Yield the head of a branch and its ancestors, newest first, as far as the table remembers."""
    head = metadata.refs.get(ref)
    snapshot = metadata.snapshot_by_id(head.snapshot_id) if head else None
    while snapshot is not None:
        yield snapshot
        parent = snapshot.parent_snapshot_id
        snapshot = metadata.snapshot_by_id(parent) if parent is not None else None
