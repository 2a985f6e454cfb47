"""Vertices whose subtasks have different shares of the work, and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from autostream.diagnosis.vertex_times import SubtaskTimes, VertexTimes, percent
from autostream.findings import Finding, Severity
from autostream.spelling import counted

SKEWED: Final = 1.5
"""A subtask that has this many times the records of the mean is one too busy."""
LEAST_RECORDS: Final = 1000
"""Fewer records than this in all tell nothing: chance alone spreads them unevenly."""
_MOST_NAMED: Final = 5
_EXPLAINED: Final = 0.9


@dataclass(frozen=True)
class VertexSkew:
    """How a vertex's records are spread over its subtasks.

    Attributes:
        vertex: The vertex.
        total: Records of all subtasks since they began.
        ratio: Records of the subtask that has most, over the mean.
        heavy: The subtasks that have `SKEWED` times the mean or more, the heaviest first.
        empty: Indices of subtasks that have none at all.
        kind: Why: `source` (its splits or partitions), `key-groups` (they are dealt unevenly), `keys` (some keys have
            most records), `upstream` (it is handed on), `partitioner` (the job's own), `machine` (records are even,
            work is not), `unexplained`.
    """

    vertex: VertexTimes
    total: int
    ratio: float
    heavy: tuple[SubtaskTimes, ...]
    empty: tuple[int, ...]
    kind: str

    @property
    def finding(self) -> Finding:
        """Say which subtasks have how much, and what to do."""
        title, count = self.vertex.title, len(self.vertex.subtasks)
        if self.kind == "machine":
            return self._of_machine()
        named = [_share(one, self.total) for one in self.heavy[:_MOST_NAMED]]
        more = f" and {len(self.heavy) - _MOST_NAMED} more" if len(self.heavy) > _MOST_NAMED else ""
        reason = (
            f"The records of {title} are skewed: the heaviest of its {count} subtasks has {self.ratio:.1f} times the "
            f"mean. {', '.join(named)}{more}; an even share would be {1 / count:.0%}."
        )
        if self.empty:
            reason += f" {counted(len(self.empty), 'subtask')} of it got no record at all."
        reason, remedy = self._with_cause(reason)
        return Finding(
            title,
            Severity.WARNING,
            reason,
            remedy,
            id="skew",
            figures={"ratio": round(self.ratio, 2), "subtasks": count, "records": self.total},
        )

    def _with_cause(self, reason: str) -> tuple[str, str]:
        vertex = self.vertex
        groups = vertex.max_parallelism
        match self.kind:
            case "key-groups":
                assert groups is not None
                dealt = key_groups(groups, vertex.parallelism)
                return (
                    f"{reason} Key groups cause it: {groups} of them on {vertex.parallelism} subtasks give some "
                    f"{max(dealt)} and others {min(dealt)}.",
                    f"Choose a parallelism that divides {groups}, or a larger max parallelism (a new job without the "
                    "old state).",
                )
            case "keys":
                where = f" (key groups {_range(groups, vertex.parallelism, self.heavy[0].index)})" if groups else ""
                return (
                    f"{reason} Keys cause it: some keys of subtask {self.heavy[0].index}{where} have most records; "
                    "more parallelism does not split a key.",
                    "Aggregate in two steps with a salted key, filter the hot keys out (null or default values are "
                    "often among them), or use local-global aggregation in SQL.",
                )
            case "source":
                return (
                    f"{reason} Its partitions (splits) cause it: they differ in size, or there are fewer or more of "
                    "them than subtasks, so that they cannot be dealt evenly.",
                    "Choose a parallelism that divides the number of partitions, spread records over partitions when "
                    "they are written, or rebalance behind the source.",
                )
            case "upstream":
                return (
                    f"{reason} It is handed on: each of its subtasks gets the records of one subtask before it.",
                    "Mend the vertex before it, or rebalance in between.",
                )
            case "partitioner":
                return f"{reason} The job's own partitioner spreads them so.", "Change the partitioner."
        exchange = " and ".join(sorted({strategy for _, strategy in vertex.inputs}))
        return (
            f"{reason} Its input is {exchange}, which spreads records evenly: its subtasks may have begun at different "
            "times.",
            "Look again later, with records of the same time.",
        )

    def _of_machine(self) -> Finding:
        slow = self.heavy[0]
        reason = (
            f"The records of {self.vertex.title} are spread evenly, but subtask {slow.index} works "
            f"{percent(slow.busy)} of its time, in the mean they work {percent(self.vertex.mean_busy)}."
        )
        where = f"on task manager {slow.task_manager_id} " if slow.task_manager_id else ""
        return Finding(
            self.vertex.title,
            Severity.WARNING,
            f"{reason} Its records cost more, or it {where}runs slower.",
            "Compare with the other subtasks of that task manager and machine: CPU taken by others, throttling, disks.",
            id="uneven-work",
            figures={"busy": round(slow.busy or 0.0, 3), "busy_mean": round(self.vertex.mean_busy or 0.0, 3)},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "vertex_id": self.vertex.vertex_id,
            "name": self.vertex.name,
            "kind": self.kind,
            "ratio": round(self.ratio, 3),
            "records": self.total,
            "heavy": [
                {"subtask": one.index, "records": one.records, "share": (one.records or 0) / max(self.total, 1)}
                for one in self.heavy
            ],
            "empty": list(self.empty),
        }


def find_skew(vertices: Sequence[VertexTimes]) -> tuple[VertexSkew, ...]:
    """Return the vertices whose work is spread unevenly, the most uneven first."""
    found = [skew for vertex in vertices if (skew := _skew_of(vertex)) is not None]
    return tuple(sorted(found, key=lambda skew: -skew.ratio))


def key_groups(max_parallelism: int, parallelism: int) -> list[int]:
    """Return how many key groups each subtask has; Flink's `KeyGroupRangeAssignment` deals them so."""
    return [len(_groups(max_parallelism, parallelism, index)) for index in range(parallelism)]


