"""The clock, and instants and lengths of time as people write and read them."""

import re
import time
from datetime import UTC, datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream import times
from autostream.errors import UsageError
from autostream.times import (
    FOREVER_MS,
    describe_instant,
    describe_length,
    iso,
    parse_instant,
    parse_length,
    parse_zone,
    to_datetime,
    to_ms,
    why_too_far_ahead,
)
from tests.support.clocks import FakeClock

BERLIN = ZoneInfo("Europe/Berlin")
EARLIEST_MS = -62_135_596_800_000


def test_the_clock_is_this_machines() -> None:
    before, began = time.time_ns() // 1_000_000, time.monotonic()
    assert before <= times.now_ms() <= to_ms(times.now()) + 1 <= time.time_ns() // 1_000_000 + 1
    assert began <= times.monotonic() <= time.monotonic()


def test_a_test_replaces_the_clock_and_gives_it_back() -> None:
    with times.clock_replaced(FakeClock()) as clock:
        clock.then = {2: lambda: clock.advance(10)}
        began = times.monotonic()
        assert (times.now_ms(), iso(times.now_ms())) == (clock.ms, "2026-11-25T02:00:00Z")
        times.sleep(2.5)
        times.sleep(0)
        assert (times.monotonic() - began, clock.slept) == (12.5, [2.5, 0])
        assert times.now() == datetime(2026, 11, 25, 2, 0, 12, 500_000, tzinfo=UTC)
    times.sleep(0)
    assert clock.slept == [2.5, 0]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-25T02:00:00Z", "2026-11-25T02:00:00Z"),
        ("2026-11-25T02:00:00+01:00", "2026-11-25T01:00:00Z"),
        ("2026-11-25T02:00-05:30", "2026-11-25T07:30:00Z"),
        ("2026-11-25 02:00", "2026-11-25T02:00:00Z"),
        ("2026-11-25", "2026-11-25T00:00:00Z"),
        (" 2026-11-25T02 ", "2026-11-25T02:00:00Z"),
        ("2026-11-25T02:00:00.0019Z", "2026-11-25T02:00:00.001Z"),
        ("1764036420000", "2025-11-25T02:07:00Z"),
        ("2026-11-25T02:00:00.999999999Z", "2026-11-25T02:00:00.999Z"),
        ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
        ("2026-11-25 02:00:00+00:00", "2026-11-25T02:00:00Z"),
        ("0001-01-01T00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_an_instant_is_read(text: str, instant: str) -> None:
    assert iso(parse_instant(text)) == instant


GUESSES = [
    "20261125",
    "2026112502",
    "202611250200",
    "20261125020000",
    "20261125T020000",
    "20261125T020000Z",
    "2026-11-25+05:00",
    "2026-11-25-05:00",
    "2026-11-25Z",
    "2026-11-25x05",
    "2026-11-25x05:00",
    "2026-11-25T02:00:00z",
    "2026-11-25t02:00:00Z",
    "2026-11-25T02:00:00,5Z",
    "2026-11-25T02:00+0530",
    "2026-11-25T02:00+05",
    "2026-11-25T02-05",
    "2026-11-25T02:00+05:30:15",
    "2026-11-25T02:00 +05:30",
    "2026-11-25T0200",
    "2026-11-25  02:00",
    "2026-11-25T02:00:00.",
    "2026-11-25T2:00",
    "2026-W48-3",
    "2026W483",
    "2026-329",
    "2026-11",
    "26-11-25",
    "+2026-11-25",
    "-2026-11-25",
    "12026-11-25",
    "25.11.2026",
    "11/25/2026",
    "1764036420",
    "17640364200",
    "176403642000",
    "17640364200000",
    "1764036420000000",
    "1764036420000000000",
    "-1764036420000",
    "+1764036420000",
    "1764036420000.0",
    "1_764_036_420_000",
    "1.764036420e12",
    "٢٠٢٦-١١-٢٥",
    "１７６４０３６４２００００",
    "253402300799999",
    "-62135596800000",
    "2026-11-25T02:00:00Z\n2026-11-26",
    "now",
]


@pytest.mark.parametrize("text", GUESSES)
def test_what_could_be_another_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^Invalid time .* Write ISO 8601, such as"):
        parse_instant(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Invalid time ''. Write ISO 8601"),
        ("tomorrow", "Invalid time 'tomorrow'."),
        ("2026-13-01", "this time does not exist"),
        ("2026-02-29", "this time does not exist"),
        ("2026-11-25T24:00", "this time does not exist"),
        ("2026-11-25T24:30", "this time does not exist"),
        ("2026-11-25T02:60", "this time does not exist"),
        ("2026-11-25T02:00:60Z", "this time does not exist"),
        ("2026-11-25T02:00+18:01", "this time does not exist"),
        ("2026-11-25T02:00+01:60", "this time does not exist"),
        ("0000-01-01", "this time does not exist"),
        ("9" * 5000, "99999'…. Write"),
        ("1e300", "Invalid time"),
        ("nan", "Invalid time"),
        ("0001-01-01T00:00+05:00", "must be in the years 1 to 9999"),
        ("9999-12-31T23:30-01:00", "must be in the years 1 to 9999"),
    ],
)
def test_garbage_is_no_instant(text: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_instant(text)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("text", "zone"),
    [("0001-01-01T00:00", "Asia/Tokyo"), ("0001-01-01", "Asia/Tokyo"), ("9999-12-31T23:59", "America/New_York")],
)
def test_what_is_not_within_the_years_in_utc_is_refused(text: str, zone: str) -> None:
    with pytest.raises(UsageError, match=f"Invalid time '{text}'"):
        parse_instant(text, ZoneInfo(zone))


