"""Runs of the async-profiler that Flink (1.19 and later) has built in: started, waited for, fetched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from autostream import times
from autostream.errors import AutostreamError, NotReadyError, TimedOutError, UsageError
from autostream.flink import models
from autostream.flink.rest import FlinkRest
from autostream.http import RefusalError
from autostream.sizes import MIB
from autostream.spelling import one_of

MODES: Final = ("CPU", "ALLOC", "LOCK", "WALL", "ITIMER")
"""What is sampled: CPU time, allocations, contended locks, wall-clock time, or CPU time without performance "
"counters."""
LONGEST_SECONDS: Final = 300
"""Flink's own limit by default (`rest.profiling.duration-max`)."""

_LARGEST_BYTES: Final = 64 * MIB
_GRACE_SECONDS: Final = 60


@dataclass(frozen=True)
class ProfileRun:
    """A run of the profiler on one task manager.

    Attributes:
        task_manager_id: Which task manager.
        status: `RUNNING`, `FINISHED` or `FAILED`.
        mode: One of `MODES`.
        triggered_ms: When it was started.
        duration_seconds: How long it samples.
        file: Name of the file that it made; empty while there is none.
        message: What Flink says of it.
    """

    task_manager_id: str
    status: str
    mode: str
    triggered_ms: int | None
    duration_seconds: int | None
    file: str = ""
    message: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return dict(vars(self))


def list_runs(rest: FlinkRest, task_manager_id: str) -> list[ProfileRun]:
    """Return the runs that a task manager remembers, the newest first.

    Raises:
        NotReadyError: The cluster has no profiler, or it is off.
        ServiceError: The cluster cannot be reached, or answers what is not understood.
        DeniedError: It does not accept the login.
    """
    answer = rest.read(_path(task_manager_id), models.Profiles)
    if answer is None:
        raise _off(rest)
    runs = [_run(task_manager_id, run) for run in answer.runs]
    return sorted(runs, key=lambda run: -(run.triggered_ms or 0))


def run_profiler(
    rest: FlinkRest, task_manager_id: str, *, mode: str = "CPU", seconds: int = 30
) -> tuple[ProfileRun, bytes]:
    """Run the profiler on a task manager, and return the run and its file: a page of HTML with a flame graph.

    Raises:
        UsageError: The mode or the length cannot be.
        NotReadyError: The cluster has no profiler, or it is off; or one runs already.
        TimedOutError: It does not end.
        AutostreamError: The run failed, and the message says why.
    """
    if mode not in MODES:
        raise UsageError(f"Unknown mode {mode!r} of the profiler. {one_of(mode, MODES, 'There are')}")
    if not 1 <= seconds <= LONGEST_SECONDS:
        raise UsageError(f"The profiler cannot run for {seconds} s. Choose between 1 and {LONGEST_SECONDS} seconds.")
    before = {run.triggered_ms for run in list_runs(rest, task_manager_id)}
    try:
        rest.post(_path(task_manager_id), {"mode": mode, "duration": seconds})
    except RefusalError as error:
        raise NotReadyError(
            f"{error} If the message is not clear: only one run at a time is possible, and the machine must allow "
            "perf_event_open for mode CPU (ITIMER works without)."
        ) from error
    deadline = times.monotonic() + seconds + _GRACE_SECONDS
    while times.monotonic() < deadline:
        times.sleep(1.0)
        run = next((r for r in list_runs(rest, task_manager_id) if r.triggered_ms not in before), None)
        if run is None or run.status == "RUNNING":
            continue
        if run.status != "FINISHED" or not run.file:
            raise AutostreamError(
                f"The profiler failed on task manager {task_manager_id}: {run.message or run.status}."
            )
        return run, _fetched(rest, run)
    raise TimedOutError(
        f"The profiler on task manager {task_manager_id} has not ended {_GRACE_SECONDS} s after its time. Look for its "
        "result in Flink's own page of the task manager."
    )


def _fetched(rest: FlinkRest, run: ProfileRun) -> bytes:
    path = f"{_path(run.task_manager_id)}/{quote(run.file, safe='')}"
    found = rest.tail(path, keep_bytes=_LARGEST_BYTES, most_bytes=_LARGEST_BYTES)
    if found is None:
        raise NotReadyError(
            f"The profiler's file {run.file} has gone from task manager {run.task_manager_id}. Run it again."
        )
    return found.content


def _run(task_manager_id: str, run: models.Profile) -> ProfileRun:
    return ProfileRun(
        task_manager_id, run.status, run.mode, run.triggered_ms, run.duration_seconds, run.file or "", run.message or ""
    )


def _path(task_manager_id: str) -> str:
    return f"/taskmanagers/{quote(task_manager_id, safe='')}/profiler"


def _off(rest: FlinkRest) -> NotReadyError:
    return NotReadyError(
        f"{rest.name} has no profiler: it needs Flink 1.19 or later with rest.profiling.enabled: true in its "
        "configuration. A flame graph (`--flame-graph`) needs only rest.flamegraph.enabled."
    )
