"""What pages show of what was found: words and classes, no HTML. Pure."""

from __future__ import annotations

from typing import Any, Final

from autostream.console.language import Translate
from autostream.times import FOREVER_MS, describe_instant, describe_length, iso
from autostream.watermark.conditions import Answer
from autostream.watermark.history.completion import Completion
from autostream.watermark.history.log_entries import LogEntry
from autostream.watermark.marks import MarkSource, TableMark, WriterMark, WriterStatus, slowest

_STATUS: Final = {WriterStatus.ACTIVE: "good", WriterStatus.CATCHING_UP: "waiting", WriterStatus.RETIRED: "quiet"}
_KINDS: Final = {"advance": "", "join": "good", "retire": "quiet", "reset": "bad"}
_NONE: Final = "–"


def instant(ms: int | None) -> str:
    """Return an instant in UTC, to the second; a dash for None."""
    if ms is None:
        return _NONE
    return describe_instant(ms if ms >= FOREVER_MS else ms - ms % 1000)


def ago(ms: int | None, now_ms: int, t: Translate) -> str:
    """Return how long ago an instant is, or how far ahead; empty where that says nothing."""
    if ms is None or ms >= FOREVER_MS:
        return ""
    passed = now_ms - ms
    if abs(passed) < 1000:
        return t("time.now")
    return (
        t("time.ago", length=describe_length(passed))
        if passed > 0
        else t("time.ahead", length=describe_length(-passed))
    )


def table_row(name: str, mark: TableMark | None, problem: str, now_ms: int, t: Translate) -> dict[str, Any]:
    """Return one row of the list of tables."""
    held = slowest(mark.writers) if mark and mark.source is MarkSource.WRITERS and not mark.ended else None
    watermark_ms = mark.watermark_ms if mark else None
    return {
        "name": name,
        "watermark": instant(watermark_ms),
        "ago": ago(watermark_ms, now_ms, t),
        "source": mark.source.value if mark and mark.source else "",
        "slowest": held.name if held else "",
        "problem": problem or (mark.problems[0] if mark and mark.problems else ""),
    }


def mark(found: TableMark, now_ms: int, t: Translate) -> dict[str, Any]:
    """Return what stands at the top of a table's page."""
    return {
        "known": found.watermark_ms is not None,
        "ended": found.ended,
        "watermark": instant(found.watermark_ms),
        "iso": iso(found.watermark_ms) or "",
        "ago": ago(found.watermark_ms, now_ms, t),
        "source": t(f"table.source.{found.source.value if found.source else 'none'}"),
    }


def writers(found: TableMark, now_ms: int, t: Translate) -> list[dict[str, Any]]:
    """Return the rows of a table's writers, the one that holds it back first."""
    held = slowest(found.writers)
    several = sum(writer.active for writer in found.writers) > 1

    def order(writer: WriterMark) -> tuple[bool, bool, bool, int]:
        known = writer.watermark_ms is not None
        return (writer is not held, not writer.active, known, writer.watermark_ms or 0)

    return [
        {
            "name": writer.name,
            "watermark": instant(writer.watermark_ms),
            "ago": ago(writer.watermark_ms, now_ms, t),
            "since": instant(writer.recorded_at_ms),
            "since_ago": ago(writer.recorded_at_ms, now_ms, t),
            "status": writer.status.value,
            "class": _STATUS[writer.status],
            "holds_back": several and writer is held,
            "job": writer.job_id,
            "note": writer.note,
        }
        for writer in sorted(found.writers, key=order)
    ]


def entry(item: LogEntry, t: Translate) -> dict[str, Any]:
    """Return one row of the history."""
    details = [
        item.by,
        t("table.job", id=item.job_id) if item.job_id else "",
        t("table.checkpoint", id=item.checkpoint_id) if item.checkpoint_id is not None else "",
        item.note,
    ]
    return {
        "recorded": instant(item.recorded_at_ms),
        "kind": item.kind,
        "class": _KINDS.get(item.kind, ""),
        "writer": item.writer or "",
        "watermark": instant(item.watermark_ms),
        "details": ", ".join(text for text in details if text),
    }


def answer(given: Answer, completion: Completion | None, t: Translate) -> dict[str, Any]:
    """Return the answer to the question whether the table is complete up to some time."""
    return {
        "met": given.met,
        "class": "good" if given.met else "waiting",
        "word": t("table.complete") if given.met else t("table.incomplete"),
        "explanation": given.explanation,
        "since": completion.explanation if completion and (completion.reached or completion.withdrawn) else "",
    }
