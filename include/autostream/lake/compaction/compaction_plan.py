"""What a compaction will do to a table: which files, in which groups, why. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from autostream.errors import UsageError
from autostream.iceberg.deletes import removable
from autostream.iceberg.files import Content, FileTest, LiveFile, PartitionKey
from autostream.iceberg.state import TableState
from autostream.lake.commit.replacements import FileGroup
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.reasons import CompactionReason, in_words
from autostream.sizes import format_size
from autostream.spelling import one_of


@dataclass(frozen=True)
class DataFileView:
    """A data file with the deletes that can apply to it.

    `deleted_ratio` estimates from metadata alone the share of its rows that deletes remove, at most 1.
    """

    file: LiveFile
    deletes: tuple[LiveFile, ...]
    deleted_ratio: float


@dataclass(frozen=True, kw_only=True)
class PlannedGroup(FileGroup):
    """Files of one spec and partition that are merged into outputs together; they are ordered by sequence number.

    Attributes:
        reasons: Why the group was chosen.
    """

    reasons: tuple[CompactionReason, ...]

    @property
    def reason(self) -> str:
        """The reasons in words."""
        return in_words(self.reasons)

    def to_dict(self, *, files: bool = False) -> dict[str, Any]:
        """Return what a report shows of the group; with `files`, the paths of what it merges and applies too."""
        document: dict[str, Any] = {
            "group": self.number,
            "partition": self.partition,
            "reason": self.reason,
            "data_files": len(self.files),
            "bytes": self.input_bytes,
            "records": self.input_rows,
            "equality_delete_files": sum(d.content == Content.EQUALITY_DELETES for d in self.deletes),
            "position_delete_files": sum(d.content == Content.POSITION_DELETES for d in self.deletes),
            "data_sequence_number": self.sequence_number,
        }
        if files:
            document["merges"] = [file.path for file in self.files]
            document["applies"] = [delete.path for delete in self.deletes]
        return document


@dataclass(frozen=True)
class CompactionPlan:
    """The groups to merge, made on one snapshot.

    Attributes:
        state: the snapshot's files.
        options: what the plan was made by.
        groups: groups to merge; empty when there is nothing to do.
        removed_deletes: delete files that leave the table once all groups are committed (rule 4).
        skipped: why the other partitions stay as they are, by partition name.
    """

    state: TableState
    options: CompactionOptions
    groups: tuple[PlannedGroup, ...]
    removed_deletes: tuple[LiveFile, ...]
    skipped: dict[str, CompactionReason]

    @property
    def applied_deletes(self) -> tuple[LiveFile, ...]:
        """Delete files that some group applies."""
        return tuple({d.path: d for group in self.groups for d in group.deletes}.values())

    @property
    def has_work(self) -> bool:
        """Whether there is anything to commit: files to merge, or deletes that no data file needs any more."""
        return bool(self.groups or self.removed_deletes)

    def to_dict(self, *, files: bool = False) -> dict[str, Any]:
        """Return the plan; with `files`, as `--dry-run --json` prints it, all paths included."""
        document: dict[str, Any] = {
            "snapshot_id": self.state.snapshot_id,
            "groups": [group.to_dict(files=files) for group in self.groups],
            "deletes": {
                "applied": len(self.applied_deletes),
                "removed": len(self.removed_deletes),
                "kept": len(self.state.deletes) - len(self.removed_deletes),
            },
            "skipped": {name: str(reason) for name, reason in self.skipped.items()},
        }
        if files:
            document["deletes"]["lets_go"] = [delete.path for delete in self.removed_deletes]
        return document


def view_files(state: TableState) -> list[DataFileView]:
    """Return every data file with its deletes and the estimated share of deleted rows.

    Rows of a position-delete file count in full for the one file that it names. Rows of any other delete file are
    spread over the data files that it can apply to, by their record counts: metadata does not tell which keys hit
    which file.
    """
    deletes = {path: tuple(state.index.deletes(file)) for path, file in state.data.items()}
    reached: dict[str, int] = defaultdict(int)
    for path, file in state.data.items():
        for delete in deletes[path]:
            reached[delete.path] += file.claimed_rows
    views = []
    for path, file in state.data.items():
        share = sum(d.claimed_rows / max(reached[d.path], d.claimed_rows, 1) for d in deletes[path])
        views.append(DataFileView(file, deletes[path], min(1.0, share)))
    return views


def plan(
    state: TableState,
    options: CompactionOptions,
    *,
    matches: FileTest = lambda _: True,
    partitions: Iterable[str] | None = None,
) -> CompactionPlan:
    """Decide which files are merged, in which groups.

    A file is a candidate for its size, the number of its deletes or the share of its deleted rows. The candidates of
    one spec and partition (rule 2) are packed into groups; a group is worth merging if it has enough files, enough
    data, or a file with too many deletes, as in Iceberg's SizeBasedFileRewritePlanner and BinPackRewriteFilePlanner.

    Args:
        state: the table as of the snapshot that the plan is for.
        options: thresholds.
        matches: only data files for which it is true are considered.
        partitions: names of partitions to limit the plan to.
    """
    wanted = None if partitions is None else frozenset(partitions)
    by_partition: dict[PartitionKey, list[DataFileView]] = defaultdict(list)
    for view in view_files(state):
        if matches(view.file):
            by_partition[view.file.partition].append(view)
    groups: list[PlannedGroup] = []
    skipped: dict[str, CompactionReason] = {}
    for key, views in sorted(by_partition.items(), key=lambda item: (item[0][0], str(item[0][1]))):
        name = state.partition_name(key)
        if wanted is not None and name not in wanted:
            continue
        chosen = [
            (bin_, reasons)
            for bin_ in pack([v for v in views if _is_candidate(v, options)], options.max_file_group_size_bytes)
            if (reasons := _reasons(bin_, options))
        ]
        if not chosen:
            skipped[name] = _why_not(views, options)
        for bin_, reasons in chosen:
            groups.append(_group(len(groups), name, key, bin_, reasons, state, options))
    return CompactionPlan(state, options, tuple(groups), _removed(state, groups), skipped)


def require_partitions(state: TableState, names: Iterable[str], *, table: str) -> None:
    """Refuse names of partitions of which the table has no data file: a plan would leave them out without a word.

    Raises:
        UsageError: a name matches nothing; says what there is.
    """
    known = sorted({state.partition_name(file.partition) for file in state.data.values()})
    for name in names:
        if name not in known:
            raise UsageError(f"Table {table} has no partition {name!r}. {one_of(name, known, 'Partitions')}")


def _is_candidate(view: DataFileView, options: CompactionOptions) -> bool:
    size = view.file.size_bytes
    return (
        options.rewrite_all
        or not options.min_file_size_bytes <= size <= options.max_file_size_bytes
        or _has_too_many_deletes(view, options)
    )


def _has_too_many_deletes(view: DataFileView, options: CompactionOptions) -> bool:
    if not view.deletes:
        return False
    return len(view.deletes) >= options.delete_file_threshold or view.deleted_ratio >= options.delete_ratio_threshold


def pack(views: Sequence[DataFileView], max_bytes: int) -> list[list[DataFileView]]:
    """Pack files into bins of at most `max_bytes`, by data sequence number; a larger file has a bin of its own.

    The order keeps files of one age together, so that an output's sequence number is close to those of its inputs.
    """
    bins: list[list[DataFileView]] = []
    filled = 0
    for view in sorted(views, key=lambda v: (v.file.sequence_number, v.file.path)):
        if not bins or filled + view.file.size_bytes > max_bytes:
            bins.append([])
            filled = 0
        bins[-1].append(view)
        filled += view.file.size_bytes
    return bins


def _reasons(views: Sequence[DataFileView], options: CompactionOptions) -> tuple[CompactionReason, ...]:
    """Say why a group is worth merging; nothing if it is not."""
    size = sum(v.file.size_bytes for v in views)
    many = sum(len(v.deletes) >= options.delete_file_threshold for v in views)
    high = sum(bool(v.deletes) and v.deleted_ratio >= options.delete_ratio_threshold for v in views)
    several = len(views) > 1
    told: list[tuple[bool, str, dict[str, int | str]]] = [
        (options.rewrite_all, "rewrite-all", {}),
        (several and len(views) >= options.min_input_files, "enough-files", {"files": len(views)}),
        (
            several and size > options.target_file_size_bytes,
            "enough-bytes",
            {"size": format_size(options.target_file_size_bytes)},
        ),
        (size > options.max_file_size_bytes, "too-large", {"size": format_size(options.max_file_size_bytes)}),
        (many > 0, "many-deletes", {"files": many, "deletes": options.delete_file_threshold}),
        (high > 0, "many-deleted-rows", {"files": high, "share": f"{options.delete_ratio_threshold:.0%}"}),
    ]
    return tuple(CompactionReason(id_, values) for holds, id_, values in told if holds)


def _why_not(views: Sequence[DataFileView], options: CompactionOptions) -> CompactionReason:
    candidates = sum(_is_candidate(v, options) for v in views)
    if not candidates:
        most = max((len(v.deletes) for v in views), default=0)
        return CompactionReason(
            "good-sizes", {"files": len(views), "deletes": options.delete_file_threshold, "most": most}
        )
    return CompactionReason(
        "too-few-files", {"candidates": candidates, "files": len(views), "least": options.min_input_files}
    )


def _group(
    number: int,
    name: str,
    key: PartitionKey,
    views: Sequence[DataFileView],
    reasons: tuple[CompactionReason, ...],
    state: TableState,
    options: CompactionOptions,
) -> PlannedGroup:
    largest = max(v.file.sequence_number for v in views)
    return PlannedGroup(
        number=number,
        partition=name,
        partition_key=key,
        files=tuple(v.file for v in views),
        deletes=tuple({d.path: d for v in views for d in v.deletes}.values()),
        reasons=reasons,
        sequence_number=state.sequence_number if options.sequence_number == "starting-snapshot" else largest,
    )


def _removed(state: TableState, groups: Sequence[PlannedGroup]) -> tuple[LiveFile, ...]:
    replaced = {file.path for group in groups for file in group.files}
    remaining = [file for path, file in state.data.items() if path not in replaced]
    left = removable(
        deletes=state.deletes, index=state.index, remaining=remaining, applied=frozenset(state.deletes), outputs=()
    )
    return tuple(left.values())
