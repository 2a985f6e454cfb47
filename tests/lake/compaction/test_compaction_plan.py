"""What compaction would do to a table, and why: selection, packing, numbers."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.iceberg.files import LiveFile
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.compaction_plan import CompactionPlan, pack, plan, view_files
from tests.lake.files import data, equality, path_bounds, position
from tests.lake.states import state

TARGET = 1000
OPTIONS = CompactionOptions(target_file_size_bytes=TARGET)  # small below 750, large above 1800
GOOD = TARGET


def with_options(**changes: Any) -> CompactionOptions:
    return CompactionOptions(**{"target_file_size_bytes": TARGET, **changes})


def files(count: int, size: int = 10, *, first: int = 0, **more: Any) -> list[LiveFile]:
    return [data(f"d{i}", i + 1, size_bytes=size, **more) for i in range(first, first + count)]


def chosen(made: CompactionPlan) -> list[list[str]]:
    return [[file.path for file in group.files] for group in made.groups]


def deletes(count: int, *, sequence: int = 50, **more: Any) -> list[LiveFile]:
    return [equality(f"e{i}", sequence + i, record_count=0, **more) for i in range(count)]


# ------------------------------------------------------------------------------------- selection


@pytest.mark.parametrize(
    ("size", "small_or_large"),
    [(749, True), (750, False), (1000, False), (1800, False), (1801, True)],
)
def test_files_of_good_size_are_left_alone(size: int, small_or_large: bool) -> None:
    made = plan(state(*files(5, size)), OPTIONS)
    assert bool(made.groups) is small_or_large
    if not small_or_large:
        assert made.to_dict()["skipped"] == {"spec=0": "5 files of good size, none with 10 deletes (at most 0)"}


def test_size_ratios_move_what_is_good() -> None:
    sizes = with_options(min_file_size_ratio=0.5, max_file_size_ratio=2.0)
    assert not plan(state(*files(5, 500)), sizes).groups
    assert not plan(state(*files(5, 2000)), sizes).groups
    assert plan(state(*files(5, 499)), sizes).groups
    assert plan(state(*files(5, 2001)), sizes).groups


@pytest.mark.parametrize(("count", "merged"), [(1, False), (4, False), (5, True), (6, True)])
def test_fewer_than_min_input_files_wait(count: int, merged: bool) -> None:
    made = plan(state(*files(count)), OPTIONS)
    assert bool(made.groups) is merged
    if merged:
        assert made.groups[0].reason == f"{count} files to merge"
        assert made.skipped == {}
    else:
        assert made.to_dict()["skipped"] == {
            "spec=0": f"{count} of {count} files could be merged, fewer than min-input-files 5"
        }


def test_good_files_do_not_count_towards_min_input_files() -> None:
    made = plan(state(*files(4), data("good", size_bytes=GOOD)), OPTIONS)
    assert made.to_dict()["skipped"] == {"spec=0": "4 of 5 files could be merged, fewer than min-input-files 5"}


def test_one_file_alone_is_not_rewritten_for_being_one() -> None:
    assert not plan(state(*files(1)), with_options(min_input_files=1)).groups


def test_enough_bytes_for_an_output_are_reason_enough() -> None:
    made = plan(state(*files(2, 600)), OPTIONS)
    assert chosen(made) == [["d0", "d1"]]
    assert made.groups[0].reason == "enough for an output of 1000 B"
    assert not plan(state(*files(2, 500)), OPTIONS).groups  # exactly an output's size is not more than one


def test_a_single_large_file_is_split() -> None:
    made = plan(state(*files(1, 1801)), OPTIONS)
    assert made.groups[0].reason == "more than one file may hold (1.8 KiB)"


@pytest.mark.parametrize(("count", "merged"), [(9, False), (10, True)])
def test_many_deletes_make_even_a_good_file_worth_it(count: int, merged: bool) -> None:
    made = plan(state(data(size_bytes=GOOD), *deletes(count)), OPTIONS)
    assert bool(made.groups) is merged
    if merged:
        assert made.groups[0].reason == "1 with 10+ delete files"
    else:
        assert made.to_dict()["skipped"] == {"spec=0": "1 files of good size, none with 10 deletes (at most 9)"}


def test_deletes_that_cannot_apply_do_not_count() -> None:
    early, elsewhere = deletes(10, sequence=1), deletes(10, spec=1, values=("eu",))
    assert not plan(state(data(sequence=60, size_bytes=GOOD), *early), OPTIONS).groups
    assert not plan(state(data(size_bytes=GOOD), *elsewhere), OPTIONS).groups
    assert not plan(state(data(sequence=10, size_bytes=GOOD), *early), with_options(delete_file_threshold=1)).groups


@pytest.mark.parametrize(("deleted", "merged"), [(29, False), (30, True), (100, True), (500, True)])
def test_a_share_of_deleted_rows_makes_a_good_file_worth_it(deleted: int, merged: bool) -> None:
    made = plan(state(data(size_bytes=GOOD, record_count=100), equality(record_count=deleted)), OPTIONS)
    assert bool(made.groups) is merged
    if merged:
        assert made.groups[0].reason == "1 with 30%+ of rows deleted"


def test_a_ratio_of_zero_takes_files_with_deletes_only() -> None:
    made = plan(
        state(data("with", 1, size_bytes=GOOD), data("without", 90, size_bytes=GOOD), *deletes(1)),
        with_options(delete_ratio_threshold=0.0),
    )
    assert chosen(made) == [["with"]]


def test_rewrite_all_takes_everything() -> None:
    made = plan(state(data("good", size_bytes=GOOD), data("small", size_bytes=1)), with_options(rewrite_all=True))
    assert chosen(made) == [["good", "small"]]
    assert made.groups[0].reason == "rewrite-all; enough for an output of 1000 B"


def test_all_reasons_are_told() -> None:
    made = plan(state(*files(5, 500, record_count=10), *deletes(10), equality("big", 99, record_count=40)), OPTIONS)
    assert made.groups[0].reason == (
        "5 files to merge; enough for an output of 1000 B; more than one file may hold (1.8 KiB); "
        "5 with 10+ delete files; 5 with 30%+ of rows deleted"
    )


def test_an_empty_table_has_no_work() -> None:
    made = plan(state(), OPTIONS)
    assert (made.groups, made.skipped, made.has_work) == ((), {}, False)


def test_deletes_without_data_are_work() -> None:
    made = plan(state(equality("dangling", 3)), OPTIONS)
    assert made.has_work
    assert [d.path for d in made.removed_deletes] == ["dangling"]


# ------------------------------------------------------------------------------------- the estimate of deleted rows


def test_rows_of_a_delete_file_are_spread_over_what_it_can_apply_to() -> None:
    views = view_files(
        state(data("half", 1, record_count=100), data("other", 1, record_count=300), equality(record_count=100))
    )
    assert [view.deleted_ratio for view in views] == [0.25, 0.25]


def test_rows_of_a_position_delete_count_in_full_for_the_file_it_names() -> None:
    one = state(
        data("named", 1, record_count=100),
        data("other", 1, record_count=100),
        position(sequence=2, record_count=40, referenced_path="named"),
    )
    assert {v.file.path: v.deleted_ratio for v in view_files(one)} == {"named": 0.4, "other": 0.0}


def test_the_share_is_at_most_all() -> None:
    views = view_files(state(data(record_count=10), equality("a", 9, record_count=1000), equality("b", 9)))
    assert [view.deleted_ratio for view in views] == [1.0]


def test_a_file_without_rows_has_no_deleted_share_to_divide_by() -> None:
    (view,) = view_files(state(data(record_count=0), equality(record_count=0)))
    assert view.deleted_ratio == 0.0


# ------------------------------------------------------------------------------------- packing


SIZES = st.lists(st.integers(0, 120), max_size=30)


@given(SIZES, st.integers(1, 100))
def test_packing_loses_and_doubles_nothing_and_keeps_to_the_maximum(sizes: list[int], most: int) -> None:
    views = view_files(state(*(data(f"d{i}", i % 7, size_bytes=size) for i, size in enumerate(sizes))))
    bins = pack(views, most)
    assert sorted(v.file.path for b in bins for v in b) == sorted(v.file.path for v in views)
    for bin_ in bins:
        assert bin_
        assert len(bin_) == 1 or sum(v.file.size_bytes for v in bin_) <= most
    for before, after in pairwise(bins):  # no bin ends before it has to
        assert sum(v.file.size_bytes for v in before) + after[0].file.size_bytes > most
    numbers = [v.file.sequence_number for b in bins for v in b]
    assert numbers == sorted(numbers)


def test_groups_of_at_most_the_maximal_size() -> None:
    made = plan(state(*files(10)), with_options(max_file_group_size_bytes=50))
    assert chosen(made) == [[f"d{i}" for i in range(5)], [f"d{i}" for i in range(5, 10)]]
    assert [g.number for g in made.groups] == [0, 1]


def test_a_bin_that_is_too_small_waits_while_another_goes() -> None:
    made = plan(state(*files(7)), with_options(max_file_group_size_bytes=50))
    assert chosen(made) == [[f"d{i}" for i in range(5)]]


# ------------------------------------------------------------------------------------- partitions


def test_specs_and_partitions_never_meet_in_a_group() -> None:
    places = [(0, ()), (1, ("eu",)), (1, ("us",)), (1, (None,)), (2, ("eu", 1)), (2, ("eu", 2))]
    held = [data(f"{n}-{i}", i, spec=spec, values=v) for n, (spec, v) in enumerate(places) for i in range(1, 7)]
    made = plan(state(*held), OPTIONS)
    assert [[*{p.split("-")[0] for p in group}] for group in chosen(made)] == [["0"], ["1"], ["2"], ["3"], ["4"], ["5"]]
    for group in made.groups:
        assert {file.partition for file in group.files} == {group.partition_key}
    assert [group.partition for group in made.groups] == [
        "spec=0",
        "spec=1/region=eu",
        "spec=1/region=us",
        "spec=1/region=null",
        "spec=2/region=eu/id_bucket=1",
        "spec=2/region=eu/id_bucket=2",
    ]


def test_partition_names_are_escaped_as_in_paths() -> None:
    made = plan(state(*files(5, spec=1, values=("a/b =ž",))), OPTIONS)
    assert made.groups[0].partition == "spec=1/region=a%2Fb+%3D%C5%BE"


def test_a_plan_is_limited_to_partitions_by_name() -> None:
    held = [*files(5, spec=1, values=("eu",)), *files(5, first=5, spec=1, values=("us",))]
    made = plan(state(*held), OPTIONS, partitions=["spec=1/region=us", "spec=1/region=nowhere"])
    assert [group.partition for group in made.groups] == ["spec=1/region=us"]
    assert made.skipped == {}


def test_a_plan_is_limited_by_a_test_of_files() -> None:
    held = [*files(5, spec=1, values=("eu",)), *files(5, first=5, spec=1, values=("us",))]
    made = plan(state(*held), OPTIONS, matches=lambda file: file.partition[1] == ("eu",))
    assert [group.partition for group in made.groups] == ["spec=1/region=eu"]


# ------------------------------------------------------------------------------------- numbers and deletes


@pytest.mark.parametrize(("how", "number"), [("max-merged", 5), ("starting-snapshot", 42)])
def test_outputs_have_the_number_that_the_table_asks_for(how: str, number: int) -> None:
    made = plan(state(*files(5), sequence_number=42), with_options(sequence_number=how))
    assert [group.sequence_number for group in made.groups] == [number]


@given(
    numbers=st.lists(st.integers(1, 30), min_size=1, max_size=20),
    how=st.sampled_from(["max-merged", "starting-snapshot"]),
    most=st.integers(10, 200),
)
def test_a_number_is_neither_below_its_inputs_nor_above_the_snapshot(numbers: list[int], how: str, most: int) -> None:
    held = [data(f"d{i}", n, size_bytes=10) for i, n in enumerate(numbers)]
    options = with_options(sequence_number=how, rewrite_all=True, max_file_group_size_bytes=most)
    for group in plan(state(*held, sequence_number=30), options).groups:
        assert max(file.sequence_number for file in group.files) <= group.sequence_number <= 30


def test_a_group_names_the_deletes_it_applies_each_once() -> None:
    held = [*files(5), *deletes(2, sequence=3), position("p", 4, record_count=1, **path_bounds("d3", "d3"))]
    made = plan(state(*held), OPTIONS)
    assert sorted(d.path for d in made.groups[0].deletes) == ["e0", "e1", "p"]
    assert sorted(d.path for d in made.applied_deletes) == ["e0", "e1", "p"]


def test_deletes_leave_that_no_file_needs_once_all_groups_are_committed() -> None:
    held = [
        *files(5, spec=1, values=("eu",)),
        *files(2, first=5, spec=1, values=("us",)),  # too few: stays
        equality("eu", 90, spec=1, values=("eu",), record_count=0),
        equality("us", 90, spec=1, values=("us",), record_count=0),
        equality("global", 90, record_count=0),
        equality("old-global", 1, record_count=0),
    ]
    made = plan(state(*held), OPTIONS)
    assert [group.partition for group in made.groups] == ["spec=1/region=eu"]
    assert sorted(d.path for d in made.removed_deletes) == ["eu", "old-global"]
    assert made.to_dict() == {
        "snapshot_id": 7,
        "groups": [
            {
                "group": 0,
                "partition": "spec=1/region=eu",
                "reason": made.groups[0].reason,
                "data_files": 5,
                "bytes": 50,
                "records": 50,
                "equality_delete_files": 2,
                "position_delete_files": 0,
                "data_sequence_number": 5,
            }
        ],
        "deletes": {"applied": 2, "removed": 2, "kept": 2},
        "skipped": {"spec=1/region=us": "2 of 2 files could be merged, fewer than min-input-files 5"},
    }
