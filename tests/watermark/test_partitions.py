"""Partitions of event time: their names, and which of them are complete."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones
from zoneinfo._zoneinfo import ZoneInfo as Clocks  # in Python, whose data can be looked at

import pytest

from autostream.errors import UsageError
from autostream.times import FOREVER_MS, iso, parse_instant
from autostream.watermark.partitions import complete_windows, parse_kind, partition_key_of, window_of_key
from autostream.watermark.windows import WindowKind, window_at

HOUR, DAY = WindowKind.HOUR, WindowKind.DAY
BERLIN = ZoneInfo("Europe/Berlin")


def ms(text: str) -> int:
    return parse_instant(text)


@pytest.mark.parametrize(
    ("key", "kind", "start", "end"),
    [
        ("2026-11-23T01:00:00", None, "2026-11-23T01:00:00Z", "2026-11-23T02:00:00Z"),
        ("2026-11-23T01", None, "2026-11-23T01:00:00Z", "2026-11-23T02:00:00Z"),
        ("2026-11-23", None, "2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"),
        ("2026-11-23", HOUR, "2026-11-23T00:00:00Z", "2026-11-23T01:00:00Z"),
        ("2026-11-23T00:00:00", DAY, "2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"),
    ],
)
def test_a_key_names_a_window(key: str, kind: WindowKind | None, start: str, end: str) -> None:
    window = window_of_key(key, kind=kind)
    assert (iso(window.start_ms), iso(window.end_ms)) == (start, end)


def test_keys_are_read_back() -> None:
    for kind in WindowKind:
        for zone in (UTC, BERLIN):
            window = window_at(kind, ms("2026-11-23T01:30Z"), zone)
            assert window_of_key(partition_key_of(window, kind, zone), kind=kind, zone=zone) == window


def test_hours_that_the_clocks_go_through_twice_have_two_keys() -> None:
    first = window_at(HOUR, ms("2026-10-25T00:00Z"), BERLIN)
    second = window_at(HOUR, ms("2026-10-25T01:00Z"), BERLIN)
    assert [partition_key_of(window, HOUR, BERLIN) for window in (first, second)] == [
        "2026-10-25T02:00:00",
        "2026-10-25T01:00:00Z",
    ]


def clocks_of(zone: str) -> tuple[int, ...]:
    """Return when the clocks of a zone have been or will be changed, epoch seconds."""
    return tuple(Clocks(zone)._trans_utc)  # type: ignore[attr-defined]


CLOCKS = {clocks_of(zone): zone for zone in sorted(available_timezones())}
"""Of zones whose clocks are changed at the same moments, one."""


def read_back_around(zone: str, since: int) -> int:
    """Check keys around all changes of the clocks of a zone; return how many changes there are."""
    found = [moment for moment in clocks_of(zone) if moment >= since]
    clocks = ZoneInfo(zone)
    for moment in found:
        for kind, away in ((HOUR, (-1, 0, 3600)), (DAY, (-86_400, -1, 0))):
            for seconds in away:
                window = window_at(kind, (moment + seconds) * 1000, clocks)
                key = partition_key_of(window, kind, clocks)
                assert window_of_key(key, zone=clocks) == window, (zone, key)
                assert window_of_key(key, kind=kind, zone=clocks) == window, (zone, key)
    return len(found)


def test_keys_are_read_back_around_the_changes_of_all_clocks() -> None:
    since = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp())
    until = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp())
    zones = {tuple(moment for moment in clocks if since <= moment < until): zone for clocks, zone in CLOCKS.items()}
    assert sum(read_back_around(zone, since) for zone in zones.values()) > 1


@pytest.mark.exhaustive
def test_keys_are_read_back_around_all_changes_of_all_clocks() -> None:
    assert sum(read_back_around(zone, -(2**40)) for zone in CLOCKS.values()) > 10_000


@pytest.mark.parametrize(
    "key", ["eu", "٢٠٢٦-١١-٢٣", "2026-11-23T٠١", "2026-11", "2026-W47", "2026-11-23T01:00:00|eu", ""]
)
def test_a_key_that_names_neither_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="Invalid partition key"):
        window_of_key(key)


def test_a_window_that_there_is_not() -> None:
    with pytest.raises(UsageError, match=r"Unknown window 'week'\. Write hour or day"):
        parse_kind("week")


@pytest.mark.parametrize(
    ("watermark", "now", "limit", "hours"),
    [
        ("2026-11-23T03:00Z", "2026-11-23T03:05Z", 10, [0, 1, 2]),
        ("2026-11-23T02:59:59.999Z", "2026-11-23T03:05Z", 10, [0, 1]),
        ("2026-11-23T03:00Z", "2026-11-23T03:05Z", 2, [0, 1]),
        ("2026-11-23T00:59Z", "2026-11-23T03:05Z", 10, []),
        ("2020-01-01", "2026-11-23T03:05Z", 10, []),
        ("9999-12-31T23:59:59.999Z", "2026-11-23T02:30Z", 10, [0, 1]),  # a writer that has ended
    ],
)
def test_complete_hours_are_without_gaps_and_over(watermark: str, now: str, limit: int, hours: list[int]) -> None:
    found = complete_windows(HOUR, ms("2026-11-23T00:10Z"), ms(watermark), now_ms=ms(now), limit=limit)
    assert [partition_key_of(window, HOUR) for window in found] == [f"2026-11-23T{hour:02}:00:00" for hour in hours]
    assert all(one.end_ms == after.start_ms for one, after in pairwise(found))


def test_complete_days_of_a_zone() -> None:
    found = complete_windows(
        DAY, ms("2026-10-24T12:00Z"), FOREVER_MS, now_ms=ms("2026-10-26T23:30Z"), limit=9, zone=BERLIN
    )
    assert [partition_key_of(window, DAY, BERLIN) for window in found] == ["2026-10-24", "2026-10-25", "2026-10-26"]
    assert [(window.end_ms - window.start_ms) / 3_600_000 for window in found] == [24, 25, 24]


def test_an_hour_is_called_by_its_start_as_airflow_reads_it() -> None:
    window = window_at(HOUR, int(datetime(2026, 11, 23, 1, 59, tzinfo=UTC).timestamp() * 1000))
    assert partition_key_of(window, HOUR) == "2026-11-23T01:00:00"
