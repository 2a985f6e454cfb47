"""Where the time of one checkpoint went: which subtask was slow, and in which part of it. Pure.

A subtask's time is, one after the other: the *start delay* until the first barrier reaches it; the *alignment*, while
the barriers of its other inputs are still on their way; the *synchronous part*, in which it does nothing else; and the
*asynchronous part*, in which state is written to storage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from autostream.findings import Finding, Severity
from autostream.masking import mask
from autostream.sizes import format_size
from autostream.spelling import shortened
from autostream.times import describe_length

SLOW_MS: Final = 1000
"""A checkpoint that takes less than this is not looked at for what made it slow."""

_PARTS: Final = {
    "start_delay": (
        "the start delay: its barrier came so late because the records before it had to be worked off first",
        "Find the bottleneck (`--part back-pressure`), or let barriers overtake records: "
        "execution.checkpointing.unaligned.enabled with an aligned-checkpoint-timeout, where the sink allows it.",
    ),
    "alignment": (
        "the alignment: barriers of some inputs came long before those of others",
        "Its inputs differ in speed: look for skew and back pressure in the vertices before it "
        "(`--part skew`, `--part back-pressure`).",
    ),
    "synchronous": (
        "the synchronous part: the task stood still while it took its snapshot",
        "Look at what the operator does in snapshotState and at timers (a flame graph shows it); with RocksDB, put its "
        "local directory on a fast disk.",
    ),
    "asynchronous": (
        "the asynchronous part: state was written to the checkpoint storage",
        "Use incremental checkpoints (execution.checkpointing.incremental), make the state smaller by TTL, or look at "
        "the throughput of the storage.",
    ),
    "other": (
        "none of its parts: it waited for the task to answer, or for its acknowledgement to arrive",
        "Look at the load and the garbage collection of its task manager and of the job manager.",
    ),
}


@dataclass(frozen=True)
class SubtaskCheckpoint:
    """One subtask's part of a checkpoint, in milliseconds. None: Flink does not tell.

    Attributes:
        index: Which subtask.
        acknowledged: Whether it has done its part.
        duration_ms: From the trigger to its acknowledgement.
        start_delay_ms: Until its first barrier came.
        alignment_ms: Until the last one came.
        synchronous_ms: The part that stops the task.
        asynchronous_ms: The part that does not.
        state_size_bytes: Size of its state.
        unaligned: Whether barriers have overtaken records.
    """

    index: int
    acknowledged: bool
    duration_ms: int | None = None
    start_delay_ms: int | None = None
    alignment_ms: int | None = None
    synchronous_ms: int | None = None
    asynchronous_ms: int | None = None
    state_size_bytes: int | None = None
    unaligned: bool = False

    @property
    def parts_ms(self) -> dict[str, int]:
        """Its time by parts, which add up to the whole."""
        parts = {
            "start_delay": self.start_delay_ms or 0,
            "alignment": self.alignment_ms or 0,
            "synchronous": self.synchronous_ms or 0,
            "asynchronous": self.asynchronous_ms or 0,
        }
        return {**parts, "other": max((self.duration_ms or 0) - sum(parts.values()), 0)}

    @property
    def longest_part(self) -> str:
        """The part that took longest."""
        parts = self.parts_ms
        return max(parts, key=parts.__getitem__)


@dataclass(frozen=True)
class VertexCheckpoint:
    """One vertex's part of a checkpoint.

    Attributes:
        vertex_id: Its id.
        name: Its name.
        subtasks: All of its subtasks.
    """

    vertex_id: str
    name: str
    subtasks: tuple[SubtaskCheckpoint, ...]

    @property
    def pending(self) -> tuple[int, ...]:
        """Indices of the subtasks that have not acknowledged."""
        return tuple(one.index for one in self.subtasks if not one.acknowledged)

    @property
    def slowest(self) -> SubtaskCheckpoint | None:
        """The subtask that took longest; None where none has acknowledged."""
        done = [one for one in self.subtasks if one.acknowledged]
        return max(done, key=lambda one: one.duration_ms or 0, default=None)


@dataclass(frozen=True)
class CheckpointAnatomy:
    """One checkpoint, taken apart.

    Attributes:
        checkpoint_id: Its id.
        status: `COMPLETED`, `FAILED` or `IN_PROGRESS`.
        duration_ms: How long it took, or has taken so far.
        state_size_bytes: Size of the job's state in it.
        failure: Why it failed; empty where it did not.
        vertices: Its parts, in the order of the job's plan.
    """

    checkpoint_id: int
    status: str
    duration_ms: int | None
    state_size_bytes: int | None
    failure: str
    vertices: tuple[VertexCheckpoint, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Say what was slow, and in which part."""
        return tuple(filter(None, (self._of_pending(), self._of_slowest())))

    def _of_pending(self) -> Finding | None:
        """Say who has not acknowledged, where the checkpoint failed or is under way."""
        waiting = [vertex for vertex in self.vertices if vertex.pending]
        if self.status == "COMPLETED":
            return None
        state = "failed" if self.status == "FAILED" else "is under way"
        reason = f"Checkpoint {self.checkpoint_id} {state}"
        if self.duration_ms is not None:
            reason += f" after {describe_length(self.duration_ms)}"
        reason += f": {mask(self.failure)}." if self.failure else "."
        for vertex in waiting:
            missing = ", ".join(map(str, vertex.pending[:5])) + (" ..." if len(vertex.pending) > 5 else "")
            reason += (
                f" {shortened(vertex.name)}: {len(vertex.pending)} of {len(vertex.subtasks)} subtasks have not "
                f"acknowledged it ({missing})."
            )
        remedy = ""
        if waiting:
            remedy = (
                f"Look at {shortened(waiting[0].name)} first: a subtask that does not acknowledge is back-pressured, "
                "or blocked (`--part back-pressure`, `--part threads`)."
            )
        severity = Severity.ERROR if self.status == "FAILED" else Severity.INFO
        return Finding(f"checkpoint {self.checkpoint_id}", severity, reason, remedy, id="checkpoint-incomplete")

    def _of_slowest(self) -> Finding | None:
        slowest = [(vertex, vertex.slowest) for vertex in self.vertices if vertex.slowest is not None]
        if not slowest:
            return None
        vertex, subtask = max(slowest, key=lambda pair: (pair[1].duration_ms or 0) if pair[1] else 0)
        assert subtask is not None
        took = subtask.duration_ms or 0
        subject = f"checkpoint {self.checkpoint_id}"
        if took < SLOW_MS:
            told = f"Its slowest subtask took {describe_length(took)}: nothing was slow."
            return Finding(subject, Severity.OK, told, id="checkpoint-quick", figures={"duration_ms": took})
        part = subtask.longest_part
        words, remedy = _PARTS[part]
        size = f" of {format_size(subtask.state_size_bytes)}" if subtask.state_size_bytes else ""
        reason = (
            f"Subtask {subtask.index} of {shortened(vertex.name)} was the slowest of checkpoint {self.checkpoint_id}: "
            f"{describe_length(took)}{size}, of which {describe_length(subtask.parts_ms[part])} were {words}."
        )
        figures = {f"{name}_ms": float(ms) for name, ms in subtask.parts_ms.items()}
        return Finding(
            subject, Severity.WARNING, reason, remedy, id=f"checkpoint-{part.replace('_', '-')}", figures=figures
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "id": self.checkpoint_id,
            "status": self.status,
            "duration_ms": self.duration_ms,
            "state_size_bytes": self.state_size_bytes,
            "failure": mask(self.failure) or None,
            "vertices": [
                {
                    "vertex_id": vertex.vertex_id,
                    "name": vertex.name,
                    "pending": list(vertex.pending),
                    "slowest": vertex.slowest.index if vertex.slowest else None,
                    "subtasks": [{**vars(one), "parts_ms": one.parts_ms} for one in vertex.subtasks],
                }
                for vertex in self.vertices
            ],
        }


@dataclass(frozen=True)
class CheckpointInHistory:
    """A checkpoint that could be looked at.

    Attributes:
        checkpoint_id: Its id.
        status: `COMPLETED`, `FAILED` or `IN_PROGRESS`.
        duration_ms: How long it took, or has taken so far.
    """

    checkpoint_id: int
    status: str
    duration_ms: int | None = None


def worth_a_look(history: Sequence[CheckpointInHistory]) -> CheckpointInHistory | None:
    """Return the checkpoint that tells most, None where there was none yet.

    That is one that is under way and has taken longer than the last completed one did; else the newest, where it
    failed; else the slowest of those in the history that have completed.
    """
    newest = sorted(history, key=lambda one: -one.checkpoint_id)
    completed = [one for one in newest if one.status == "COMPLETED"]
    usual_ms = (completed[0].duration_ms or 0) if completed else 0
    for one in newest:
        if one.status == "IN_PROGRESS" and (one.duration_ms or 0) > usual_ms:
            return one
    ended = [one for one in newest if one.status != "IN_PROGRESS"]
    if ended and ended[0].status == "FAILED":
        return ended[0]
    slowest = max(completed, key=lambda one: one.duration_ms or 0, default=None)
    return slowest or next(iter(newest), None)
