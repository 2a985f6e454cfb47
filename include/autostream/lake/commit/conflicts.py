"""Whether a group may be committed: what happened since the plan allows it (rule 5).

Pure but for one question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from autostream.iceberg.deletes import DeleteIndex
from autostream.iceberg.files import LiveFile
from autostream.iceberg.manifests import field_type
from autostream.iceberg.state import TableState, is_unpartitioned
from autostream.lake.commit.replacements import FileGroup

ReferencedPaths = Callable[[LiveFile], set[str]]
"""The (normalised) paths of the data files that a position-delete file speaks of: found by opening it."""


def find_conflicts(
    planned: TableState, base: TableState, groups: Iterable[FileGroup], referenced_paths: ReferencedPaths
) -> dict[int, str]:
    """Return why groups may not be committed upon `base`, by group number.

    Live files are compared, not snapshot histories: whatever was done in between, commits, rollbacks or expiry, a
    group may be committed if its inputs are live with the numbers they had, all deletes that were applied to them are
    still there, and no delete that was not applied is lost by replacing them. A new equality delete is not lost: its
    sequence number is above the outputs'.
    """
    if planned.metadata.table_uuid != base.metadata.table_uuid:
        return {group.number: "the table was dropped and created again" for group in groups}
    added = [delete for path, delete in base.deletes.items() if path not in planned.deletes]
    index = DeleteIndex(
        added,
        unpartitioned_specs=frozenset(i for i, spec in base.metadata.specs().items() if is_unpartitioned(spec)),
        types=lambda field_id: field_type(base.metadata, field_id),
    )
    conflicts = {}
    for group in groups:
        reason = _conflict(group, planned, base, index, referenced_paths)
        if reason is not None:
            conflicts[group.number] = reason
    return conflicts


def _conflict(
    group: FileGroup, planned: TableState, base: TableState, added: DeleteIndex, referenced_paths: ReferencedPaths
) -> str | None:
    if group.partition_key[0] not in base.metadata.specs():
        return f"partition spec {group.partition_key[0]} was removed from the table"
    for delete in group.deletes:
        if delete.path not in base.deletes:
            return f"another commit removed delete file {delete.path}, which this compaction has applied"
    for file in group.files:
        if reason := _changed(file, base) or _lost_delete(file, group, added, referenced_paths):
            return reason
    return None


def _changed(file: LiveFile, base: TableState) -> str | None:
    live = base.data.get(file.path)
    if live is None:
        return f"another commit replaced or removed data file {file.path}"
    if live.sequence_number != file.sequence_number:
        return f"data file {file.path} now has sequence number {live.sequence_number}, not {file.sequence_number}"
    return None


def _lost_delete(file: LiveFile, group: FileGroup, added: DeleteIndex, referenced_paths: ReferencedPaths) -> str | None:
    """Name a delete file that was added since and that replacing the data file would make ineffective."""
    for delete in added.position_deletes(file):
        if delete.referenced_path is not None or file.key in referenced_paths(delete):
            return f"a new position-delete file {delete.path} deletes rows of data file {file.path}"
    for delete in added.equality_deletes(file):
        if delete.sequence_number <= group.sequence_number:
            return (
                f"a new equality-delete file {delete.path} has the old sequence number {delete.sequence_number}, and "
                f"would not apply to outputs with sequence number {group.sequence_number}"
            )
    return None
