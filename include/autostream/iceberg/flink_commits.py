"""Which checkpoints of which Flink jobs a table has, by the summaries of its snapshots. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

_JOB: Final = "flink.job-id"
_OPERATOR: Final = "flink.operator-id"
_CHECKPOINT: Final = "flink.max-committed-checkpoint-id"
_ID: Final = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True)
class Committed:
    """The furthest commit of one sink of a job.

    Attributes:
        checkpoint_id: the last checkpoint that it has.
        snapshot_id: the snapshot.
    """

    checkpoint_id: int
    snapshot_id: int


def ancestors(metadata: TableMetadata) -> Iterator[Snapshot]:
    """Yield the snapshots that main is made of, from its head back to the oldest one that has not expired."""
    snapshot = metadata.current_snapshot()
    while snapshot is not None:
        yield snapshot
        parent = snapshot.parent_snapshot_id
        snapshot = metadata.snapshot_by_id(parent) if parent is not None else None


def committed_checkpoints(metadata: TableMetadata, *, besides: Collection[int] = ()) -> dict[str, dict[str, Committed]]:
    """Return the furthest commit of each sink, by job id and operator id, that main has.

    Commits to other branches, and staged ones, are not there for readers of the table and do not count; nor do the
    snapshots whose ids are in ``besides``.
    """
    found: dict[str, dict[str, Committed]] = {}
    for snapshot in ancestors(metadata):
        if snapshot.snapshot_id in besides:
            continue
        summary = snapshot.summary.additional_properties if snapshot.summary else {}
        job, text = summary.get(_JOB), summary.get(_CHECKPOINT, "")
        if job and _ID.fullmatch(text):
            sinks = found.setdefault(job, {})
            operator = summary.get(_OPERATOR, "")
            if operator not in sinks or sinks[operator].checkpoint_id < int(text):
                sinks[operator] = Committed(int(text), snapshot.snapshot_id)
    return found


def committed_by_all(sinks: Mapping[str, Committed], count: int) -> Committed | None:
    """Return how far each of ``count`` sinks of one job has come, at least; None where so many have not committed."""
    furthest = sorted(sinks.values(), key=lambda sink: sink.checkpoint_id, reverse=True)
    return furthest[count - 1] if len(furthest) >= count else None
