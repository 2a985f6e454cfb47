"""`autostream watermark`: how complete tables are, asked, awaited, recorded."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import autostream
from autostream import times
from autostream.api import FOREVER
from autostream.cli import interrupts, watermark_history
from autostream.cli.arguments import NamespaceOption, PatternsArgument, TableArgument, complete_table
from autostream.cli.grid import NAME, NUMBER, TEXT, Column, show_grid
from autostream.cli.heartbeat import beating
from autostream.cli.output import JsonOption, emit, print_error, progress
from autostream.cli.terminal import Part, say
from autostream.errors import NotReadyError, UsageError
from autostream.masking import mask
from autostream.names import TableName
from autostream.spelling import counted
from autostream.times import (
    FOREVER_MS,
    describe_instant,
    describe_length,
    iso,
    parse_instant,
    parse_length,
    parse_zone,
    why_too_far_ahead,
)
from autostream.watermark.conditions import Condition, Quantifier
from autostream.watermark.marks import TableMark, WriterMark, slowest
from autostream.watermark.waiting import require_met
from autostream.watermark.windows import WindowKind, window_at

if TYPE_CHECKING:
    from autostream.api import Lakehouse, LakeTable
    from autostream.watermark.manual_changes import WatermarkUpdate
    from autostream.watermark.recorder_run import RecorderReport

app = typer.Typer(no_args_is_help=True)

ZoneOption = Annotated[
    str,
    typer.Option("--time-zone", metavar="ZONE", help="Of times without offset, and of windows: Europe/Berlin, UTC."),
]
WriterOption = Annotated[str, typer.Option("--writer", metavar="NAME", help="Name of the writer.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept on record.")]


@app.command()
def get(table: TableArgument, time_zone: ZoneOption = "UTC", as_json: JsonOption = False) -> None:
    """Show a table's watermark, and of each writer what is known and since when. Exit code 4 where none is known."""
    zone = parse_zone(time_zone)
    mark = autostream.table(table).watermark()
    emit(mark.to_dict(), as_json=as_json, render=lambda: _render(mark, zone))
    if mark.watermark_ms is None:
        raise typer.Exit(NotReadyError.exit_code)


@app.command("list")
def list_command(
    patterns: PatternsArgument = None,
    namespace: NamespaceOption = None,
    time_zone: ZoneOption = "UTC",
    as_json: JsonOption = False,
) -> None:
    """List how complete tables are, the one that lags most first; tables of which nothing is known come last.

    Exit code 1 where a catalog or a table cannot be read.
    """
    from autostream.api import Lakehouse, UnlistedCatalog

    zone = parse_zone(time_zone)
    unlisted: list[UnlistedCatalog] = []
    found = Lakehouse().tables(*(patterns or ()), namespace=namespace, on_failure=unlisted.append)
    now_ms = times.now_ms()
    rows = sorted((_lagging(table, now_ms) for table in found), key=_by_lag)
    errors = [{"catalog": failure.catalog, "error": mask(str(failure.error))} for failure in unlisted]
    emit({"tables": rows, "errors": errors}, as_json=as_json, rows="tables", render=lambda: _render_lags(rows, zone))
    for error in errors:
        print_error(error["error"])
    if errors or any(row["error"] for row in rows):
        raise typer.Exit(1)


def _lagging(table: LakeTable, now_ms: int) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(("watermark", "watermark_ms", "lag_ms", "source", "held_back_by", "error"))
    try:
        mark = table.watermark()
    except Exception as error:  # one broken table must not hide the others
        return {"table": str(table), **row, "error": mask(str(error))}
    slow, reached = slowest(mark.writers), mark.watermark_ms
    return {
        "table": str(table),
        **row,
        "watermark": iso(reached),
        "watermark_ms": reached,
        "lag_ms": None if reached is None else 0 if mark.ended else now_ms - reached,
        "source": mark.source.value if mark.source else None,
        "held_back_by": slow.name if slow and not mark.ended else None,
    }


def _by_lag(row: Mapping[str, Any]) -> tuple[bool, int, str]:
    return row["lag_ms"] is None, -(row["lag_ms"] or 0), row["table"]


def _render_lags(rows: Sequence[Mapping[str, Any]], zone: tzinfo) -> None:
    if not rows:
        say("No matching tables.")
        return
    cells: list[list[Part]] = []
    for row in rows:
        known = row["watermark_ms"] is not None
        reached = describe_instant(row["watermark_ms"], zone) if known else "-"
        lag = describe_length(max(0, row["lag_ms"])) if known else "-"
        cells.append([row["table"], reached, lag, row["source"] or "-", row["held_back_by"] or "-"])
    columns = [Column("table", NAME), Column("complete up to"), Column("lag", NUMBER), Column("from")]
    show_grid([*columns, Column("held back by", NAME)], cells)
    for row in rows:
        if row["error"]:
            say((row["table"], "red"), ": ", row["error"], indent=2)


