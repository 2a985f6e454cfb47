"""Clocks that go on only when they are told to, so that waiting takes no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from autostream.times import Clock

T = TypeVar("T")


class FakeClock(Clock):
    """Time that passes by sleeping, or by being told to; what is to happen meanwhile can be said.

    Attributes:
        ms: The present, epoch milliseconds. It may be set to anything, as clocks are.
        seconds: What the monotonic clock shows.
        slept: How long was slept, each time.
        then: What happens at the end of a sleep, by its number from 1.
    """

    def __init__(self) -> None:
        self.ms = 1_795_572_000_000  # 2026-11-25T02:00Z
        self.seconds = 1000.0
        self.slept: list[float] = []
        self.then: dict[int, Callable[[], object]] = {}

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        self.slept.append(seconds)
        self.then.pop(len(self.slept), lambda: None)()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        self.ms += round(seconds * 1000)


class LoopClock(Clock):
    """The time of day goes with the event loop's, which begins at 1000 s."""

    def __init__(self, begins_ms: int) -> None:
        self.begins_ms = begins_ms

    def now_ms(self) -> int:
        return self.begins_ms + round(asyncio.get_running_loop().time() * 1000) - 1_000_000


class _Jumping(selectors.DefaultSelector):
    now = 1000.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits, and nothing is due"
            self.now += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop that never waits. What other threads do is not waited for either: use none."""

    def __init__(self) -> None:
        self._clock = _Jumping()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run_at_once(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, its pauses left out."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main)
