"""Rules R5 to R13: which delete applies to which data file, and which delete may leave."""

import datetime as dt
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    IntegerType,
    LongType,
    PrimitiveType,
    StringType,
    TimestampType,
    UUIDType,
)

from autostream.iceberg.deletes import applicable, removable
from autostream.iceberg.files import LiveFile, canonical_value, normalize_path, partition_key
from tests.lake.files import KEY, column, data, equality, index, path_bounds, position

NAN = float("nan")


def paths(files: list[LiveFile]) -> list[str]:
    return [file.path for file in files]


# ------------------------------------------------------------------------------------- R5, R6: numbers and scope


@pytest.mark.parametrize(
    ("delete", "applies"),
    [
        (equality(sequence=4), False),
        (equality(sequence=5), False),  # strictly later only: a checkpoint's deletes spare its own data
        (equality(sequence=6), True),
        (position(sequence=4), False),
        (position(sequence=5), True),  # rows of the same commit can be deleted by position
        (position(sequence=6), True),
    ],
    ids=repr,
)
def test_sequence_numbers(delete: LiveFile, applies: bool) -> None:
    assert bool(index(delete).deletes(data(sequence=5))) is applies


@pytest.mark.parametrize("make", [equality, position])
@pytest.mark.parametrize(
    ("spec", "values", "applies"),
    [
        (1, ("a", 1), True),
        (1, ("a", 2), False),
        (1, ("b", 1), False),
        (1, ("a", None), False),
        (2, ("a", 1), False),  # equal values under another spec are another partition
        (1, ("a",), False),
    ],
)
def test_scope_is_spec_and_partition(make: Any, spec: int, values: tuple[Any, ...], applies: bool) -> None:
    delete = make(sequence=9, spec=spec, values=values)
    assert bool(index(delete).deletes(data(spec=1, values=("a", 1)))) is applies


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ((None,), (None,), True),
        ((NAN,), (-NAN,), True),  # all NaN are one
        ((0.0,), (-0.0,), False),  # by bit pattern, R8
        ((0.0,), (0.0,), True),
        ((Decimal("1.0"),), (Decimal("1.0"),), True),
        ((UUID(int=5),), (UUID(int=5).bytes,), True),  # a manifest without Avro's logical type
        ((UUID(int=5),), (UUID(int=6).bytes,), False),
    ],
)
def test_partition_values_compare_as_the_spec_says(ours: Any, theirs: Any, same: bool) -> None:
    delete = equality(sequence=9, spec=1, values=ours)
    assert bool(index(delete).deletes(data(spec=1, values=theirs))) is same
    assert (partition_key(1, ours) == partition_key(1, theirs)) is same


def test_equality_deletes_of_an_unpartitioned_spec_are_global_and_position_deletes_are_not() -> None:
    found = index(equality("global", 9, spec=0), position("local", 9, spec=0), unpartitioned={0})
    assert paths(found.deletes(data(spec=0))) == ["global", "local"]
    assert paths(found.deletes(data(spec=3, values=("x",)))) == ["global"]


def test_a_spec_of_void_transforms_only_is_unpartitioned_too() -> None:
    """A v1 table that dropped its partition field keeps a void one: the tuple is (NULL), the scope everything."""
    found = index(equality("global", 9, spec=1, values=(None,)), unpartitioned={1})
    assert paths(found.deletes(data(spec=0, values=("a",)))) == ["global"]


def test_global_and_partition_deletes_are_added_up() -> None:
    found = index(
        equality("late-global", 7, spec=0),
        equality("early-global", 5, spec=0),
        equality("scoped", 6, spec=1, values=(1,)),
        equality("elsewhere", 6, spec=1, values=(2,)),
        unpartitioned={0},
    )
    assert paths(found.equality_deletes(data(sequence=5, spec=1, values=(1,)))) == ["late-global", "scoped"]


