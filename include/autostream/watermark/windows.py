"""Hours and days of event time: where they begin and end, what they are called, which of them are complete. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final

from autostream.errors import UsageError
from autostream.watermark.times import parse_instant, to_datetime, to_ms

HOUR_MS: Final = 3_600_000
HOUR_KEY: Final = "%Y-%m-%dT%H:%M:%S"
"""How the partition of an hour is called: its start in UTC. Airflow's mappers take this form by default."""
DAY_KEY: Final = "%Y-%m-%d"

_DAY_KEY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_HOUR_KEY: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}(:\d{2}(:\d{2})?)?(Z|[+-]\d{2}:\d{2})?")


class Window(StrEnum):
    """A stretch of event time that is complete as a whole."""

    HOUR = "hour"
    DAY = "day"

    def start_of(self, ms: int, zone: tzinfo = UTC) -> int:
        """Return where the window begins that an instant lies in; days begin at midnight of the zone."""
        if self is Window.HOUR:
            return ms - ms % HOUR_MS
        return _midnight(to_datetime(ms, zone))

    def end_of(self, start_ms: int, zone: tzinfo = UTC) -> int:
        """Return where the window ends that begins at an instant; days have 23 or 25 hours where clocks are set."""
        if self is Window.HOUR:
            return start_ms + HOUR_MS
        return _midnight(to_datetime(start_ms, zone) + timedelta(days=1))

    def key_of(self, start_ms: int, zone: tzinfo = UTC) -> str:
        """Return what the partition of the window that begins at an instant is called."""
        return to_datetime(start_ms, zone).strftime(HOUR_KEY if self is Window.HOUR else DAY_KEY)


def parse_window(name: str) -> Window:
    """Return a window by its name.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        return Window(name)
    except ValueError as error:
        raise UsageError(f"There is no window {name!r}. Write hour or day.") from error


def window_of_key(key: str) -> Window:
    """Return which window a partition key names, by its form: a date, or a date with an hour.

    Raises:
        UsageError: it is neither.
    """
    if _DAY_KEY.fullmatch(key):
        return Window.DAY
    if _HOUR_KEY.fullmatch(key):
        return Window.HOUR
    raise UsageError(f"Partition key {key!r} names no hour and no day. Say what to wait for: until=..., or window=....")


def start_of_key(key: str, zone: tzinfo = UTC) -> int:
    """Return where the window begins that a partition key names.

    Raises:
        UsageError: it is no time.
    """
    return parse_instant(key, zone)


def complete_hours(from_ms: int, watermark_ms: int, *, now_ms: int, limit: int) -> list[int]:
    """Return the starts of the hours, from one on, that are complete: in order, without gaps, so many at most.

    An hour that is not over yet is not among them, whatever the watermark says: that of a writer that has ended is the
    end of all time.
    """
    end = min(watermark_ms, now_ms)
    count = max(0, min((end - from_ms) // HOUR_MS, limit))
    return [from_ms + hour * HOUR_MS for hour in range(count)]


def _midnight(moment: datetime) -> int:
    return to_ms(moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0))
