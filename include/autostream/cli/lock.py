"""`autostream lock`: who holds and who waits for which table, and taking a lock from a holder that hangs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

import autostream
from autostream import times
from autostream.cli import interrupts
from autostream.cli.arguments import TableArgument, complete_catalog
from autostream.cli.grid import LABEL, NAME, NUMBER, TEXT, Column, show_grid
from autostream.cli.output import JsonOption, emit, print_error
from autostream.cli.terminal import Part, note, say
from autostream.errors import UsageError
from autostream.times import describe_length, iso

if TYPE_CHECKING:
    from autostream.coordination.lock_holder import Holder
    from autostream.coordination.lock_records import HeldLock
    from autostream.locks.janitor import SweepReport
    from autostream.locks.table_locks import ElectionListing, LockListing, LocksOfTable
    from autostream.names import TableName

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_command(
    catalog: Annotated[
        str | None,
        typer.Option("--catalog", metavar="NAME", help="Only this catalog's tables.", autocompletion=complete_catalog),
    ] = None,
    elections: Annotated[
        bool, typer.Option("--elections", help="Instead of locks on tables: which process is elected for what.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the tables that are locked: by whom, for what, since when, and how many wait.

    Exit code 1: a catalog could not be asked; the locks of the others are listed.
    """
    lakehouse = autostream.Lakehouse()
    if elections:
        if catalog:
            raise UsageError("--elections and --catalog exclude each other. Leave one of them out.")
        elected = lakehouse.elections()
        problems = elected.problems
        emit(elected.to_dict(), as_json=as_json, rows="elections", render=lambda: _render_elections(elected))
    else:
        listing = lakehouse.locks(catalog)
        problems = listing.problems
        emit(listing.to_dict(), as_json=as_json, rows="locks", render=lambda: _render_list(listing))
    if problems:
        raise typer.Exit(1)


@app.command()
def show(table: TableArgument, as_json: JsonOption = False) -> None:
    """Show who holds a table, who waits for it in which order, and whose locks on it were broken."""
    found = autostream.table(table).locks()
    emit(found.to_dict(), as_json=as_json, rows="locks", render=lambda: _render_table(found))


