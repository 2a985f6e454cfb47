"""What the history of a branch tells of a snapshot that the table does not list."""

import pytest
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import SnapshotRef, SnapshotRefType
from pyiceberg.table.snapshots import Snapshot

from autostream.iceberg.absent_snapshots import is_in_no_history, went_on_without
from tests.lake.states import metadata


def table(parents: dict[int, int | None], head: int | None) -> TableMetadata:
    """Return a table with snapshots and their parents."""
    snapshots = [
        Snapshot(snapshot_id=id, parent_snapshot_id=parent, manifest_list="", timestamp_ms=id, sequence_number=id)
        for id, parent in parents.items()
    ]
    main = SnapshotRef(snapshot_id=head or 0, snapshot_ref_type=SnapshotRefType.BRANCH)
    return metadata().model_copy(
        update={
            "snapshots": snapshots,
            "refs": {} if head is None else {"main": main},
            "current_snapshot_id": head,
            "last_sequence_number": max([*parents, 0]),
        }
    )


@pytest.mark.parametrize(
    ("parents", "head", "base", "went_on"),
    [
        ({1: None}, 1, 1, False),
        ({1: None, 2: 1}, 2, 1, True),
        ({1: None, 2: 1, 3: 2}, 3, 1, True),
        ({2: 1, 3: 2}, 3, 1, True),  # what it was itself has expired
        ({3: 2}, 3, 1, False),  # and what came after it: that may have been ours
        ({1: None, 2: 1}, 1, 2, False),  # rolled back: it may still become the head again
        ({7: None}, 7, 1, False),  # another table
        ({}, None, 1, False),
        ({}, None, None, False),
        ({1: None}, 1, None, True),
        ({1: None, 2: 1}, 2, None, True),
        ({2: 1}, 2, None, False),
        ({2: None}, 2, None, False),  # its parent has expired
    ],
)
def test_went_on(parents: dict[int, int | None], head: int | None, base: int | None, went_on: bool) -> None:
    assert went_on_without(table(parents, head), ref="main", base=base) is went_on


@pytest.mark.parametrize(
    ("parents", "head", "base", "surely"),
    [
        ({1: None, 5: 1}, 5, 5, True),  # nothing happened
        ({1: None, 5: 1, 6: 5}, 6, 5, True),
        ({6: 5, 7: 6}, 7, 5, True),
        ({7: 6}, 7, 5, False),  # 6 has expired: it may have been ours
        ({7: None}, 7, 5, False),
        ({1: None, 5: 1}, 1, 5, True),  # rolled back
        ({4: 3, 5: 4}, 4, 5, True),  # rolled back, where what was before has expired: ours would be younger
        ({5: 4}, None, 5, True),
    ],
)
def test_never_in_the_history(parents: dict[int, int | None], head: int | None, base: int, surely: bool) -> None:
    state = table({base: base - 1}, base)
    assert is_in_no_history(table(parents, head), ref="main", base=state) is surely
