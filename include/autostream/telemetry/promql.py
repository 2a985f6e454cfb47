"""Queries for the figures of Flink jobs in Prometheus, as Flink's own reporter names metrics. Pure.

The metrics of processes do not say which jobs a task manager runs. `$runs` stands for what does: the metrics of tasks,
which carry both labels. Where several jobs share a task manager, each gets an equal part: slots are not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import Template
from typing import Final

_TASK: Final = "flink_taskmanager_job_task"
_STATUS: Final = "flink_taskmanager_Status"
_CHECKPOINTS: Final = "flink_jobmanager_job"

_RUNS: Final = f"group by ($job, $process) ({_TASK}_numRecordsOut{{$selector}})"


def _of_processes(expression: str) -> str:
    """Return a query for the sum of something over the task managers of each job, shared ones divided evenly."""
    each = f"(sum by ($process) ({expression}) / on ($process) count by ($process) ($runs))"
    return f"sum by ($job) ({each} * on ($process) group_right () $runs)"


def _gauge(name: str) -> str:
    return _of_processes(f"{_STATUS}_{name}{{$selector}}")


def _share_of_vertex(function: str, kind: str) -> str:
    return f"{function} by ($vertex) ({_TASK}_{kind}TimeMsPerSecond{{$selector}} >= 0) / 1000"


_GC: Final = f"sum by ($process) (rate({_STATUS}_JVM_GarbageCollector_All_Time{{$selector}}[$window])) / 1000"

JOB_QUERIES: Final[Mapping[str, str]] = {
    "cpu_cores_used": _of_processes(f"rate({_STATUS}_JVM_CPU_Time{{$selector}}[$window])") + " / 1e9",
    "heap_used_bytes": _gauge("JVM_Memory_Heap_Used"),
    "heap_bytes": _gauge("JVM_Memory_Heap_Max"),
    "managed_used_bytes": _gauge("Flink_Memory_Managed_Used"),
    "managed_bytes": _gauge("Flink_Memory_Managed_Total"),
    "metaspace_used_bytes": _gauge("JVM_Memory_Metaspace_Used"),
    "metaspace_bytes": _gauge("JVM_Memory_Metaspace_Max"),
    "direct_used_bytes": _gauge("JVM_Memory_Direct_MemoryUsed"),
    "network_used_bytes": _gauge("Shuffle_Netty_UsedMemory"),
    "network_bytes": _gauge("Shuffle_Netty_TotalMemory"),
    "gc_share": f"avg by ($job) ({_GC} * on ($process) group_right () $runs)",
    "gc_share_max": f"max by ($job) ({_GC} * on ($process) group_right () $runs)",
    "task_managers": "count by ($job) ($runs)",
    "busy_share_max": f"max by ($job) ({_TASK}_busyTimeMsPerSecond{{$selector}} >= 0) / 1000",
    "back_pressured_share_max": f"max by ($job) ({_TASK}_backPressuredTimeMsPerSecond{{$selector}} >= 0) / 1000",
    "records_in_per_second": (
        f'sum by ($job) (rate({_TASK}_operator_numRecordsOut{{operator_name=~"Source.*", $selector}}[$window]))'
    ),
    # Only writers of sinks have the second metric.
    "records_out_per_second": (
        f"sum by ($job) (rate({_TASK}_operator_numRecordsIn{{$selector}}[$window]) "
        f"and on (job_id, operator_id, subtask_index) {_TASK}_operator_numRecordsSend{{$selector}})"
    ),
    "pending_records": "sum by ($job) (flink_taskmanager_job_task_operator_pendingRecords{$selector} >= 0)",
    "event_time_lag_ms": (
        "max by ($job) (flink_taskmanager_job_task_operator_currentEmitEventTimeLag{$selector} >= 0) or "
        "max by ($job) (flink_taskmanager_job_task_operator_currentFetchEventTimeLag{$selector} >= 0)"
    ),
    "checkpoint_duration_ms": f"max by ($job) ({_CHECKPOINTS}_lastCheckpointDuration{{$selector}} >= 0)",
    "checkpoint_size_bytes": f"max by ($job) ({_CHECKPOINTS}_lastCheckpointFullSize{{$selector}} > 0)",
    "checkpoint_age_ms": (
        f"max by ($job) (time() * 1000 - ({_CHECKPOINTS}_lastCheckpointCompletedTimestamp{{$selector}} > 0))"
    ),
    "checkpoints_completed": (
        f"max by ($job) (increase({_CHECKPOINTS}_numberOfCompletedCheckpoints{{$selector}}[$window]))"
    ),
    "checkpoints_failed": (f"max by ($job) (increase({_CHECKPOINTS}_numberOfFailedCheckpoints{{$selector}}[$window]))"),
    "restarts": f"max by ($job) (increase({_CHECKPOINTS}_numRestarts{{$selector}}[$window]))",
}
"""Queries for figures of jobs, by name of the figure. What nothing tells is not among them."""

VERTEX_QUERIES: Final[Mapping[str, str]] = {
    "parallelism": f"count by ($vertex) ({_TASK}_numRecordsOut{{$selector}})",
    "busy_share": _share_of_vertex("avg", "busy"),
    "busy_share_max": _share_of_vertex("max", "busy"),
    "busy_share_min": _share_of_vertex("min", "busy"),
    "idle_share": _share_of_vertex("avg", "idle"),
    "back_pressured_share": _share_of_vertex("avg", "backPressured"),
    "back_pressured_share_max": _share_of_vertex("max", "backPressured"),
    "records_in_per_second": f"sum by ($vertex) (rate({_TASK}_numRecordsIn{{$selector}}[$window]))",
    "records_in_per_second_max": f"max by ($vertex) (rate({_TASK}_numRecordsIn{{$selector}}[$window]))",
    "records_out_per_second": f"sum by ($vertex) (rate({_TASK}_numRecordsOut{{$selector}}[$window]))",
    "pending_records": "sum by ($vertex) (flink_taskmanager_job_task_operator_pendingRecords{$selector} >= 0)",
}
"""Queries for figures of vertices."""

PRESENT: Final = f"sum by ($job) (0 * {_TASK}_numRecordsOut{{$selector}})"
"""Gives a value for each job whose tasks run."""
SHARED: Final = "max by ($job) (count by ($process) ($runs) * on ($process) group_right () $runs) > 1"
"""Gives a value for each job that shares a task manager."""


def filled(query: str, *, names: Mapping[str, str]) -> str:
    """Return a query with `$job`, `$vertex`, `$process`, `$selector`, `$window` and `$runs` filled in."""
    inner = Template(query).safe_substitute(runs=f"({_RUNS})")
    return Template(inner).safe_substitute(names)