@pytest.mark.parametrize(
    ("zone", "text", "instant"),
    [
        ("Europe/Berlin", "2026-11-25T02:00", "2026-11-25T01:00:00Z"),
        ("Europe/Berlin", "2026-07-25", "2026-07-24T22:00:00Z"),
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30:00Z"),
        ("Europe/Berlin", "2026-10-25T02:30+01:00", "2026-10-25T01:30:00Z"),
        ("Asia/Kolkata", "2026-11-25T02:00", "2026-11-24T20:30:00Z"),
        ("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45:00Z"),
    ],
)
def test_a_text_without_offset_is_of_the_zone_and_the_first_of_two(zone: str, text: str, instant: str) -> None:
    assert iso(parse_instant(text, parse_zone(zone))) == instant


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Europe/Berlin", "2026-03-29T02:30"),
        ("America/Sao_Paulo", "2018-11-04T00:00"),
        ("Africa/Cairo", "2026-04-24T00:30"),
        ("Australia/Lord_Howe", "2026-10-04T02:15"),
    ],
)
def test_a_time_that_the_clocks_skip_is_refused(zone: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"Invalid time '{text}': clocks in {zone} skip this time.") as raised:
        parse_instant(text, parse_zone(zone))
    advice = re.search(r"such as (\S+)\.$", str(raised.value))
    assert advice
    assert iso(parse_instant(advice[1])) == f"{text}:00Z"