def test_deletes_come_in_order_of_sequence_number() -> None:
    deletes = [equality(f"e{n}", n) for n in (9, 7, 8, 6)]
    assert paths(index(*deletes).equality_deletes(data(sequence=6))) == ["e7", "e8", "e9"]


# ------------------------------------------------------------------------------------- R6: paths of position deletes


@pytest.mark.parametrize(
    ("referenced", "path", "applies"),
    [
        ("s3://b/x.parquet", "s3://b/x.parquet", True),
        ("s3://b/x.parquet", "s3://b/y.parquet", False),
        ("file:/t/x", "file:///t/x", True),
        ("file:///t/x", "/t/x", True),
        ("/t/x", "file:/t/x", True),
        ("file:/t/x", "file:///t/xx", False),
    ],
)
def test_a_named_file_is_compared_whatever_form_its_path_has(referenced: str, path: str, applies: bool) -> None:
    found = index(position(sequence=5, referenced_path=referenced))
    assert bool(found.position_deletes(data(path, 5))) is applies


def test_a_named_file_must_be_of_the_same_partition_and_not_newer() -> None:
    delete = position(sequence=5, spec=1, values=(1,), referenced_path="x")
    assert index(delete).position_deletes(data("x", 5, spec=1, values=(1,)))
    assert not index(delete).position_deletes(data("x", 6, spec=1, values=(1,)))
    assert not index(delete).position_deletes(data("x", 5, spec=1, values=(2,)))
    assert not index(delete).position_deletes(data("x", 5, spec=2, values=(1,)))


@pytest.mark.parametrize(
    ("lower", "upper", "path", "applies"),
    [
        ("s3://b/a", "s3://b/c", "s3://b/b", True),
        ("s3://b/a", "s3://b/c", "s3://b/a", True),
        ("s3://b/a", "s3://b/c", "s3://b/c", True),
        ("s3://b/a", "s3://b/c", "s3://b/d", False),
        ("s3://b/b", "s3://b/c", "s3://b/a", False),
        ("s3://b/day=1/a", "s3://b/day=2/c", "s3://b/day=1/zzz", True),
        ("file:/t/a", "file:/t/c", "file:///t/b", True),
        ("file:/t/a", "file:/t/c", "/t/d", False),
        ("s3://bucket/fol", "s3://bucket/fom", "s3://bucket/folder/x", True),  # cut by truncate(15)
        ("file:///", "file://0", "/t/x", True),  # cut within the scheme: says nothing
        ("file:/", "file:0", "file:///t/x", True),
        ("file", "filf", "file:///t/x", True),
    ],
)
def test_bounds_of_paths_rule_data_files_out(lower: str, upper: str, path: str, applies: bool) -> None:
    found = index(position(sequence=5, **path_bounds(lower, upper)))
    assert bool(found.position_deletes(data(path, 5))) is applies


def test_a_position_delete_file_without_bounds_may_speak_of_any_file_of_its_partition() -> None:
    assert index(position(sequence=5)).position_deletes(data("whatever", 5))
    half = position(sequence=5, lower_bounds=path_bounds("b", "c")["lower_bounds"])
    assert index(half).position_deletes(data("a", 5))


FORMS = st.sampled_from(["file:{}", "file://{}", "{}"])
PATHS = st.lists(st.sampled_from("abcABC012._-=/~é"), min_size=1, max_size=6).map(lambda c: "/t/" + "".join(c))


@given(
    names=st.lists(st.tuples(FORMS, PATHS), min_size=1, max_size=4),
    other=st.tuples(FORMS, PATHS),
    cut=st.integers(1, 20),
)
def test_path_bounds_never_hide_a_file_that_is_named(
    names: list[tuple[str, str]], other: tuple[str, str], cut: int
) -> None:
    written = sorted(form.format(path) for form, path in names)
    lower, upper = written[0][:cut], written[-1]
    if len(upper) > cut:
        upper = upper[: cut - 1] + chr(ord(upper[cut - 1]) + 1)
    delete = position(sequence=5, **path_bounds(lower, upper))
    for _, path in names:
        assert index(delete).position_deletes(data(other[0].format(path), 5)), (path, lower, upper)


