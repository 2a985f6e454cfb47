"""An event loop whose clock jumps to the next thing that is due, so that waiting takes no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


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
