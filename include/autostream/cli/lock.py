"""`autostream lock`: who holds and who waits for which table, and taking a lock from a holder that hangs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autostream.cli.output import JsonOption, emit, log_console, output_console
from autostream.config import load_settings
from autostream.errors import UsageError

if TYPE_CHECKING:
    from autostream.coordination.client import ZooKeeperClient
    from autostream.coordination.holder import Holder
    from autostream.coordination.paths import LockKey
    from autostream.coordination.registry import BrokenLock, HeldLock

app = typer.Typer(help="Locks on tables: who holds and who waits, and breaking one.", no_args_is_help=True)

TableArgument = Annotated[str, typer.Argument(metavar="TABLE", help="CATALOG.NAMESPACE.TABLE, such as lake.db.orders.")]

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@app.command("list")
def list_command(
    catalog: Annotated[
        str | None, typer.Option("--catalog", metavar="NAME", help="Only this catalog's tables.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the tables that are locked: by whom, for what, since when, and how many wait."""
    locks = list(_held_locks(catalog))
    document = {"locks": [lock.to_dict() for lock in locks]}
    emit(document, as_json=as_json, render=lambda: _render_list(locks))


@app.command()
def show(table: TableArgument, as_json: JsonOption = False) -> None:
    """Show who holds a table, who waits for it in which order, and whose locks on it were broken."""
    from autostream.coordination.registry import broken_locks

    key = _key(table)
    locks, broken = list(_held_locks_of(key)), broken_locks(_client(), key)
    document = {
        "table": str(key),
        "locks": [lock.to_dict() for lock in locks],
        "broken": [record.to_dict() for record in broken],
    }
    emit(document, as_json=as_json, render=lambda: _render_table(key, locks, broken))


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
    key = _key(table)
    locks = list(_held_locks_of(key))
    if not locks:
        document: dict[str, Any] = {"table": str(key), "status": "not-locked", "broken": []}
        emit(document, as_json=as_json, render=lambda: output_console().print(f"{key} is not locked.", markup=False))
        return
    if not yes:
        _confirm(key, locks)
    records = [_break(lock, reason) for lock in locks]
    document = {"table": str(key), "status": "broken", "broken": [record.to_dict() for record in records]}
    emit(document, as_json=as_json, render=lambda: _render_broken(key, locks))


def _client() -> ZooKeeperClient:
    from autostream.coordination.client import shared_client

    return shared_client(load_settings().zookeeper)


def _key(table: str) -> LockKey:
    """The key by which a table is locked."""
    from autostream.coordination.paths import LockKey

    parts = table.split(".")
    if len(parts) < 3 or not all(parts):
        raise UsageError(f"{table!r} does not name a table. Write CATALOG.NAMESPACE.TABLE, for example lake.db.orders.")
    return LockKey(parts[0], ".".join(parts[1:]))


def _held_locks(catalog: str | None) -> Iterator[HeldLock]:
    from autostream.coordination.registry import held_locks

    yield from held_locks(_client(), catalog)


def _held_locks_of(key: LockKey) -> Iterator[HeldLock]:
    from autostream.coordination.registry import held_lock

    lock = held_lock(_client(), key)
    if lock is not None:
        yield lock


def _break(lock: HeldLock, reason: str) -> BrokenLock:
    from autostream.coordination.holder import Holder
    from autostream.coordination.registry import break_lock

    return break_lock(_client(), lock, by=Holder.of_this_process("lock break"), reason=reason)


def _confirm(key: LockKey, locks: Sequence[HeldLock]) -> None:
    """Asks; ends the command where the answer is no.

    Raises:
        UsageError: There is nobody to be asked.
    """
    for lock in locks:
        waiting = f"; {len(lock.waiting)} waiting" if lock.waiting else ""
        log_console().print(f"{key} is locked by {lock.holder}{waiting}.", markup=False, soft_wrap=True)
    if not sys.stdin.isatty():
        raise UsageError(f"Breaking the lock on table {key} must be confirmed: run this on a terminal, or give --yes.")
    log_console().print(
        "Breaking does not stop that process. It finds out when it checks its lock right before its commit, and gives "
        "up then. If it is past that check, the commit may still land; where the catalog does not compare and swap, it "
        "may then undo another one. A process that died needs no breaking: its lock goes with its session.",
        soft_wrap=True,
    )
    if not typer.confirm("Break it?", err=True):
        log_console().print("Nothing was broken.")
        raise typer.Exit(1)