@pytest.mark.parametrize(
    ("zone", "day", "begins"),
    [
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00Z"),
        ("Asia/Beirut", "2026-03-29", "2026-03-28T22:00:00Z"),
        ("America/Havana", "2026-03-08", "2026-03-08T05:00:00Z"),
        ("America/Santiago", "2026-09-06", "2026-09-06T04:00:00Z"),
        ("Atlantic/Azores", "2026-03-29", "2026-03-29T01:00:00Z"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z"),
        ("America/Havana", "2026-11-01", "2026-11-01T04:00:00Z"),  # its midnight comes twice
    ],
)
def test_a_day_begins_when_its_midnight_is_skipped_too(zone: str, day: str, begins: str) -> None:
    assert iso(parse_instant(day, parse_zone(zone))) == begins


@pytest.mark.parametrize(("zone", "day"), [("Pacific/Apia", "2011-12-30"), ("Pacific/Kwajalein", "1993-08-21")])
def test_a_day_that_is_skipped_altogether_is_refused(zone: str, day: str) -> None:
    with pytest.raises(UsageError, match=f"Invalid day {day}: clocks in {zone} skip the whole day"):
        parse_instant(day, parse_zone(zone))


def test_what_is_still_to_come_is_not_believed() -> None:
    now = parse_instant("2026-11-25T02:00Z")
    assert not why_too_far_ahead(now + 600_000, now_ms=now, most_seconds=600)
    assert why_too_far_ahead(now + 600_001, now_ms=now, most_seconds=600) == (
        "2026-11-25T02:10:00.001Z is 10 min ahead of now; the most is 10 min (watermark.max_ahead_seconds)"
    )
    assert "it means that a writer has ended" in why_too_far_ahead(2**63 - 1, now_ms=now, most_seconds=600)


@pytest.mark.parametrize("name", ["", "Europe", "Mars/Olympus", "../etc/passwd", "\0", "+01:00", "/etc/localtime"])
def test_a_zone_that_there_is_not(name: str) -> None:
    with pytest.raises(UsageError, match="Unknown time zone"):
        parse_zone(name)


def test_utc_is_a_zone_in_any_spelling() -> None:
    assert {parse_zone(name) for name in ("UTC", "utc")} == {UTC}


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(UsageError, match="has no time zone"):
        to_ms(datetime(2026, 11, 25))


@given(st.integers(EARLIEST_MS, FOREVER_MS))
def test_what_is_written_is_read_back(ms: int) -> None:
    assert parse_instant(iso(ms) or "") == to_ms(to_datetime(ms)) == ms


@given(st.integers(), st.sampled_from([UTC, BERLIN, ZoneInfo("Pacific/Kiritimati"), ZoneInfo("America/Adak")]))
def test_any_number_becomes_a_datetime(ms: int, zone: timezone) -> None:
    assert EARLIEST_MS <= to_ms(to_datetime(ms, zone)) <= FOREVER_MS


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_is_never_rounded_up(moment: datetime) -> None:
    assert to_datetime(to_ms(moment)) <= moment


def test_no_instant_is_no_text() -> None:
    assert iso(None) is None


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("90s", 90_000),
        ("5 min", 300_000),
        ("5m", 300_000),
        ("1.5h", 5_400_000),
        ("1d", 86_400_000),
        ("250ms", 250),
        ("0", 0),
        ("7", 7000),
        (" 2 h ", 7_200_000),
    ],
)
def test_a_length_is_read(text: str, ms: int) -> None:
    assert parse_length(text) == ms


@pytest.mark.parametrize("text", ["", "min", "-5min", "5 weeks", "1h30m", "1e3s", "inf", "nan", "9" * 400 + "h"])
def test_garbage_is_no_length(text: str) -> None:
    with pytest.raises(UsageError, match="Invalid duration"):
        parse_length(text)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1000, "1 s"),
        (59_999, "59 s"),
        (1_080_000, "18 min"),
        (3_900_000, "1 h 5 min"),
        (3_905_000, "1 h 5 min"),
        (172_800_000, "2 d"),
        (176_700_000, "2 d 1 h"),
        (-1_080_000, "-18 min"),
    ],
)
def test_a_length_in_words(ms: int, text: str) -> None:
    assert describe_length(ms) == text


@pytest.mark.parametrize(
    ("instant", "beside", "zone", "text"),
    [
        ("2026-11-25T02:07Z", None, UTC, "2026-11-25 02:07"),
        ("2026-11-25T02:07:05.999Z", None, UTC, "2026-11-25 02:07:05"),
        ("2026-11-25T02:07Z", "2026-11-25T23:59Z", UTC, "02:07"),
        ("2026-11-25T02:07Z", "2026-11-24T23:59Z", UTC, "2026-11-25 02:07"),
        ("2026-11-24T23:30Z", "2026-11-25T02:00Z", BERLIN, "00:30"),
        ("2026-11-25T22:30Z", "2026-11-25T23:30Z", BERLIN, "2026-11-25 23:30"),
    ],
)
def test_an_instant_in_words(instant: str, beside: str | None, zone: timezone, text: str) -> None:
    near = None if beside is None else parse_instant(beside)
    assert describe_instant(parse_instant(instant), zone, beside_ms=near) == text


def test_the_end_of_all_data_in_words() -> None:
    assert describe_instant(FOREVER_MS) == describe_instant(2**63 - 1) == "the end of all data"
