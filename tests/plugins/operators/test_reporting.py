"""One row a table out of all tasks, events for what was compacted, and a verdict."""

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from autostream.lake.compaction.workload import WorkItem, WorkPart
from autostream_airflow.assets import COMPACTIONS
from autostream_airflow.operators.reporting import (
    CollectCompactionsOperator,
    JudgeCompactionsOperator,
)
from tests.plugins.operators.events import FakeEvents

COMMITTED = {
    "table": "lake.db.orders",
    "status": "committed",
    "before": {"data_files": 1200, "equality_delete_files": 40, "position_delete_files": 2, "bytes": 5_000_000},
    "after": {"data_files": 3, "equality_delete_files": 0, "position_delete_files": 0, "bytes": 4_000_000},
    "seconds": {"plan": 0.1, "rewrite": 2.3, "commit": 0.2},
}
QUIET = {"table": "lake.db.quiet", "status": "nothing-to-do"}
BROKEN = {"table": "lake.db.broken", "status": "failed", "error": "A file is missing."}


@pytest.fixture
def events(context: dict[str, Any]) -> FakeEvents:
    events = FakeEvents()
    context["outlet_events"] = {COMPACTIONS: events}
    return events


def item(*tables: str) -> dict[str, Any]:
    return WorkItem(tuple(WorkPart(table, None, 1, 1) for table in tables)).to_dict()


def collect(context: dict[str, Any], others: dict[tuple[str, str, int | None], Any]) -> list[dict[str, Any]]:
    context["ti"].others = others
    return CollectCompactionsOperator(task_id="collect", plan_task_id="plan", compact_task_id="compact").execute(
        context
    )


def test_rows_of_the_plan_and_of_all_items_come_together(context: dict[str, Any], events: FakeEvents) -> None:
    rows = collect(
        context,
        {
            ("plan", "return_value", None): [item("lake.db.orders"), item("lake.db.broken")],
            ("plan", "rows", None): [QUIET],
            ("compact", "rows", 0): [COMMITTED],
            ("compact", "rows", 1): [BROKEN],
        },
    )
    assert rows == [BROKEN, COMMITTED, QUIET]
    assert events.added == [("compaction:lake.db.orders", COMMITTED)]


def test_an_item_whose_task_died_silently_is_told(context: dict[str, Any], events: FakeEvents) -> None:
    plan = {("plan", "return_value", None): [item("lake.db.a", "lake.db.b")], ("plan", "rows", None): []}
    rows = collect(context, plan)
    assert [(row["table"], row["status"]) for row in rows] == [("lake.db.a", "unknown"), ("lake.db.b", "unknown")]
    assert "map index 0" in rows[0]["error"]
    assert events.added == []


def test_a_run_without_a_plan_is_a_failure(context: dict[str, Any], events: FakeEvents) -> None:
    (row,) = collect(context, {})
    assert (row["table"], row["status"]) == ("(all tables)", "failed")
    assert "See the log of plan" in row["error"]


def test_a_run_with_failures_fails_and_names_them(context: dict[str, Any]) -> None:
    conflict = {"table": "lake.db.busy", "status": "conflict", "error": "Another compaction was faster."}
    with pytest.raises(AirflowFailException) as raised:
        JudgeCompactionsOperator(task_id="report", rows=[BROKEN, conflict, COMMITTED]).execute(context)
    assert str(raised.value) == (
        "2 of 3 tables failed:\n"
        "lake.db.broken: failed: A file is missing.\n"
        "lake.db.busy: conflict: Another compaction was faster."
    )


def test_a_run_without_failures_succeeds(context: dict[str, Any]) -> None:
    JudgeCompactionsOperator(task_id="report", rows=[COMMITTED, QUIET]).execute(context)
    JudgeCompactionsOperator(task_id="report", rows=[]).execute(context)


def test_rows_as_a_table_of_text() -> None:
    assert list(JudgeCompactionsOperator(task_id="judge", rows=[BROKEN, COMMITTED, QUIET]).lines()) == [
        "table           status         data files  delete files  bytes                  seconds  error",
        "lake.db.broken  failed                                                                   A file is missing.",
        "lake.db.orders  committed      1,200 → 3   42 → 0        5,000,000 → 4,000,000  2.6",
        "lake.db.quiet   nothing-to-do",
    ]


def test_people_are_told_of_a_run_with_failures(
    context: dict[str, Any], told: Callable[[], list[dict[str, Any]]]
) -> None:
    judge = JudgeCompactionsOperator(task_id="report", rows=[BROKEN, COMMITTED])
    context["params"]["dry_run"] = True
    with pytest.raises(AirflowFailException):
        judge.execute(context)
    assert told() == []
    context["params"]["dry_run"] = False
    with pytest.raises(AirflowFailException):
        judge.execute(context)
    (notice,) = told()
    assert (notice["kind"], notice["subject"]) == ("compaction-failed", "table lake.db.broken")
    JudgeCompactionsOperator(task_id="report", rows=[COMMITTED]).execute(context)
    assert len(told()) == 1
