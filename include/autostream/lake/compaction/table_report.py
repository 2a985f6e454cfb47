"""What a table is made of, what its deletes apply to, and what compaction would do about it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Final

from autostream.findings import Finding, Severity, worst_first
from autostream.iceberg.files import Content, LiveFile, PartitionKey
from autostream.iceberg.flink_commits import flink_job_ids
from autostream.iceberg.snapshots import snapshots_of
from autostream.iceberg.state import Contradiction, TableState
from autostream.lake.compaction.compaction_plan import CompactionPlan, DataFileView, PlannedGroup, view_files
from autostream.lake.compaction.compaction_result import FileCounts

_EMPTY_COMMITS: Final = "flink.max-continuous-empty-commits"
_WRITER_STATE: Final = "autostream.watermark.writer-state."


def inspect_table(plan: CompactionPlan, table: str) -> dict[str, Any]:
    """Return a report on the snapshot that a plan was made on.

    ``partitions`` has a row for each spec and partition with data or delete files; ``files`` one for each data file
    with the names of the deletes that can apply to it; ``deletes`` one for each delete file with the number of data
    files that it can apply to. Of a table that contradicts itself there is no ``compaction``; its ``contradictions``
    have each live entry, the counts each path once. ``advice`` has a finding for each thing that the owner might
    want to change, or to know.
    """
    state = plan.state
    views = view_files(state)
    reach = Counter(delete.path for view in views for delete in view.deletes)
    counts = FileCounts.of(state)
    leaving = {file.path for file in plan.removed_deletes}
    return {
        "table": table,
        "format_version": state.metadata.format_version,
        "location": state.metadata.location,
        "snapshot_id": state.snapshot_id,
        "snapshot_timestamp_ms": state.snapshot.timestamp_ms if state.snapshot else None,
        "sequence_number": state.sequence_number,
        "snapshots": len(state.metadata.snapshots),
        "schemas": len(state.metadata.schemas),
        "partition_specs": {str(i): str(spec) for i, spec in sorted(state.metadata.specs().items())},
        "counts": vars(counts),
        "dangling_delete_files": sum(path not in reach for path in state.deletes),
        "manifests": len(state.manifests),
        "contradictions": [_contradiction(found) for found in state.contradictions],
        "compaction": None if state.contradictions else plan.to_dict(),
        "advice": [found.to_dict() for found in find_advice(state, table)],
        "partitions": _partitions(plan, views),
        "files": [_file(view, plan) for view in views],
        "deletes": [_delete(d, reach[d.path], plan, leaving) for d in state.deletes.values()],
    }


def find_advice(state: TableState, table: str) -> list[Finding]:
    """Return what the owner of a table might want to change, or to know."""
    return worst_first([*_uncounted(state, table), *_stalled_writers(state, table), *_empty_commits(state, table)])


def _uncounted(state: TableState, table: str) -> Iterator[Finding]:
    files = sum(file.record_count <= 0 < file.size_bytes for file in state.data.values())
    if files:
        yield Finding(
            subject=f"table {table}",
            severity=Severity.WARNING,
            reason=f"{files:,} data files have a record count of 0 or less in their manifests: they are empty, or "
            "their writer did not count and the numbers of records shown here are too low.",
            remedy="`autostream table scan --count` counts the rows; compaction writes true counts.",
            id="records-uncounted",
            figures={"data_files": files},
        )


def _stalled_writers(state: TableState, table: str) -> Iterator[Finding]:
    """Say why watermarks of writers do not advance, as the recorder has left it in the table's properties."""
    for key, value in sorted(state.metadata.properties.items()):
        if key.startswith(_WRITER_STATE):
            try:
                writer = json.loads(value)
            except (ValueError, RecursionError):  # `watermark get` shows it as a problem
                continue
            if isinstance(writer, dict) and writer.get("note") and writer.get("status") != "retired":
                name = key.removeprefix(_WRITER_STATE)
                yield Finding(
                    subject=f"table {table}",
                    severity=Severity.WARNING,
                    reason=f"Watermark of writer {name}: {writer['note']}.",
                    id="watermark-stalled",
                )