@app.command("break")
def break_command(
    table: TableArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the record.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Take the lock on a table from its holder, with a record of who did it; the next one that waits gets it.

    The holder is not stopped: it finds out when it checks its lock, right before it would commit. Exit code 0: broken,
    or nobody held it; 1: not confirmed; 3: the lock passed on to another one meanwhile, nothing was broken.
    """
    locked = autostream.table(table)
    name, found = locked.name, locked.locks()
    if not found.locks:
        document: dict[str, Any] = {"table": str(name), "status": "not-locked", "broken": []}
        emit(document, as_json=as_json, render=lambda: say(f"{name} is not locked."))
        return
    if not yes:
        _confirm(name, found.locks)
    interrupts.leave_behind(f"'autostream lock show {name}' shows who holds the lock now.")
    records = locked.break_locks(found, reason=reason)
    document = {"table": str(name), "status": "broken", "broken": [record.to_dict() for record in records]}
    emit(document, as_json=as_json, render=lambda: _render_broken(name, found.locks))


@app.command()
def janitor(
    catalog: Annotated[
        list[str] | None, typer.Option("--catalog", metavar="NAME", help="This Hive catalog only; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be released; release nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Release Hive locks whose holder is gone: long silent, and neither its process nor its Flink job lives.

    Exit code 0: done, or nothing to do; 1: a metastore could not be asked, or a lock could not be released.
    """
    if not dry_run:
        interrupts.leave_behind("Locks that were already released stay released. The log names each of them.")
    report = autostream.Lakehouse().release_stale_locks(*(catalog or ()), dry_run=dry_run)
    emit(report.to_dict(), as_json=as_json, rows="locks", render=lambda: _render_sweep(report))
    if not report.ok:
        raise typer.Exit(1)


def _confirm(name: TableName, locks: Sequence[HeldLock]) -> None:
    """Asks; ends the command where the answer is no.

    Raises:
        UsageError: There is nobody to be asked.
    """
    for lock in locks:
        waiting = f"; {len(lock.waiting)} waiting" if lock.waiting else ""
        note(f"{name} is locked by {lock.holder}{waiting}.")
    if not sys.stdin.isatty():
        raise UsageError(f"Breaking the lock on table {name} must be confirmed: run this on a terminal, or give --yes.")
    note(
        "Breaking the lock does not stop that process. It checks its lock right before its commit, and then stops. "
        "If it is past that check, its commit may still succeed. If the catalog does not compare and swap, that "
        "commit may undo another one. A process that died needs no breaking: it loses its lock when its session "
        "ends."
    )
    if not typer.confirm("Break it?", err=True):
        note("Nothing was broken.")
        raise typer.Exit(1)


def _since(since_ms: int | None) -> str:
    if since_ms is None:
        return "-"
    return f"{iso(since_ms - since_ms % 1000)} ({describe_length(max(0, times.now_ms() - since_ms))})"


def _who(holder: Holder) -> str:
    """User, host and process: `svc on host-7 (4711)`."""
    words = [holder.user or "-", f"on {holder.host}" if holder.host else "", f"({holder.pid})" if holder.pid else ""]
    return " ".join(word for word in words if word)


def _render_list(listing: LockListing) -> None:
    for problem in listing.problems:
        print_error(problem)
    if not listing.locks:
        say("No other table is locked." if listing.problems else "No table is locked.")
        return
    rows: list[list[Part]] = []
    for lock in listing.locks:
        kind = lock.kind if lock.state == "held" else f"{lock.kind}, {lock.state}"
        what = lock.holder.what or lock.holder.agent or "-"
        rows.append([str(lock.key), kind, _since(lock.since_ms), _who(lock.holder), what, str(len(lock.waiting))])
    columns = [Column("table", NAME), Column("lock"), Column("since"), Column("holder", NAME), Column("for", TEXT)]
    show_grid([*columns, Column("waiting", NUMBER)], rows)


def _render_elections(listing: ElectionListing) -> None:
    for problem in listing.problems:
        print_error(problem)
    if not listing.elections:
        say("No process is elected for anything.")
        return
    rows: list[list[Part]] = [
        [found.name, _since(found.since_ms), _who(found.elected), str(len(found.candidates))]
        for found in listing.elections
    ]
    columns = [Column("election", NAME), Column("since"), Column("elected", NAME), Column("candidates", NUMBER)]
    show_grid(columns, rows)


def _render_table(found: LocksOfTable) -> None:
    say((str(found.table), "bold"), f" is {'' if found.locks else 'not '}locked.")
    for lock in found.locks:
        token = f", token {lock.token}" if lock.token is not None else ""
        say(f"{lock.kind} lock {lock.lock_id}{token}")
        people = [(lock.state, lock.since_ms, lock.holder)]
        people += [(f"waits ({n})", waiter.queued_ms, waiter) for n, waiter in enumerate(lock.waiting, start=1)]
        rows: list[list[Part]] = [
            [state, _since(since_ms), _who(who), who.what or who.agent or "-", who.airflow_run or "-"]
            for state, since_ms, who in people
        ]
        columns = [Column("state"), Column("since"), Column("who", NAME), Column("for", TEXT)]
        show_grid([*columns, Column("Airflow run", NAME)], rows)
    if found.broken:
        say("Broken locks, the newest first:")
    for record in found.broken:
        say(f"  {record}; it was held by {record.holder}", indent=4)


def _render_broken(name: TableName, locks: Sequence[HeldLock]) -> None:
    for lock in locks:
        next_one = f" {lock.waiting[0]} is next." if lock.waiting else ""
        say(f"The lock on {name} was taken from {lock.holder}.{next_one}")


def _render_sweep(report: SweepReport) -> None:
    if not report.rows and not report.problems:
        say("No Hive locks.")
    if report.rows:
        cells: list[list[Part]] = []
        for row in report.rows:
            whose = [row["table"], str(row["lock_id"]), row["user"], row["host"], row["agent"] or "-"]
            cells.append([*whose, _outcome(row, dry_run=report.dry_run), row["error"] or row["reason"]])
        kinds = {"table": NAME, "lock": NUMBER, "user": NAME, "host": NAME, "agent": NAME, "outcome": LABEL}
        show_grid([*(Column(*item) for item in kinds.items()), Column("reason", TEXT)], cells)
    for problem in report.problems:
        print_error(problem)


def _outcome(row: dict[str, Any], *, dry_run: bool) -> str:
    if row["error"]:
        return "failed"
    if not row["stale"]:
        return "kept"
    if dry_run:
        return "would be released"
    return "released" if row["released"] else "already released"
