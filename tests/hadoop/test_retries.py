"""When a request is made again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.hadoop.answers import Trouble
from autostream.hadoop.retries import PAUSES, Again, decide


def pauses(trouble: Trouble, *, servers: int, retries: int, repeatable: bool = True) -> list[float]:
    found = []
    while again := decide(
        trouble,
        failures=len(found) + 1,
        servers=servers,
        retries=retries,
        repeatable=repeatable,
        chance=lambda: 0.0,
    ):
        found.append(again.pause_seconds)
    return found


def test_every_server_is_tried_before_the_first_pause() -> None:
    assert pauses(Trouble.STANDBY, servers=3, retries=2) == [0, 0, 0.25, 0, 0, 0.5, 0, 0]
    assert pauses(Trouble.UNREACHABLE, servers=1, retries=6) == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0]
    assert pauses(Trouble.BUSY, servers=1, retries=0) == []


def test_a_lost_answer_ends_what_cannot_be_repeated() -> None:
    assert pauses(Trouble.LOST, servers=2, retries=6, repeatable=False) == []
    assert pauses(Trouble.LOST, servers=2, retries=1) == [0, 0.25, 0]
    for done_nothing in (Trouble.UNREACHABLE, Trouble.STANDBY, Trouble.BUSY):
        assert pauses(done_nothing, servers=2, retries=1, repeatable=False) == [0, 0.25, 0]


@given(
    st.sampled_from(Trouble),
    st.integers(1, 50),
    st.integers(1, 4),
    st.integers(0, 9),
    st.booleans(),
    st.floats(0, 1, exclude_max=True),
)
def test_tries_and_pauses_are_bounded(
    trouble: Trouble, failures: int, servers: int, retries: int, repeatable: bool, chance: float
) -> None:
    again = decide(
        trouble, failures=failures, servers=servers, retries=retries, repeatable=repeatable, chance=lambda: chance
    )
    if failures >= servers * (retries + 1):
        assert again is None
    if again is not None:
        assert isinstance(again, Again)
        assert 0 <= again.pause_seconds <= 8


@pytest.mark.parametrize(("rounds", "least", "most"), [(1, 0.25, 0.5), (2, 0.5, 1), (5, 4, 8), (50, 4, 8)])
def test_jitter_is_the_upper_half(rounds: int, least: float, most: float) -> None:
    assert PAUSES.seconds(rounds, chance=lambda: 0.0) == least
    assert PAUSES.seconds(rounds, chance=lambda: 0.9999999) == pytest.approx(most)
