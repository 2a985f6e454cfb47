import pytest

from autostream.access import limits
from autostream.access.limits import Bucket, Limiter, take


@pytest.mark.parametrize(
    ("left", "seconds", "cost", "after", "wait"),
    [
        (5.0, 0.0, 1.0, 4.0, 0.0),
        (0.5, 0.0, 1.0, 0.5, 0.25),
        (0.5, 0.25, 1.0, 0.0, 0.0),
        (0.0, 1000.0, 1.0, 9.0, 0.0),  # it does not fill beyond its size
        (3.0, 0.0, 5.0, 3.0, 1.0),
    ],
)
def test_a_request_is_taken_out_of_what_is_left(
    left: float, seconds: float, cost: float, after: float, wait: float
) -> None:
    bucket, to_wait = take(Bucket(left, 100.0), cost=cost, burst=10.0, per_second=2.0, now_seconds=100.0 + seconds)

    assert (bucket, to_wait) == (Bucket(after, 100.0 + seconds), wait)


def test_a_caller_may_make_a_quarter_at_once_and_then_goes_on_at_the_rate() -> None:
    limiter = Limiter(per_minute=120)

    assert [limiter.take("a", now_seconds=0.0) for _ in range(31)] == [0] * 30 + [1]
    assert [limiter.take("a", now_seconds=1.0) for _ in range(3)] == [0, 0, 1]
    assert limiter.take("b", now_seconds=1.0) == 0


def test_one_that_is_refused_uses_nothing_up() -> None:
    limiter = Limiter(per_minute=60)
    for _ in range(100):
        limiter.take("a", now_seconds=0.0)

    assert limiter.take("a", now_seconds=1.0) == 0


def test_the_longest_silent_of_many_callers_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_CALLERS", 2)
    limiter = Limiter(per_minute=1)
    for caller in ("a", "b"):
        for _ in range(10):
            limiter.take(caller, now_seconds=0.0)

    assert limiter.take("a", now_seconds=0.0) > 0
    assert limiter.take("c", now_seconds=0.0) == 0  # in the place of b
    assert limiter.take("b", now_seconds=0.0) == 0
