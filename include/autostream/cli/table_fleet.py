"""`autostream table compact` of many tables: what the hourly workflow does, in one process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import typer

from autostream.actions import Action, Answer, Workbench, perform
from autostream.cli import interrupts
from autostream.cli.grid import LABEL, NAME, NUMBER, Column, show_grid
from autostream.cli.output import emit, print_error, progress
from autostream.cli.terminal import Part, say
from autostream.config import configured_catalogs, load_settings, pyiceberg_catalogs
from autostream.errors import AutostreamError, ConflictError, OutcomeUnknownError, UsageError
from autostream.lake.compaction import fleet
from autostream.lake.compaction.fleet import FleetOrder, FoundTables
from autostream.lake.compaction.table_outcomes import HEADINGS, cells, describe, failed, worst_status
from autostream.lake.compaction.table_selection import TableSelection
from autostream.sizes import format_size
from autostream.spelling import counted

if TYPE_CHECKING:
    from autostream.config import Settings
    from autostream.lake.compaction.table_outcomes import Row

_EXIT_CODES: Final = {"conflict": ConflictError.exit_code, "unknown": OutcomeUnknownError.exit_code}


def compact_many(
    words: Sequence[str],
    *,
    enabled_only: bool,
    options: Mapping[str, str],
    where: str | None,
    dry_run: bool,
    partitions: Sequence[str] | None,
    on_step: Callable[[str, str], None],
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
    order = FleetOrder(TableSelection.parse(words, enabled_only=enabled_only), options, where, dry_run)
    order.check_options()
    order.check_where()
    settings = load_settings()
    with progress("compacting" if not dry_run else "planning") as report:
        under_way = _UnderWay(report)
        bench = Workbench(settings, report=under_way.tell, on_step=on_step)

        def do(action: Action[Answer], /) -> Answer:
            return perform(action, bench)

        found = fleet.find_tables(order.selection, catalogs_to_search(order.selection, settings), do)
        refuse_unmatched(found)
        rows = fleet.compact_fleet(
            order,
            found,
            do,
            limits=settings.compaction,
            on_progress=under_way.begin,
            on_row=under_way.finish,
        )
    document = {"dry_run": dry_run, "counts": dict(Counter(row["status"] for row in rows)), "tables": list(rows)}
    emit(document, as_json=as_json, render=lambda: _render(rows))
    if broken := [row for row in rows if failed(row)]:
        print_error(f"{len(broken)} of {counted(len(rows), 'table')} failed:\n{describe(broken)}")
        raise typer.Exit(exit_code(rows))


def exit_code(rows: Sequence[Row]) -> int:
    """Return the exit code of a command that ends by the worst of these outcomes."""
    return _EXIT_CODES.get(worst_status(rows), AutostreamError.exit_code)


class _UnderWay:
    """What is going on at the moment, and what an interruption leaves behind."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._now = ""
        self._done = 0

    def begin(self, what: str) -> None:
        self._now = what
        self._report(what)

    def tell(self, _: str, line: str) -> None:
        self._report(f"{self._now}: {line}")

    def finish(self, row: Row) -> None:
        if interrupts.interrupted():
            raise KeyboardInterrupt  # the table failed by that alone, whatever its error says
        self._done += 1
        interrupts.leave_behind(
            f"Commits that were already made stay: {counted(self._done, 'work item')} done. Run it again for the rest."
        )


def catalogs_to_search(selection: TableSelection, settings: Settings) -> tuple[str, ...]:
    """Return the catalogs to look through: those of the workflow, and those that a pattern names."""
    known = pyiceberg_catalogs()
    named = (name for name in selection.catalogs_named if name in known)
    return tuple(dict.fromkeys((*configured_catalogs(settings), *named)))


def refuse_unmatched(found: FoundTables) -> None:
    """Refuse patterns that match nothing, before anything is done.

    Raises:
        UsageError: There is one; says what there is.
    """
    if found.unmatched:
        told = " ".join(f"Pattern {pattern!r} matches no table. {text}" for pattern, text in found.unmatched.items())
        raise UsageError(f"{told} Nothing was done.")


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
