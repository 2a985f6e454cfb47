"""What pages show of what was found: words and classes, no HTML. Pure."""

from __future__ import annotations

from typing import Any, Final

from autostream.console.language import Translate
from autostream.console.table_rows import SORTS, TableRow
from autostream.sizes import format_size
from autostream.times import FOREVER_MS, describe_instant, describe_length, iso
from autostream.watermark.conditions import Answer
from autostream.watermark.history.completion import Completion
from autostream.watermark.history.log_entries import LogEntry
from autostream.watermark.marks import TableMark, WriterMark, WriterStatus, slowest

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


def table_row(row: TableRow, now_ms: int, t: Translate) -> dict[str, Any]:
    """Return one row of the list of tables."""
    held, sizes, run, lag_ms = row.held_back_by, row.sizes, row.last_run, row.lag_ms(now_ms)
    return {
        "name": row.name,
        "data_files": number(sizes.data_files),
        "delete_files": number(sizes.delete_files),
        "small_files": share(sizes.small_files_ratio),
        "size": size(sizes.size_bytes),
        "compacted": ago(run.ended_at_ms, now_ms, t) if run else _NONE,
        "compacted_at": instant(run.ended_at_ms) if run else "",
        "run_status": run.status if run and run.status != "committed" else "",
        "run_error": run.error if run else "",
        "watermark": instant(row.watermark_ms),
        "source": row.mark.source.value if row.mark and row.mark.source else "",
        "lag": _NONE if lag_ms is None else describe_length(max(0, lag_ms)),
        "slowest": held.name if held else "",
        "note": held.note if held else "",
        "problem": row.problem or (row.mark.problems[0] if row.mark and row.mark.problems else ""),
    }


def headings(sort: str) -> list[dict[str, Any]]:
    """Return the columns of the list of tables by which it can be sorted, and what sorts by them."""
    found = []
    for name in SORTS:
        by_this = sort.removeprefix("-") == name
        first = name if name == "table" else f"-{name}"  # of numbers the largest are of interest
        found.append(
            {
                "name": name,
                "numeric": name not in ("table", "compacted"),
                "order": ("descending" if sort.startswith("-") else "ascending") if by_this else "",
                "sort": first if not by_this else (name if sort.startswith("-") else f"-{name}"),
            }
        )
    return found


def number(value: int | None) -> str:
    """Return a number with its thousands apart; a dash for None."""
    return _NONE if value is None else f"{value:,}"


def size(value: int | None) -> str:
    """Return a size for people; a dash for None."""
    return _NONE if value is None else format_size(value)


def share(value: float | None) -> str:
    """Return a share in per cent; a dash for None."""
    return _NONE if value is None else f"{value:.0%}"


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