@app.command("wait")
def wait_command(
    tables: Annotated[
        list[str],
        typer.Argument(metavar="TABLE...", help="CATALOG.NAMESPACE.TABLE, one or more.", autocompletion=complete_table),
    ],
    until: Annotated[
        str | None, typer.Option(metavar="T", help="Wait until the tables are complete up to this time.")
    ] = None,
    hour: Annotated[
        str | None, typer.Option(metavar="T", help="Wait until the hour that T lies in is complete.")
    ] = None,
    day: Annotated[str | None, typer.Option(metavar="T", help="Wait until the day that T lies in is complete.")] = None,
    lateness: Annotated[str, typer.Option(metavar="LENGTH", help="Wait for this much more, such as 5min.")] = "0s",
    match_any: Annotated[
        bool, typer.Option("--any", help="One of the tables is enough; otherwise all of them.")
    ] = False,
    writers: Annotated[
        list[str] | None, typer.Option("--writer", metavar="NAME", help="Only this writer counts; repeatable.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, help="Give up after this many seconds. Default: wait for ever."),
    ] = None,
    poll: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, max=86_400, help="Seconds between two looks.")
    ] = 5.0,
    time_zone: ZoneOption = "UTC",
    as_json: JsonOption = False,
) -> None:
    """Wait until tables are complete up to a time: exit code 0 then, 124 when the time is up, saying who is late."""
    from autostream.api import Lakehouse

    zone = parse_zone(time_zone)
    condition = Condition(
        tables=tuple(dict.fromkeys(tables)),
        until_ms=_end(until, hour, day, zone),
        lateness_ms=parse_length(lateness),
        quantifier=Quantifier.ANY if match_any else Quantifier.ALL,
        writers=tuple(writers or ()),
        zone=zone,
    )
    with progress("waiting") as report:
        found = Lakehouse().await_condition(
            condition, timeout_seconds=timeout, poll_seconds=poll, report_progress=report
        )
    document = found.answer.to_dict() | {"tables": list(condition.tables)}
    emit(document, as_json=as_json, render=lambda: say(found.answer.explanation))
    require_met(found, timeout_seconds=timeout)


@app.command("set")
def set_command(
    table: TableArgument,
    writer: WriterOption,
    at: Annotated[
        str,
        typer.Option(
            "--at", metavar="T", help="All rows up to this time are in the table; `forever`: the writer has ended."
        ),
    ],
    force: Annotated[
        bool,
        typer.Option("--force", help="Take a time further ahead of now than `watermark.max_ahead_seconds`."),
    ] = False,
    time_zone: ZoneOption = "UTC",
    as_json: JsonOption = False,
) -> None:
    """Record how far a writer has got, as it says itself. It never goes back: an earlier time changes nothing."""
    zone, ended = parse_zone(time_zone), at.strip().lower() == FOREVER
    lakehouse = autostream.Lakehouse()
    at_ms = FOREVER_MS if ended else _believable(at, zone, lakehouse, force=force)
    _tell_of_change(table)
    update = lakehouse.table(table).set_watermark(FOREVER if ended else at_ms, writer=writer, force=force)
    _emit_update(update, why_unchanged=_why_it_stays(writer, at_ms, update.mark), as_json=as_json)


@app.command()
def retire(table: TableArgument, writer: WriterOption, reason: ReasonOption, as_json: JsonOption = False) -> None:
    """Stop waiting for a writer. If it reports again, it has to catch up before it counts."""
    _tell_of_change(table)
    _emit_update(autostream.table(table).retire_writer(writer, reason=reason), as_json=as_json)


@app.command()
def reset(
    table: TableArgument,
    to: Annotated[str, typer.Option("--to", metavar="T", help="The time to go back to.")],
    reason: ReasonOption,
    writer: Annotated[
        str | None, typer.Option("--writer", metavar="NAME", help="Only this writer, and the table with it.")
    ] = None,
    time_zone: ZoneOption = "UTC",
    as_json: JsonOption = False,
) -> None:
    """Set a watermark back, as after a rollback or a reload. Who did it, when and why stays on record in the table."""
    to_ms = parse_instant(to, parse_zone(time_zone))
    _tell_of_change(table)
    _emit_update(autostream.table(table).reset_watermark(to_ms, writer=writer, reason=reason), as_json=as_json)


