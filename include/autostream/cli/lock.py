"""`autostream lock`: who holds and who waits for which table, and taking a lock from a holder that hangs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autostream import times
from autostream.cli import interrupts
from autostream.cli.grid import LABEL, NAME, NUMBER, TEXT, Column, show_grid
from autostream.cli.output import JsonOption, emit, print_error
from autostream.cli.terminal import Part, note, say
from autostream.config import load_settings, pyiceberg_catalogs
from autostream.errors import ConfigurationError, UsageError
from autostream.locks.hive_locks import break_hive_lock, hive_catalog_names, hive_catalogs, hive_locks, sweep
from autostream.names import TableName

if TYPE_CHECKING:
    from autostream.catalogs.hive import HiveCatalog
    from autostream.coordination.client import ZooKeeperClient
    from autostream.coordination.lock_holder import Holder
    from autostream.coordination.lock_records import BrokenLock, HeldLock
    from autostream.coordination.paths import LockKey

app = typer.Typer(no_args_is_help=True)

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
    name = TableName.parse(table)
    locks, broken = list(_held_locks_of(name)), _broken(name)
    document = {
        "table": str(name),
        "locks": [lock.to_dict() for lock in locks],
        "broken": [record.to_dict() for record in broken],
    }
    emit(document, as_json=as_json, render=lambda: _render_table(name, locks, broken))


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
    name = TableName.parse(table)
    locks = list(_held_locks_of(name))
    if not locks:
        document: dict[str, Any] = {"table": str(name), "status": "not-locked", "broken": []}
        emit(document, as_json=as_json, render=lambda: say(f"{name} is not locked."))
        return
    if not yes:
        _confirm(name, locks)
    interrupts.leave_behind(f"'autostream lock show {name}' tells who holds the lock now.")
    records = [_break(lock, name, reason) for lock in locks]
    document = {"table": str(name), "status": "broken", "broken": [record.to_dict() for record in records]}
    emit(document, as_json=as_json, render=lambda: _render_broken(name, locks))


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
        interrupts.leave_behind("Locks that were released until then stay so; each is in the log.")
    rows, errors = sweep(catalog, dry_run=dry_run)
    document = {"dry_run": dry_run, "locks": rows, "errors": errors}
    emit(document, as_json=as_json, render=lambda: _render_sweep(rows, errors, dry_run=dry_run))
    if errors or any(row["error"] for row in rows):
        raise typer.Exit(1)


def _properties(catalog: str) -> dict[str, str]:
    return pyiceberg_catalogs().get(catalog, {})


def _client(catalog: str) -> ZooKeeperClient | None:
    """Return the client of the ensemble that a catalog's locks are in; None where none is configured."""
    from autostream.catalogs.locking import merged_settings
    from autostream.coordination.client import shared_client

    settings = merged_settings(_properties(catalog))
    return shared_client(settings) if settings.hosts else None


def _clients(catalog: str | None) -> list[ZooKeeperClient]:
    """Return the clients of all ensembles that locks may be in, of one catalog where named."""
    from autostream.coordination.client import shared_client

    names = [catalog] if catalog else list(pyiceberg_catalogs())
    found = [client for name in names if (client := _client(name))]
    if load_settings().zookeeper.hosts:
        found.append(shared_client(load_settings().zookeeper))
    return list(dict.fromkeys(found))


def _require_any(clients: Sequence[ZooKeeperClient], hive: Sequence[HiveCatalog]) -> None:
    if not clients and not hive:
        raise ConfigurationError(
            "Nothing that locks tables is configured. Set zookeeper.hosts in autostream.toml or "
            "AUTOSTREAM_ZOOKEEPER__HOSTS, or configure a Hive catalog."
        )


def _require_known(catalog: str) -> None:
    """Refuse a catalog that is not configured where others are: that its tables are not locked says nothing then."""
    from autostream.catalogs import require_catalogs

    configured = pyiceberg_catalogs()
    aliases = {properties.get("autostream.lock.catalog") for properties in configured.values()}
    if configured and catalog not in aliases:
        require_catalogs([catalog])


def _zookeeper_key(name: TableName) -> LockKey:
    """Return the key by which the commits of a table's catalog lock it."""
    from autostream.catalogs.locking import lock_key

    return lock_key(name, _properties(name.catalog), ignores_case=name.catalog in hive_catalog_names())


