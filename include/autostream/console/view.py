"""What pages show of what was found: words and classes, no HTML. Pure."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import replace
from typing import Any, Final

from pyiceberg.table.snapshots import Snapshot

from autostream.console.columns import PageColumn, columns_of
from autostream.console.language import Translate
from autostream.console.table_rows import TableRow
from autostream.coordination.lock_records import HeldLock
from autostream.findings import Finding
from autostream.lake.compaction.runs.log import CompactionRun
from autostream.lake.compaction.table_report import PartitionReport
from autostream.sizes import format_size
from autostream.times import FOREVER_MS, describe_instant, describe_length, iso
from autostream.watermark.conditions import Answer
from autostream.watermark.history.completion import Completion
from autostream.watermark.history.log_entries import LogEntry
from autostream.watermark.marks import TableMark, WriterMark, WriterStatus, slowest

_STATUS: Final = {WriterStatus.ACTIVE: "good", WriterStatus.CATCHING_UP: "waiting", WriterStatus.RETIRED: "quiet"}
_KINDS: Final = {"advance": "", "join": "good", "retire": "quiet", "reset": "bad"}
_RUNS: Final = {"committed": "good", "conflict": "waiting", "unknown": "waiting"}
_TRANSLATED_ADVICE: Final = {"records-uncounted": {"data_files"}, "empty-commits-rare": {"checkpoints"}}
_SMALLEST_FIRST: Final = ("table", "job", "team", "state", "score")
NONE: Final = "–"
"""What is shown where something is not known."""


def instant(ms: int | None) -> str:
    """Return an instant in UTC, to the second; a dash for None."""
    if ms is None:
        return NONE
    return describe_instant(ms if ms >= FOREVER_MS else ms - ms % 1000)


def ago(ms: int | None, now_ms: int, t: Translate) -> str:
    """Return how long ago an instant is, or how far ahead; empty where that says nothing."""
    if ms is None or ms >= FOREVER_MS:
        return ""
    passed = now_ms - ms
    if abs(passed) < 1000:
        return t("time.now")
    return t("time.ago", length=length(passed)) if passed > 0 else t("time.ahead", length=length(-passed))


def table_row(row: TableRow, now_ms: int, t: Translate) -> dict[str, Any]:
    """Return one row of the list of tables."""
    held, sizes, run, lag_ms = row.held_back_by, row.sizes, row.last_run, row.lag_ms(now_ms)
    return {
        "table": row.name,
        "data_files": number(sizes.data_files),
        "delete_files": number(sizes.delete_files),
        "small_files": share(sizes.small_files_ratio),
        "size": size(sizes.size_bytes),
        "compacted": ago(run.ended_at_ms, now_ms, t) if run else NONE,
        "compacted_at": instant(run.ended_at_ms) if run else "",
        "run_status": run.status if run and run.status != "committed" else "",
        "run_error": run.error if run else "",
        "complete_up_to": instant(row.watermark_ms),
        "source": row.mark.source.value if row.mark and row.mark.source else "",
        "lag": NONE if lag_ms is None else length(max(0, lag_ms)),
        "slowest": held.name if held else "",
        "note": held.note if held else "",
        "problem": row.problem or (row.mark.problems[0] if row.mark and row.mark.problems else ""),
    }


def list_columns(table: str, sort: str, sorts: Container[str], t: Translate) -> list[PageColumn]:
    """Return the columns of a list, with what sorts by them.

    Args:
        table: A key of `COLUMNS`.
        sort: How it is sorted now.
        sorts: By which columns it can be sorted.
        t: The reader's language.
    """
    return [
        replace(column, sort=by, order=order)
        for column in columns_of(table, t=t)
        for by, order in [_sorting(column.key, sort, sorts)]
    ]


def _sorting(key: str, sort: str, sorts: Container[str]) -> tuple[str, str]:
    """Return what sorts by a column, in another way than now, and how rows are sorted by it now."""
    if key not in sorts:
        return "", ""
    # Of numbers the largest are of interest, but for scores.
    first, other = (key, f"-{key}") if key in _SMALLEST_FIRST else (f"-{key}", key)
    if sort.removeprefix("-") != key:
        return first, ""
    return other if sort == first else first, "descending" if sort.startswith("-") else "ascending"


def run_row(run: CompactionRun, now_ms: int, t: Translate) -> dict[str, Any]:
    """Return one row of the compactions of a table."""
    return {
        "ended": instant(run.ended_at_ms),
        "ago": ago(run.ended_at_ms, now_ms, t),
        "by": run.by,
        "status": run.status,
        "class": _RUNS.get(run.status, "bad"),
        "data_files": _change(number, run.data_files_before, run.data_files_after),
        "delete_files": _change(number, run.delete_files_before, run.delete_files_after),
        "size": _change(size, run.bytes_before, run.bytes_after),
        "rows": number(run.rows_read),
        "seconds": _whole(f"{run.seconds:,.1f} s"),
        "memory": size(run.peak_memory_bytes),
        "partitions": t("table.partitions_of", count=run.partitions) if run.partitions is not None else "",
        "error": run.error,
    }


def partition_row(report: PartitionReport, t: Translate) -> dict[str, Any]:
    """Return one row of what compaction would do."""
    return {
        "partition": report.partition,
        "data_files": number(report.data_files),
        "delete_files": number(report.equality_delete_files + report.position_delete_files),
        "size": size(report.bytes),
        "deleted": share(report.estimated_deleted_ratio),
        "merge": bool(report.groups),
        "why": t("reason.separator").join(t(f"reason.{each.id}", **each.values) for each in report.reasons),
    }


def advice(found: Finding, t: Translate) -> dict[str, Any]:
    """Return advice in the reader's language; in English where it is not catalogued, such as what somebody recorded."""
    if (needed := _TRANSLATED_ADVICE.get(found.id)) and needed <= found.figures.keys():
        return {"text": t(f"advice.{found.id}", **found.figures), "english": False}
    return {"text": str(found), "english": True}


