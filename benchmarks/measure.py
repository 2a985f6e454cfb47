"""Processes, measured from their start to their end with all that they start."""

import os
import statistics
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """One run of a process; ``output`` is what it printed."""

    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int
    output: str


def run(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end and measure it.

    CPU seconds are user and system time of the process and of its children that it waited for; peak memory is the
    largest resident set of any one of them.

    Raises:
        RuntimeError: the command failed.
    """
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **(environment or {})}, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}: {output[-2000:]}")
    return Run(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024, output)


def spread(values: Iterable[float], *, digits: int = 1) -> str:
    """Return median, least and greatest as ``median (least–greatest)``."""
    known = list(values)
    if len(known) == 1:
        return f"{known[0]:.{digits}f}"
    return f"{statistics.median(known):.{digits}f} ({min(known):.{digits}f}–{max(known):.{digits}f})"


def table_row(label: str, runs: Sequence[Run]) -> str:
    """Return a row of the report: CPU seconds, wall seconds, peak memory in MB."""
    cpu, wall = spread(r.cpu_seconds for r in runs), spread(r.wall_seconds for r in runs)
    return f"| {label} | {cpu} | {wall} | {spread((r.peak_bytes / 1e6 for r in runs), digits=0)} | {len(runs)} |"
