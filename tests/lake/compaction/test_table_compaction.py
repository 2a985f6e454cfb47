"""Compaction of one table, end to end: what is rewritten, what the snapshot says, what stays as it was."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import ManifestEntryStatus, ManifestFile
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.table import Table
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.table.update import SetSnapshotRefUpdate
from pyiceberg.transforms import IdentityTransform

from autostream.demo.writer import UpsertWriter
from autostream.errors import ConfigurationError, UsageError
from autostream.iceberg.files import Content, normalize_path
from autostream.iceberg.state import read_state
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.compaction_result import CompactionResult
from autostream.lake.compaction.planning import plan_compaction
from autostream.lake.compaction.table_compaction import compact_table
from autostream.lake.engine.output_files import FILE_PREFIX
from autostream.lake.scan import scan_table
from autostream.resources import EngineResources
from tests.support.clocks import FakeClock
from tests.support.flink_tables import FLINK_TABLES
from tests.support.lakes import BUCKETED, ORDERS, Orders, compact
from tests.support.reader import read_table
from tests.support.rows import assert_same_rows

BY_REGION = PartitionSpec(PartitionField(3, 1000, IdentityTransform(), "s_part"))


def run(table: Table, **more: Any) -> CompactionResult:
    options = more.pop("options", {"rewrite-all": "true"})
    return compact_table(
        table, "lake.db.t", options=CompactionOptions.from_properties(table.properties, options), **more
    )


def manifests(table: Table) -> list[ManifestFile]:
    snapshot = table.current_snapshot()
    assert snapshot is not None
    return snapshot.manifests(table.io)


@pytest.mark.parametrize("name", FLINK_TABLES)
def test_tables_of_a_real_flink_job(name: str, flink_table: Any) -> None:
    flink = flink_table(name)
    result = compact_table(flink.table, f"lab.db.{name}", options=CompactionOptions())
    assert result.status == "committed"
    assert (result.after.equality_delete_files, result.after.position_delete_files) == (0, 0)
    assert result.rows_read - result.rows_deleted == result.after.records == len(flink.expected)
    table = flink.table.refresh()
    for read in (scan_table(table).to_arrow(), read_table(table), table.scan().to_arrow()):
        assert_same_rows(read, flink.expected, context=name)
    again = compact_table(table, f"lab.db.{name}", options=CompactionOptions())
    assert (again.status, again.snapshot_id) == ("nothing-to-do", None)


def test_an_earlier_snapshot_reads_as_before(flink_table: Any) -> None:
    flink = flink_table("orders_by_day")
    before = flink.table.metadata.current_snapshot_id
    compact_table(flink.table, "lab.db.orders_by_day", options=CompactionOptions())
    assert_same_rows(scan_table(flink.table.refresh(), snapshot_id=before).to_arrow(), flink.expected)


@pytest.mark.parametrize("mode", ["max-merged", "starting-snapshot"])
def test_sequence_numbers_of_outputs(mode: str, lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t", spec=BUCKETED)
    orders.checkpoint(4)
    # One partition gets a commit of its own, so that the others' largest number is smaller than the snapshot's.
    row = {"id": 7, "v": -1, "s": "last"}
    orders.writer.commit(data=orders.writer.files.write_data(pa.Table.from_pylist([row])))
    planned = read_state(orders.load())
    result = run(orders.load(), options={"rewrite-all": "true", "sequence-number": mode})
    state = read_state(orders.load())
    snapshot = orders.load().current_snapshot()
    assert snapshot is not None
    assert snapshot.sequence_number == planned.sequence_number + 1
    assert result.plan is not None
    for file in state.data.values():
        merged = max(f.sequence_number for f in planned.data.values() if f.partition == file.partition)
        assert file.sequence_number == (merged if mode == "max-merged" else planned.sequence_number)
        assert file.file_sequence_number == snapshot.sequence_number
    assert len({f.sequence_number for f in state.data.values()}) == (2 if mode == "max-merged" else 1)


def test_a_concurrent_delete_still_applies_and_stays(lake: SqlCatalog) -> None:
    """iceberg#10312: the delete is newer than the plan, and older than nothing that is left."""
    orders = Orders(lake, "db.t")
    orders.checkpoint(3)
    table = orders.load()
    writer = UpsertWriter(orders.load())
    keys = pa.table({"id": pa.array(list(orders.rows), pa.int64())})
    done: list[int] = []

    def delete_everything(_: Any) -> None:
        if not done:
            done.append(1)
            writer.commit(deletes=writer.files.write_equality_deletes(keys, ("id",)))

    result = compact_table(
        table,
        "lake.db.t",
        options=CompactionOptions.from_properties({}, {"rewrite-all": "true"}),
        on_step=delete_everything,
    )
    assert result.status == "committed"
    assert result.after.equality_delete_files == 1
    assert read_table(orders.load()) == []
    assert compact(orders.load()).after.data_files == 0


