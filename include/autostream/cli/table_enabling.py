"""`autostream table enable` and `disable`: which tables the hourly workflow compacts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

import autostream
from autostream.cli import interrupts
from autostream.cli.output import JsonOption, emit, print_error, progress
from autostream.cli.terminal import say
from autostream.spelling import counted

TablesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="TABLE|PATTERN...",
        help="CATALOG.NAMESPACE.TABLE, or a pattern in quotes, such as 'lake.shop.*'; one or more.",
    ),
]


def enable(tables: TablesArgument, as_json: JsonOption = False) -> None:
    """Have the hourly workflow compact tables: set autostream.compaction.enabled=true."""
    _set(tables, enabled=True, as_json=as_json)


def disable(tables: TablesArgument, as_json: JsonOption = False) -> None:
    """Have the hourly workflow leave tables alone: set autostream.compaction.enabled=false."""
    _set(tables, enabled=False, as_json=as_json)


def _set(words: Sequence[str], *, enabled: bool, as_json: bool) -> None:
    lakehouse = autostream.Lakehouse()
    with progress("enabling" if enabled else "disabling") as report:

        def begin(line: str) -> None:
            interrupts.leave_behind("Some of the tables may already be changed. It is safe to run it again.")
            report(line)

        change = lakehouse.enable if enabled else lakehouse.disable
        result = change(*words, report_progress=begin)
    emit(result.to_dict(), as_json=as_json, render=lambda: _render(result.rows))
    if result.failures:
        from autostream.lake.compaction.table_outcomes import describe

        count = f"{len(result.failures)} of {counted(len(result.rows), 'table')}"
        print_error(f"Could not change {count}:\n{describe(result.failures)}")
        raise typer.Exit(result.exit_code)


def _render(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        if "error" not in row:
            word = "enabled" if row["enabled"] else "disabled"
            say((row["table"], "bold"), f": {word}" if row["status"] == "changed" else f": already {word}")
