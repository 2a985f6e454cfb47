"""Many tables, each on its own, by any kind of worker."""

from typing import Any

import pytest

from autostream.actions import Action, ActionFailed, Answer
from autostream.config import CompactionSettings
from autostream.errors import ConfigurationError, ServiceError, UsageError
from autostream.lake.compaction.compaction_actions import CompactTable, ListTables, PlanTable
from autostream.lake.compaction.fleet import (
    FleetOrder,
    FoundTables,
    compact_fleet,
    compact_part,
    find_tables,
    plan_tables,
)
from autostream.lake.compaction.table_selection import ChosenTable, TableSelection
from autostream.lake.compaction.workload import WorkPart

LAKE = {
    "lake.db.large": [("spec=0/day=1", 900, 9), ("spec=0/day=2", 800, 8)],
    "lake.db.small": [("spec=0", 10, 2)],
    "lake.db.quiet": [],
    "lake.db.off": None,
}


class Worker:
    """Answers as a worker would, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Action[Any]] = []
        self.broken: dict[str, Exception] = {}

    def __call__(self, action: Action[Answer], /) -> Answer:
        self.asked.append(action)
        if error := self.broken.get(action.subject):
            raise error
        answer: Any
        match action:
            case ListTables():
                answer = [table for table in LAKE if table.startswith(f"{action.catalog}.")]
            case PlanTable():
                answer = LAKE[action.table]
                if answer is None and not action.enabled_only:
                    answer = [("spec=0", 1, 1)]
            case CompactTable():
                answer = {"table": action.table, "status": "planned" if action.dry_run else "committed"}
        return answer

    def compacted(self) -> list[tuple[str, tuple[str, ...] | None]]:
        return [(asked.table, asked.partitions) for asked in self.asked if isinstance(asked, CompactTable)]


@pytest.fixture
def worker() -> Worker:
    return Worker()


def order(*words: str, enabled_only: bool = True, **more: Any) -> FleetOrder:
    return FleetOrder(TableSelection.parse(words, enabled_only=enabled_only), **more)


def run(worker: Worker, asked: FleetOrder, *, split_size_bytes: int = 10_000, **more: Any) -> dict[str, str]:
    found = find_tables(asked.selection, ("lake",), worker)
    limits = CompactionSettings(split_size_bytes=split_size_bytes)
    return {row["table"]: row["status"] for row in compact_fleet(asked, found, worker, limits=limits, **more)}


def test_enabled_tables_are_planned_and_compacted(worker: Worker) -> None:
    assert run(worker, order()) == {
        "lake.db.large": "committed",
        "lake.db.quiet": "nothing-to-do",
        "lake.db.small": "committed",
    }
    assert worker.compacted() == [("lake.db.large", None), ("lake.db.small", None)]


def test_a_table_that_is_named_or_matched_without_the_property_may_be_asked_for(worker: Worker) -> None:
    assert run(worker, order("lake.db.off")) == {"lake.db.off": "committed"}
    assert run(worker, order("lake.db.o*")) == {}
    assert run(worker, order("lake.db.o*", enabled_only=False)) == {"lake.db.off": "committed"}


def test_a_large_table_is_compacted_in_parts_and_is_one_row(worker: Worker) -> None:
    assert run(worker, order("lake.db.l*"), split_size_bytes=1000) == {"lake.db.large": "committed"}
    assert worker.compacted() == [("lake.db.large", ("spec=0/day=1",)), ("lake.db.large", ("spec=0/day=2",))]


def test_what_was_asked_for_reaches_each_table(worker: Worker) -> None:
    run(worker, order("lake.db.small", options={"rewrite-all": "true"}, where="day = 1", dry_run=True))
    assert worker.asked == [
        PlanTable(table="lake.db.small", options={"rewrite-all": "true"}, where="day = 1"),
        CompactTable(table="lake.db.small", options={"rewrite-all": "true"}, where="day = 1", dry_run=True),
    ]


@pytest.mark.parametrize(
    "error",
    [ConfigurationError("It is wrong."), ActionFailed.of({"table": "t", "status": "failed", "error": "It died."})],
)
def test_one_that_cannot_be_planned_stops_no_other(worker: Worker, error: Exception) -> None:
    worker.broken = {"lake.db.large": error}
    statuses = run(worker, order())
    assert statuses["lake.db.small"] == "committed"
    assert "failed" in statuses.values()


def test_one_that_cannot_be_compacted_stops_no_other_and_says_why(worker: Worker) -> None:
    asked, told = order(), list[str]()
    found = find_tables(asked.selection, ("lake",), worker)
    planned = plan_tables(asked, found.tables, worker)
    worker.broken = {"lake.db.large": ServiceError("The catalog gave no answer.")}
    parts = [part for item in planned.items(CompactionSettings()) for part in item.parts]
    rows = [compact_part(asked, part, worker, say=told.append) for part in parts]
    assert [(row["table"], row["status"]) for row in rows] == [
        ("lake.db.large", "failed"),
        ("lake.db.small", "committed"),
    ]
    assert rows[0]["repeat"] is True
    assert told == ["lake.db.large: failed: The catalog gave no answer.", "lake.db.small: committed"]


def test_a_catalog_that_cannot_be_listed_is_a_row(worker: Worker) -> None:
    worker.broken = {"away": ServiceError("It gave no answer.")}
    found = find_tables(TableSelection.parse(["*.small", "away.*"]), ("away", "lake"), worker)
    assert [row["table"] for row in found.failures] == ["away"]
    assert found.tables == (ChosenTable("lake.db.small", named=False),)
    assert found.unmatched == {}


def test_a_pattern_that_matches_nothing_can_be_a_row(worker: Worker) -> None:
    (row,) = find_tables(TableSelection.parse(["lake.none.*"]), ("lake",), worker).unmatched_rows()
    assert (row["table"], row["status"]) == ("lake.none.*", "failed")
    assert "There are: lake.db.large" in row["error"]


def test_progress_counts_parts(worker: Worker) -> None:
    told: list[str] = []
    run(worker, order(), on_progress=told.append)
    assert told == ["planning 4 tables", "1 of 2: lake.db.large", "2 of 2: lake.db.small"]


def test_no_catalog_at_all_is_refused(worker: Worker) -> None:
    with pytest.raises(ConfigurationError, match="No catalog is configured"):
        find_tables(TableSelection.parse(["lake.*"]), (), worker)
    named = FoundTables((ChosenTable("lake.db.t", named=True),))
    assert find_tables(TableSelection.parse(["lake.db.t"]), (), worker) == named
    assert worker.asked == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"enabled": "true"}, "not an option of a run"),
        ({"engine": "spark"}, "Engine 'spark' is not available"),
        ({"rewrite-al": "true"}, "Did you mean rewrite-all"),
    ],
)
def test_options_that_no_table_takes_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises((ConfigurationError, UsageError), match=message):
        order(options=options).check_options()


def test_an_expression_that_no_table_takes_is_refused() -> None:
    with pytest.raises(UsageError, match="A value is expected here"):
        order(where="day >=").check_where()


def test_the_label_of_a_part_is_told_with_its_outcome(worker: Worker) -> None:
    told: list[str] = []
    compact_part(order(), WorkPart("lake.db.large", ("spec=0/day=1",), 1, 1), worker, say=told.append)
    assert told == ["lake.db.large day=1: committed"]
