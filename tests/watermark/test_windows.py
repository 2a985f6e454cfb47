"""Hours and days tile time in every zone, whatever its clocks do."""

from datetime import UTC, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.times import iso, parse_instant
from autostream.watermark.windows import Window, WindowKind, window_after, window_at

HOUR, DAY = WindowKind.HOUR, WindowKind.DAY
HOUR_MS = 3_600_000
ZONES = sorted(available_timezones())


def window(kind: WindowKind, instant: str, zone: str = "UTC") -> tuple[str | None, str | None]:
    found = window_at(kind, parse_instant(instant), ZoneInfo(zone))
    return iso(found.start_ms), iso(found.end_ms)


def windows(kind: WindowKind, first: str, zone: str, count: int) -> list[Window]:
    found = [window_at(kind, parse_instant(first), ZoneInfo(zone))]
    while len(found) < count:
        found.append(window_after(kind, found[-1], ZoneInfo(zone)))
    assert all(one.end_ms == other.start_ms for one, other in pairwise(found))
    return found


@pytest.mark.parametrize(
    ("kind", "instant", "zone", "start", "end"),
    [
        (HOUR, "2026-11-25T02:00:00Z", "UTC", "2026-11-25T02:00:00Z", "2026-11-25T03:00:00Z"),
        (HOUR, "2026-11-25T02:59:59.999Z", "UTC", "2026-11-25T02:00:00Z", "2026-11-25T03:00:00Z"),
        (DAY, "2026-11-25T02:59:59.999Z", "UTC", "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"),
        (HOUR, "1969-12-31T23:59:59.999Z", "UTC", "1969-12-31T23:00:00Z", "1970-01-01T00:00:00Z"),
        (HOUR, "2026-11-25T02:00:00Z", "Asia/Kolkata", "2026-11-25T01:30:00Z", "2026-11-25T02:30:00Z"),
        (DAY, "2026-11-25T18:30:00Z", "Asia/Kolkata", "2026-11-25T18:30:00Z", "2026-11-26T18:30:00Z"),
        (HOUR, "2026-11-25T02:20:00Z", "Asia/Kathmandu", "2026-11-25T02:15:00Z", "2026-11-25T03:15:00Z"),
        (DAY, "2026-11-25T23:00:00Z", "Europe/Berlin", "2026-11-25T23:00:00Z", "2026-11-26T23:00:00Z"),
        # Clocks go from 02:00 to 03:00, and in autumn from 03:00 to 02:00.
        (DAY, "2026-03-29T12:00:00Z", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        (HOUR, "2026-03-29T01:30:00Z", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"),
        (DAY, "2026-10-25T12:00:00Z", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        (HOUR, "2026-10-25T00:30:00Z", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"),
        (HOUR, "2026-10-25T01:30:00Z", "Europe/Berlin", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"),
        # Midnight is skipped.
        (DAY, "2018-11-04T12:00:00Z", "America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"),
        (DAY, "2018-11-04T02:59:59Z", "America/Sao_Paulo", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"),
        (DAY, "2026-03-29T12:00:00Z", "Asia/Beirut", "2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z"),
        # It comes twice.
        (DAY, "2018-02-17T12:00:00Z", "America/Sao_Paulo", "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z"),
        (DAY, "2026-11-01T04:30:00Z", "America/Havana", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
        (DAY, "2010-11-07T03:00:00Z", "America/St_Johns", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z"),
        # A whole day is skipped, and the first half hour of one.
        (DAY, "2011-12-30T09:00:00Z", "Pacific/Apia", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
        (DAY, "2011-12-30T11:00:00Z", "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"),
        (DAY, "1919-03-31T04:45:00Z", "America/Toronto", "1919-03-31T04:30:00Z", "1919-04-01T04:00:00Z"),
    ],
)
def test_the_window_that_an_instant_lies_in(kind: WindowKind, instant: str, zone: str, start: str, end: str) -> None:
    assert window(kind, instant, zone) == (start, end)


@pytest.mark.parametrize(
    ("zone", "first", "hours"),
    [
        ("Europe/Berlin", "2026-03-28T23:00Z", 23),
        ("Europe/Berlin", "2026-10-24T22:00Z", 25),
        ("America/Sao_Paulo", "2018-11-04T03:00Z", 23),
        ("Asia/Kolkata", "2026-11-24T18:30Z", 24),
    ],
)
def test_a_day_is_made_of_its_hours(zone: str, first: str, hours: int) -> None:
    day = window_at(DAY, parse_instant(first), ZoneInfo(zone))
    found = windows(HOUR, first, zone, hours)
    assert (found[0].start_ms, found[-1].end_ms) == (day.start_ms, day.end_ms)
    assert {one.end_ms - one.start_ms for one in found} == {HOUR_MS}


@pytest.mark.parametrize(
    ("first", "minutes"),
    [
        ("2026-04-04T14:00Z", [60, 30, 60]),  # 01:00, 01:30 once more, 02:00
        ("2026-10-03T14:30Z", [60, 30, 60]),  # 01:00, 02:30, 03:00
    ],
)
def test_clocks_that_change_by_half_an_hour_make_a_short_hour(first: str, minutes: list[int]) -> None:
    found = windows(HOUR, first, "Australia/Lord_Howe", 3)
    assert iso(found[0].start_ms) == iso(parse_instant(first))
    assert [(one.end_ms - one.start_ms) // 60_000 for one in found] == minutes


def tiles(kind: WindowKind, instant_ms: int, zone: tzinfo) -> bool:
    found = window_at(kind, instant_ms, zone)
    same = {window_at(kind, inside, zone) for inside in (found.start_ms, found.end_ms - 1)}
    return found.start_ms <= instant_ms < found.end_ms and same == {found}


@given(st.sampled_from(WindowKind), st.integers(-(2**42), 2**42), st.sampled_from(ZONES))
def test_windows_tile_time(kind: WindowKind, instant_ms: int, zone: str) -> None:
    assert tiles(kind, instant_ms, ZoneInfo(zone))


@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("Europe/Berlin", "2026-03-29T01:00Z"),
        ("Europe/Berlin", "2026-10-25T01:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T15:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T15:30Z"),
        ("America/Sao_Paulo", "2018-11-04T03:00Z"),
        ("America/Sao_Paulo", "2018-02-18T02:00Z"),
        ("Asia/Beirut", "2026-03-28T22:00Z"),
        ("America/Havana", "2026-11-01T05:00Z"),
        ("America/St_Johns", "2010-11-07T02:31Z"),
        ("Asia/Pyongyang", "2015-08-14T15:00Z"),
        ("America/Caracas", "2016-05-01T07:00Z"),
        ("Asia/Kathmandu", "1985-12-31T18:30Z"),
        ("Pacific/Apia", "2011-12-30T10:00Z"),
        ("America/Toronto", "1919-03-31T04:30Z"),
        ("Africa/Monrovia", "1972-01-07T00:44:30Z"),
    ],
)
@pytest.mark.parametrize("kind", WindowKind)
def test_windows_tile_time_around_a_change_of_clocks(kind: WindowKind, zone: str, change: str) -> None:
    for minutes in sorted({*range(-180, 181, 15), -2, -1, 1, 2, 29, 31}):
        for milliseconds in (-1, 0, 1):
            assert tiles(kind, parse_instant(change) + minutes * 60_000 + milliseconds, ZoneInfo(zone)), minutes


def test_utc_needs_no_data_of_zones() -> None:
    assert window_at(HOUR, 0, UTC) == window_at(HOUR, 0, ZoneInfo("Etc/UTC")) == Window(0, HOUR_MS)
