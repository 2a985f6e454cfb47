from autostream.iceberg.snapshots import SnapshotFacts, lineage


def snapshot(number: int, parent: int | None) -> SnapshotFacts:
    return SnapshotFacts(number, parent, 0, {})


def test_a_lineage_leaves_branches_out_and_ends_where_snapshots_have_expired() -> None:
    snapshots = [snapshot(2, 1), snapshot(3, 2), snapshot(4, 2)]

    assert [s.snapshot_id for s in lineage(snapshots, 3)] == [3, 2]
    assert list(lineage(snapshots, None)) == list(lineage(snapshots, 1)) == []


def test_a_lineage_ends_where_it_goes_round() -> None:
    assert [s.snapshot_id for s in lineage([snapshot(1, 2), snapshot(2, 1), snapshot(3, None)], 1)] == [1, 2]


def test_a_snapshot_of_a_metadata_file() -> None:
    assert SnapshotFacts.from_json({"snapshot-id": 1, "timestamp-ms": 2}) == SnapshotFacts(1, None, 2, {})
    assert SnapshotFacts.from_json(
        {"snapshot-id": 2, "parent-snapshot-id": 1, "timestamp-ms": 3, "summary": {"a": "b"}, "schema-id": 0}
    ) == SnapshotFacts(2, 1, 3, {"a": "b"})