@app.command()
def record(
    seconds: Annotated[
        float | None,
        typer.Option("--for", metavar="SECONDS", min=0, help="End after this many seconds. Default: on SIGTERM."),
    ] = None,
    heartbeat: Annotated[
        Path | None,
        typer.Option("--heartbeat", metavar="FILE", help="Touch this file every second, for health checks."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Record the watermarks of running Flink jobs in their tables, as `flink.clusters` and `watermark.writers` say.

    Flink and its jobs stay as they are. A watermark is published only once its rows are proved to be in the table.
    Several recorders may run: where ZooKeeper is configured one is elected, and the others are ready to take over.
    Notices that are due are sent meanwhile.
    """
    stop = threading.Event()
    lakehouse = autostream.Lakehouse()
    with interrupts.stopped_by_signals(stop), lakehouse.delivering_notices():
        report = lakehouse.record_watermarks(seconds=seconds, stop=stop, on_step=beating(heartbeat))
    emit(report.to_dict(), as_json=as_json, rows="publications", render=lambda: _render_recorded(report))


app.command("history")(watermark_history.history)


def _believable(at: str, zone: tzinfo, lakehouse: Lakehouse, *, force: bool) -> int:
    """Return a time to record; the library refuses one that is too far ahead as well, in words of its own."""
    at_ms = parse_instant(at, zone)
    most_seconds = lakehouse.settings.watermark.max_ahead_seconds
    too_far = why_too_far_ahead(at_ms, now_ms=times.now_ms(), most_seconds=most_seconds)
    if too_far and not force:
        raise UsageError(
            f"Invalid watermark {at!r}: {too_far}. A table cannot have all rows of a time in the future. Correct the "
            "time, write `--at forever` for a writer that has ended, or add --force."
        )
    return at_ms


def _why_it_stays(writer: str, at_ms: int, mark: TableMark) -> str:
    found = mark.writer(writer)
    if found is None or found.watermark_ms is None or found.watermark_ms <= at_ms:
        return "No change: this watermark is already recorded."
    return (
        f"The watermark of writer {writer} stays at {describe_instant(found.watermark_ms)} UTC: "
        f"{describe_instant(at_ms)} is earlier, and a watermark never goes back on its own. To set it back, use "
        f"`autostream watermark reset {mark.table} --writer {shlex.quote(writer)} --to {iso(at_ms)} --reason TEXT`."
    )


def _end(until: str | None, hour: str | None, day: str | None, zone: tzinfo) -> int:
    given = [name for name, value in (("--until", until), ("--hour", hour), ("--day", day)) if value is not None]
    if len(given) != 1:
        raise UsageError(
            f"Say what to wait for by one of --until, --hour and --day, not by {' and '.join(given) or 'none'}."
        )
    if until is not None:
        return parse_instant(until, zone)
    kind, text = (WindowKind.HOUR, hour) if hour is not None else (WindowKind.DAY, day)
    return window_at(kind, parse_instant(text or "", zone), zone).end_ms


def _tell_of_change(table: str) -> None:
    interrupts.leave_behind(f"'autostream watermark get {TableName.parse(table)}' shows whether it was recorded.")


def _emit_update(update: WatermarkUpdate, *, why_unchanged: str = "No change.", as_json: bool) -> None:
    unchanged = "" if update.changed else why_unchanged

    def render() -> None:
        if unchanged:
            say(unchanged)
        _render(update.mark, parse_zone("UTC"))

    emit(update.to_dict() | {"reason": unchanged or None}, as_json=as_json, render=render)


def _render_recorded(report: RecorderReport) -> None:
    say(f"{counted(len(report.publications), 'publication')}.")
    for subject, reason in report.not_advancing.items():
        say(f"{subject}: {reason}", indent=2)


def _render(mark: TableMark, zone: tzinfo) -> None:
    if mark.watermark_ms is None:
        say((mark.table, "bold"), ": its watermark is not known")
    else:
        source = f" (from {mark.source.value})" if mark.source else ""
        complete = f": complete up to {_reached(mark, mark.watermark_ms, zone)}{source}"
        say((mark.table, "bold"), complete, indent=2)
    if mark.writers:
        columns = [Column("writer", NAME), Column("watermark"), Column("since"), Column("status"), Column("note", TEXT)]
        show_grid(columns, [_cells(writer, zone) for writer in mark.writers])
    for problem in dict.fromkeys(mark.problems):
        say(("problem: ", "yellow"), problem, indent=2)


def _reached(mark: TableMark, watermark_ms: int, zone: tzinfo) -> str:
    there = describe_instant(watermark_ms, zone)
    if mark.ended:
        return there
    ago_ms = times.now_ms() - watermark_ms
    return f"{there} {zone}, " + (f"in {describe_length(-ago_ms)}" if ago_ms < 0 else f"{describe_length(ago_ms)} ago")


def _cells(writer: WriterMark, zone: tzinfo) -> tuple[str, str, str, str, str]:
    reached = "-" if writer.watermark_ms is None else describe_instant(writer.watermark_ms, zone)
    since = "-" if writer.recorded_at_ms is None else describe_instant(writer.recorded_at_ms, zone)
    details = [text for text in (f"job {writer.job_id}" if writer.job_id else "", writer.note) if text]
    return writer.name, reached, since, writer.status.value, ", ".join(details)
