"""Windows of event time as partitions: what they are called, and which of them are complete. Pure."""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from typing import Final

from autostream.errors import UsageError
from autostream.times import iso, parse_instant, to_datetime
from autostream.watermark.windows import Window, WindowKind, window_after, window_at

HOUR_KEY: Final = "%Y-%m-%dT%H:%M:%S"
"""How the partition of an hour of UTC is called: by its start, in the form that Airflow's mappers take by default."""
_DAY_KEY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HOUR_KEY: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}(:[0-9]{2}(:[0-9]{2})?)?(Z|[+-][0-9]{2}:[0-9]{2})?"
)


def parse_kind(name: str) -> WindowKind:
    """Return a kind of window by its name.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        return WindowKind(name)
    except ValueError as error:
        raise UsageError(f"Unknown window {name!r}. Write hour or day.") from error


def partition_key_of(window: Window, kind: WindowKind, zone: tzinfo = UTC) -> str:
    """Return what the partition of a window is called: its start, to the second, or the date of a day.

    `window_of_key` reads it back.
    An hour that the clocks of a zone go through for the second time is called by its start in UTC, with a `Z`.
    """
    start = to_datetime(window.start_ms, zone).replace(tzinfo=None)
    if kind is WindowKind.DAY:
        return start.date().isoformat()
    key = start.isoformat(timespec="seconds")
    return key if _hour_of(key, zone) == window else f"{iso(window.start_ms)}"


def names_day(key: str) -> bool:
    """Say whether a partition key is a date, which means the same day of any zone and no instant."""
    return _DAY_KEY.fullmatch(key) is not None


def window_of_key(key: str, *, kind: WindowKind | None = None, zone: tzinfo = UTC) -> Window:
    """Return the window that a partition key names; which kind it is, is seen by its form where nobody says.

    Raises:
        UsageError: it names no hour and no day, or one that the clocks of the zone skip.
    """
    if names_day(key) and kind is not WindowKind.HOUR:
        return window_at(WindowKind.DAY, parse_instant(key, zone), zone)
    if kind is None:
        if not _HOUR_KEY.fullmatch(key):
            raise UsageError(
                f"Invalid partition key {key!r}. Write an hour, such as 2026-11-23T01:00:00, or a day, such as "
                "2026-11-23."
            )
        kind = WindowKind.HOUR
    return window_at(kind, parse_instant(key, zone), zone)


def _hour_of(key: str, zone: tzinfo) -> Window | None:
    try:
        return window_at(WindowKind.HOUR, parse_instant(key, zone), zone)
    except UsageError:  # a start with parts of a second, cut, is within an hour that was skipped
        return None


def complete_windows(
    kind: WindowKind, from_ms: int, watermark_ms: int, *, now_ms: int, limit: int, zone: tzinfo = UTC
) -> list[Window]:
    """Return the complete windows from the one on that an instant lies in: in order, without gaps, `limit` at most.

    A window that is not over yet is not among them, whatever the watermark says: that of a writer that has ended is the
    end of all time.
    """
    end_ms = min(watermark_ms, now_ms)
    found: list[Window] = []
    window = window_at(kind, from_ms, zone)
    while window.end_ms <= end_ms and len(found) < limit:
        found.append(window)
        window = window_after(kind, window, zone)
    return found