# ------------------------------------------------------------------------------------- key ranges


INTEGER, DECIMAL = IntegerType(), DecimalType(9, 2)
DAY = dt.date(2026, 11, 23).toordinal() - dt.date(1970, 1, 1).toordinal()


@pytest.mark.parametrize(
    ("field_type", "ours", "theirs", "applies"),
    [
        (INTEGER, [1, 5], [5, 9], True),
        (INTEGER, [1, 4], [5, 9], False),
        (INTEGER, [10], [5, 9], False),
        (INTEGER, [-3], [-5, -1], True),
        (INTEGER, [-1], [0, 1], False),  # as numbers, not as bytes
        (INTEGER, [256], [1, 2], False),
        (LongType(), [-(1 << 40)], [1 << 40], False),
        (DECIMAL, [Decimal("-1.00")], [Decimal("0.00"), Decimal("5.00")], False),
        (DECIMAL, [Decimal("-1.00"), Decimal("200.00")], [Decimal("1.28")], True),  # 1.28 needs a sign byte
        (DECIMAL, [Decimal("1.27")], [Decimal("1.28")], False),
        (StringType(), ["b"], ["a", "c"], True),
        (StringType(), ["b"], ["c", "d"], False),
        (StringType(), ["b"], ["bb", "d"], True),  # a writer may have cut what was greater
        # What writers order differently rules nothing out: strings beyond ASCII, bytes, UUIDs.
        (StringType(), ["é"], ["a", "z"], True),
        (StringType(), ["a"], ["é"], True),
        (BinaryType(), [b"\x01"], [b"\x02", b"\x7f"], True),
        (FixedType(2), [b"ab"], [b"ba", b"bb"], True),
        (UUIDType(), [UUID(int=1).bytes], [UUID(int=2).bytes], True),
        (BooleanType(), [True], [False], False),
        (BooleanType(), [True], [True, False], True),
        (DateType(), [DAY], [DAY - 1, DAY + 1], True),
        (DateType(), [-1], [0], False),  # 1969-12-31
        (TimestampType(), [-1], [0, 10], False),
        # Floats may not be equality columns, and NaN is in no bounds: never ruled out.
        (DoubleType(), [1.0], [5.0], True),
    ],
)
def test_bounds_of_keys_rule_data_files_out(field_type: PrimitiveType, ours: Any, theirs: Any, applies: bool) -> None:
    found = index(equality(**column(field_type, ours)), types=lambda _: field_type)
    assert bool(found.equality_deletes(data(**column(field_type, theirs)))) is applies


@pytest.mark.parametrize(
    ("ours", "theirs", "applies"),
    [
        ([None], [1, 2], False),
        ([1, 2], [None], False),
        ([None], [None], True),
        ([None], [1, None], True),
        ([1, None], [None], True),
        ([1, None], [5, 6], False),
        ([1, None], [5, None], True),  # the ranges do not meet, the nulls do
        ([1], [1, None], True),
    ],
)
def test_nulls_match_nulls_only(ours: Any, theirs: Any, applies: bool) -> None:
    found = index(equality(**column(INTEGER, ours)))
    assert bool(found.equality_deletes(data(**column(INTEGER, theirs)))) is applies


