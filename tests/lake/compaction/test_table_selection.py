"""Which tables words stand for."""

import pytest

from autostream.errors import UsageError
from autostream.lake.compaction.table_selection import ChosenTable, TableSelection

LAKE = ["lake.shop.orders", "lake.shop.users", "lake.raw.deep.events"]
LISTED = {"lake": LAKE, "lab": ["lab.db.orders"]}


def chosen(*words: str) -> list[str]:
    return [table.name for table in TableSelection.parse(words).choose(LISTED)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), [*LAKE, "lab.db.orders"]),
        (("lake.*",), LAKE),
        (("lake.shop.*",), ["lake.shop.orders", "lake.shop.users"]),
        (("*.orders",), ["lake.shop.orders", "lab.db.orders"]),
        (("lake.shop.order?",), ["lake.shop.orders"]),
        (("lake.shop.[ou]*",), ["lake.shop.orders", "lake.shop.users"]),
        (("Lake.*",), []),
        (("lake.shop.orders",), ["lake.shop.orders"]),
        (("lake.shop.users", "lake.*", "lake.shop.*"), ["lake.shop.users", "lake.shop.orders", "lake.raw.deep.events"]),
        (("any.db.t",), ["any.db.t"]),
    ],
)
def test_which_tables_words_stand_for(words: tuple[str, ...], expected: list[str]) -> None:
    assert chosen(*words) == expected


def test_what_is_named_in_full_is_told_from_what_matches() -> None:
    selection = TableSelection.parse(["lake.shop.users", "lake.shop.*"])
    assert list(selection.choose(LISTED)) == [
        ChosenTable("lake.shop.users", named=True),
        ChosenTable("lake.shop.orders", named=False),
    ]


@pytest.mark.parametrize("word", ["lake.orders", "lake..orders", "orders", ""])
def test_a_word_that_is_neither_a_name_nor_a_pattern_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="Invalid table name"):
        TableSelection.parse(["lake.*", word])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), ("lake", "lab")),
        (("lake.shop.orders",), ()),
        (("lake.*",), ("lake",)),
        (("lake.*", "lab.db.orders"), ("lake",)),
        (("lake.*", "*.orders"), ("lake", "lab")),
        (("la?e.*",), ("lake", "lab")),
        (("*orders",), ("lake", "lab")),
        (("other.*",), ()),
    ],
)
def test_catalogs_that_can_have_nothing_are_left_alone(words: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert TableSelection.parse(words).catalogs_to_list(("lake", "lab")) == expected


def test_a_pattern_that_matches_nothing_is_told_with_what_there_is() -> None:
    selection = TableSelection.parse(["lake.shop.odrers*", "*.none", "lakes.*", "lake.*"])
    assert selection.unmatched(LISTED, ("lake", "lab")) == {
        "lake.shop.odrers*": "No table in lake matches. There are: lake.raw.deep.events, "
        "lake.shop.orders, lake.shop.users. Did you mean lake.shop.orders?",
        "*.none": "No table in lake, lab matches. There are: lab.db.orders, lake.raw.deep.events, "
        "lake.shop.orders, lake.shop.users.",
        "lakes.*": "Unknown catalog 'lakes'. Catalogs: lake, lab. Did you mean lake?",
    }


def test_what_a_catalog_that_does_not_answer_may_have_is_not_said_to_be_missing() -> None:
    selection = TableSelection.parse(["lab.none.*", "*.none", "lake.none.*"])
    assert list(selection.unmatched({"lake": LAKE}, ("lake", "lab"))) == ["lake.none.*"]


def test_an_empty_catalog_has_no_tables() -> None:
    selection = TableSelection.parse(["lake.*"])
    assert selection.unmatched({"lake": []}, ("lake",)) == {
        "lake.*": "No table in lake matches. These catalogs have no tables."
    }
