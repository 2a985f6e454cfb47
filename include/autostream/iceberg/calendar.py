"""Dates and times of any size as text: Python's end at the year 9999, those of a table do not.

Written as Python writes them where it can, and as Java does elsewhere: `+12000-01-01`, `-0001-12-31`.
"""

from __future__ import annotations

from typing import Any

from pyiceberg.transforms import DayTransform, HourTransform, IdentityTransform, Transform
from pyiceberg.types import DateType, IcebergType, TimestampType, TimestamptzType, TimeType

_DAY_MICROSECONDS = 24 * 60 * 60 * 1_000_000


def day_text(days: int) -> str:
    """Return the day that is so many days after 1970-01-01, in the Gregorian calendar extended to all years."""
    # Counted in years from March, so that a leap day is the last of its year, and in eras of 400 years.
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    year = 400 * era + year_of_era + (month <= 2)
    sign = "+" if year > 9999 else "-" if year < 0 else ""
    return f"{sign}{abs(year):04d}-{month:02d}-{day:02d}"


def time_text(microseconds: int) -> str:
    """Return the time of day that is so long after midnight."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{fraction:06d}" if fraction else text


def timestamp_text(microseconds: int, *, zone: str = "") -> str:
    """Return the instant that is so long after the epoch, with the text of its zone."""
    days, rest = divmod(microseconds, _DAY_MICROSECONDS)
    return f"{day_text(days)}T{time_text(rest)}{zone}"


def partition_text(transform: Transform[Any, Any], field_type: IcebergType, value: Any) -> str:
    """Return a partition's value for people, as Iceberg's own writers name it."""
    if not isinstance(value, int):
        return transform.to_human_string(field_type, value)
    match transform, field_type:
        case (DayTransform(), _) | (IdentityTransform(), DateType()):
            return day_text(value)
        case HourTransform(), _:
            return f"{day_text(value // 24)}-{value % 24:02d}"
        case IdentityTransform(), TimeType():
            return time_text(value)
        case IdentityTransform(), TimestampType():
            return timestamp_text(value)
        case IdentityTransform(), TimestamptzType():
            return timestamp_text(value, zone="+00:00")
    return transform.to_human_string(field_type, value)