@pytest.mark.parametrize(
    "unknown",
    [
        {},  # no metrics at all: the file may lack the column
        {"value_counts": {}, "null_counts": {KEY: 0}, "lower_bounds": {KEY: b"\0"}, "upper_bounds": {KEY: b"\0"}},
        column(INTEGER, [9], nulls_known=False) | {"lower_bounds": {}, "upper_bounds": {}},
        column(INTEGER, [9]) | {"upper_bounds": {}, "lower_bounds": {KEY: b"\0\0\0\0"}},
        column(INTEGER, [9]) | {"lower_bounds": {}},
        column(INTEGER, [7, 9]) | {"lower_bounds": {KEY: b"\7\0\0\0"}, "upper_bounds": {KEY: b"\3\0\0\0"}},
        column(INTEGER, [9]) | {"lower_bounds": {KEY: b"\7"}, "upper_bounds": {KEY: b"\7"}},
        # Counts that contradict the rows of the file, or each other.
        column(INTEGER, [9]) | {"record_count": -1},
        column(INTEGER, [9]) | {"record_count": 0},
        column(INTEGER, [9]) | {"record_count": 5},
        column(INTEGER, [9]) | {"value_counts": {KEY: -1}, "null_counts": {KEY: -1}},
        column(INTEGER, [9]) | {"null_counts": {KEY: -1}},
        column(INTEGER, [9]) | {"null_counts": {KEY: 1}},  # all null, yet with bounds
        column(INTEGER, [9]) | {"null_counts": {KEY: 7}},
    ],
)
def test_what_is_not_known_rules_nothing_out(unknown: dict[str, Any]) -> None:
    known = column(INTEGER, [1])
    assert index(equality(**known)).equality_deletes(data(**unknown))
    assert index(equality(**unknown)).equality_deletes(data(**known))


def test_unknown_null_counts_leave_room_for_nulls() -> None:
    delete = equality(**column(INTEGER, [1, None]))
    assert index(delete).equality_deletes(data(**column(INTEGER, [5], nulls_known=False)))
    assert not index(delete).equality_deletes(data(**column(INTEGER, [5])))


def test_an_unknown_field_id_rules_nothing_out() -> None:
    found = index(equality(**column(INTEGER, [1])), types=lambda _: None)
    assert found.equality_deletes(data(**column(INTEGER, [9])))


@pytest.mark.parametrize(("key", "applies"), [(7, True), (2**31, False), (-1, False)])
def test_bounds_from_before_a_promotion_compare_with_later_ones(key: int, applies: bool) -> None:
    old = data(**column(IntegerType(), [5, 9]))  # four bytes
    found = index(equality(**column(LongType(), [key])), types=lambda _: LongType())  # eight
    assert bool(found.equality_deletes(old)) is applies


def test_decimals_of_another_precision_compare_by_value() -> None:
    old = data(**column(DecimalType(4, 2), [Decimal("1.00"), Decimal("99.99")]))
    wide = DecimalType(38, 2)
    for key, applies in ((Decimal("50.00"), True), (Decimal("-1.00"), False), (Decimal("99999999.00"), False)):
        found = index(equality(**column(wide, [key])), types=lambda _: wide)
        assert bool(found.equality_deletes(old)) is applies


@pytest.mark.parametrize(("key", "applies"), [("abz", True), ("abd", True), ("ac", True), ("ad", False), ("aa", False)])
def test_truncated_bounds_of_strings(key: str, applies: bool) -> None:
    """Values abc1 to abd9 under truncate(2): the upper bound is the next prefix."""
    cut = {
        "record_count": 2,
        "value_counts": {KEY: 2},
        "null_counts": {KEY: 0},
        "lower_bounds": {KEY: b"ab"},
        "upper_bounds": {KEY: b"ac"},
    }
    found = index(equality(**column(StringType(), [key])), types=lambda _: StringType())
    assert bool(found.equality_deletes(data(**cut))) is applies


def test_one_column_that_rules_out_is_enough() -> None:
    def two(first: list[int], second: list[int]) -> dict[str, Any]:
        one, other = column(INTEGER, first, field_id=1), column(INTEGER, second, field_id=2)
        names = ("value_counts", "null_counts", "lower_bounds", "upper_bounds")
        return {name: {**one[name], **other[name]} for name in names} | {"record_count": len(first)}

    delete = equality(ids=(1, 2), **two([1], [1]))
    assert index(delete).equality_deletes(data(**two([1], [1])))
    assert not index(delete).equality_deletes(data(**two([1], [2])))
    assert not index(delete).equality_deletes(data(**two([2], [1])))
    only_first = equality(ids=(1,), **two([1], [1]))
    assert index(only_first).equality_deletes(data(**two([1], [2])))


