"""Memory, threads and spill space of this process, and sizes as people write them."""

from __future__ import annotations

import errno
import os
import re
import resource
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from autostream.errors import ConfigurationError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

# Decimal units mean what they do in DuckDB and the SI: 1 MB is a million bytes.
_UNITS = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "k": KIB, "m": MIB, "g": GIB, "t": GIB * KIB, "kib": KIB, "mib": MIB, "gib": GIB, "tib": GIB * KIB,
}  # fmt: skip
_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$", re.IGNORECASE)

DEFAULT_MEMORY_LIMIT_BYTES = 640 * 10**6


def parse_size(text: str) -> int:
    """Return a size such as ``512MB``, ``1GiB`` or ``1048576`` in bytes.

    Raises:
        ConfigurationError: the text is no size.
    """
    match = _SIZE.match(text)
    if match is None or match[2].lower() not in _UNITS:
        raise ConfigurationError(f"{text!r} is not a size. Write a number of bytes, or one with a unit: 512MB, 2GiB.")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def format_size(size_bytes: float) -> str:
    """Return a size for people: ``12 B``, ``3.4 KiB``, ``1.2 GiB``."""
    for unit, scale in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if abs(size_bytes) >= scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{size_bytes:.0f} B"


def available_cpus() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory_bytes() -> int:
    """Return the largest resident size that this process has had.

    On Linux by its own high-water mark: what getrusage tells begins with that of the process that started this one.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:", 1)[1].split(maxsplit=1)[0]) * KIB
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB


_FULL = ("no space left", "disk is full", "disk quota exceeded", "file too large", "max_temp_directory_size")


def is_disk_full(error: BaseException) -> bool:
    """Say whether an error, or what caused it, is that a disk, a quota or a file's allowed size is exhausted.

    Libraries tell it by an error number, or in words only (SQLite, DuckDB, Arrow).
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        if any(sign in str(cause).lower() for sign in _FULL):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


@dataclass(frozen=True)
class EngineResources:
    """What the merge engine may use.

    Attributes:
        memory_limit_bytes: cap of the engine's own memory; past it the engine spills. The process needs about
            250 MB more for Python and its libraries.
        threads: worker threads.
        spill_directory: where it spills to; a directory of its own is made below and removed afterwards.
    """

    memory_limit_bytes: int = DEFAULT_MEMORY_LIMIT_BYTES
    threads: int = field(default_factory=available_cpus)
    spill_directory: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))

    @classmethod
    def configured(cls, *, memory_limit: str, threads: int, spill_directory: str) -> EngineResources:
        """Return what the configuration's section ``engine`` says: 0 threads are all, no directory is the system's.

        Raises:
            ConfigurationError: the memory limit is no size.
        """
        return cls(
            memory_limit_bytes=parse_size(memory_limit),
            threads=threads or available_cpus(),
            spill_directory=Path(spill_directory or tempfile.gettempdir()),
        )
