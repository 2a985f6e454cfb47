"""Windows of event time as partitions: what they are called, and which of them are complete. Pure."""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from typing import Final

from autostream.errors import UsageError
from autostream.watermark.times import parse_instant, to_datetime
from autostream.watermark.windows import Window, WindowKind, window_after, window_at

HOUR_KEY: Final = "%Y-%m-%dT%H:%M:%S"
"""How the partition of an hour is called: its start, in UTC. Airflow's mappers take this form by default."""
DAY_KEY: Final = "%Y-%m-%d"

_DAY_KEY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_HOUR_KEY: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}(:\d{2}(:\d{2})?)?(Z|[+-]\d{2}:\d{2})?")


def parse_kind(name: str) -> WindowKind:
    """Return a kind of window by its name.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        return WindowKind(name)
    except ValueError as error:
        raise UsageError(f"There is no window {name!r}. Write hour or day.") from error


def key_of(window: Window, kind: WindowKind, zone: tzinfo = UTC) -> str:
    """Return what the partition of a window is called."""
    return to_datetime(window.start_ms, zone).strftime(HOUR_KEY if kind is WindowKind.HOUR else DAY_KEY)


def window_of_key(key: str, *, kind: WindowKind | None = None, zone: tzinfo = UTC) -> Window:
    """Return the window that a partition key names; which kind it is, is seen by its form where nobody says.

    Raises:
        UsageError: it names no hour and no day.
    """
    if kind is None:
        if _DAY_KEY.fullmatch(key):
            kind = WindowKind.DAY
        elif _HOUR_KEY.fullmatch(key):
            kind = WindowKind.HOUR
        else:
            raise UsageError(f"Partition key {key!r} names no hour and no day.")
    return window_at(kind, parse_instant(key, zone), zone)


def complete_windows(
    kind: WindowKind, from_ms: int, watermark_ms: int, *, now_ms: int, limit: int, zone: tzinfo = UTC
) -> list[Window]:
    """Return the complete windows from the one on that an instant lies in: in order, without gaps, ``limit`` at most.

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
