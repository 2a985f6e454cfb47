"""Which of several collectors looks at which cluster."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from autostream.telemetry.sharing import chosen_collector

NAMES = st.lists(st.text(max_size=5), min_size=1, max_size=6, unique=True)


@given(st.text(max_size=5), NAMES)
def test_all_collectors_come_to_the_same_answer(cluster: str, collectors: list[str]) -> None:
    assert chosen_collector(cluster, collectors) == chosen_collector(cluster, reversed(collectors))
    assert chosen_collector(cluster, collectors) in collectors


@given(st.text(max_size=5), NAMES)
def test_only_the_clusters_of_one_that_goes_change_hands(cluster: str, collectors: list[str]) -> None:
    chosen = chosen_collector(cluster, collectors)
    for gone in collectors:
        if gone != chosen:
            assert chosen_collector(cluster, [c for c in collectors if c != gone]) == chosen


def test_clusters_are_shared_evenly() -> None:
    counts = Counter(chosen_collector(f"cluster-{n}", ["a", "b", "c", "d"]) for n in range(1000))

    assert all(200 < count < 300 for count in counts.values())
    assert chosen_collector("prod", []) is None
