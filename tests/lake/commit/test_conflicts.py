"""Rule 5: whether what happened to a table since the plan lets a group be committed."""

from dataclasses import replace
from typing import Any

import pytest

from autostream.iceberg.files import LiveFile
from autostream.lake.commit.conflicts import find_conflicts
from autostream.lake.commit.replacements import FileGroup
from tests.lake.files import column, data, equality, path_bounds, position
from tests.lake.states import SPECS, metadata, state

ONE = data("one", 3, spec=1, values=("eu",))
TWO = data("two", 5, spec=1, values=("eu",))
APPLIED = equality("applied", 6, spec=1, values=("eu",))
PLANNED = [ONE, TWO, APPLIED]


def group(number: int = 0, *files: LiveFile, deletes: tuple[LiveFile, ...] = (APPLIED,)) -> FileGroup:
    chosen = files or (ONE, TWO)
    return FileGroup(
        number=number,
        partition="spec=1/region=eu",
        partition_key=chosen[0].partition,
        files=chosen,
        deletes=deletes,
        sequence_number=max(f.sequence_number for f in chosen),
    )


def nothing(delete: LiveFile) -> set[str]:
    raise AssertionError(f"{delete} needed not be opened")


def conflict(*base: LiveFile, opens: Any = nothing, **more: Any) -> str | None:
    found = find_conflicts(state(*PLANNED), state(*base, **more), [group()], opens)
    return found.get(0)


def test_an_unchanged_table_is_no_conflict() -> None:
    assert conflict(*PLANNED) is None


def test_deletes_that_were_applied_are_no_news() -> None:
    applied = (
        APPLIED,
        equality("old", 4, spec=1, values=("eu",)),
        position("named", 9, spec=1, values=("eu",), referenced_path="one"),
        position("some", 9, spec=1, values=("eu",)),
    )
    planned = state(ONE, TWO, *applied)
    assert find_conflicts(planned, state(ONE, TWO, *applied), [group(deletes=applied)], nothing) == {}


@pytest.mark.parametrize(
    "added",
    [
        data("new", 9, spec=1, values=("eu",)),
        data("elsewhere", 9, spec=1, values=("us",)),
        equality("later", 7, spec=1, values=("eu",)),  # applies to the output as it did to the inputs
        equality("elsewhere", 4, spec=1, values=("us",)),
        equality("before-all", 3, spec=1, values=("eu",)),  # never applied to these inputs
        position("elsewhere", 9, spec=1, values=("us",)),
        position("other-spec", 9, spec=2, values=("eu", 1)),
        position("other-file", 9, spec=1, values=("eu",), referenced_path="three"),
        position("other-range", 9, spec=1, values=("eu",), **path_bounds("file:///t/x/a", "file:///t/x/b")),
        position("older-than-all", 2, spec=1, values=("eu",)),
    ],
    ids=repr,
)
def test_what_others_may_add_meanwhile(added: LiveFile) -> None:
    assert conflict(*PLANNED, added) is None


def test_an_input_that_is_gone() -> None:
    assert conflict(ONE, APPLIED) == "another commit replaced or removed data file two"


def test_an_input_with_another_number() -> None:
    moved = replace(TWO, sequence_number=4)
    assert conflict(ONE, moved, APPLIED) == "data file two now has sequence number 4, not 5"


def test_an_applied_delete_that_is_gone() -> None:
    assert conflict(ONE, TWO) == "another commit removed delete file applied, which this compaction has applied"


def test_a_delete_that_was_not_applied_may_go() -> None:
    unrelated = equality("unrelated", 9, spec=1, values=("us",))
    assert find_conflicts(state(*PLANNED, unrelated), state(*PLANNED), [group()], nothing) == {}


def test_a_new_position_delete_that_names_an_input() -> None:
    added = position("added", 9, spec=1, values=("eu",), referenced_path="one")
    assert conflict(*PLANNED, added) == "a new position-delete file added deletes rows of data file one"


@pytest.mark.parametrize(("names", "hits"), [({"one", "x"}, True), ({"x", "three"}, False), (set(), False)])
def test_a_new_position_delete_that_may_name_an_input_is_opened(names: set[str], hits: bool) -> None:
    opened = []

    def opens(delete: LiveFile) -> set[str]:
        opened.append(delete.path)
        return names

    added = position("added", 9, spec=1, values=("eu",))
    assert bool(conflict(*PLANNED, added, opens=opens)) is hits
    assert set(opened) == {"added"}


def test_a_path_is_recognised_in_any_of_its_forms() -> None:
    file = data("file:///t/one", 3)
    planned = state(file)
    base = state(file, position("added", 9))
    assert find_conflicts(planned, base, [group(0, file, deletes=())], lambda _: {"/t/one"})
    named = state(file, position("added", 9, referenced_path="file:/t/one"))
    assert find_conflicts(planned, named, [group(0, file, deletes=())], nothing)


def test_a_new_equality_delete_with_an_old_number_would_be_lost() -> None:
    """Only a rewrite of delete files, or a writer that sets numbers, does this: it applied to ONE (3), not to 5."""
    added = equality("added", 4, spec=1, values=("eu",))
    assert conflict(*PLANNED, added) == (
        "a new equality-delete file added has the old sequence number 4, and would not apply to outputs with sequence "
        "number 5"
    )
    same = equality("added", 5, spec=1, values=("eu",))
    assert conflict(*PLANNED, same)


def test_a_new_equality_delete_of_other_keys_is_no_loss() -> None:
    from pyiceberg.types import IntegerType

    keyed = data("one", 3, **column(IntegerType(), [1, 2]))
    planned = state(keyed, data("two", 5))
    added = equality("added", 4, **column(IntegerType(), [7]))
    one = group(0, keyed, data("two", 5), deletes=())
    assert find_conflicts(planned, state(keyed, data("two", 5), added), [one], nothing) == {}


def test_only_groups_in_conflict_are_named() -> None:
    us = data("us", 3, spec=1, values=("us",))
    planned = state(*PLANNED, us)
    groups = [group(0), group(1, us, deletes=())]
    assert find_conflicts(planned, state(*PLANNED), groups, nothing) == {
        1: "another commit replaced or removed data file us"
    }


def test_a_partition_spec_that_is_gone() -> None:
    without = metadata(specs=[spec for spec in SPECS if spec.spec_id != 1])
    assert conflict(*PLANNED, of=without) == "partition spec 1 was removed from the table"


def test_a_table_created_again_under_the_same_name() -> None:
    anew = metadata(uuid="00000000-0000-0000-0000-000000000001")
    assert conflict(*PLANNED, of=anew) == "the table was dropped and created again"
