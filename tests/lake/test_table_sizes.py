"""Sizes by the summaries of snapshots, against what a table of known files is."""

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from autostream.iceberg.snapshots import SnapshotFacts
from autostream.lake.table_sizes import TableSizes, small_files_ratio
from tests.support.lakes import Orders, compact

MIB = 1 << 20


def commit(total: int, size_mib: int, *, added: int = 0, added_mib: int = 0, deleted: int = 0) -> SnapshotFacts:
    summary = {
        "total-data-files": total,
        "total-files-size": size_mib * MIB,
        "added-data-files": added,
        "added-files-size": added_mib * MIB,
        "deleted-data-files": deleted,
    }
    return SnapshotFacts(1, None, 0, {key: str(value) for key, value in summary.items() if value})


@pytest.mark.parametrize(
    ("snapshots", "ratio"),
    [
        # Ten small files upon two large ones, which were there before the oldest snapshot.
        ([commit(12, 1010, added=10, added_mib=10)], 10 / 12),
        ([commit(12, 20, added=10, added_mib=10)], 1.0),
        # Compaction took what had been added before it.
        ([commit(1, 500, added=1, added_mib=500, deleted=4), commit(4, 8, added=4, added_mib=8)], 0.0),
        # It left one of five, and the writer went on.
        (
            [
                commit(5, 520, added=3, added_mib=3),
                commit(2, 502, added=1, added_mib=500, deleted=4),
                commit(5, 10, added=5, added_mib=10),
            ],
            4 / 5,
        ),
        ([commit(0, 0, deleted=3)], None),
        ([SnapshotFacts(1, None, 0, {})], None),
        ([], None),
    ],
)
def test_the_share_of_small_files_is_estimated(snapshots: list[SnapshotFacts], ratio: float | None) -> None:
    assert small_files_ratio(snapshots, small_below_bytes=100 * MIB) == ratio


def test_a_table_is_measured_by_its_metadata(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t")
    assert TableSizes.of(orders.load().metadata) == TableSizes(0, 0, 0, 0, None, None)

    orders.checkpoint(3)
    before = TableSizes.of(orders.load().metadata, small_below_bytes=100 * MIB)
    done = compact(orders.load())
    after = TableSizes.of(orders.load().metadata, small_below_bytes=100 * MIB)

    assert (before.data_files, before.small_files_ratio) == (3, 1.0)
    assert before.delete_files == done.before.equality_delete_files + done.before.position_delete_files
    assert (after.data_files, after.delete_files, after.size_bytes) == (1, 0, done.after.bytes)
    assert before.size_bytes == done.before.bytes
