"""Sizes as people write and read them: `512MB`, `2GiB`; inside, sizes are bytes."""

from __future__ import annotations

import re
from typing import Final

from autostream.errors import ConfigurationError

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30

# Decimal units mean what they do in DuckDB and the SI: 1 MB is a million bytes.
_UNITS: Final = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "k": KIB, "m": MIB, "g": GIB, "t": GIB * KIB, "kib": KIB, "mib": MIB, "gib": GIB, "tib": GIB * KIB,
}  # fmt: skip
_SIZE: Final = re.compile(r"\s*([0-9]{1,19}(?:\.[0-9]{1,19})?)\s*([a-z]*)\s*", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return a size such as `512MB`, `1GiB` or `1048576` in bytes.

    Raises:
        ConfigurationError: The text is not a size.
    """
    match = _SIZE.fullmatch(text)
    if match is None or match[2].lower() not in _UNITS:
        raise ConfigurationError(
            f"Invalid size {text!r}. Write a number of bytes, or a number with a unit: 512MB, 2GiB."
        )
    number, unit = match[1], _UNITS[match[2].lower()]
    return int(float(number) * unit) if "." in number else int(number) * unit


def format_size(size_bytes: float) -> str:
    """Return a size for people: `12 B`, `3.4 KiB`, `1.2 GiB`."""
    for unit, scale in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if abs(size_bytes) >= scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{size_bytes:.0f} B"
