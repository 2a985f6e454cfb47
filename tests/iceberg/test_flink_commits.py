"""Which checkpoints a table has, by the summaries of the snapshots that main is made of."""

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table
from pyiceberg.types import StringType

from autostream.iceberg.flink_commits import FlinkCommit, committed_by_all, committed_checkpoints
from autostream.iceberg.snapshots import lineage_of_main
from tests.support.catalogs import IDS, append
from tests.support.lakes import Orders, compact


def commit(table: Table, checkpoint: object, *, job: str = "job", operator: str = "op", branch: str = "main") -> int:
    """Commit as Flink does; return the snapshot."""
    summary = {"flink.job-id": job, "flink.operator-id": operator, "flink.max-committed-checkpoint-id": str(checkpoint)}
    table.append(pa.table({"id": pa.array([1], pa.int64())}, IDS), summary, branch=branch)
    return table.metadata.refs[branch].snapshot_id


@pytest.fixture
def table(lake: SqlCatalog) -> Table:
    return lake.create_table("db.t", IDS)


def found(table: Table) -> dict[str, dict[str, FlinkCommit]]:
    return committed_checkpoints(lineage_of_main(table.metadata))


def test_a_table_without_snapshots(table: Table) -> None:
    assert found(table) == {}
    assert list(lineage_of_main(table.metadata)) == []


def test_the_furthest_commit_of_each_sink_of_each_job(table: Table) -> None:
    commit(table, 1)
    second = commit(table, 2)
    other_sink = commit(table, 1, operator="op-2")
    other_job = commit(table, 7, job="job-2")
    append(table, 5)
    assert found(table) == {
        "job": {"op": FlinkCommit(2, second), "op-2": FlinkCommit(1, other_sink)},
        "job-2": {"op": FlinkCommit(7, other_job)},
    }
    assert len(list(lineage_of_main(table.metadata))) == 5


def test_the_largest_checkpoint_counts_and_not_the_last_commit(table: Table) -> None:
    snapshot = commit(table, 9)
    commit(table, 8)
    assert found(table)["job"]["op"] == FlinkCommit(9, snapshot)


@pytest.mark.parametrize("checkpoint", ["", "x", "-1", "1.5", "²", "9" * 30, " 3"])
def test_a_checkpoint_that_is_garbage_does_not_count(table: Table, checkpoint: str) -> None:
    commit(table, checkpoint)
    assert found(table) == {}


def test_the_end_of_input_is_a_checkpoint(table: Table) -> None:
    assert found_after(table, 2**63 - 1).checkpoint_id == 2**63 - 1


def found_after(table: Table, checkpoint: int) -> FlinkCommit:
    commit(table, checkpoint)
    return found(table)["job"]["op"]


def test_commits_to_branches_do_not_count(table: Table) -> None:
    first = commit(table, 1)
    table.manage_snapshots().create_branch(first, "audit").commit()
    commit(table, 2, branch="audit")
    assert found(table)["job"]["op"] == FlinkCommit(1, first)


def test_what_was_rolled_back_does_not_count(table: Table) -> None:
    first = commit(table, 1)
    second = commit(table, 2)
    table.manage_snapshots().create_tag(second, "kept").commit()
    table.manage_snapshots().rollback_to_snapshot(first).commit()
    assert found(table)["job"]["op"] == FlinkCommit(1, first)


def test_schema_changes_and_compaction_on_top_hide_nothing(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.o")
    orders.checkpoint(3)
    before = found(orders.load())
    assert compact(orders.load(), "lake.db.o").status == "committed"
    orders.load().update_schema().add_column("note", StringType()).commit()
    after = orders.load()
    assert after.current_snapshot().summary.operation.value == "replace"  # type: ignore[union-attr]
    assert found(after) == before != {}


def test_parents_that_have_expired_end_the_search(table: Table) -> None:
    first = commit(table, 1, operator="old")
    second = commit(table, 2)
    table.maintenance.expire_snapshots().by_id(first).commit()
    assert found(table) == {"job": {"op": FlinkCommit(2, second)}}


@pytest.mark.parametrize(
    ("checkpoints", "count", "together"),
    [
        ({}, 1, None),
        ({"a": 3}, 1, 3),
        ({"a": 3}, 2, None),
        ({"a": 3, "b": 5}, 2, 3),
        ({"a": 3, "b": 5, "old": 1}, 2, 3),
    ],
)
def test_how_far_all_sinks_of_a_job_have_come(checkpoints: dict[str, int], count: int, together: int | None) -> None:
    sinks = {operator: FlinkCommit(checkpoint, 100 + checkpoint) for operator, checkpoint in checkpoints.items()}
    furthest = committed_by_all(sinks, count)
    assert (furthest.checkpoint_id if furthest else None) == together
