"""Hours and days as windows of event time, in any time zone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta, tzinfo
from enum import StrEnum
from typing import Final

from autostream.times import (
    beginning_of_day,
    change_of_offset,
    end_of_day,
    offset_ms,
    to_datetime,
)

_HOUR_MS: Final = 3_600_000


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

    Days have 23 or 25 hours where clocks are changed. Hours have sixty minutes: one that the clocks go through twice is
    two windows, and one that they skip is none. Only where clocks are changed by part of an hour, as on Lord Howe
    Island, the hours that the change cuts are shorter.
    """
    if kind is WindowKind.HOUR:
        return _hour(instant_ms, zone)
    day = to_datetime(instant_ms, zone).date()
    start, end = beginning_of_day(day, zone), end_of_day(day, zone)
    if instant_ms < end:
        return Window(start, end)
    # The clocks went back over midnight: the evening that comes once more belongs to the day that had begun.
    return Window(end, end_of_day(day + timedelta(days=1), zone))


def window_after(kind: WindowKind, window: Window, zone: tzinfo = UTC) -> Window:
    """Return the window that begins where one ends."""
    return window_at(kind, window.end_ms, zone)


def _hour(instant_ms: int, zone: tzinfo) -> Window:
    local = to_datetime(instant_ms, zone)
    past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    start = instant_ms - past // timedelta(milliseconds=1)
    end = start + _HOUR_MS
    if (offset_ms(start, zone) - offset_ms(instant_ms, zone)) % _HOUR_MS:
        start = change_of_offset(start, instant_ms, zone)
    if (offset_ms(end - 1, zone) - offset_ms(instant_ms, zone)) % _HOUR_MS:
        end = change_of_offset(instant_ms, end - 1, zone)
    return Window(start, end)