def age(since_ms: int | None, *, now_ms: int) -> str:
    """How long ago a time was, in its two largest units: `2 min 5 s`, `3 d 4 h`; `-` where it is not known."""
    if since_ms is None:
        return "-"
    seconds = max(0, (now_ms - since_ms) // 1000)
    for index, (size, unit) in enumerate(_UNITS):
        if seconds >= size:
            text = f"{seconds // size} {unit}"
            rest = seconds % size
            if rest and index + 1 < len(_UNITS) and rest >= _UNITS[index + 1][0]:
                next_size, next_unit = _UNITS[index + 1]
                text += f" {rest // next_size} {next_unit}"
            return text
    return "0 s"


def _now_ms() -> int:
    return round(time.time() * 1000)


def _since(since_ms: int | None) -> str:
    from autostream.coordination.holder import iso_time

    return "-" if since_ms is None else f"{iso_time(since_ms)} ({age(since_ms, now_ms=_now_ms())})"


def _who(holder: Holder) -> list[str]:
    """Cells that tell who somebody is: user, host, process, what for, Airflow run."""
    process = "-" if holder.pid is None else str(holder.pid)
    what = holder.what or holder.agent or "-"
    return [holder.user or "-", holder.host or "-", process, what, holder.airflow_run or "-"]


def _render_list(locks: Sequence[HeldLock]) -> None:
    from rich.markup import escape
    from rich.table import Table as Grid

    if not locks:
        output_console().print("No table is locked.")
        return
    columns = ("table", "kind", "state", "since", "user", "host", "process", "for", "Airflow run", "waiting")
    grid = Grid(*columns, box=None, pad_edge=False, header_style="bold")
    for lock in locks:
        cells = [str(lock.key), lock.kind, lock.state, _since(lock.since_ms), *_who(lock.holder)]
        grid.add_row(*map(escape, cells), str(len(lock.waiting)))
    output_console().print(grid)


def _render_table(key: LockKey, locks: Sequence[HeldLock], broken: Sequence[BrokenLock]) -> None:
    from rich.markup import escape
    from rich.table import Table as Grid

    console = output_console()
    if not locks:
        console.print(f"{key} is not locked.", markup=False)
    else:
        columns = ("", "kind", "since", "user", "host", "process", "for", "Airflow run")
        grid = Grid(*columns, box=None, pad_edge=False, header_style="bold")
        for lock in locks:
            grid.add_row(*map(escape, [lock.state, lock.kind, _since(lock.since_ms), *_who(lock.holder)]))
            for number, waiter in enumerate(lock.waiting, start=1):
                cells = [f"waits ({number})", lock.kind, _since(waiter.queued_ms), *_who(waiter)]
                grid.add_row(*map(escape, cells))
        console.print(f"{key} is locked.", markup=False)
        console.print(grid)
        for lock in locks:
            if lock.token is not None:
                console.print(f"lock {lock.lock_id}, token {lock.token}", markup=False, soft_wrap=True)
    if broken:
        console.print("Broken locks, the last one first:")
    for record in broken:
        console.print(f"  {record}; it was held by {record.holder}", markup=False, soft_wrap=True)


def _render_broken(key: LockKey, locks: Sequence[HeldLock]) -> None:
    console = output_console()
    for lock in locks:
        next_one = f" {lock.waiting[0]} is next." if lock.waiting else ""
        console.print(f"The lock on {key} was taken from {lock.holder}.{next_one}", markup=False, soft_wrap=True)
