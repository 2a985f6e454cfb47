"""Processes, measured from their start to their end with all that they start."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# Linux passes the peak memory of the starting process on to what it starts, so a small one stands in between.
_LAUNCHER = """
import json, os, sys, time
started = time.monotonic()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print()
print(json.dumps({
    "exit_code": os.waitstatus_to_exitcode(status),
    "wall_seconds": time.monotonic() - started,
    "cpu_seconds": usage.ru_utime + usage.ru_stime,
    "peak_bytes": usage.ru_maxrss * 1024,
}))
"""


@dataclass(frozen=True)
class Run:
    """One run of a process; `output` is what it printed."""

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
    process = subprocess.run(
        [sys.executable, "-S", "-c", _LAUNCHER, *command],
        stdout=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        text=True,
        check=False,
    )
    output, _, line = process.stdout.rstrip("\n").rpartition("\n")
    measured = json.loads(line)
    if measured["exit_code"]:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {measured['exit_code']}: {output[-2000:]}")
    return Run(measured["cpu_seconds"], measured["wall_seconds"], measured["peak_bytes"], output)


def spread(values: Iterable[float], *, digits: int = 1) -> str:
    """Return median, least and greatest as `median (least–greatest)`."""
    known = list(values)
    if len(known) == 1:
        return f"{known[0]:.{digits}f}"
    return f"{statistics.median(known):.{digits}f} ({min(known):.{digits}f}–{max(known):.{digits}f})"


def table_row(label: str, runs: Sequence[Run]) -> str:
    """Return a row of the report: CPU seconds, wall seconds, peak memory in MB."""
    cpu, wall = spread(r.cpu_seconds for r in runs), spread(r.wall_seconds for r in runs)
    return f"| {label} | {cpu} | {wall} | {spread((r.peak_bytes / 1e6 for r in runs), digits=0)} | {len(runs)} |"
