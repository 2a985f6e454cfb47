"""What is kept of files read lately, and how much is asked for at a time."""

from hypothesis import given
from hypothesis import strategies as st

from autostream.hadoop.reader import FIRST_WINDOW_BYTES, LARGEST_WINDOW_BYTES, window_bytes
from autostream.hadoop.settings import WebHdfsSettings
from autostream.hadoop.tails import FileKey, Tails

SETTINGS = WebHdfsSettings(urls=("http://nn",))


def key(path: str, *, changed: int = 0) -> FileKey:
    return FileKey(SETTINGS, path, 10, changed)


def test_those_used_last_are_kept() -> None:
    tails = Tails(limit_bytes=25)
    tails.keep(key("a"), b"a" * 10)
    tails.keep(key("b"), b"b" * 10)
    assert tails.get(key("a")) == b"a" * 10
    tails.keep(key("c"), b"c" * 10)
    assert tails.get(key("b")) is None
    assert tails.get(key("a")) is not None
    assert tails.get(key("a", changed=1)) is None
    tails.keep(key("a"), b"A")  # takes the place of what was kept
    tails.keep(key("d"), b"d" * 10)
    assert [tails.get(key(name)) is not None for name in "acd"] == [True, True, True]
    tails.keep(key("e"), b"e" * 26)
    assert not any(tails.get(key(name)) for name in "abcde")
    tails.keep(key("a"), b"a" * 25)
    tails.forget()
    assert tails.get(key("a")) is None


@given(st.integers(1, 1 << 31), st.integers(0, 1 << 31), st.integers(0, 1 << 31), st.booleans())
def test_windows(wanted: int, more: int, last_window: int, goes_on: bool) -> None:
    left = wanted + more
    window = window_bytes(wanted=wanted, left=left, last_window=last_window, goes_on=goes_on)
    assert wanted <= window <= left
    assert window <= max(wanted, LARGEST_WINDOW_BYTES, FIRST_WINDOW_BYTES)
    if not goes_on:
        assert window <= max(wanted, FIRST_WINDOW_BYTES)


def test_windows_grow_while_reading_goes_on() -> None:
    sizes = [window_bytes(wanted=1, left=1 << 40, last_window=0, goes_on=False)]
    for _ in range(5):
        sizes.append(window_bytes(wanted=1, left=1 << 40, last_window=sizes[-1], goes_on=True))
    assert [size >> 10 for size in sizes] == [256, 8192, 262144, 1048576, 1048576, 1048576]
