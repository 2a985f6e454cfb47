"""Sizes as people write and read them."""

import pytest

from autostream.errors import ConfigurationError
from autostream.sizes import GIB, KIB, MIB, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1048576", 1 << 20),
        ("12b", 12),
        ("512MB", 512 * 10**6),
        ("512 mb", 512 * 10**6),
        ("1.5kB", 1500),
        ("2GB", 2 * 10**9),
        ("1TB", 10**12),
        ("2GiB", 2 << 30),
        ("1k", 1 << 10),
        ("3m", 3 << 20),
        ("1G", 1 << 30),
        ("1t", 1 << 40),
        ("1TiB", 1 << 40),
        ("4KiB", 4096),
        (" 7 ", 7),
        ("9007199254740993", 2**53 + 1),
    ],
)
def test_sizes_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "big", "-1", "1e3", "5XB", "1,5GB", "1 2", "GB", "1.GB", "٣", "9" * 5000])
def test_what_is_not_a_size(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Invalid size .*\. Write a number of bytes, or a number with a unit"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (KIB, "1.0 KiB"),
        (1.5 * KIB, "1.5 KiB"),
        (512 * MIB, "512.0 MiB"),
        (5 * GIB, "5.0 GiB"),
        (-2 * KIB, "-2.0 KiB"),
    ],
)
def test_sizes_as_people_read_them(size: float, text: str) -> None:
    assert format_size(size) == text