VALUES: dict[PrimitiveType, st.SearchStrategy[Any]] = {
    IntegerType(): st.integers(-3, 3) | st.integers(-(2**31), 2**31 - 1),
    LongType(): st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1),
    DecimalType(38, 3): (st.integers(-3, 3) | st.integers(-(10**37), 10**37)).map(lambda n: Decimal(f"{n}E-3")),
    StringType(): st.text("ab\x7fé\U0010ffff", max_size=3),
    BinaryType(): st.binary(max_size=2),
    UUIDType(): st.integers(0, 2**128 - 1).map(lambda n: UUID(int=n).bytes),
    BooleanType(): st.booleans(),
    DateType(): st.integers(-2, 2),
}


@st.composite
def two_files(draw: st.DrawFn) -> tuple[list[PrimitiveType], list[tuple[Any, ...]], list[tuple[Any, ...]], list[bool]]:
    types = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=2))
    row = st.tuples(*(st.none() | VALUES[t] for t in types))
    ours, theirs = draw(st.lists(row, min_size=1, max_size=4)), draw(st.lists(row, min_size=1, max_size=4))
    if draw(st.booleans()):
        theirs.append(draw(st.sampled_from(ours)))
    return types, ours, theirs, draw(st.lists(st.booleans(), min_size=4, max_size=4))


@given(two_files())
def test_key_ranges_never_hide_a_delete_that_matches_a_row(files: Any) -> None:
    types, ours, theirs, known = files

    def metrics(rows: list[tuple[Any, ...]], nulls_known: bool, bounds_known: bool) -> dict[str, Any]:
        merged: dict[str, dict[int, Any]] = {}
        for i, field_type in enumerate(types):
            one = column(field_type, [row[i] for row in rows], field_id=i, nulls_known=nulls_known)
            for name, values in one.items():
                if name != "record_count" and (bounds_known or "bounds" not in name):
                    merged.setdefault(name, {}).update(values)
        return merged

    delete = equality(ids=tuple(range(len(types))), **metrics(ours, known[0], known[1]))
    found = index(delete, types=lambda i: types[i]).equality_deletes(data(**metrics(theirs, known[2], known[3])))
    if {tuple(map(canonical_value, r)) for r in ours} & {tuple(map(canonical_value, r)) for r in theirs}:
        assert found


# ------------------------------------------------------------------------------------- rule 4: what may leave


PLACES = [(0, ()), (1, ("a",)), (1, ("b",)), (2, ("a",))]
FILES = {f"f{i}": place for i, place in enumerate([*PLACES, *PLACES])}


@st.composite
def snapshots(draw: st.DrawFn) -> tuple[list[LiveFile], list[LiveFile], set[str], set[str], list[LiveFile]]:
    """Data files, deletes, paths of replaced data files, paths of applied deletes, outputs."""
    numbers = st.integers(1, 5)
    files = [
        data(path, draw(numbers), spec=spec, values=values)
        for path, (spec, values) in FILES.items()
        if draw(st.booleans())
    ]
    deletes = []
    for i in range(draw(st.integers(0, 6))):
        spec, values = draw(st.sampled_from(PLACES))
        if draw(st.booleans()):
            deletes.append(equality(f"e{i}", draw(numbers), spec=spec, values=values))
        else:
            named = draw(st.none() | st.sampled_from(sorted(FILES)))
            deletes.append(position(f"p{i}", draw(numbers), spec=spec, values=values, referenced_path=named))
    replaced = {f.path for f in files if draw(st.booleans())}
    concurrent = {d.path for d in deletes if draw(st.booleans())}
    merged = {f.partition: f for f in files if f.path in replaced}
    outputs = [
        data(f"out{i}", draw(numbers), spec=key[0], values=file.partition[1])
        for i, (key, file) in enumerate(merged.items())
    ]
    return files, deletes, replaced, {d.path for d in deletes} - concurrent, outputs


