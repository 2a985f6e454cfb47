"""Hours and days as windows of event time, in any time zone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from autostream.watermark.times import to_datetime, to_ms


class WindowKind(StrEnum):
    """How long a window is."""

    HOUR = "hour"
    DAY = "day"


@dataclass(frozen=True)
class Window:
    """Event times from a start to before an end, epoch ms."""

    start_ms: int
    end_ms: int


def window_at(kind: WindowKind, instant_ms: int, zone: tzinfo = UTC) -> Window:
    """Return the window of a time zone that an instant lies in.

    Days have 23 or 25 hours where clocks are changed. Hours always have sixty minutes: an hour that the clocks go
    through twice is two windows, and one that they skip is none.
    """
    local = to_datetime(instant_ms, zone)
    if kind is WindowKind.HOUR:
        past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        start = instant_ms - past // timedelta(milliseconds=1)
        return Window(start, start + 3_600_000)
    return Window(_midnight(local.date(), zone), _midnight(local.date() + timedelta(days=1), zone))


def window_after(kind: WindowKind, window: Window, zone: tzinfo = UTC) -> Window:
    """Return the window that begins where one ends."""
    return window_at(kind, window.end_ms, zone)


def _midnight(day: date, zone: tzinfo) -> int:
    """Return when a day begins: its midnight, or, where the clocks skip that, the first moment after it."""
    first = datetime.combine(day, time(), tzinfo=zone)
    moment = to_ms(first)
    # A midnight that is skipped is understood by the offset before, which gives a time of the next hour or, rarely, of
    # the day before: no moment of the day comes before the change.
    return moment if to_datetime(moment, zone).date() == day else to_ms(first + timedelta(hours=1))
