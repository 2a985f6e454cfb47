"""Instants and lengths of time as people write and read them; inside, instants are epoch milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from autostream.errors import UsageError

FOREVER_MS: Final = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z: the watermark of a writer that has ended; nothing will ever come after it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST_MS: Final = -62_135_596_800_000  # the year 1
_MILLISECOND: Final = timedelta(milliseconds=1)
_LENGTH: Final = re.compile(r"\s*(\d{1,15}(?:\.\d{1,15})?)\s*(ms|s|min|m|h|d)?\s*")
_UNITS_MS: Final = {"ms": 1, "s": 1000, "min": 60_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def to_datetime(ms: int, zone: tzinfo = UTC) -> datetime:
    """Return an instant as a datetime; what lies outside the years 1 to 9999 becomes the nearest instant in them."""
    clamped = min(max(ms, _EARLIEST_MS), FOREVER_MS)
    try:
        return (_EPOCH + timedelta(milliseconds=clamped)).astimezone(zone)
    except OverflowError:  # the last hours of 9999 are the year 10000 east of Greenwich
        return _EPOCH + timedelta(milliseconds=clamped)


def to_ms(moment: datetime) -> int:
    """Return an aware datetime as epoch milliseconds, cut, not rounded: never later than it is.

    Raises:
        UsageError: it has no time zone.
    """
    if moment.tzinfo is None:
        raise UsageError(f"{moment} has no time zone. Give one, such as {moment}+00:00.")
    return (moment - _EPOCH) // _MILLISECOND


def iso(ms: int | None) -> str | None:
    """Return an instant as ISO 8601 in UTC, with milliseconds where there are any; None for None."""
    if ms is None:
        return None
    moment = to_datetime(ms)
    return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")


def parse_zone(name: str) -> tzinfo:
    """Return a time zone by its name, such as ``Europe/Berlin``.

    Raises:
        UsageError: there is none of that name.
    """
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"There is no time zone {name!r}. Write one of the IANA database, such as Europe/Berlin, or UTC."
        ) from error


def parse_instant(text: str, zone: tzinfo = UTC) -> int:
    """Return the epoch milliseconds of a text: ISO 8601, or epoch milliseconds themselves.

    A text without offset is a time of ``zone``; where its clocks are set back, the first of the two.

    Raises:
        UsageError: it is neither, or a time that the zone's clocks skip, or not within the years 1 to 9999.
    """
    word = text.strip()
    try:
        # Fewer digits could be a date.
        ms = int(word) if re.fullmatch(r"-?\d{11,}", word) else _of_iso(text, datetime.fromisoformat(word), zone)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{text!r} is no time. Write ISO 8601, such as 2026-11-25T02:00:00Z or 2026-11-25, or epoch milliseconds."
        ) from error
    if not _EARLIEST_MS <= ms <= FOREVER_MS:
        raise UsageError(f"{text!r} is no time in the years 1 to 9999. Epoch times are given in milliseconds.")
    return ms


def _of_iso(text: str, moment: datetime, zone: tzinfo) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
        if moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment.replace(tzinfo=None):
            raise UsageError(f"The clocks of {zone} skip {text!r}. Write it with its offset, such as {text}+00:00.")
    return to_ms(moment)


def parse_length(text: str) -> int:
    """Return the milliseconds of a length of time such as ``5 min``, ``90s``, ``1.5h``; a bare number is of seconds.

    Raises:
        UsageError: it is none.
    """
    match = _LENGTH.fullmatch(text)
    if not match:
        raise UsageError(f"{text!r} is no length of time. Write, for example, 90s, 5min, 1.5h or 1d.")
    return round(float(match[1]) * _UNITS_MS[match[2] or "s"])


def describe_length(ms: int) -> str:
    """Return a length of time in words, its two largest units: ``18 min``, ``1 h 5 min``, ``2 d``."""
    if ms < 0:
        return f"-{describe_length(-ms)}"
    if ms < 1000:
        return f"{ms} ms"
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        count, ms = divmod(ms, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def describe_instant(ms: int, zone: tzinfo = UTC, *, beside_ms: int | None = None) -> str:
    """Return an instant for people: without the date where it is the same as that of ``beside_ms``.

    >>> describe_instant(1764036420000, beside_ms=1764037500000)
    '02:07'
    """
    if ms >= FOREVER_MS:
        return "the end of all data"
    moment = to_datetime(ms, zone)
    same_day = beside_ms is not None and to_datetime(beside_ms, zone).date() == moment.date()
    return moment.strftime(("" if same_day else "%Y-%m-%d ") + ("%H:%M:%S" if ms % 60_000 else "%H:%M"))
