"""Points in time, as callers of the library give them."""

from __future__ import annotations

from datetime import datetime

from autostream import times
from autostream.errors import UsageError

Instant = datetime | str | int
"""A point in time: a datetime with offset, a text as the command line takes it, or epoch milliseconds."""


def to_epoch_ms(instant: Instant) -> int:
    """Return a point in time as epoch milliseconds.

    Raises:
        UsageError: It is a datetime without offset, or a text that is not a time.
    """
    if isinstance(instant, datetime):
        if instant.tzinfo is None:
            raise UsageError(f"Invalid time {instant.isoformat()}: it has no UTC offset. Add one, such as tzinfo=UTC.")
        return times.to_ms(instant)
    return times.parse_instant(instant) if isinstance(instant, str) else instant
