"""The clock, and instants and lengths of time as people write and read them; inside, instants are epoch milliseconds.

There is one clock: `now_ms`, `now`, `monotonic` and `sleep` of this module. Tests replace it by `clock_replaced`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from autostream.errors import UsageError
from autostream.spelling import shortened

FOREVER_MS: Final = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z: the watermark of a writer that has ended; nothing will ever come after it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST_MS: Final = -62_135_596_800_000
"""The beginning of the year 1."""

DAY_MS: Final = 86_400_000

_MILLISECOND: Final = timedelta(milliseconds=1)
TIME_FORMS: Final = (
    "ISO 8601, such as 2026-11-25T02:00:00Z, 2026-11-25T02:00+05:30 or 2026-11-25, or epoch milliseconds (13 digits)"
)
"""The forms of times that are read, for messages."""
_INSTANT: Final = re.compile(
    r"(?P<y>[0-9]{4})-(?P<mo>[0-9]{2})-(?P<d>[0-9]{2})"
    r"(?P<time>[T ](?P<h>[0-9]{2})(:(?P<mi>[0-9]{2})(:(?P<s>[0-9]{2})(\.(?P<fraction>[0-9]{1,9}))?)?)?"
    r"(?P<offset>Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
# From 2001 to 2286. Of 10 digits are epoch seconds, of 8, 12 and 14 dates, of 16 and 19 epoch micro- and nanoseconds.
_EPOCH_MS: Final = re.compile(r"[1-9][0-9]{12}")
_LARGEST_OFFSET: Final = timedelta(hours=18)  # as in Java
_LENGTH: Final = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*(ms|s|min|m|h|d)?\s*")
_UNITS_MS: Final = {"ms": 1, "s": 1000, "min": 60_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Clock:
    """What time it is, and how time passes: this machine's clock."""

    def now_ms(self) -> int:
        """Return the present in epoch milliseconds; it may be set, also back."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return seconds since some moment, which never go back: for lengths of time and deadlines."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)


_clock = Clock()


def now_ms() -> int:
    """Return the present in epoch milliseconds."""
    return _clock.now_ms()


def now() -> datetime:
    """Return the present in UTC."""
    return to_datetime(now_ms())


def monotonic() -> float:
    """Return seconds since some moment, which never go back: for lengths of time and deadlines."""
    return _clock.monotonic()


def sleep(seconds: float) -> None:
    """Wait."""
    _clock.sleep(seconds)


_AnyClock = TypeVar("_AnyClock", bound=Clock)


@contextmanager
def clock_replaced(clock: _AnyClock) -> Iterator[_AnyClock]:
    """Have the whole process go by another clock."""
    global _clock
    before, _clock = _clock, clock
    try:
        yield clock
    finally:
        _clock = before


def to_datetime(ms: int, zone: tzinfo = UTC) -> datetime:
    """Return an instant as a datetime; what lies outside the years 1 to 9999 becomes the nearest instant in them."""
    clamped = min(max(ms, EARLIEST_MS), FOREVER_MS)
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
    """Return a time zone by its name, such as `Europe/Berlin`.

    Raises:
        UsageError: there is none of that name.
    """
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"Unknown time zone {name!r}. Write a name from the IANA database, such as Europe/Berlin, or UTC."
        ) from error


def parse_instant(text: str, zone: tzinfo = UTC) -> int:
    """Return the epoch milliseconds of a text: ISO 8601 as in `TIME_FORMS`, or epoch milliseconds of 13 digits.

    Everything else is refused, not guessed: numbers of other lengths can be seconds, microseconds or dates. A text
    without offset is a time of `zone`; where its clocks are set back, the first of the two. A date is the moment at
    which its day begins: that is later than midnight where the clocks skip midnight.

    Raises:
        UsageError: it is not of these forms, or a time that the zone's clocks skip, or not within the years 1 to 9999.
    """
    word = text.strip()
    if _EPOCH_MS.fullmatch(word):
        return int(word)
    match = _INSTANT.fullmatch(word)
    if not match:
        raise UsageError(f"Invalid time {shortened(text)}. Write {TIME_FORMS}.")
    try:
        moment = _moment(match)
        ms = _local_ms(moment, zone) if moment.tzinfo is None else to_ms(moment)
        if ms is None and not match["time"]:
            return day_start_ms(moment.date(), zone)
    except (ValueError, OverflowError) as error:  # the 30th of February; 24:00; before the year 1 in UTC
        raise UsageError(f"Invalid time {shortened(text)}: this time does not exist. Write {TIME_FORMS}.") from error
    if ms is None:
        raise UsageError(
            f"Invalid time {shortened(text)}: clocks in {zone} skip this time. Write the time with its UTC offset, "
            f"such as {moment.isoformat()}+00:00."
        )
    if not EARLIEST_MS <= ms <= FOREVER_MS:
        raise UsageError(f"Invalid time {shortened(text)}: it must be in the years 1 to 9999 in UTC.")
    return ms


def has_offset(text: str) -> bool:
    """Say whether a text that `parse_instant` reads means the same instant in every time zone."""
    match = _INSTANT.fullmatch(text.strip())
    return match is None or match["offset"] is not None


def day_start_ms(day: date, zone: tzinfo) -> int:
    """Return when a day of a zone begins: its midnight, the first of two, or where midnight is skipped, after that.

    Raises:
        UsageError: the zone has no such day, since its clocks skip all of it.
    """
    start = beginning_of_day(day, zone)
    if to_datetime(start, zone).date() != day:
        raise UsageError(f"Invalid day {day}: clocks in {zone} skip the whole day.")
    return start


def end_of_day(day: date, zone: tzinfo) -> int:
    """Return when a day ends and the next one begins."""
    return FOREVER_MS + 1 if day == date.max else beginning_of_day(day + timedelta(days=1), zone)


def beginning_of_day(day: date, zone: tzinfo) -> int:
    """Return when a day begins; a day that is skipped altogether begins, and ends, when the clocks change."""
    midnight = datetime.combine(day, datetime.min.time(), tzinfo=zone)
    moment = to_ms(midnight)
    if to_datetime(moment, zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return moment
    # A midnight that is skipped is understood by the offset before the change, or else by that after it.
    return change_of_offset(to_ms(midnight.replace(fold=1)), moment, zone)


def change_of_offset(before_ms: int, after_ms: int, zone: tzinfo) -> int:
    """Return the first moment that has the offset of `after_ms`, given one that has another."""
    offset = offset_ms(after_ms, zone)
    while after_ms - before_ms > 1:
        middle = (before_ms + after_ms) // 2
        if offset_ms(middle, zone) == offset:
            after_ms = middle
        else:
            before_ms = middle
    return after_ms


def offset_ms(instant_ms: int, zone: tzinfo) -> int:
    """Return by how much the clocks of a zone are ahead of UTC at an instant."""
    offset = to_datetime(instant_ms, zone).utcoffset()
    return 0 if offset is None else offset // _MILLISECOND


def _moment(match: re.Match[str]) -> datetime:
    """Return what a text says, cut to microseconds, without zone where it has no offset."""
    year, month, day, hour, minute, second = (int(match[n] or 0) for n in ("y", "mo", "d", "h", "mi", "s"))
    fraction = int((match["fraction"] or "0")[:6].ljust(6, "0"))
    offset = match["offset"]
    zone: tzinfo | None = None
    if offset == "Z":
        zone = UTC
    elif offset:
        ahead = timedelta(hours=int(offset[1:3]), minutes=int(offset[4:]))
        if int(offset[4:]) > 59 or ahead > _LARGEST_OFFSET:
            raise ValueError(offset)
        zone = timezone(-ahead if offset[0] == "-" else ahead)
    return datetime(year, month, day, hour, minute, second, fraction, zone)


def _local_ms(moment: datetime, zone: tzinfo) -> int | None:
    """Return when the clocks of a zone show a time first; None where they skip it."""
    ms = to_ms(moment.replace(tzinfo=zone))
    shown = moment.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    return ms if shown.replace(tzinfo=None) == moment else None


def parse_length(text: str) -> int:
    """Return the milliseconds of a length of time such as `5 min`, `90s`, `1.5h`; a bare number is of seconds.

    Raises:
        UsageError: it is none.
    """
    match = _LENGTH.fullmatch(text)
    if not match:
        raise UsageError(f"Invalid duration {shortened(text)}. Write, for example, 90s, 5min, 1.5h or 1d.")
    return round(float(match[1]) * _UNITS_MS[match[2] or "s"])


def why_too_far_ahead(ms: int, *, now_ms: int, most_seconds: float) -> str:
    """Say why a watermark is not believed: it is further ahead of now than clocks differ; empty where it is not.

    A table cannot have all rows of a time that is still to come.
    """
    if ms - now_ms <= most_seconds * 1000:
        return ""
    if ms >= FOREVER_MS:
        return (
            "it means that a writer has ended for ever, which only `autostream watermark set --at forever` can record"
        )
    allowed = describe_length(round(most_seconds * 1000))
    return (
        f"{iso(ms)} is {describe_length(ms - now_ms)} ahead of now; the most is {allowed} (watermark.max_ahead_seconds)"
    )


def describe_length(ms: int) -> str:
    """Return a length of time in words, its two largest units: `18 min`, `1 h 5 min`, `2 d`."""
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
    """Return an instant for people: without the date where it is the same as that of `beside_ms`.

    >>> describe_instant(1764036420000, beside_ms=1764037500000)
    '02:07'
    """
    if ms >= FOREVER_MS:
        return "the end of all data"
    moment = to_datetime(ms, zone)
    same_day = beside_ms is not None and to_datetime(beside_ms, zone).date() == moment.date()
    return moment.strftime(("" if same_day else "%Y-%m-%d ") + ("%H:%M:%S" if ms % 60_000 else "%H:%M"))
