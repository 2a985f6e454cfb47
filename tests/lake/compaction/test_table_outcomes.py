"""One outcome a table out of those of its items."""

from __future__ import annotations

import pytest

from autostream.lake.compaction.table_outcomes import failed, outcomes_by_table

COMMITTED = {
    "table": "lake.db.orders",
    "status": "committed",
    "groups": {"planned": 2, "committed": 2, "conflicted": 0, "failed": 0},
    "before": {"data_files": 40, "equality_delete_files": 10, "bytes": 1000},
    "after": {"data_files": 21, "equality_delete_files": 10, "bytes": 800},
    "rows_deleted": 5,
    "bytes_written": 300,
    "seconds": {"plan": 0.1, "rewrite": 2.0},
}


def test_a_table_with_one_item_keeps_its_outcome() -> None:
    assert outcomes_by_table([COMMITTED]) == (COMMITTED,)


def test_items_of_a_split_table_are_summed_and_span_from_first_to_last() -> None:
    second = COMMITTED | {
        "before": {"data_files": 21, "equality_delete_files": 10, "bytes": 800},
        "after": {"data_files": 2, "equality_delete_files": 0, "bytes": 600},
    }
    (row,) = outcomes_by_table([second, COMMITTED])
    assert row["status"] == "committed"
    assert row["items"] == 2
    assert row["groups"] == {"planned": 4, "committed": 4, "conflicted": 0, "failed": 0}
    assert row["before"] == COMMITTED["before"]
    assert row["after"] == second["after"]
    assert row["rows_deleted"] == 10
    assert row["bytes_written"] == 600
    assert row["seconds"] == {"plan": 0.2, "rewrite": 4.0}
    assert "error" not in row


@pytest.mark.parametrize("order", [1, -1])
def test_the_worst_status_counts_and_errors_stand_together(order: int) -> None:
    rows = [
        COMMITTED,
        {"table": "lake.db.orders", "status": "conflict", "error": "Another compaction was faster."},
        {"table": "lake.db.orders", "status": "failed", "error": "A file is missing."},
        {"table": "lake.db.users", "status": "nothing-to-do", "error": None},
    ]
    orders, users = outcomes_by_table(rows[::order])
    assert orders["status"] == "failed"
    assert orders["error"] == "A file is missing. Another compaction was faster."
    assert orders["rows_deleted"] == 5
    assert users["table"] == "lake.db.users"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("committed", False),
        ("nothing-to-do", False),
        ("planned", False),
        ("conflict", True),
        ("unknown", True),
        ("failed", True),
        ("never heard of", True),
    ],
)
def test_which_outcomes_need_attention(status: str, *, expected: bool) -> None:
    assert failed({"table": "t", "status": status}) is expected
