"""Whether tables are complete up to some instant, and the explanation: pure, the same for CLI, sensor and API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from enum import StrEnum
from typing import Any

from autostream.errors import UsageError
from autostream.times import FOREVER_MS, describe_instant, describe_length, iso
from autostream.watermark.marks import MarkSource, TableMark, WriterMark, WriterStatus, slowest


class Quantifier(StrEnum):
    """How many of a condition's tables have to be complete."""

    ALL = "all"
    ANY = "any"


@dataclass(frozen=True)
class Condition:
    """Tables that have to be complete up to an instant.

    Attributes:
        tables: full names, at least one.
        until_ms: what they have to be complete up to, such as the end of a window.
        lateness_ms: how much further the watermark has to be, for rows that come late.
        quantifier: all of the tables, or any.
        writers: only these writers count (the slowest of them); none: all active ones.
        zone: in which times are explained.
    """

    tables: tuple[str, ...]
    until_ms: int
    lateness_ms: int = 0
    quantifier: Quantifier = Quantifier.ALL
    writers: tuple[str, ...] = ()
    zone: tzinfo = UTC

    def __post_init__(self) -> None:
        """Refuse what nobody can mean.

        Raises:
            UsageError: there is no table, or the lateness is negative.
        """
        if not self.tables:
            raise UsageError("Name at least one table.")
        if self.lateness_ms < 0:
            raise UsageError(f"Invalid lateness of {self.lateness_ms} ms: it must be 0 or more.")

    @property
    def need_ms(self) -> int:
        """What the watermarks have to have reached."""
        return min(self.until_ms + self.lateness_ms, FOREVER_MS)


@dataclass(frozen=True)
class Answer:
    """Whether a condition is met, and why or why not.

    Attributes:
        met: whether it is.
        known: whether the watermarks that it turns on are known at all.
        need_ms: what had to be reached.
        watermark_ms: the watermark that it turns on; None where it is not known.
        held_back_by: the writer that holds it back; None where it is met or no writer is known.
        explanation: all of that in a sentence.
        parts: the answers of the tables, where there are several.
    """

    met: bool
    known: bool
    need_ms: int
    watermark_ms: int | None
    held_back_by: str | None
    explanation: str
    parts: tuple[Answer, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "met": self.met,
            "known": self.known,
            "need": iso(self.need_ms),
            "need_ms": self.need_ms,
            "watermark": iso(self.watermark_ms),
            "watermark_ms": self.watermark_ms,
            "held_back_by": self.held_back_by,
            "explanation": self.explanation,
        }


def judge(condition: Condition, marks: Mapping[str, TableMark]) -> Answer:
    """Say whether a condition is met.

    Args:
        condition: what has to be complete.
        marks: what is known of each of its tables; one that is missing counts as not known.
    """
    parts = tuple(_judge_table(condition, table, marks.get(table)) for table in condition.tables)
    if len(parts) == 1:
        return parts[0]
    if condition.quantifier is Quantifier.ANY:
        decisive = next((part for part in parts if part.met), None) or _furthest(parts)
        met = decisive.met
        text = decisive.explanation if met else "; ".join(part.explanation for part in parts)
    else:
        decisive = _least(parts)
        met = decisive.met
        text = decisive.explanation if met else "; ".join(part.explanation for part in parts if not part.met)
        if met:
            text = f"all {len(parts)} tables are complete; the last one: {text}"
    return Answer(
        met=met,
        known=decisive.known,
        need_ms=condition.need_ms,
        watermark_ms=decisive.watermark_ms,
        held_back_by=decisive.held_back_by,
        explanation=text,
        parts=parts,
    )


def _least(parts: Sequence[Answer]) -> Answer:
    return min(parts, key=lambda part: (part.met, part.known, part.watermark_ms or 0))


def _furthest(parts: Sequence[Answer]) -> Answer:
    return max(parts, key=lambda part: (part.known, part.watermark_ms or 0))


def _judge_table(condition: Condition, table: str, mark: TableMark | None) -> Answer:
    need = condition.need_ms
    watermark = _watermark(condition, mark)
    met = watermark is not None and watermark >= need
    culprit = None if met or mark is None else slowest(_counting(condition, mark))
    return Answer(
        met=met,
        known=watermark is not None,
        need_ms=need,
        watermark_ms=watermark,
        held_back_by=culprit.name if culprit else None,
        explanation=_explain(condition, table, mark, watermark, culprit),
    )


def _counting(condition: Condition, mark: TableMark) -> tuple[WriterMark, ...]:
    if not condition.writers:
        return mark.writers
    named = {name: mark.writer(name) for name in condition.writers}
    # A named writer counts, whatever its status in the table; a writer that the table does not know has not reported.
    return tuple(
        replace(writer, status=WriterStatus.ACTIVE) if writer else WriterMark(name, None)
        for name, writer in named.items()
    )


def _watermark(condition: Condition, mark: TableMark | None) -> int | None:
    if mark is None:
        return None
    if not condition.writers:
        return mark.watermark_ms
    values = [writer.watermark_ms for writer in _counting(condition, mark)]
    known = [value for value in values if value is not None]
    return min(known) if len(known) == len(values) else None


def _explain(
    condition: Condition, table: str, mark: TableMark | None, watermark: int | None, culprit: WriterMark | None
) -> str:
    need, zone = condition.need_ms, condition.zone
    beside = need if watermark is None else watermark
    wanted = f"need {describe_instant(need, zone)} {zone}{_made_of(condition)}"
    if mark is None:
        return f"{table}: could not read its watermark, {wanted}"
    if watermark is None:
        return f"{table}: its watermark is not known, {wanted}{_reason(mark, culprit, condition)}"
    estimate = ", estimated from a column's bounds" if mark.source is MarkSource.COLUMN else ""
    reached = f"{table}: watermark {describe_instant(watermark, zone, beside_ms=need)}{estimate}"
    wanted = f"need {describe_instant(need, zone, beside_ms=beside)} {zone}{_made_of(condition)}"
    if watermark >= need:
        return f"{reached}, {wanted}: complete"
    return f"{reached}, {wanted}, {describe_length(need - watermark)} short{_held_back(culprit, condition)}"


def _made_of(condition: Condition) -> str:
    if not condition.lateness_ms:
        return ""
    end = describe_instant(condition.until_ms, condition.zone, beside_ms=condition.need_ms)
    return f" ({end} + {describe_length(condition.lateness_ms)})"


def _reason(mark: TableMark, culprit: WriterMark | None, condition: Condition) -> str:
    if culprit is not None:
        return _held_back(culprit, condition)
    if mark.problems:
        return f": {mark.problems[0]}"
    if mark.writers:
        return ": none of its writers is active"
    return ": no writer reports a watermark"


def _held_back(culprit: WriterMark | None, condition: Condition) -> str:
    if culprit is None:
        return ""
    details = []
    if culprit.job_id:
        details.append(f"job {culprit.job_id}")
    if culprit.watermark_ms is None:
        details.append("it has not reported yet")
    elif culprit.recorded_at_ms is not None:
        since = describe_instant(culprit.recorded_at_ms, condition.zone, beside_ms=condition.need_ms)
        details.append(f"there since {since}")
    if culprit.note:
        details.append(culprit.note)
    more = f" ({', '.join(details)})" if details else ""
    return f", held back by writer {culprit.name}{more}"