def _groups(max_parallelism: int, parallelism: int, index: int) -> range:
    first = (index * max_parallelism + parallelism - 1) // parallelism
    last = ((index + 1) * max_parallelism - 1) // parallelism
    return range(first, last + 1)


def _range(max_parallelism: int, parallelism: int, index: int) -> str:
    groups = _groups(max_parallelism, parallelism, index)
    return f"{groups[0]} to {groups[-1]}" if groups else "none"


def _skew_of(vertex: VertexTimes) -> VertexSkew | None:
    known = [(one, one.records) for one in vertex.subtasks if one.records is not None]
    total = sum(records for _, records in known)
    if len(known) < 2 or len(known) < len(vertex.subtasks) or total < LEAST_RECORDS:
        return None
    mean = total / len(known)
    heaviest = max(records for _, records in known)
    ratio = heaviest / mean
    if ratio < SKEWED:
        return _uneven_work(vertex, total, ratio)
    heavy = sorted((p for p in known if p[1] >= SKEWED * mean), key=lambda pair: -pair[1])
    empty = tuple(one.index for one, records in known if records == 0)
    return VertexSkew(vertex, total, ratio, tuple(one for one, _ in heavy), empty, _kind(vertex, ratio))


def _uneven_work(vertex: VertexTimes, total: int, ratio: float) -> VertexSkew | None:
    busy = [one for one in vertex.subtasks if one.busy is not None]
    if len(busy) < len(vertex.subtasks):
        return None
    slowest = max(busy, key=lambda one: one.busy or 0.0)
    others = [one.busy or 0.0 for one in busy if one is not slowest]
    if (slowest.busy or 0.0) < 0.5 or (slowest.busy or 0.0) < 2 * sum(others) / len(others):
        return None
    return VertexSkew(vertex, total, ratio, (slowest,), (), "machine")


def _kind(vertex: VertexTimes, ratio: float) -> str:
    strategies = {strategy.upper() for _, strategy in vertex.inputs}
    if not strategies:
        return "source"
    if "HASH" in strategies:
        if vertex.max_parallelism is None or vertex.parallelism != len(vertex.subtasks):
            return "keys"
        dealt = key_groups(vertex.max_parallelism, vertex.parallelism)
        by_groups = max(dealt) * len(dealt) / max(sum(dealt), 1)
        return "key-groups" if by_groups >= _EXPLAINED * ratio else "keys"
    if strategies <= {"FORWARD", "RESCALE"}:
        return "upstream"
    return "partitioner" if strategies & {"CUSTOM", "RANGE"} else "unexplained"


def _share(one: SubtaskTimes, total: int) -> str:
    return f"subtask {one.index} has {(one.records or 0) / total:.0%} of {total:,}"
