"""Which checkpoints of which Flink jobs a table has, by the summaries of its snapshots. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from autostream.iceberg.snapshots import SnapshotFacts

_JOB: Final = "flink.job-id"
_OPERATOR: Final = "flink.operator-id"
_CHECKPOINT: Final = "flink.max-committed-checkpoint-id"
_ID: Final = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True)
class FlinkCommit:
    """The furthest commit of one sink of a job.

    Attributes:
        checkpoint_id: The last checkpoint that it has.
        snapshot_id: The snapshot.
    """

    checkpoint_id: int
    snapshot_id: int


def flink_job_ids(snapshots: Iterable[SnapshotFacts]) -> list[str]:
    """Return the ids of the Flink jobs that committed snapshots, each once, in the order of these."""
    return list(dict.fromkeys(job for snapshot in snapshots if (job := snapshot.summary.get(_JOB))))


def committed_checkpoints(
    snapshots: Iterable[SnapshotFacts], *, besides: Collection[int] = ()
) -> dict[str, dict[str, FlinkCommit]]:
    """Return the furthest commit of each sink among snapshots, by job id and operator id.

    Args:
        snapshots: Where to look: what is on other branches or only staged is not there for readers of the table.
        besides: Ids of the snapshots that do not count.
    """
    found: dict[str, dict[str, FlinkCommit]] = {}
    for snapshot in snapshots:
        job, text = snapshot.summary.get(_JOB), snapshot.summary.get(_CHECKPOINT, "")
        if job and _ID.fullmatch(text) and snapshot.snapshot_id not in besides:
            sinks = found.setdefault(job, {})
            operator = snapshot.summary.get(_OPERATOR, "")
            if operator not in sinks or sinks[operator].checkpoint_id < int(text):
                sinks[operator] = FlinkCommit(int(text), snapshot.snapshot_id)
    return found


def committed_by_all(sinks: Mapping[str, FlinkCommit], count: int) -> FlinkCommit | None:
    """Return how far each of `count` sinks of one job has come, at least; None where so many have not committed."""
    furthest = sorted(sinks.values(), key=lambda sink: sink.checkpoint_id, reverse=True)
    return furthest[count - 1] if len(furthest) >= count else None
