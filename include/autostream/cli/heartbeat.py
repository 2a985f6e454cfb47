"""The heartbeat of a command that runs for long: a file that whoever watches over it looks at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from autostream import times


def beating(file: Path | None) -> Callable[[], None]:
    """Return what touches a file, once a second at most."""
    last = float("-inf")

    def beat() -> None:
        nonlocal last
        if file is not None and times.monotonic() - last >= 1:
            last = times.monotonic()
            file.touch()

    return beat
