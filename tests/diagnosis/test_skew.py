"""Skew: which subtasks have too much, and why."""

from hypothesis import given
from hypothesis import strategies as st

from autostream.diagnosis.skew import find_skew, key_groups
from tests.diagnosis.plans import vertex


def test_hot_keys() -> None:
    (skew,) = find_skew([vertex("sum", "source", records=[10_000, 1_000, 1_000, 0])])
    assert (skew.kind, [one.index for one in skew.heavy], skew.empty) == ("keys", [0], (3,))
    assert skew.finding.reason == (
        "The records of 'sum' are skewed: the heaviest of its 4 subtasks has 3.3 times the mean. subtask 0 has 83% of "
        "12,000; an even share would be 25%. 1 subtask of it got no record at all. Keys cause it: some keys of subtask "
        "0 (key groups 0 to 31) have most records; more parallelism does not split a key."
    )
    assert skew.to_dict()["heavy"] == [{"subtask": 0, "records": 10_000, "share": 10_000 / 12_000}]


def test_key_groups_that_are_dealt_unevenly() -> None:
    """128 key groups on 100 subtasks: 28 of them have two."""
    dealt = key_groups(128, 100)
    assert (sum(dealt), max(dealt), min(dealt), dealt.count(2)) == (128, 2, 1, 28)
    (skew,) = find_skew([vertex("sum", "source", records=[1000 * groups for groups in dealt])])
    assert skew.kind == "key-groups"
    assert "128 of them on 100 subtasks give some 2 and others 1" in skew.finding.reason
    assert "Choose a parallelism that divides 128" in skew.finding.remedy
    assert "and 23 more;" in skew.finding.reason


def test_partitions_of_a_source_and_what_is_handed_on() -> None:
    skews = find_skew(
        [
            vertex("source", records=[9_000, 1_000, 0]),
            vertex("map", "source", records=[9_000, 1_000, 0], exchange="FORWARD"),
            vertex("custom", "source", records=[9_000, 1_000, 0], exchange="CUSTOM"),
            vertex("even", "source", records=[9_000, 1_000, 0], exchange="REBALANCE"),
        ]
    )
    assert {skew.vertex.name: skew.kind for skew in skews} == {
        "source": "source",
        "map": "upstream",
        "custom": "partitioner",
        "even": "unexplained",
    }
    assert all(skew.finding.reason and skew.finding.remedy for skew in skews)


def test_even_records_but_one_slow_machine() -> None:
    (skew,) = find_skew([vertex("map", "source", records=[1000, 1000, 1000], busy=[0.2, 0.9, 0.2])])
    assert skew.kind == "machine"
    assert "subtask 1 works 90% of its time, in the mean they work 43%" in skew.finding.reason
    assert "on task manager tm-1 runs slower" in skew.finding.reason


def test_what_is_no_skew() -> None:
    assert find_skew([vertex("a", "b", records=[100, 1])]) == ()  # too few to tell
    assert find_skew([vertex("a", "b", records=[50_000])]) == ()  # alone
    assert find_skew([vertex("a", "b", records=[1000, 1100, 900])]) == ()
    assert find_skew([vertex("a", "b", busy=[0.1, 0.2])]) == ()  # no records known
    assert find_skew([]) == ()


@given(st.integers(1, 300), st.integers(1, 300))
def test_key_groups_are_all_dealt(max_parallelism: int, parallelism: int) -> None:
    dealt = key_groups(max(max_parallelism, parallelism), parallelism)
    assert sum(dealt) == max(max_parallelism, parallelism)
    assert max(dealt) - min(dealt) <= 1


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=12))
def test_skew_is_judged_alike_in_any_order_and_any_amount(records: list[int]) -> None:
    def ratios(of: list[int]) -> list[float]:
        return [round(skew.ratio, 6) for skew in find_skew([vertex("a", "b", records=of)]) if skew.kind != "machine"]

    assert ratios(records) == ratios(sorted(records))
    if sum(records) >= 1000:
        assert ratios(records) == ratios([10 * one for one in records])
