"""`autostream db`: the control-plane database."""

from __future__ import annotations

import typer

from autostream.cli import interrupts
from autostream.cli.output import JsonOption, emit
from autostream.cli.terminal import say

app = typer.Typer(no_args_is_help=True)


@app.callback()
def prepare() -> None:
    """Keep `upgrade` a command of its own, though it is the only one."""


@app.command()
def upgrade(as_json: JsonOption = False) -> None:
    """Make the tables of the configured database, or bring them up to date; does nothing where they are.

    Safe to be run by several at once, and while others use the database. Exit code 1: the database cannot be reached;
    2: it was upgraded by a newer autostream.
    """
    from autostream.store.database import open_database

    database = open_database()
    interrupts.leave_behind("Run it again: finished upgrades stay, and it does the rest.")
    before, after = database.upgrade()
    changed = before != after
    document = {"database": database.shown_url, "changed": changed, "revision_before": before, "revision": after}

    def render() -> None:
        what = f"upgraded from {before or 'no tables'} to {after}" if changed else f"up to date at {after}"
        say(f"{database.shown_url}: {what}")

    emit(document, as_json=as_json, render=render)
