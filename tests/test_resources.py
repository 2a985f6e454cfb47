import os
import tempfile
from pathlib import Path

import pytest

from autostream.errors import ConfigurationError
from autostream.resources import EngineResources, available_cpus, format_size, parse_size, peak_memory_bytes


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
    ],
)
def test_sizes_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "big", "-1", "1e3", "5XB", "1,5GB", "1 2", "GB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not a size\. Write a number of bytes, or one with a unit"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1 << 20, "1.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (-2048, "-2.0 KiB"),
    ],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert format_size(size) == text


def test_what_this_process_has_and_uses() -> None:
    assert available_cpus() == len(os.sched_getaffinity(0))
    assert peak_memory_bytes() > 10 * 10**6
    resources = EngineResources()
    assert (resources.threads, resources.spill_directory) == (available_cpus(), Path(tempfile.gettempdir()))
    assert resources.memory_limit_bytes == 640 * 10**6
