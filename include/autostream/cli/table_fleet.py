"""`autostream table compact` of many tables: what the hourly workflow does, in one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

import autostream
from autostream.cli import interrupts
from autostream.cli.grid import LABEL, NAME, NUMBER, Column, show_grid
from autostream.cli.output import emit, print_error, progress
from autostream.cli.terminal import Part, say
from autostream.errors import UsageError
from autostream.lake.compaction.table_outcomes import HEADINGS, cells, describe
from autostream.sizes import format_size
from autostream.spelling import counted

if TYPE_CHECKING:
    from autostream.api.many_tables import FleetObserver
    from autostream.lake.compaction.table_outcomes import Row


def compact_many(
    words: Sequence[str],
    *,
    enabled_only: bool,
    options: Mapping[str, str],
    where: str | None,
    dry_run: bool,
    partitions: Sequence[str] | None,
    on_step: FleetObserver,
    as_json: bool,
) -> None:
    """Compact the tables that words stand for, one after the other, and say at the end what became of each.

    Raises:
        UsageError: There is no word, one that matches nothing, or an option that is about one table.
        Exit: A table failed; with the exit code of the worst outcome.
    """
    if not words and not enabled_only:
        raise UsageError("Name a table or a pattern, such as 'lake.shop.*', or add --enabled for all enabled tables.")
    if partitions:
        raise UsageError("--partition needs exactly one table. Name one table, or use --where for several.")
    with progress("compacting" if not dry_run else "planning") as report:
        result = autostream.Lakehouse().compact(
            *words,
            enabled=enabled_only,
            where=where,
            options=options,
            dry_run=dry_run,
            report_progress=report,
            on_row=_Done().add,
            on_step=on_step,
        )
    emit(result.to_dict(), as_json=as_json, render=lambda: _render(result.rows))
    if result.failures:
        count = f"{len(result.failures)} of {counted(len(result.rows), 'table')}"
        print_error(f"{count} failed:\n{describe(result.failures)}")
        raise typer.Exit(result.exit_code)


class _Done:
    """How much is done, which is what an interruption leaves behind."""

    def __init__(self) -> None:
        self._items = 0

    def add(self, _: Row) -> None:
        """Count a work item.

        Raises:
            KeyboardInterrupt: It failed by an interruption alone, whatever its error says.
        """
        if interrupts.interrupted():
            raise KeyboardInterrupt
        self._items += 1
        interrupts.leave_behind(
            f"Commits that were already made stay: {counted(self._items, 'work item')} done. Run it again for the rest."
        )


def _render(rows: Sequence[Row]) -> None:
    if not rows:
        say("No matching table is enabled. 'autostream table enable TABLE' enables one.")
        return
    kinds = (NAME, LABEL, NUMBER, NUMBER, NUMBER, NUMBER)
    columns = [Column(heading, kind) for heading, kind in zip(HEADINGS, kinds, strict=False)]
    lines: list[Sequence[Part]] = []
    for row in rows:
        groups = row.get("groups", {}).get("planned")
        line = cells(row, size=format_size, arrow=" -> ")[: len(columns)]
        lines.append([*line, "" if groups is None else f"{groups:,}"])
    show_grid([*columns, Column("groups", NUMBER)], lines)
