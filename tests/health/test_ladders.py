"""What a value costs, and what of that can be configured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.config.sections.health import LadderRule
from autostream.errors import ConfigurationError
from autostream.health.ladders import LADDERS, Ladder, configured_ladders
from autostream.health.symptoms import READINGS


@pytest.mark.parametrize(
    ("value", "cost"), [(0.0, 0), (0.0799, 0), (0.08, 6), (0.1, 12), (0.149, 12), (0.15, 18), (0.2, 24), (1.0, 24)]
)
def test_garbage_collection_costs_what_dr_elephant_says(value: float, cost: float) -> None:
    assert LADDERS["gc-high"].cost(value) == cost


@pytest.mark.parametrize(("value", "cost"), [(0.61, 0), (0.6, 3), (0.45, 6), (0.3, 12), (0.0, 12)])
def test_a_falling_ladder_costs_more_the_less_there_is(value: float, cost: float) -> None:
    assert LADDERS["memory-low"].cost(value) == cost


@given(st.sampled_from(list(LADDERS.values())), st.floats(0, 1e6), st.floats(0, 1e6))
def test_every_ladder_goes_one_way_and_ends_at_its_weight(ladder: Ladder, one: float, other: float) -> None:
    better, worse = sorted((one, other), reverse=ladder.falling)
    assert 0 <= ladder.cost(better) <= ladder.cost(worse) <= ladder.weight


def test_each_ladder_weighs_something_that_is_read() -> None:
    assert set(READINGS) | {"configuration"} == set(LADDERS)


def test_what_is_configured_replaces_rungs_and_weight() -> None:
    ladders = configured_ladders(
        [LadderRule(name="busy", rungs=(0.5, 0.9), weight=10), LadderRule(name="lag", weight=0)]
    )
    assert (ladders["busy"].cost(0.6), ladders["lag"].cost(1e9)) == (5, 0)
    assert ladders["lag"].rungs == LADDERS["lag"].rungs
    assert ladders["gc-high"] == LADDERS["gc-high"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (LadderRule(name="bussy", weight=1), r"name = 'bussy', which is not a ladder.*Did you mean busy\?"),
        (LadderRule(name="busy", rungs=(0.9, 0.8), weight=1), r"rungs = \[0.9, 0.8\]. They have to rise"),
        (LadderRule(name="cpu-low", rungs=(0.1, 0.3), weight=1), "They have to fall"),
    ],
)
def test_what_is_wrong_is_said(rule: LadderRule, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        configured_ladders([rule])
