"""Memory, threads and spill space of this process."""

from __future__ import annotations

import errno
import os
import resource
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from autostream.sizes import KIB, parse_size

DEFAULT_MEMORY_LIMIT_BYTES = 640 * 10**6


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
        """Return what the configuration's section `engine` says: 0 threads are all, no directory is the system's.

        Raises:
            ConfigurationError: the memory limit is no size.
        """
        return cls(
            memory_limit_bytes=parse_size(memory_limit),
            threads=threads or available_cpus(),
            spill_directory=Path(spill_directory or tempfile.gettempdir()),
        )
