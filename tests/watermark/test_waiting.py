"""One step of a wait, and the loop of who may block; time passes by pausing only."""

from collections.abc import Callable

import pytest

from autostream.errors import DeniedError, TimedOutError, UsageError
from autostream.watermark.conditions import Condition, Quantifier
from autostream.watermark.marks import TableMark
from autostream.watermark.waiting import MarkReading, Outcome, Step, require_met, step, wait_until
from tests.support.clocks import FakeClock

A, B = "lake.db.a", "lake.db.b"
UNTIL = 3_600_000
BOTH = Condition(tables=(A, B), until_ms=UNTIL)
DOWN = MarkReading(None, "it is down")


def at(watermark_ms: int | None, table: str = A) -> MarkReading:
    return MarkReading(TableMark(table, None, watermark_ms))


def test_what_could_not_be_read_is_explained_with_the_reason() -> None:
    found = step(BOTH, {A: at(UNTIL), B: DOWN})
    assert (found.outcome, found.news) == (None, True)
    assert found.explanation.startswith(f"{B}: could not read its watermark")
    assert found.explanation.endswith("(it is down)")
    assert not found.answer.explanation.endswith("(it is down)")


def test_what_is_down_alike_is_told_once() -> None:
    assert step(BOTH, {A: DOWN, B: DOWN}).explanation.count("it is down") == 1


def test_a_refusal_ends_the_wait() -> None:
    with pytest.raises(DeniedError, match="not you"):
        step(BOTH, {A: at(UNTIL), B: MarkReading(None, "not you", refusal=DeniedError)})


@pytest.mark.parametrize(
    ("left", "outcome", "pause"), [(None, None, 5.0), (60.0, None, 5.0), (2.0, None, 2.0), (0.0, Outcome.LATE, 0.0)]
)
def test_a_pause_ends_with_the_time_that_is_left(left: float | None, outcome: Outcome | None, pause: float) -> None:
    found = step(BOTH, {A: at(0), B: at(0, B)}, left_seconds=left)
    assert (found.outcome, found.pause_seconds) == (outcome, pause)


def test_complete_at_the_last_look_is_complete() -> None:
    assert step(BOTH, {A: at(UNTIL), B: at(UNTIL, B)}, left_seconds=-1.0).outcome is Outcome.MET


def test_nothing_is_told_twice_nor_before_all_tables_were_looked_at() -> None:
    first = step(BOTH, {A: at(0)})
    assert (first.news, first.outcome) == (False, None)
    whole = step(BOTH, {A: at(0), B: at(0, B)})
    assert whole.news
    assert not step(BOTH, {A: at(0), B: at(0, B)}, told=whole.explanation).news
    assert step(BOTH, {A: at(0)}, left_seconds=0.0).outcome is Outcome.LATE


def test_any_table_will_do_though_another_was_never_looked_at() -> None:
    either = Condition(tables=(A, B), until_ms=UNTIL, quantifier=Quantifier.ANY)
    assert step(either, {A: at(UNTIL)}).outcome is Outcome.MET


# ------------------------------------------------------------------------------------------------ the loop


class World:
    """A table that gets further with each pause."""

    def __init__(self, clock: FakeClock, readings: tuple[MarkReading, ...]) -> None:
        self.clock = clock
        self.readings = readings
        self.told: list[str] = []

    def read(self, table: str) -> MarkReading:
        return self.readings[min(len(self.clock.slept), len(self.readings) - 1)]

    def wait(self, timeout_seconds: float | None = None) -> Step:
        condition = Condition(tables=(A,), until_ms=UNTIL)
        return wait_until(
            condition, self.read, timeout_seconds=timeout_seconds, poll_seconds=7, report=self.told.append
        )


@pytest.fixture
def world(clock: FakeClock) -> Callable[..., World]:
    return lambda *readings: World(clock, readings)


def test_it_looks_until_the_tables_are_complete(world: Callable[..., World]) -> None:
    waiting = world(DOWN, at(0), at(0), at(UNTIL))
    found = waiting.wait()
    assert require_met(found, timeout_seconds=None).watermark_ms == UNTIL
    assert waiting.clock.slept == [7, 7, 7]
    assert ["it is down" in text for text in waiting.told] == [True, False]


def test_it_ends_when_the_time_is_up(world: Callable[..., World]) -> None:
    waiting = world(at(0))
    found = waiting.wait(timeout_seconds=12)
    assert (found.outcome, waiting.clock.slept) == (Outcome.LATE, [7, 5])
    with pytest.raises(TimedOutError, match=rf"Not complete within 12 s: {A}: watermark 00:00"):
        require_met(found, timeout_seconds=12)


def test_without_time_it_looks_once(world: Callable[..., World]) -> None:
    assert world(at(UNTIL)).wait(timeout_seconds=0).outcome is Outcome.MET


def test_what_does_not_exist_ends_it_at_once(world: Callable[..., World]) -> None:
    waiting = world(at(0), MarkReading(None, f"Table {A} does not exist.", refusal=UsageError))
    with pytest.raises(UsageError, match="does not exist"):
        waiting.wait()
    assert waiting.clock.slept == [7]
