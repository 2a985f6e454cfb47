"""`autostream watermark history`: what happened to a table's watermarks, and when it was complete up to some time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo
from typing import TYPE_CHECKING, Annotated

import typer

import autostream
from autostream.cli.arguments import TableArgument
from autostream.cli.grid import NAME, TEXT, Column, show_grid
from autostream.cli.output import JsonOption, emit
from autostream.cli.terminal import Part, note, say
from autostream.errors import NotReadyError, UsageError
from autostream.times import FOREVER_MS, describe_instant, parse_instant, parse_zone

if TYPE_CHECKING:
    from autostream.watermark.history.completion import Completion
    from autostream.watermark.history.log_entries import LogEntry
    from autostream.watermark.history.table_history import WatermarkHistory


def history(
    table: TableArgument,
    since: Annotated[str | None, typer.Option(metavar="T", help="What was recorded from then on.")] = None,
    until: Annotated[str | None, typer.Option(metavar="T", help="What was recorded before then.")] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="T", help="Say when the table became complete up to this time.")
    ] = None,
    writer: Annotated[str | None, typer.Option(metavar="NAME", help="Of this writer only.")] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Show at most this many, the newest.")] = 50,
    time_zone: Annotated[
        str, typer.Option("--time-zone", metavar="ZONE", help="Of times without offset, and of what is printed.")
    ] = "UTC",
    as_json: JsonOption = False,
) -> None:
    """Show when which watermark was recorded; with --at, when the table became complete up to a time.

    From the database and the table's metadata; where the database cannot be asked, from what metadata the table still
    keeps, with a warning. Exit code 4 where --at is not known to have been reached.
    """
    zone = parse_zone(time_zone)
    if at is not None:
        if since or until or writer:
            raise UsageError("--at is about the whole table. Leave out --since, --until and --writer.")
        completion = autostream.table(table).completion(parse_instant(at, zone))
        emit(completion.to_dict(), as_json=as_json, render=lambda: _render_completion(completion))
        if completion.reached is None:
            raise typer.Exit(NotReadyError.exit_code)
        return
    found = autostream.table(table).watermark_history(
        since=parse_instant(since, zone) if since else None,
        until=parse_instant(until, zone) if until else None,
        writer=writer,
        newest=limit,
    )
    emit(found.to_dict(), as_json=as_json, rows="entries", render=lambda: _render(found, zone, limit))


def _render_completion(completion: Completion) -> None:
    say(completion.explanation)
    _warn(completion.problems)


def _render(found: WatermarkHistory, zone: tzinfo, limit: int) -> None:
    _warn(found.problems)
    if not found.entries:
        say(f"No history of the watermarks of {found.table}.")
        return
    rows: list[list[Part]] = []
    for entry in found.entries:
        kind = (entry.kind, "yellow" if entry.kind in ("reset", "retire") else "")
        watermark = "-" if entry.watermark_ms is None else describe_instant(_second(entry.watermark_ms), zone)
        recorded = describe_instant(_second(entry.recorded_at_ms), zone)
        rows.append([recorded, kind, entry.writer or "table", watermark, _source(entry)])
    columns = [Column("recorded"), Column("what"), Column("whose", NAME), Column("watermark"), Column("by", TEXT)]
    show_grid(columns, rows)
    if len(found.entries) == limit:
        note((f"These are the newest {limit}. --limit shows more.", "dim"))


def _second(ms: int) -> int:
    return ms if ms >= FOREVER_MS else ms - ms % 1000


def _source(entry: LogEntry) -> str:
    parts = [
        entry.by,
        f"job {entry.job_id}" if entry.job_id else "",
        f"checkpoint {entry.checkpoint_id}" if entry.checkpoint_id is not None else "",
        entry.note,
    ]
    return ", ".join(part for part in parts if part) or "-"


def _warn(problems: Iterable[str]) -> None:
    for problem in dict.fromkeys(problems):
        note(("warning: ", "yellow"), problem)
