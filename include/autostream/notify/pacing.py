"""When a target may be sent to again, and when a message is tried again. Pure but for chance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from autostream.backoff import Backoff

_MINUTE_MS: Final = 60_000
_LONGEST_PAUSE_MS: Final = 900_000

# A target that does not answer is asked by one message at a time; a message that it refuses does not block the others.
_OF_TARGETS: Final = Backoff(first_seconds=5, cap_seconds=300, jitter=(0.8, 1.2))
_OF_MESSAGES: Final = Backoff(first_seconds=15, cap_seconds=900, jitter=(0.8, 1.2))


@dataclass(frozen=True)
class TargetPace:
    """How a target has fared.

    Attributes:
        recent_ms: When it was sent to in the last minute, oldest first.
        failures: How many tries have failed since the last one that did not.
        paused_until_ms: Until when it is left alone.
    """

    recent_ms: tuple[int, ...] = ()
    failures: int = 0
    paused_until_ms: int = 0

    def free_at_ms(self, *, now_ms: int, messages_per_minute: int) -> int:
        """Return from when on it may be sent to; now, or an instant before, where that is at once."""
        recent = self._recent(now_ms)
        full_until_ms = recent[-messages_per_minute] + _MINUTE_MS if len(recent) >= messages_per_minute else 0
        # Whatever clock has said so: nobody is left alone for longer than the longest pause.
        return max(full_until_ms, min(self.paused_until_ms, now_ms + _LONGEST_PAUSE_MS))

    def tried(self, now_ms: int) -> TargetPace:
        """Return how it is when a message is sent to it now."""
        return replace(self, recent_ms=(*self._recent(now_ms), now_ms))

    def succeeded(self) -> TargetPace:
        """Return how it is when it has taken a message."""
        return replace(self, failures=0, paused_until_ms=0)

    def failed(self, now_ms: int, *, pause_seconds: float | None = None) -> TargetPace:
        """Return how it is when it has not.

        Args:
            now_ms: The present.
            pause_seconds: How long it wants to be left alone; None where it does not say.
        """
        failures = self.failures + 1
        pause = _OF_TARGETS.seconds(failures) if pause_seconds is None else pause_seconds
        return replace(self, failures=failures, paused_until_ms=now_ms + round(pause * 1000))

    def _recent(self, now_ms: int) -> tuple[int, ...]:
        return tuple(sorted(at for at in self.recent_ms if abs(now_ms - at) < _MINUTE_MS))


def next_try_ms(tries: int, now_ms: int, *, pause_seconds: float | None = None) -> int:
    """Return when a message is tried again that was tried so often in vain."""
    return now_ms + round(max(_OF_MESSAGES.seconds(tries), pause_seconds or 0) * 1000)
