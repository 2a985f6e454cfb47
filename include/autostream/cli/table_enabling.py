"""`autostream table enable` and `disable`: which tables the hourly workflow compacts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

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
    from autostream.actions import Action, Answer, Workbench, perform
    from autostream.catalogs.opening import open_table
    from autostream.cli.table_fleet import catalogs_to_search, exit_code, refuse_unmatched
    from autostream.config import load_settings
    from autostream.lake.compaction.enabling import set_enabled
    from autostream.lake.compaction.fleet import find_tables
    from autostream.lake.compaction.table_outcomes import describe
    from autostream.lake.compaction.table_selection import TableSelection
    from autostream.names import catalog_of
    from autostream.outcomes import outcome_of_error

    selection, settings = TableSelection.parse(words, enabled_only=False), load_settings()
    bench = Workbench(settings)

    def do(action: Action[Answer], /) -> Answer:
        return perform(action, bench)

    found = find_tables(selection, catalogs_to_search(selection, settings), do)
    refuse_unmatched(found)
    rows: list[dict[str, Any]] = list(found.failures)
    interrupts.leave_behind("Some of the tables may already be changed. It is safe to run it again.")
    with progress("enabling" if enabled else "disabling") as report:
        for number, table in enumerate(found.tables, start=1):
            report(f"{number} of {len(found.tables)}: {table.name}")
            try:
                opened = open_table(table.name, catalog=bench.open(catalog_of(table.name)))
                changed = set_enabled(opened, enabled=enabled)
            except Exception as error:
                if len(found.tables) == 1 and not rows:
                    raise
                rows.append(outcome_of_error(table.name, error))
            else:
                status = "changed" if changed else "unchanged"
                rows.append({"table": table.name, "status": status, "enabled": enabled})
    emit({"tables": rows}, as_json=as_json, render=lambda: _render(rows))
    if broken := [row for row in rows if "error" in row]:
        print_error(f"Could not change {len(broken)} of {counted(len(rows), 'table')}:\n{describe(broken)}")
        raise typer.Exit(exit_code(broken))


def _render(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        if "error" not in row:
            word = "enabled" if row["enabled"] else "disabled"
            say((row["table"], "bold"), f": {word}" if row["status"] == "changed" else f": already {word}")