def applies_by_definition(delete: LiveFile, file: LiveFile) -> bool:
    same = delete.partition == file.partition
    if delete.path.startswith("e"):
        return delete.sequence_number > file.sequence_number and (same or delete.spec_id == 0)
    named = delete.referenced_path is None or delete.referenced_path == file.path
    return delete.sequence_number >= file.sequence_number and same and named


@given(snapshots())
def test_the_index_says_what_the_definition_says(snapshot: Any) -> None:
    files, deletes, *_ = snapshot
    found = index(*deletes, unpartitioned={0})
    for file in files:
        assert set(paths(found.deletes(file))) == {d.path for d in deletes if applies_by_definition(d, file)}
    everywhere = {d.path for d in deletes if any(applies_by_definition(d, f) for f in files)}
    assert applicable(found, files).keys() == everywhere


@given(snapshots())
def test_a_delete_leaves_if_and_only_if_nothing_live_afterwards_needs_it(snapshot: Any) -> None:
    files, deletes, replaced, applied, outputs = snapshot
    remaining = [f for f in files if f.path not in replaced]

    left = removable(
        deletes={d.path: d for d in deletes},
        index=index(*deletes, unpartitioned={0}),
        remaining=remaining,
        applied=frozenset(applied),
        outputs=outputs,
    )

    def needed(delete: LiveFile) -> bool:
        not_applied = [] if delete.path in applied else outputs
        return any(applies_by_definition(delete, file) for file in [*remaining, *not_applied])

    assert left.keys() == {d.path for d in deletes if not needed(d)}


def test_a_delete_that_came_after_the_plan_stays_for_the_outputs() -> None:
    """The trap of apache/iceberg 10312: all inputs are replaced, yet the writer's new delete must reach the output."""
    planned, concurrent = equality("planned", 3), equality("concurrent", 4)
    left = removable(
        deletes={"planned": planned, "concurrent": concurrent},
        index=index(planned, concurrent),
        remaining=[],
        applied=frozenset({"planned"}),
        outputs=[data("out", 2)],
    )
    assert left.keys() == {"planned"}


def test_a_delete_of_the_planned_snapshot_that_could_match_the_output_leaves_since_it_was_applied() -> None:
    """Outputs of max-merged number 2 lie before the delete of 3, whose rows are gone from them."""
    delete = equality("applied", 3)
    left = removable(
        deletes={"applied": delete},
        index=index(delete),
        remaining=[],
        applied=frozenset({"applied"}),
        outputs=[data("out", 2)],
    )
    assert left.keys() == {"applied"}


def test_a_delete_stays_for_one_data_file_that_is_not_replaced() -> None:
    delete = equality("global", 9, spec=0)
    found = index(delete, unpartitioned={0})
    kept = data("kept", 8, spec=7, values=("x",))
    arguments: dict[str, Any] = {"deletes": {"global": delete}, "index": found, "applied": frozenset({"global"})}
    assert not removable(**arguments, remaining=[kept], outputs=[])
    newer = data("newer", 9, spec=7, values=("x",))
    assert removable(**arguments, remaining=[newer], outputs=[]).keys() == {"global"}


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("file:/t/x", "/t/x"),
        ("file:///t/x", "/t/x"),
        ("/t/x", "/t/x"),
        ("s3://b/file:/x", "s3://b/file:/x"),
        ("hdfs://nn/x", "hdfs://nn/x"),
    ],
)
def test_forms_of_a_path(path: str, plain: str) -> None:
    assert normalize_path(path) == plain
