"""How long to wait before something is tried again."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from autostream import times

_MOST_STEPS: Final = 64  # by then any pause has reached its cap, and no power has overflowed


@dataclass(frozen=True)
class Backoff:
    """Pauses that become longer with each try, up to a cap, and differ between those who wait.

    Attributes:
        first_seconds: The pause after the first try.
        cap_seconds: The longest pause, before the jitter.
        factor: By how much each pause is longer than the one before.
        jitter: Least and greatest factor of a pause, chosen at random, so that not all who wait come back at once.
    """

    first_seconds: float
    cap_seconds: float
    factor: float = 2.0
    jitter: tuple[float, float] = (1.0, 1.0)

    def seconds(self, tries: int, *, chance: Callable[[], float] = random.random) -> float:
        """Return the pause after a number of tries, the first of which is 1.

        Args:
            tries: How often it was tried in vain; 0 counts as 1.
            chance: Random numbers of [0, 1).
        """
        least, most = self.jitter
        pause = min(self.first_seconds * self.factor ** min(max(tries, 1) - 1, _MOST_STEPS), self.cap_seconds)
        return pause * (least + (most - least) * (chance() if most > least else 0.0))

    def attempts(self, *, retries: int, budget_seconds: float = math.inf) -> Iterator[int]:
        """Yield the number of each attempt, from 1; all but the first are waited for.

        Args:
            retries: How often to try again.
            budget_seconds: When so much time has passed since the first attempt, no other one begins.
        """
        began = times.monotonic()
        yield 1
        for number in range(2, retries + 2):
            if times.monotonic() - began >= budget_seconds:
                return
            times.sleep(self.seconds(number - 1))
            yield number
