"""What a table is made of, what its deletes apply to, and what compaction would do about it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from autostream.findings import Finding, Severity, worst_first
from autostream.iceberg.files import Content, LiveFile, PartitionKey
from autostream.iceberg.flink_commits import flink_job_ids
from autostream.iceberg.snapshots import snapshots_of
from autostream.iceberg.state import Contradiction, TableState
from autostream.lake.compaction.compaction_plan import CompactionPlan, DataFileView, PlannedGroup, view_files
from autostream.lake.compaction.compaction_result import FileCounts
from autostream.lake.compaction.reasons import CompactionReason, in_words

_EMPTY_COMMITS: Final = "flink.max-continuous-empty-commits"
_WRITER_STATE: Final = "autostream.watermark.writer-state."


@dataclass(frozen=True)
class PartitionReport:
    """One spec and partition with data or delete files.

    Attributes:
        partition: Its name, as plans show it.
        data_files: Number of its data files.
        bytes: Their size.
        records: Their rows by manifests, deletes not subtracted.
        equality_delete_files: Number of its equality-delete files.
        position_delete_files: Number of its position-delete files.
        delete_records: Rows of these files.
        most_deletes_of_a_file: The largest number of delete files that can apply to one of its data files.
        estimated_deleted_ratio: How many of its rows are deleted, 0 to 1.
        sequence_numbers: The lowest and the highest of its files.
        groups: How many groups compaction would merge.
        reasons: Why compaction would merge them, or would not.
    """

    partition: str
    data_files: int
    bytes: int
    records: int
    equality_delete_files: int
    position_delete_files: int
    delete_records: int
    most_deletes_of_a_file: int
    estimated_deleted_ratio: float
    sequence_numbers: tuple[int, int]
    groups: int
    reasons: tuple[CompactionReason, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it, with what compaction would do, or why nothing, in words."""
        document = _row(self)
        document["compaction"] = in_words(document.pop("reasons"))
        return document


@dataclass(frozen=True)
class DataFileReport:
    """One data file; `deletes` are the delete files that can apply to it."""

    path: str
    partition: str
    format: str
    bytes: int
    records: int
    sequence_number: int
    estimated_deleted_ratio: float
    deletes: tuple[str, ...]


@dataclass(frozen=True)
class DeleteFileReport:
    """One delete file, with the number of data files that it can apply to."""

    path: str
    content: str
    partition: str
    bytes: int
    records: int
    sequence_number: int
    equality_ids: tuple[int, ...]
    applies_to_data_files: int
    leaves_with_compaction: bool


@dataclass(frozen=True)
class TableReport:
    """What a table is made of at one snapshot.

    Attributes:
        table: Its full name.
        format_version: Of Iceberg.
        location: Where it is.
        snapshot_id: Which snapshot; None for a table without one.
        snapshot_timestamp_ms: When that was made, epoch milliseconds.
        sequence_number: Of that snapshot.
        snapshots: How many the metadata still has.
        schemas: How many it has had.
        partition_specs: By id, as text.
        counts: What is live; of a table that contradicts itself each path once.
        dangling_delete_files: Delete files that apply to no data file.
        manifests: How many the snapshot lists.
        contradictions: What the snapshot says of a file that cannot be.
        compaction: What compaction would do; None for a table that contradicts itself.
        advice: What the owner of the table might want to change, or to know.
        partitions: Each spec and partition.
        files: Each data file.
        deletes: Each delete file.
    """

    table: str
    format_version: int
    location: str
    snapshot_id: int | None
    snapshot_timestamp_ms: int | None
    sequence_number: int
    snapshots: int
    schemas: int
    partition_specs: Mapping[str, str]
    counts: FileCounts
    dangling_delete_files: int
    manifests: int
    contradictions: tuple[Contradiction, ...]
    compaction: CompactionPlan | None
    advice: tuple[Finding, ...]
    partitions: tuple[PartitionReport, ...]
    files: tuple[DataFileReport, ...]
    deletes: tuple[DeleteFileReport, ...]

    def to_dict(self, *, files: bool = True) -> dict[str, Any]:
        """Return it as `autostream table inspect --json` prints it, with each file where wanted."""
        document = {field.name: getattr(self, field.name) for field in fields(self)}
        document |= {
            "partition_specs": dict(self.partition_specs),
            "counts": asdict(self.counts),
            "contradictions": [_contradiction(found) for found in self.contradictions],
            "compaction": self.compaction.to_dict() if self.compaction else None,
            "advice": [found.to_dict() for found in self.advice],
            "partitions": [partition.to_dict() for partition in self.partitions],
            "files": [_row(file) for file in self.files],
            "deletes": [_row(delete) for delete in self.deletes],
        }
        if not files:
            del document["files"], document["deletes"]
        return document


