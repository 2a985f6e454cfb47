"""Cutting work into items: nothing lost, nothing doubled, limits kept, the same whatever the order."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.lake.compaction.workload import (
    LABEL_CHARACTERS,
    PART_OVERHEAD_BYTES,
    PartitionWork,
    TableWorkload,
    WorkItem,
    WorkPart,
    split_work,
)
from autostream.sizes import GIB, MIB

sizes = st.one_of(st.integers(0, 100), st.integers(0, 64 * MIB), st.integers(0, 50 * GIB))
partitions = st.builds(
    PartitionWork,
    key=st.integers(0, 12).map(lambda day: f"spec=0/day={day}"),
    input_bytes=sizes,
    input_files=st.integers(1, 99),
)
workloads = st.lists(
    st.builds(
        TableWorkload,
        table=st.integers(0, 15).map(lambda number: f"lake.db.t{number}"),
        partitions=st.lists(partitions, max_size=8).map(tuple),
    ),
    max_size=20,
)
limits = st.fixed_dictionaries(
    {
        "batch_size_bytes": st.sampled_from([1, 16 * MIB, 256 * MIB, 10 * GIB]),
        "split_size_bytes": st.sampled_from([1, 64 * MIB, GIB, 100 * GIB]),
        "max_items": st.sampled_from([1, 2, 5, 1000]),
    }
)


def work(table: str, **sizes: int) -> TableWorkload:
    return TableWorkload(table, tuple(PartitionWork(f"spec=0/{key}", size, 1) for key, size in sizes.items()))


@given(workloads, limits)
def test_each_partition_is_in_exactly_one_item(given: list[TableWorkload], limits: dict[str, int]) -> None:
    items = split_work(given, **limits)

    expected: dict[str, set[str]] = {}
    for workload in given:
        for partition in workload.partitions:
            expected.setdefault(workload.table, set()).add(partition.key)
    done: Counter[tuple[str, str]] = Counter()
    for item in items:
        for part in item.parts:
            done.update((part.table, key) for key in part.partitions or expected[part.table])
    assert done == Counter((table, key) for table, keys in expected.items() for key in keys)


@given(workloads, limits)
def test_bytes_and_files_add_up(given: list[TableWorkload], limits: dict[str, int]) -> None:
    items = split_work(given, **limits)

    assert sum(item.input_bytes for item in items) == sum(workload.input_bytes for workload in given)
    assert sum(part.input_files for item in items for part in item.parts) == sum(load.input_files for load in given)


@given(workloads, limits, st.randoms(use_true_random=False))
def test_the_order_of_the_workloads_does_not_matter(
    given: list[TableWorkload], limits: dict[str, int], shuffle: random.Random
) -> None:
    shuffled = given.copy()
    shuffle.shuffle(shuffled)
    assert split_work(given, **limits) == split_work(shuffled, **limits)


@given(workloads, limits)
def test_limits_hold(given: list[TableWorkload], limits: dict[str, int]) -> None:
    items = split_work(given, **{**limits, "max_items": 10_000})

    for item in items:
        if len(item.parts) > 1:
            assert sum(max(part.input_bytes, PART_OVERHEAD_BYTES) for part in item.parts) <= limits["batch_size_bytes"]
            assert all(part.partitions is None for part in item.parts), "parts of split tables are on their own"
        for part in item.parts:
            if part.partitions is not None and len(part.partitions) > 1:
                assert part.input_bytes <= limits["split_size_bytes"]
    assert len(split_work(given, **limits)) == min(limits["max_items"], len(items))
    assert sorted(items, key=lambda item: -item.input_bytes) == list(items), "the largest item comes first"


@given(workloads, limits)
def test_a_table_is_once_in_an_item_and_has_a_label(given: list[TableWorkload], limits: dict[str, int]) -> None:
    for item in split_work(given, **limits):
        tables = [part.table for part in item.parts]
        assert len(tables) == len(set(tables))
        assert any(item.label.startswith(table) for table in tables)
        assert len(item.label) <= LABEL_CHARACTERS


@given(workloads, limits)
def test_items_survive_json(given: list[TableWorkload], limits: dict[str, int]) -> None:
    for item in split_work(given, **limits):
        assert WorkItem.from_dict(json.loads(json.dumps(item.to_dict()))) == item


def test_small_tables_share_an_item_and_a_large_one_is_split_by_partition() -> None:
    small = [work(f"lake.db.small{number}", day=40 * MIB) for number in range(5)]
    large = work("lake.db.large", **{f"day={day:02}": 600 * MIB for day in range(1, 6)})

    items = split_work([*small, large], batch_size_bytes=100 * MIB, split_size_bytes=1300 * MIB, max_items=100)

    assert [item.label for item in items] == [
        "lake.db.large day=01 (+1 more)",
        "lake.db.large day=03 (+1 more)",
        "lake.db.large day=05",
        "lake.db.small1 (+1 more table)",
        "lake.db.small3 (+1 more table)",
        "lake.db.small4",
    ]


def test_very_small_tables_do_not_fill_a_batch_without_end() -> None:
    tiny = [work(f"lake.db.t{number:03}", day=1) for number in range(100)]
    items = split_work(tiny, batch_size_bytes=16 * PART_OVERHEAD_BYTES, split_size_bytes=GIB, max_items=100)
    assert [len(item.parts) for item in items] == [16, 16, 16, 16, 16, 16, 4]


def test_a_table_without_work_is_in_no_item() -> None:
    assert split_work([TableWorkload("lake.db.idle", ())], batch_size_bytes=1, split_size_bytes=1, max_items=1) == ()


def test_merged_items_hold_a_split_table_once() -> None:
    large = work("lake.db.large", a=10, b=10, c=10)
    (item,) = split_work([large], batch_size_bytes=1, split_size_bytes=5, max_items=1)
    assert item == WorkItem((WorkPart("lake.db.large", ("spec=0/a", "spec=0/b", "spec=0/c"), 30, 3),))
    assert item.label == "lake.db.large a (+2 more)"


def test_a_long_label_is_cut_but_still_says_how_many_more() -> None:
    long = work("lake.db." + "x" * 300, day=2)
    (item,) = split_work([long, work("lake.db.other", day=1)], batch_size_bytes=GIB, split_size_bytes=GIB, max_items=9)
    assert len(item.label) == LABEL_CHARACTERS
    assert item.label.endswith("x… (+1 more table)")


@pytest.mark.parametrize("name", ["batch_size_bytes", "split_size_bytes", "max_items"])
def test_a_limit_that_is_not_positive_is_refused(name: str) -> None:
    limits = {"batch_size_bytes": 1, "split_size_bytes": 1, "max_items": 1, name: 0}
    with pytest.raises(ValueError, match=f"{name} is 0, but must be at least 1"):
        split_work([], **limits)