def _held_locks(catalog: str | None) -> Iterator[HeldLock]:
    from autostream.coordination.lock_registry import held_locks

    if catalog:
        _require_known(catalog)
    clients, hive = _clients(catalog), hive_catalogs((catalog,) if catalog else None)
    _require_any(clients, hive)
    for client in clients:
        yield from held_locks(client, _properties(catalog).get("autostream.lock.catalog", catalog) if catalog else None)
    for opened in hive:
        yield from hive_locks(opened)


def _held_locks_of(name: TableName) -> Iterator[HeldLock]:
    from autostream.coordination.lock_registry import held_lock

    _require_known(name.catalog)
    client, hive = _client(name.catalog), hive_catalogs((name.catalog,))
    _require_any([client] if client else [], hive)
    if client and (lock := held_lock(client, _zookeeper_key(name))):
        yield lock
    for opened in hive:
        yield from hive_locks(opened, name)


def _broken(name: TableName) -> list[BrokenLock]:
    """Return the records of broken locks; they are kept in ZooKeeper, Hive's in the log and the janitor's file."""
    from autostream.coordination.lock_registry import broken_locks

    client = _client(name.catalog)
    return broken_locks(client, _zookeeper_key(name)) if client else []


def _break(lock: HeldLock, name: TableName, reason: str) -> BrokenLock:
    from autostream.coordination.lock_holder import Holder
    from autostream.coordination.lock_registry import break_lock

    by = Holder.of_this_process("lock break")
    client = _client(name.catalog)
    if lock.kind == "hive" or client is None:
        return break_hive_lock(lock, by=by, reason=reason)
    return break_lock(client, lock, by=by, reason=reason)


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
        "Breaking does not stop that process. It finds out when it checks its lock right before its commit, and gives "
        "up then. If it is past that check, the commit may still land; where the catalog does not compare and swap, it "
        "may then undo another one. A process that died needs no breaking: its lock goes with its session."
    )
    if not typer.confirm("Break it?", err=True):
        note("Nothing was broken.")
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


def _since(since_ms: int | None) -> str:
    from autostream.coordination.lock_holder import iso_time

    return "-" if since_ms is None else f"{iso_time(since_ms)} ({age(since_ms, now_ms=times.now_ms())})"


def _who(holder: Holder) -> str:
    """User, host and process: `svc on host-7 (4711)`."""
    words = [holder.user or "-", f"on {holder.host}" if holder.host else "", f"({holder.pid})" if holder.pid else ""]
    return " ".join(word for word in words if word)


def _render_list(locks: Sequence[HeldLock]) -> None:
    if not locks:
        say("No table is locked.")
        return
    rows: list[list[Part]] = []
    for lock in locks:
        kind = lock.kind if lock.state == "held" else f"{lock.kind}, {lock.state}"
        what = lock.holder.what or lock.holder.agent or "-"
        rows.append([str(lock.key), kind, _since(lock.since_ms), _who(lock.holder), what, str(len(lock.waiting))])
    columns = [Column("table", NAME), Column("lock"), Column("since"), Column("holder", NAME), Column("for", TEXT)]
    show_grid([*columns, Column("waiting", NUMBER)], rows)


def _render_table(name: TableName, locks: Sequence[HeldLock], broken: Sequence[BrokenLock]) -> None:
    say((str(name), "bold"), f" is {'' if locks else 'not '}locked.")
    for lock in locks:
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
    if broken:
        say("Broken locks, the last one first:")
    for record in broken:
        say(f"  {record}; it was held by {record.holder}", indent=4)


def _render_broken(name: TableName, locks: Sequence[HeldLock]) -> None:
    for lock in locks:
        next_one = f" {lock.waiting[0]} is next." if lock.waiting else ""
        say(f"The lock on {name} was taken from {lock.holder}.{next_one}")


def _render_sweep(rows: Sequence[dict[str, Any]], errors: Sequence[str], *, dry_run: bool) -> None:
    if not rows and not errors:
        say("There is no Hive lock.")
    if rows:
        cells: list[list[Part]] = []
        for row in rows:
            whose = [row["table"], str(row["lock_id"]), row["user"], row["host"], row["agent"] or "-"]
            cells.append([*whose, _outcome(row, dry_run=dry_run), row["error"] or row["reason"]])
        kinds = {"table": NAME, "lock": NUMBER, "user": NAME, "host": NAME, "agent": NAME, "outcome": LABEL}
        show_grid([*(Column(*item) for item in kinds.items()), Column("reason", TEXT)], cells)
    for text in errors:
        print_error(text)


def _outcome(row: dict[str, Any], *, dry_run: bool) -> str:
    if row["error"]:
        return "failed"
    if not row["stale"]:
        return "kept"
    if dry_run:
        return "would be released"
    return "released" if row["released"] else "gone by itself"
