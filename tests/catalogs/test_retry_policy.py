"""How often and how long commits are tried and asked after."""

import pytest

from autostream.catalogs.retry_policy import RetryPolicy
from autostream.errors import ConfigurationError
from autostream.properties import Properties
from tests.support.clocks import FakeClock


def policy(**values: str) -> RetryPolicy:
    keys = {name.replace("__", ".").replace("_", "-"): value for name, value in values.items()}
    return RetryPolicy.from_properties(Properties("Table lake.db.t", {f"commit.{key}": v for key, v in keys.items()}))


def test_defaults_are_icebergs() -> None:
    assert policy() == RetryPolicy(4, 100, 60_000, 1_800_000, 3, 1_000, 60_000, 1_800_000)


def test_each_property_counts() -> None:
    retry = {"num_retries": "1", "min_wait_ms": "2", "max_wait_ms": "3", "total_timeout_ms": "4"}
    both = {f"retry__{key}": value for key, value in retry.items()}
    both |= {f"status_check__{key}": f"1{value}" for key, value in retry.items()}
    assert policy(**both) == RetryPolicy(1, 2, 3, 4, 11, 12, 13, 14)


def test_waits_grow_and_are_bounded(clock: FakeClock) -> None:
    short = policy(retry__num_retries="6", retry__min_wait_ms="100", retry__max_wait_ms="1000")
    assert list(short.attempts()) == [1, 2, 3, 4, 5, 6, 7]
    assert all(low <= wait <= low * 1.1 for low, wait in zip([0.1, 0.2, 0.4, 0.8, 1, 1], clock.slept, strict=True))


def test_looks_at_the_outcome_do_not_vary(clock: FakeClock) -> None:
    assert list(policy(status_check__num_retries="7").status_checks()) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert clock.slept == [1, 2, 4, 8, 16, 32, 60]


def test_a_second_look_comes_even_where_the_table_wants_no_retry(clock: FakeClock) -> None:
    assert list(policy(retry__num_retries="0").attempts()) == [1]
    assert list(policy(retry__num_retries="0").attempts(at_least=2)) == [1, 2]
    assert list(policy(retry__num_retries="2").attempts(at_least=2)) == [1, 2, 3]


def test_both_end_when_their_time_is_up(clock: FakeClock) -> None:
    limits = policy(retry__total_timeout_ms="300", status_check__total_timeout_ms="3000")
    assert (list(limits.attempts()), list(limits.status_checks())) == ([1, 2, 3], [1, 2, 3])


@pytest.mark.parametrize("text", ["many", "-1", ""])
def test_what_is_not_a_number_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        policy(retry__num_retries=text)
    assert str(raised.value) == (
        f"Table lake.db.t: property commit.retry.num-retries is {text!r}. It must be a whole number, 0 or more."
    )
