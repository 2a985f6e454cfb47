"""How large a table is, and how much of it is small files, by its newest metadata alone: no manifest is read. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyiceberg.table.metadata import TableMetadata

from autostream.iceberg.snapshots import SnapshotFacts, lineage_of_main


@dataclass(frozen=True)
class TableSizes:
    """What the summaries of snapshots say; None where their writers did not say it.

    Attributes:
        data_files: Number of data files.
        delete_files: Number of delete files.
        size_bytes: Size of all these files.
        records: Rows in data files, deletes not subtracted.
        small_files_ratio: An estimate of the share of data files that compaction calls too small.
        changed_at_ms: When the newest snapshot was made; None where there is none.
    """

    data_files: int | None = None
    delete_files: int | None = None
    size_bytes: int | None = None
    records: int | None = None
    small_files_ratio: float | None = None
    changed_at_ms: int | None = None

    @classmethod
    def of(cls, metadata: TableMetadata, *, small_below_bytes: float | None = None) -> TableSizes:
        """Return the sizes of a table; `small_files_ratio` where it is said which files are small."""
        snapshots = list(lineage_of_main(metadata))
        if not snapshots:
            return cls(0, 0, 0, 0)
        said = snapshots[0].summary
        return cls(
            data_files=_number(said, "total-data-files"),
            delete_files=_number(said, "total-delete-files"),
            size_bytes=_number(said, "total-files-size"),
            records=_number(said, "total-records"),
            small_files_ratio=None
            if small_below_bytes is None
            else small_files_ratio(snapshots, small_below_bytes=small_below_bytes),
            changed_at_ms=snapshots[0].timestamp_ms,
        )


def small_files_ratio(snapshots: Sequence[SnapshotFacts], *, small_below_bytes: float) -> float | None:
    """Estimate which share of a table's data files is too small.

    Each commit says how many files it added, how large these were together, and how many it removed. Files that were
    added last are taken to be removed first, as compaction does, and all files of a commit to be of its average size.
    What was added before the oldest snapshot that is left is of the average size of what remains.

    Args:
        snapshots: Those of the main branch, the newest first.
        small_below_bytes: A file below this size is small.

    Returns:
        From 0 to 1; None where there are no files, or their writers do not say.
    """
    total = _number(snapshots[0].summary, "total-data-files") if snapshots else None
    left_bytes = _number(snapshots[0].summary, "total-files-size") if snapshots else None
    if not total or left_bytes is None:
        return None
    left, small, removed = total, 0, 0
    for snapshot in snapshots:
        added = _number(snapshot.summary, "added-data-files") or 0
        added_bytes = _number(snapshot.summary, "added-files-size") or 0
        alive = min(left, max(0, added - removed))
        removed = max(0, removed - added) + (_number(snapshot.summary, "deleted-data-files") or 0)
        if alive:
            small += alive if added_bytes / added < small_below_bytes else 0
            left -= alive
            left_bytes -= round(added_bytes * alive / added)
        if not left:
            break
    if left and left_bytes / left < small_below_bytes:
        small += left
    return small / total


def _number(summary: Mapping[str, str], key: str) -> int | None:
    text = summary.get(key, "")
    return int(text) if text.isdecimal() else None
