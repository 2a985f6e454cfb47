"""How many requests are answered: a token bucket for each caller. Pure but for what it remembers."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MOST_CALLERS: Final = 4096


@dataclass(frozen=True)
class Bucket:
    """What a caller has left: so many requests at a moment.

    Attributes:
        left: Requests that would be answered now; fractions grow.
        at_seconds: The moment, by a clock that never goes back.
    """

    left: float
    at_seconds: float


def take(bucket: Bucket, *, cost: float, burst: float, per_second: float, now_seconds: float) -> tuple[Bucket, float]:
    """Take a request out of a bucket.

    Returns:
        The bucket afterwards, and how many seconds to wait: 0 where the request is answered, and nothing is taken
        where it is not.
    """
    left = min(burst, bucket.left + (now_seconds - bucket.at_seconds) * per_second)
    if left >= cost:
        return Bucket(left - cost, now_seconds), 0.0
    return Bucket(left, now_seconds), (cost - left) / per_second


class Limiter:
    """The buckets of all callers of this process; of many callers the longest silent are forgotten.

    Args:
        per_minute: Requests that a caller may go on making; a quarter of them, and at least ten, at once.
    """

    def __init__(self, *, per_minute: float) -> None:
        """Begin with full buckets."""
        self._per_second = per_minute / 60
        self._burst = max(10.0, per_minute / 4)
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._guard = threading.Lock()

    def take(self, caller: str, *, now_seconds: float, cost: float = 1.0) -> int:
        """Count a request of a caller, and return how many whole seconds to wait: 0 where it is answered."""
        with self._guard:
            bucket = self._buckets.pop(caller, None) or Bucket(self._burst, now_seconds)
            bucket, wait = take(
                bucket, cost=cost, burst=self._burst, per_second=self._per_second, now_seconds=now_seconds
            )
            self._buckets[caller] = bucket
            if len(self._buckets) > MOST_CALLERS:
                self._buckets.popitem(last=False)
        return math.ceil(wait)