def test_the_snapshot(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t", spec=BUCKETED)
    orders.checkpoint(3)
    before = orders.load()
    with before.transaction() as transaction:  # what main keeps of its history must not change
        transaction._apply(
            (
                SetSnapshotRefUpdate(
                    ref_name="main",
                    type="branch",
                    snapshot_id=before.metadata.current_snapshot_id,
                    min_snapshots_to_keep=7,
                    max_snapshot_age_ms=1000,
                ),
            ),
            (),
        )
    with orders.load().manage_snapshots() as refs:
        refs.create_tag(before.metadata.current_snapshot_id, "monday")
    result = compact(orders.load())
    table = orders.load()
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary.operation.value == "replace"
    assert snapshot.parent_snapshot_id == before.metadata.current_snapshot_id
    assert snapshot.schema_id == table.schema().schema_id
    summary = snapshot.summary.additional_properties
    assert summary["engine-name"] == "autostream"
    assert int(summary["deleted-data-files"]) == result.before.data_files
    assert int(summary["removed-equality-delete-files"]) == result.before.equality_delete_files
    assert int(summary["removed-position-delete-files"]) == result.before.position_delete_files
    assert int(summary["deleted-records"]) - int(summary["added-records"]) == result.rows_deleted
    assert summary["total-delete-files"] == summary["total-equality-deletes"] == "0"
    assert summary["changed-partition-count"] == "4"
    assert not [key for key in summary if key.startswith("flink.")]  # nobody takes it for a checkpoint of the job
    main = table.metadata.refs["main"]
    assert (main.min_snapshots_to_keep, main.max_snapshot_age_ms) == (7, 1000)
    assert table.metadata.refs["monday"].snapshot_id == before.metadata.current_snapshot_id


def test_a_clock_behind_the_writers_does_not_turn_the_snapshot_log_back(lake: SqlCatalog, clock: FakeClock) -> None:
    """Java takes a log that goes back by more than a minute for a defect, and no longer reads the table."""
    orders = Orders(lake, "db.t")
    orders.checkpoint(2)
    newest = orders.load().metadata.last_updated_ms
    clock.ms = newest - 3_600_000
    assert compact(orders.load()).status == "committed"
    metadata = orders.load().metadata
    assert [entry.timestamp_ms for entry in metadata.snapshot_log][-1] >= newest
    assert metadata.last_updated_ms >= newest


def test_manifests_without_replaced_files_are_kept_as_they_are(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t", spec=BY_REGION)
    for region in ("eu", "us"):
        for version in range(3):
            rows = [{"id": i, "v": version, "s": region} for i in range(5)]
            orders.writer.commit(data=orders.writer.files.write_data(pa.Table.from_pylist(rows)))
    before = {m.manifest_path for m in manifests(orders.load())}
    european = {m.manifest_path for m in manifests(orders.load()) if m.partitions[0].upper_bound == b"eu"}  # type: ignore[index]
    assert run(orders.load(), where="s = 'eu'").status == "committed"
    table = orders.load()
    after = {m.manifest_path for m in manifests(table)}
    assert before - after == european
    new = [m for m in manifests(table) if m.manifest_path not in before]
    statuses = [{e.status for e in m.fetch_manifest_entry(table.io, discard_deleted=False)} for m in new]
    assert sorted(map(str, statuses)) == sorted(map(str, [{ManifestEntryStatus.ADDED}, {ManifestEntryStatus.DELETED}]))
    # The next commit does not carry along what only lists removed files.
    orders.writer.table = table
    assert run(orders.load(), where="s = 'us'").status == "committed"
    last = manifests(orders.load())
    assert not [m for m in last if m.deleted_files_count and m.added_snapshot_id == table.metadata.current_snapshot_id]


def test_where_and_partitions_limit_the_work(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t", spec=BY_REGION)
    for version in range(3):
        rows = [{"id": i, "v": version, "s": s} for i, s in enumerate(("eu", "us", "cn"))]
        orders.writer.commit(data=orders.writer.files.write_data(pa.Table.from_pylist(rows)))
    assert run(orders.load(), where="s in ('eu', 'us')", dry_run=True).to_dict()["groups"]["planned"] == 2
    result = run(orders.load(), partitions=["spec=0/s_part=cn"])
    assert (result.committed, result.after.data_files) == (1, 7)
    for where in ("v > 1", "nothing = 1", "s ="):
        with pytest.raises(UsageError, match="--where"):
            run(orders.load(), where=where)


def test_a_dry_run_changes_nothing(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t")
    orders.checkpoint(3)
    location = orders.load().metadata_location
    files = sorted(Path(normalize_path(orders.load().location())).rglob("*"))
    result = run(orders.load(), dry_run=True)
    assert (result.status, result.exit_code) == ("planned", 0)
    document = result.to_dict()
    assert (
        document["plan"]["deletes"] == {"applied": 4, "removed": 6, "kept": 0}
        or document["plan"]["deletes"]["kept"] == 0
    )
    assert document["before"] == document["after"]
    assert orders.load().metadata_location == location
    assert sorted(Path(normalize_path(orders.load().location())).rglob("*")) == files


@pytest.mark.parametrize(("most", "commits"), [(1, 1), (2, 2), (3, 2), (4, 4), (10, 4)])
def test_partial_progress_commits_at_most_so_often(most: int, commits: int, lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t", spec=BUCKETED)
    orders.checkpoint(3)
    before = len(orders.load().metadata.snapshots)
    options = {
        "rewrite-all": "true",
        "partial-progress.enabled": "true",
        "partial-progress.max-commits": str(most),
    }
    result = run(orders.load(), options=options)
    assert (result.commits, result.committed) == (commits, 4)
    assert len(orders.load().metadata.snapshots) == before + commits
    assert result.after.equality_delete_files == 0
    assert_same_rows(read_table(orders.load()), orders.expected())


def test_groups_are_no_larger_than_allowed(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t")
    orders.checkpoint(6)
    size = max(f.size_bytes for f in read_state(orders.load()).data.values())
    result = run(orders.load(), options={"rewrite-all": "true", "max-file-group-size-bytes": str(2 * size)})
    assert result.plan is not None
    assert len(result.plan.groups) >= 3
    assert all(group.input_bytes <= 2 * size for group in result.plan.groups)
    assert result.after.equality_delete_files == 0  # all groups are committed at once, so all deletes may go
    assert_same_rows(read_table(orders.load()), orders.expected())


def test_dangling_deletes_leave_without_any_rewrite(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t")
    orders.checkpoint(1)
    compact(orders.load())
    old = UpsertWriter(orders.load())
    data = next(iter(read_state(orders.load()).data.values()))
    assert data.entry is not None
    missing = pa.table({"id": pa.array([10_000], pa.int64())})
    old.commit(deletes=old.files.write_equality_deletes(missing, ("id",)))
    result = run(orders.load(), options={})
    assert result.status == "committed"
    assert (result.after.equality_delete_files, result.after.data_files) == (0, 1)
    assert data.path in read_state(orders.load()).data  # not touched: its keys cannot include the deleted one
    assert_same_rows(read_table(orders.load()), orders.expected())


def test_a_group_of_deleted_rows_only_leaves_no_file(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t")
    orders.checkpoint(2)
    writer = UpsertWriter(orders.load())
    keys = pa.table({"id": pa.array(list(orders.rows), pa.int64())})
    writer.commit(deletes=writer.files.write_equality_deletes(keys, ("id",)))
    result = compact(orders.load())
    assert vars(result.after) == {
        "data_files": 0,
        "equality_delete_files": 0,
        "position_delete_files": 0,
        "bytes": 0,
        "records": 0,
    }
    assert read_table(orders.load()) == []
    assert not list(Path(normalize_path(orders.load().location())).rglob(f"{FILE_PREFIX}*"))


@pytest.mark.parametrize("partitioned", [False, True])
def test_version_1_tables(partitioned: bool, lake: SqlCatalog) -> None:
    table = lake.create_table(
        "db.t", ORDERS, partition_spec=BY_REGION if partitioned else PartitionSpec(), properties={"format-version": "1"}
    )
    rows = []
    for version in range(4):
        new = [{"id": i, "v": version, "s": f"r{i % 2}"} for i in range(6)]
        rows += new
        table.append(
            pa.Table.from_pylist(
                new, pa.schema([pa.field("id", pa.int64(), False), ("v", pa.int64()), ("s", pa.string())])
            )
        )
    result = run(lake.load_table("db.t"))
    assert result.status == "committed"
    assert result.after.data_files == (2 if partitioned else 1)
    after = lake.load_table("db.t")
    assert after.metadata.format_version == 1
    assert_same_rows(after.scan().to_arrow(), rows)
    after.append(
        pa.Table.from_pylist([], pa.schema([pa.field("id", pa.int64(), False), ("v", pa.int64()), ("s", pa.string())]))
    )


def test_a_sort_order_is_kept_inside_outputs(lake: SqlCatalog) -> None:
    order = SortOrder(SortField(2, IdentityTransform()), SortField(1, IdentityTransform()))
    lake.create_table("db.t", ORDERS, sort_order=order)
    writer = UpsertWriter(lake.load_table("db.t"))
    for start in (0, 1, 2):
        rows = [{"id": i, "v": (i * 37) % 11, "s": "x" * (i % 5)} for i in range(start, 3000, 3)]
        writer.commit(data=writer.files.write_data(pa.Table.from_pylist(rows)))
    run(lake.load_table("db.t"))
    table = lake.load_table("db.t")
    (file,) = read_state(table).data.values()
    assert file.entry is not None
    assert file.entry.sort_order_id == table.metadata.default_sort_order_id
    rows_in_order = table.scan().to_arrow().to_pylist()
    assert rows_in_order == sorted(rows_in_order, key=lambda row: (row["v"], row["id"]))


def test_an_unpartitioned_delete_reaches_every_spec_and_leaves_last(lake: SqlCatalog) -> None:
    """A global delete stays while an older file of any spec does, and goes with the last of them."""
    orders = Orders(lake, "db.t", spec=BY_REGION)
    rows = [{"id": i, "v": 0, "s": "eu" if i % 2 else "us"} for i in range(10)]
    for _ in range(2):
        orders.writer.commit(data=orders.writer.files.write_data(pa.Table.from_pylist(rows)))
    with orders.load().update_spec() as update:
        update.remove_field("s_part")
    writer = UpsertWriter(orders.load())
    keys = pa.table({"id": pa.array([1, 2], pa.int64())})
    writer.commit(deletes=writer.files.write_equality_deletes(keys, ("id",)))
    first = run(orders.load(), where="s = 'eu'")
    assert (first.committed, first.after.equality_delete_files) == (1, 1)
    last = run(orders.load())
    assert last.after.equality_delete_files == 0
    assert {row["id"] for row in read_table(orders.load())} == set(range(10)) - {1, 2}
    assert not [f for f in read_state(orders.load()).deletes.values() if f.content is not Content.DATA]


def test_rows_do_not_depend_on_memory(lake: SqlCatalog, tmp_path: Path) -> None:
    """With far too little memory for one pass, the merge spills, goes in parts or in halves; the rows are the same."""
    orders = Orders(lake, "db.t")
    keys = list(range(60_000))
    for version in range(3):
        rows = pa.table({"id": keys, "v": [version] * len(keys), "s": [f"value {version} of {k}" for k in keys]})
        data = orders.writer.files.write_data(rows)
        deletes = orders.writer.files.write_equality_deletes(rows.select(["id"]), ("id",)) if version else []
        orders.writer.commit(data=data, deletes=deletes)
    small = EngineResources(memory_limit_bytes=24_000_000, threads=2, spill_directory=tmp_path)
    result = run(orders.load(), resources=small)
    assert (result.status, result.after.records) == ("committed", 60_000), result.error
    assert {row["v"] for row in orders.load().scan().to_arrow().to_pylist()} == {2}
    assert not list(tmp_path.glob("autostream-spill-*"))


def test_an_engine_that_is_not_there_is_refused(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t")
    orders.checkpoint(1)
    with pytest.raises(ConfigurationError, match=r"engine 'spark' is not available"):
        run(orders.load(), options={"engine": "spark"})


def test_an_empty_table(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t")
    result = run(orders.load())
    assert (result.status, result.to_dict()["planned_snapshot_id"]) == ("nothing-to-do", None)
    assert plan_compaction(orders.load(), options=CompactionOptions()).groups == ()