def inspect_table(plan: CompactionPlan, table: str) -> TableReport:
    """Return a report on the snapshot that a plan was made on."""
    state = plan.state
    views = view_files(state)
    reach = Counter(delete.path for view in views for delete in view.deletes)
    leaving = {file.path for file in plan.removed_deletes}
    return TableReport(
        table=table,
        format_version=state.metadata.format_version,
        location=state.metadata.location,
        snapshot_id=state.snapshot_id,
        snapshot_timestamp_ms=state.snapshot.timestamp_ms if state.snapshot else None,
        sequence_number=state.sequence_number,
        snapshots=len(state.metadata.snapshots),
        schemas=len(state.metadata.schemas),
        partition_specs={str(i): str(spec) for i, spec in sorted(state.metadata.specs().items())},
        counts=FileCounts.of(state),
        dangling_delete_files=sum(path not in reach for path in state.deletes),
        manifests=len(state.manifests),
        contradictions=tuple(state.contradictions),
        compaction=None if state.contradictions else plan,
        advice=tuple(find_advice(state, table)),
        partitions=tuple(_partitions(plan, views)),
        files=tuple(_file(view, plan) for view in views),
        deletes=tuple(_delete(d, reach[d.path], plan, leaving) for d in state.deletes.values()),
    )


def _row(report: PartitionReport | DataFileReport | DeleteFileReport) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(report).items()}


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
            figures={"checkpoints": int(often)} if often.isdecimal() else {},
        )


def _partitions(plan: CompactionPlan, views: list[DataFileView]) -> list[PartitionReport]:
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
            PartitionReport(
                partition=name,
                data_files=len(files),
                bytes=sum(file.size_bytes for file in files),
                records=records,
                equality_delete_files=sum(d.content == Content.EQUALITY_DELETES for d in deletes[key]),
                position_delete_files=sum(d.content == Content.POSITION_DELETES for d in deletes[key]),
                delete_records=sum(d.claimed_rows for d in deletes[key]),
                most_deletes_of_a_file=max((len(view.deletes) for view in data[key]), default=0),
                estimated_deleted_ratio=round(
                    sum(v.deleted_ratio * v.file.claimed_rows for v in data[key]) / records if records else 0.0, 4
                ),
                sequence_numbers=(min(numbers), max(numbers)),
                groups=len(groups[key]),
                reasons=_why(plan, name, groups[key]),
            )
        )
    return rows


def _why(plan: CompactionPlan, partition: str, groups: list[PlannedGroup]) -> tuple[CompactionReason, ...]:
    if plan.state.contradictions:
        return (CompactionReason("contradiction", {}),)
    reasons = tuple(reason for group in groups for reason in group.reasons)
    return reasons or (plan.skipped.get(partition, CompactionReason("no-data-files", {})),)


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


def _file(view: DataFileView, plan: CompactionPlan) -> DataFileReport:
    return DataFileReport(
        path=view.file.path,
        partition=plan.state.partition_name(view.file.partition),
        format=view.file.file_format,
        bytes=view.file.size_bytes,
        records=view.file.record_count,
        sequence_number=view.file.sequence_number,
        estimated_deleted_ratio=round(view.deleted_ratio, 4),
        deletes=tuple(delete.path for delete in view.deletes),
    )


def _delete(delete: LiveFile, reach: int, plan: CompactionPlan, leaving: set[str]) -> DeleteFileReport:
    return DeleteFileReport(
        path=delete.path,
        content=delete.content.name.lower().replace("_", "-"),
        partition=plan.state.partition_name(delete.partition),
        bytes=delete.size_bytes,
        records=delete.record_count,
        sequence_number=delete.sequence_number,
        equality_ids=tuple(delete.equality_ids),
        applies_to_data_files=reach,
        leaves_with_compaction=delete.path in leaving,
    )
