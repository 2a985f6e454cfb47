"""Which subtasks of which sources hold back the watermark of a job. Pure.

The watermark of a vertex is the smallest of all subtasks that it gets rows from, but for those that are marked idle.
So one subtask of a source that stands still holds all that come after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from autostream.findings import Finding, Severity
from autostream.spelling import counted, shortened
from autostream.times import FOREVER_MS, describe_length, iso

NONE_YET_MS: Final = -(2**63)
"""What Flink shows before the first watermark."""
ENDED_MS: Final = 2**63 - 1
"""What a source sends that has ended."""
# As numbers of JavaScript these two lose their last digits.
_NEAR: Final = 2**62
FAR_APART_MS: Final = 60_000
_MOST_NAMED: Final = 5


@dataclass(frozen=True)
class SourceSubtask:
    """The watermark that a subtask of a source has sent last.

    Attributes:
        vertex_id: The vertex of the source.
        vertex: Its name.
        index: Which subtask.
        watermark_ms: Event time; None before the first watermark, `FOREVER_MS` from an end on.
        idle: Whether it is marked idle, so that it holds nobody; None where Flink does not tell.
    """

    vertex_id: str
    vertex: str
    index: int
    watermark_ms: int | None
    idle: bool | None = None


@dataclass(frozen=True)
class WatermarkReport:
    """What is known of a job's watermarks.

    Attributes:
        sources: All subtasks of sources, those that are furthest behind first.
        inputs: The smallest input watermark of each other vertex, by its name; None: none yet.
        holders: The subtasks that hold the watermark: those that are not idle and furthest behind.
        now_ms: The time to which watermarks are compared.
    """

    sources: tuple[SourceSubtask, ...]
    inputs: Mapping[str, int | None]
    holders: tuple[SourceSubtask, ...]
    now_ms: int

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Say who holds the watermark, and by how much."""
        if not self.sources:
            return (
                Finding(
                    "watermarks",
                    Severity.INFO,
                    "Flink shows no watermarks of this job's sources: it has no event time, or its metrics are not "
                    "there yet.",
                    id="watermarks-unknown",
                ),
            )
        return tuple(filter(None, (self._of_holders(), self._of_idle())))

    def _of_holders(self) -> Finding:
        if not self.holders:
            told = "All subtasks of its sources are idle or have ended: nothing holds the watermark."
            return Finding("watermarks", Severity.OK, told, id="watermark-held-by-none")
        least = self.holders[0].watermark_ms
        named = _named(self.holders)
        if least is None:
            none = all(one.watermark_ms is None for one in self.sources)
            moved = any(value is not None for value in self.inputs.values())
            reason = f"{named} {'have' if len(self.holders) > 1 else 'has'} sent no watermark yet"
            if none and not moved:
                return Finding(
                    "watermarks",
                    Severity.INFO,
                    f"{reason}, and neither has any other source: event time stands still.",
                    "If windows or watermarks of tables are expected, give the source a watermark strategy.",
                    id="watermark-missing",
                )
            return Finding(
                "watermarks",
                Severity.WARNING,
                f"{reason}: everything that gets their rows waits.",
                "A subtask without any partition or rows needs an idle time-out: withIdleness, or "
                "table.exec.source.idle-timeout in SQL. Otherwise look at why it reads nothing.",
                id="watermark-held",
            )
        behind_ms = self.now_ms - least
        ahead = [one.watermark_ms for one in self.sources if one.watermark_ms is not None and not one.idle]
        spread_ms = max((value for value in ahead if value < FOREVER_MS), default=least) - least
        reason = f"{named} {'hold' if len(self.holders) > 1 else 'holds'} the watermark at {iso(least)}"
        reason += f", {describe_length(behind_ms)} ago" if behind_ms >= 0 else ", ahead of this machine's clock"
        if spread_ms < FAR_APART_MS:
            return Finding(
                "watermarks",
                Severity.OK,
                f"{reason}; the other subtasks of the sources are at most {describe_length(spread_ms)} ahead.",
                id="watermark-even",
                figures={"behind_ms": behind_ms, "spread_ms": spread_ms},
            )
        return Finding(
            "watermarks",
            Severity.WARNING,
            f"{reason}; others are up to {describe_length(spread_ms)} ahead.",
            "Look at what it reads: a partition with a large backlog, old rows, or hardly any rows (then an idle "
            "time-out helps: withIdleness, or table.exec.source.idle-timeout). Watermark alignment limits how far "
            "others run ahead.",
            id="watermark-held",
            figures={"behind_ms": behind_ms, "spread_ms": spread_ms},
        )

    def _of_idle(self) -> Finding | None:
        idle = [one for one in self.sources if one.idle]
        if not idle:
            return None
        verb = "is" if len(idle) == 1 else "are"
        told = f"{_named(idle)} {verb} idle: {counted(len(idle), 'subtask')} of sources hold nothing back."
        return Finding("watermarks", Severity.INFO, told, id="sources-idle")

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "holders": [{"vertex_id": one.vertex_id, "subtask": one.index} for one in self.holders],
            "sources": [{**vars(one), "watermark": iso(one.watermark_ms)} for one in self.sources],
            "inputs": dict(self.inputs),
        }


def find_holders(
    sources: Sequence[SourceSubtask], inputs: Mapping[str, int | None], *, fed: Mapping[str, int | None], now_ms: int
) -> WatermarkReport:
    """Return who holds the watermark.

    Args:
        sources: The subtasks of all sources.
        inputs: The smallest input watermark of each other vertex, by its name; None: none yet.
        fed: The same of the vertices that get rows from a source, by the source's vertex id. One that is past what a
            subtask has sent proves that this subtask is idle.
        now_ms: The present.
    """
    judged = [_judged(one, fed.get(one.vertex_id)) for one in sources]
    judged.sort(key=lambda one: (_order(one.watermark_ms), one.vertex, one.index))
    holding = [one for one in judged if not one.idle and not (one.watermark_ms or 0) >= FOREVER_MS]
    least = _order(holding[0].watermark_ms) if holding else None
    holders = tuple(one for one in holding if _order(one.watermark_ms) == least)
    return WatermarkReport(tuple(judged), dict(inputs), holders, now_ms)


def watermark_of(number: float | int | None) -> int | None:
    """Return a watermark as Flink's metrics show it: None before the first one, `FOREVER_MS` after the last."""
    if number is None or number <= -_NEAR:
        return None
    return FOREVER_MS if number >= _NEAR else round(number)


def _judged(one: SourceSubtask, after: int | None) -> SourceSubtask:
    if one.idle is not None or after is None or _order(one.watermark_ms) >= after:
        return one
    return SourceSubtask(one.vertex_id, one.vertex, one.index, one.watermark_ms, idle=True)


def _order(watermark_ms: int | None) -> int:
    return NONE_YET_MS if watermark_ms is None else watermark_ms


def _named(subtasks: Sequence[SourceSubtask]) -> str:
    by_vertex: dict[str, list[int]] = {}
    for one in subtasks:
        by_vertex.setdefault(one.vertex, []).append(one.index)
    words = []
    for vertex, indices in by_vertex.items():
        some = ", ".join(map(str, indices[:_MOST_NAMED])) + (" ..." if len(indices) > _MOST_NAMED else "")
        words.append(f"subtask{'s' if len(indices) > 1 else ''} {some} of {shortened(vertex)}")
    named = " and ".join(words)
    return named[:1].upper() + named[1:]
