"""Hours and days as windows of event time, in any time zone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Final

from autostream.watermark.times import to_datetime, to_ms

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
    start, end = _beginning(day, zone), _beginning(day + timedelta(days=1), zone)
    if instant_ms < end:
        return Window(start, end)
    # The clocks went back over midnight: the evening that comes once more belongs to the day that had begun.
    return Window(end, _beginning(day + timedelta(days=2), zone))


def window_after(kind: WindowKind, window: Window, zone: tzinfo = UTC) -> Window:
    """Return the window that begins where one ends."""
    return window_at(kind, window.end_ms, zone)


def _hour(instant_ms: int, zone: tzinfo) -> Window:
    local = to_datetime(instant_ms, zone)
    past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    start = instant_ms - past // timedelta(milliseconds=1)
    end = start + _HOUR_MS
    if (_offset_ms(start, zone) - _offset_ms(instant_ms, zone)) % _HOUR_MS:
        start = _change(start, instant_ms, zone)
    if (_offset_ms(end - 1, zone) - _offset_ms(instant_ms, zone)) % _HOUR_MS:
        end = _change(instant_ms, end - 1, zone)
    return Window(start, end)


def _beginning(day: date, zone: tzinfo) -> int:
    """Return when a day begins: its midnight, the first one if there are two; if it is skipped, when the clocks change.

    So does a day that is skipped altogether: it is empty.
    """
    midnight = datetime.combine(day, time(), tzinfo=zone)
    moment = to_ms(midnight)
    if to_datetime(moment, zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return moment
    # A midnight that is skipped is understood by the offset before the change, or else by that after it.
    return _change(to_ms(midnight.replace(fold=1)), moment, zone)


def _change(before_ms: int, after_ms: int, zone: tzinfo) -> int:
    """Return the first moment that has the offset of ``after_ms``, given one that has another."""
    offset = _offset_ms(after_ms, zone)
    while after_ms - before_ms > 1:
        middle = (before_ms + after_ms) // 2
        if _offset_ms(middle, zone) == offset:
            after_ms = middle
        else:
            before_ms = middle
    return after_ms


def _offset_ms(instant_ms: int, zone: tzinfo) -> int:
    offset = to_datetime(instant_ms, zone).utcoffset()
    return 0 if offset is None else offset // timedelta(milliseconds=1)