def snapshot_row(snapshot: Snapshot, now_ms: int, t: Translate) -> dict[str, Any]:
    """Return one row of a table's snapshots."""
    summary = snapshot.summary
    said = summary.additional_properties if summary else {}
    return {
        "made": instant(snapshot.timestamp_ms),
        "ago": ago(snapshot.timestamp_ms, now_ms, t),
        "snapshot": str(snapshot.snapshot_id),
        "operation": summary.operation.value if summary else "",
        "added": said.get("added-data-files", "0"),
        "removed": said.get("deleted-data-files", "0"),
        "total": said.get("total-data-files", NONE),
    }


def lock_row(lock: HeldLock, now_ms: int, t: Translate) -> dict[str, Any]:
    """Return one row of a table's locks."""
    return {
        "kind": lock.kind,
        "state": lock.state,
        "holder": str(lock.holder),
        "since": instant(lock.since_ms),
        "ago": ago(lock.since_ms, now_ms, t),
        "waiting": [str(waiter) for waiter in lock.waiting],
    }


def number(value: int | None) -> str:
    """Return a number with its thousands apart; a dash for None."""
    return NONE if value is None else f"{value:,}"


def size(value: int | None) -> str:
    """Return a size for people; a dash for None."""
    return NONE if value is None else _whole(format_size(value))


def length(ms: int) -> str:
    """Return a length of time for people."""
    return _whole(describe_length(ms))


def share(value: float | None) -> str:
    """Return a share in per cent; a dash for None."""
    return NONE if value is None else f"{value:.0%}"


def _whole(text: str) -> str:
    """Return a text that is not broken at the end of a line: a number stays with its unit."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _change(write: Callable[[int | None], str], before: int | None, after: int | None) -> str:
    return write(before) if before == after else f"{write(before)} → {write(after)}"


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
            "writer": writer.name,
            "complete_up_to": instant(writer.watermark_ms),
            "ago": ago(writer.watermark_ms, now_ms, t),
            "since": instant(writer.recorded_at_ms),
            "recorded": ago(writer.recorded_at_ms, now_ms, t) or instant(writer.recorded_at_ms),
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
        "what": item.kind,
        "class": _KINDS.get(item.kind, ""),
        "whose": item.writer or t("table.of_table"),
        "of_table": not item.writer,
        "complete_up_to": instant(item.watermark_ms),
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
