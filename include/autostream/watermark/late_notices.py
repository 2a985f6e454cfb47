"""What people are told of tables that are late, and of those who waited for them in vain. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from autostream.findings import Severity
from autostream.notices import Notice, NoticeKind, page_of_table
from autostream.times import describe_instant, describe_length
from autostream.watermark.conditions import Answer, Condition, judge
from autostream.watermark.marks import TableMark, slowest

_CAUGHT_UP: Final = 0.5
"""A table that was late has caught up when it is behind by less than this share of what is allowed."""


@dataclass
class LatenessWatch:
    """Whether a table is late, from look to look.

    Attributes:
        allowed_ms: How far behind now its watermark may be; 0: any distance.
        late: Whether it was, at the last look.
    """

    allowed_ms: int
    late: bool = False

    def look(self, mark: TableMark, now_ms: int) -> Notice | None:
        """Return what is to be told of a table; None where nothing is, or its watermark is not known."""
        if not self.allowed_ms or mark.watermark_ms is None:
            return None
        behind_ms = 0 if mark.ended else now_ms - mark.watermark_ms
        if not self.late and behind_ms > self.allowed_ms:
            self.late = True
            return _late(mark, behind_ms, self.allowed_ms, now_ms)
        if self.late and behind_ms <= self.allowed_ms * _CAUGHT_UP:
            self.late = False
            return _caught_up(mark, behind_ms, now_ms)
        return None


def wait_timed_out(condition: Condition, answer: Answer, *, waited_seconds: float, waiter: str, at_ms: int) -> Notice:
    """Return the notice of someone who waited for tables in vain.

    Args:
        condition: What was waited for.
        answer: What was found at last.
        waited_seconds: For how long.
        waiter: Who waited.
        at_ms: When that ended.
    """
    tables = ", ".join(condition.tables)
    known = answer.watermark_ms is not None
    return Notice(
        kind=NoticeKind.WAIT_TIMED_OUT,
        severity=Severity.WARNING,
        subject=f"table {condition.tables[0]}" if len(condition.tables) == 1 else f"tables {tables}",
        at_ms=at_ms,
        fields={
            "tables": tables,
            "needed": _instant(condition.need_ms),
            "watermark": _instant(answer.watermark_ms) if known else {"en": "not known", "zh-CN": "未知"},
            "waited": describe_length(round(waited_seconds * 1000)),
            "waiter": waiter,
            "reason": answer.explanation,
        },
        link=page_of_table(condition.tables[0]),
    )


def _late(mark: TableMark, behind_ms: int, allowed_ms: int, now_ms: int) -> Notice:
    return Notice(
        kind=NoticeKind.WATERMARK_LATE,
        severity=Severity.WARNING,
        subject=f"table {mark.table}",
        at_ms=now_ms,
        fields={
            "table": mark.table,
            "watermark": _instant(mark.watermark_ms),
            "behind": describe_length(behind_ms),
            "allowed": describe_length(allowed_ms),
            "reason": _who_holds_back(mark, now_ms - allowed_ms),
        },
        link=page_of_table(mark.table),
    )


def _caught_up(mark: TableMark, behind_ms: int, now_ms: int) -> Notice:
    return Notice(
        kind=NoticeKind.WATERMARK_CAUGHT_UP,
        severity=Severity.WARNING,
        subject=f"table {mark.table}",
        at_ms=now_ms,
        fields={
            "table": mark.table,
            "watermark": _instant(mark.watermark_ms),
            "behind": describe_length(max(0, behind_ms)),
        },
        link=page_of_table(mark.table),
    )


def _who_holds_back(mark: TableMark, until_ms: int) -> str | Mapping[str, str]:
    explanation = judge(Condition((mark.table,), until_ms), {mark.table: mark}).explanation
    culprit = slowest(mark.writers)
    if culprit is None:
        return explanation
    details = [f"作业 {culprit.job_id}" if culprit.job_id else "", culprit.note]
    said = "，".join(filter(None, details))
    return {"en": explanation, "zh-CN": f"写入者 {culprit.name} 最慢" + (f"（{said}）" if said else "") + "。"}


def _instant(ms: int | None) -> str:
    return "" if ms is None else f"{describe_instant(ms)} UTC"
