"""Many tables at a time: found by names and patterns, then compacted or enabled one after the other in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from autostream.actions import Action, Answer, Workbench, perform
from autostream.errors import UsageError
from autostream.lake.compaction import fleet
from autostream.lake.compaction.fleet import FleetOrder, FoundTables, Perform
from autostream.lake.compaction.table_outcomes import EnablingResult, FleetResult, Row
from autostream.lake.compaction.table_selection import TableSelection
from autostream.outcomes import outcome_of_error

if TYPE_CHECKING:
    from autostream.api.lakehouse import Lakehouse

FleetObserver = Callable[[str, str], None]
"""Gets each step of a compaction, after the name of the table that it is about."""


def compact_tables(
    lakehouse: Lakehouse,
    words: Sequence[str],
    *,
    enabled: bool,
    where: str | None,
    options: Mapping[str, str],
    dry_run: bool,
    report_progress: Callable[[str], None] | None,
    on_row: Callable[[Row], None] | None,
    on_step: FleetObserver | None,
) -> FleetResult:
    """Do what `Lakehouse.compact` says."""
    if not words and not enabled:
        raise UsageError("Name a table or a pattern, such as 'lake.shop.*', or ask for all enabled tables.")
    order = FleetOrder(TableSelection.parse(words, enabled_only=enabled), options, where, dry_run)
    order.check_options()
    order.check_where()
    under_way = _UnderWay(report_progress or _ignore)
    do = _performing(lakehouse, report=under_way.tell, on_step=on_step or _ignore)
    rows = fleet.compact_fleet(
        order,
        _find(lakehouse, order.selection, do),
        do,
        limits=lakehouse.settings.compaction,
        database=lakehouse.settings.database,
        on_progress=under_way.begin,
        on_row=on_row or _ignore,
    )
    if not dry_run:
        fleet.tell_of_failures(rows, lakehouse.settings)
    return FleetResult(rows, dry_run=dry_run)


def set_tables_enabled(
    lakehouse: Lakehouse, words: Sequence[str], *, enabled: bool, report_progress: Callable[[str], None] | None
) -> EnablingResult:
    """Do what `Lakehouse.enable` and `Lakehouse.disable` say."""
    if not words:
        raise UsageError("Name a table or a pattern, such as 'lake.shop.*'.")
    selection = TableSelection.parse(words, enabled_only=False)
    found = _find(lakehouse, selection, _performing(lakehouse))
    rows = list(found.failures)
    for number, chosen in enumerate(found.tables, start=1):
        if report_progress:
            report_progress(f"{number} of {len(found.tables)}: {chosen.name}")
        table = lakehouse.table(chosen.name)
        try:
            changed = table.enable() if enabled else table.disable()
        except Exception as error:
            if len(found.tables) == 1 and not rows:
                raise
            rows.append(outcome_of_error(chosen.name, error))
        else:
            status = "changed" if changed else "unchanged"
            rows.append({"table": chosen.name, "status": status, "enabled": enabled})
    return EnablingResult(tuple(rows))


def _performing(
    lakehouse: Lakehouse, *, report: Callable[[str, str], None] | None = None, on_step: FleetObserver | None = None
) -> Perform:
    """Return what does each action in this process, with the catalogs that are open."""
    bench = Workbench(
        lakehouse.settings,
        open_catalog=lambda name, _: lakehouse.open_catalog(name),
        report=report or _ignore,
        on_step=on_step or _ignore,
    )

    def do(action: Action[Answer], /) -> Answer:
        return perform(action, bench)

    return do


def _find(lakehouse: Lakehouse, selection: TableSelection, do: Perform) -> FoundTables:
    """Return the tables, looked for in the catalogs of the workflow and in those that a pattern names.

    Raises:
        UsageError: A pattern matches nothing; says what there is.
    """
    known = lakehouse.catalogs
    usual = lakehouse.settings.compaction.catalogs or known
    named = (name for name in selection.catalogs_named if name in known)
    found = fleet.find_tables(selection, tuple(dict.fromkeys((*usual, *named))), do)
    if found.unmatched:
        told = " ".join(f"Pattern {pattern!r} matches no table. {text}" for pattern, text in found.unmatched.items())
        raise UsageError(f"{told} Nothing was done.")
    return found


class _UnderWay:
    """Lines about what is going on, each with the table that it is about."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._now = ""

    def begin(self, what: str) -> None:
        self._now = what
        self._report(what)

    def tell(self, _: str, line: str) -> None:
        self._report(f"{self._now}: {line}")


def _ignore(*_: object) -> None:
    """Nobody asked to be told."""