def _empty_commits(state: TableState, table: str) -> Iterator[Finding]:
    metadata = state.metadata
    often = metadata.properties.get(_EMPTY_COMMITS, "10")
    if often != "1" and flink_job_ids(snapshots_of(metadata)):
        yield Finding(
            subject=f"table {table}",
            severity=Severity.INFO,
            reason=f"While no rows come, Flink commits only every {often}th checkpoint, and the watermark advances as "
            "rarely.",
            remedy=f"To have it advance with each, set {_EMPTY_COMMITS}=1 and restart the job.",
            id="empty-commits-rare",
        )


def _partitions(plan: CompactionPlan, views: list[DataFileView]) -> list[dict[str, Any]]:
    state = plan.state
    data: dict[PartitionKey, list[DataFileView]] = defaultdict(list)
    deletes: dict[PartitionKey, list[LiveFile]] = defaultdict(list)
    groups: dict[PartitionKey, list[PlannedGroup]] = defaultdict(list)
    for view in views:
        data[view.file.partition].append(view)
    for delete in state.deletes.values():
        deletes[delete.partition].append(delete)
    for group in plan.groups:
        groups[group.partition_key].append(group)
    rows = []
    for key in sorted({*data, *deletes}, key=lambda k: (k[0], str(k[1]))):
        files = [view.file for view in data[key]]
        numbers = [file.sequence_number for file in (*files, *deletes[key])]
        records = sum(file.claimed_rows for file in files)
        name = state.partition_name(key)
        rows.append(
            {
                "partition": name,
                "data_files": len(files),
                "bytes": sum(file.size_bytes for file in files),
                "records": records,
                "equality_delete_files": sum(d.content == Content.EQUALITY_DELETES for d in deletes[key]),
                "position_delete_files": sum(d.content == Content.POSITION_DELETES for d in deletes[key]),
                "delete_records": sum(d.claimed_rows for d in deletes[key]),
                "most_deletes_of_a_file": max((len(view.deletes) for view in data[key]), default=0),
                "estimated_deleted_ratio": round(
                    sum(v.deleted_ratio * v.file.claimed_rows for v in data[key]) / records if records else 0.0, 4
                ),
                "sequence_numbers": [min(numbers), max(numbers)],
                "groups": len(groups[key]),
                "compaction": _why(plan, name, groups[key]),
            }
        )
    return rows


def _why(plan: CompactionPlan, partition: str, groups: list[PlannedGroup]) -> str:
    if plan.state.contradictions:
        return "the table contradicts itself"
    return "; ".join(g.reason for g in groups) or plan.skipped.get(partition, "no data files")


def _contradiction(found: Contradiction) -> dict[str, Any]:
    return {
        "path": found.path,
        "reason": found.reason,
        "entries": [
            {
                "path": entry.path,
                "content": entry.content.label,
                "snapshot_id": entry.snapshot_id,
                "sequence_number": entry.sequence_number,
                "records": entry.record_count,
                "manifest": entry.manifest_path,
            }
            for entry in found.entries
        ],
    }


def _file(view: DataFileView, plan: CompactionPlan) -> dict[str, Any]:
    return {
        "path": view.file.path,
        "partition": plan.state.partition_name(view.file.partition),
        "format": view.file.file_format,
        "bytes": view.file.size_bytes,
        "records": view.file.record_count,
        "sequence_number": view.file.sequence_number,
        "estimated_deleted_ratio": round(view.deleted_ratio, 4),
        "deletes": [delete.path for delete in view.deletes],
    }


def _delete(delete: LiveFile, reach: int, plan: CompactionPlan, leaving: set[str]) -> dict[str, Any]:
    return {
        "path": delete.path,
        "content": delete.content.name.lower().replace("_", "-"),
        "partition": plan.state.partition_name(delete.partition),
        "bytes": delete.size_bytes,
        "records": delete.record_count,
        "sequence_number": delete.sequence_number,
        "equality_ids": list(delete.equality_ids),
        "applies_to_data_files": reach,
        "leaves_with_compaction": delete.path in leaving,
    }
