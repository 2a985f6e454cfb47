"""How long to wait before something is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.backoff import Backoff
from tests.support.clocks import FakeClock


def pauses(backoff: Backoff, count: int, chance: float = 0.0) -> list[float]:
    return [backoff.seconds(tries, chance=lambda: chance) for tries in range(1, count + 1)]


def test_pauses_become_longer_up_to_the_cap() -> None:
    assert pauses(Backoff(0.5, 8), 7) == [0.5, 1, 2, 4, 8, 8, 8]
    assert pauses(Backoff(0.05, 0.2, factor=1.5), 5) == pytest.approx([0.05, 0.075, 0.1125, 0.16875, 0.2])
    assert pauses(Backoff(3, 3, factor=1), 3) == [3, 3, 3]
    assert pauses(Backoff(5, 1), 2) == [1, 1]


def test_jitter_is_a_factor_of_each_pause_the_longest_too() -> None:
    upwards = Backoff(1, 4, jitter=(1.0, 1.1))
    assert pauses(upwards, 4, chance=0.0) == [1, 2, 4, 4]
    assert pauses(upwards, 4, chance=0.5) == pytest.approx([1.05, 2.1, 4.2, 4.2])
    assert pauses(Backoff(1, 4, jitter=(0.5, 1.0)), 3, chance=0.0) == [0.5, 1, 2]
    assert pauses(Backoff(1, 4, jitter=(1.0, 1.0)), 2, chance=0.9) == [1, 2]


@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True), st.floats(0, 10), st.floats(0, 100), st.floats(1, 10))
def test_pauses_are_bounded_whatever_the_number_of_tries(
    tries: int, chance: float, first: float, cap: float, factor: float
) -> None:
    pause = Backoff(first, cap, factor=factor, jitter=(0.9, 1.1)).seconds(tries, chance=lambda: chance)
    assert 0.9 * min(first, cap) * 0.999 <= pause <= 1.1 * cap * 1.001


def test_without_a_source_of_chance_pauses_differ() -> None:
    assert len({Backoff(1, 4, jitter=(0.5, 1.0)).seconds(1) for _ in range(20)}) > 1


def test_attempts_are_counted_and_waited_for_but_the_first(clock: FakeClock) -> None:
    assert list(Backoff(1, 4).attempts(retries=4)) == [1, 2, 3, 4, 5]
    assert clock.slept == [1, 2, 4, 4]
    assert list(Backoff(1, 4).attempts(retries=0)) == [1]
    assert len(clock.slept) == 4


def test_no_attempt_begins_to_be_waited_for_when_the_time_is_up(clock: FakeClock) -> None:
    numbers = []
    for number in Backoff(1, 4).attempts(retries=9, budget_seconds=10):
        numbers.append(number)
        clock.advance(3)  # what an attempt takes
    assert (numbers, clock.slept) == ([1, 2, 3], [1, 2])
    assert list(Backoff(1, 4).attempts(retries=9, budget_seconds=0)) == [1]
