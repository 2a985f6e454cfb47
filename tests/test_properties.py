"""Properties read as typed values, and how wrong ones are refused."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import pytest

from autostream.errors import ConfigurationError
from autostream.properties import Properties, either, of_catalog, of_table


class Kind(StrEnum):
    """What a choice is made of."""

    RED = "red"
    GREEN = "green"


def table(**values: Any) -> Properties:
    return Properties("Table lake.db.t", values)


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (lambda p: p.whole("k", 7), "12", 12),
        (lambda p: p.whole("k", 7), " -3 ", -3),
        (lambda p: p.whole("k", 7), "+3", 3),
        (lambda p: p.whole("k", 7, minimum=0, maximum=12), "0012", 12),
        (lambda p: p.whole("k", 7), 12, 12),
        (lambda p: p.number("k", 7), "0.5", 0.5),
        (lambda p: p.number("k", 7), "-1e3", -1000.0),
        (lambda p: p.number("k", 7), ".5", 0.5),
        (lambda p: p.number("k", 7, minimum=0, maximum=1), "1", 1.0),
        (lambda p: p.number("k", 7, above=0), "0.001", 0.001),
        (lambda p: p.size("k", 7), "64MB", 64 * 10**6),
        (lambda p: p.size("k", 7), "0", 0),
        (lambda p: p.boolean("k", None), "TRUE", True),
        (lambda p: p.boolean("k", None), " false ", False),
        (lambda p: p.boolean("k", None), True, True),
        (lambda p: p.is_true("k"), "True", True),
        (lambda p: p.is_true("k", default=True), "yes", False),
        (lambda p: p.choice("k", None, ("zstd", "lz4")), "ZSTD", "zstd"),
        (lambda p: p.choice("k", None, Kind), "green", Kind.GREEN),
        (lambda p: p.text("k", ""), " a b ", "a b"),
        (lambda p: p.read("k", None, lambda text: text.split(",")), "a,b", ["a", "b"]),
    ],
)
def test_what_values_are_read_as(read: Callable[[Properties], Any], text: Any, value: object) -> None:
    found = read(table(k=text))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("read", "text", "allowed"),
    [
        (lambda p: p.whole("k", 7), "many", "a whole number."),
        (lambda p: p.whole("k", 7), "", "a whole number."),
        (lambda p: p.whole("k", 7), "1_000", "a whole number."),
        (lambda p: p.whole("k", 7), "1.0", "a whole number."),
        (lambda p: p.whole("k", 7), "²", "a whole number."),
        (lambda p: p.whole("k", 7, minimum=1000), "999", "a whole number, 1,000 or more."),
        (lambda p: p.whole("k", 7, maximum=5), "6", "a whole number, 5 or less."),
        (lambda p: p.whole("k", 7, minimum=0, maximum=100), "-1", "a whole number from 0 to 100."),
        (lambda p: p.number("k", 7), "fast", "a number."),
        (lambda p: p.number("k", 7), "nan", "a number."),
        (lambda p: p.number("k", 7), "inf", "a number."),
        (lambda p: p.number("k", 7), "1e999", "a number."),
        (lambda p: p.number("k", 7), "1_0", "a number."),
        (lambda p: p.number("k", 7, minimum=0, maximum=1), "30", "a number from 0 to 1."),
        (lambda p: p.number("k", 7, minimum=0.5), "0.4", "a number, 0.5 or more."),
        (lambda p: p.number("k", 7, above=0), "0", "a number above 0."),
        (lambda p: p.number("k", 7, above=0, maximum=3600), "3601", "a number above 0, at most 3,600."),
        (lambda p: p.size("k", 7), "big", "a size: a number of bytes, or a number with a unit, such as 512MB or 2GiB."),
        (lambda p: p.size("k", 7, minimum=1), "0", "a size, at least 1 B: a number of bytes, or a number with a unit"),
        (lambda p: p.boolean("k", None), "yes", "true or false."),
        (lambda p: p.choice("k", None, ("zstd", "lz4", "none")), "rar", "zstd, lz4 or none."),
        (lambda p: p.choice("k", None, Kind), "gren", "red or green. Did you mean green?"),
        (lambda p: p.read("k", None, int), "x", "invalid literal for int() with base 10: 'x'."),
    ],
)
def test_what_is_wrong_names_owner_key_value_and_what_is_allowed(
    read: Callable[[Properties], Any], text: str, allowed: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(table(k=text))
    assert str(raised.value).startswith(f"Table lake.db.t: property k is {text!r}. It must be {allowed}")


def test_a_long_value_is_cut() -> None:
    with pytest.raises(ConfigurationError) as raised:
        table(k="9" * 5000).whole("k", 7)
    assert str(raised.value) == f"Table lake.db.t: property k is '{'9' * 80}'…. It must be a whole number."


def test_what_is_not_there_is_the_default_which_is_not_judged() -> None:
    assert table().whole("k", -7, minimum=0) == -7
    assert table().choice("k", None, Kind) is None
    assert table(k=None).boolean("k", None) is None
    assert table().is_true("k", default=True)
    assert "k" not in table()
    assert "k" in table(k="")


def test_what_is_empty_is_wrong_unless_it_means_nothing() -> None:
    catalog = Properties("Catalog lake", {"a": " ", "b": "2"})
    both = Properties("Table lake.db.t", {"b": ""}, fallback=catalog).without_blanks()
    assert (both.whole("a", 1), both.whole("b", 1)) == (1, 2)
    with pytest.raises(ConfigurationError, match=r"^Catalog lake: property a is ' '\. It must be a whole number\.$"):
        catalog.whole("a", 1)


def test_the_first_owner_that_has_a_property_counts_and_is_named() -> None:
    catalog = Properties("Catalog lake", {"a": "x", "b": "2"})
    both = Properties("Table lake.db.t", {"b": "y", "c": "3"}, fallback=catalog)
    assert (both.whole("c", 0), both.whole("d", 4)) == (3, 4)
    assert ("a" in both, "d" in both) == (True, False)
    with pytest.raises(ConfigurationError, match=r"^Catalog lake: property a is 'x'"):
        both.whole("a", 0)
    with pytest.raises(ConfigurationError, match=r"^Table lake\.db\.t: property b is 'y'"):
        both.whole("b", 0)


def test_further_owners_come_after_those_that_there_are() -> None:
    chain = of_table("lake.db.t", {"a": "1"}).or_else(of_catalog("lake", {"b": "2", "c": ""}))
    chain = chain.or_else(Properties("Engine", {"a": "7", "c": "3"}))
    assert [chain.whole(key, 0) for key in "abc"] == [1, 2, 3]
    with pytest.raises(ConfigurationError, match=r"^Catalog lake: property b is '2'"):
        chain.boolean("b", None)


def test_below_a_prefix_messages_have_the_whole_key() -> None:
    options = table(**{"own.size": "7", "own.part.max": "x", "other": "9"}).below("own.")
    assert (options.whole("size", 0), options.whole("other", 0)) == (7, 0)
    with pytest.raises(ConfigurationError, match=r"^Table lake\.db\.t: property own\.part\.max is 'x'"):
        options.below("part.").whole("max", 0)


def test_options_of_a_run_come_before_the_properties_of_the_table() -> None:
    run = Properties(
        "", {"size": "9"}, kind="option", fallback=table(**{"own.size": "7", "own.max": "3"}).below("own.")
    )
    assert (run.whole("size", 0), run.whole("max", 0)) == (9, 3)
    with pytest.raises(ConfigurationError, match=r"^Option size is '9'\. It must be a whole number, 5 or less\.$"):
        run.whole("size", 0, maximum=5)


def test_keys_that_mean_nothing_are_refused_with_what_was_meant() -> None:
    options = table(**{"own.size": "7", "other": "9"}).below("own.")
    options.refuse_unknown(["size", "max"])
    with pytest.raises(ConfigurationError) as raised:
        table(**{"own.sice": "7"}).below("own.").refuse_unknown(["size", "max"])
    assert str(raised.value) == ("Table lake.db.t: property own.sice is unknown. Known: size, max. Did you mean size?")
    with pytest.raises(ConfigurationError, match=r"^Option sice is unknown"):
        Properties("", {"sice": "7"}, kind="option").refuse_unknown(["size"])


def test_values_are_not_shown_where_properties_are() -> None:
    secret = Properties("Catalog lake", {"password": "hunter2"})
    assert "hunter2" not in repr(Properties("Table lake.db.t", {}, fallback=secret))


@pytest.mark.parametrize(("words", "text"), [(["a"], "a"), (["a", "b"], "a or b"), (("a", "b", "c"), "a, b or c")])
def test_a_choice_in_words(words: list[str], text: str) -> None:
    assert either(words) == text
