"""Flink's names of the metrics that figures are made of, and which of a vertex's metrics to ask for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

JOB_METRICS: Final = (
    "numRestarts",
    "numRescales",
    "uptime",
    "runningTime",
    "numberOfCompletedCheckpoints",
    "numberOfFailedCheckpoints",
    "lastCheckpointDuration",
    "lastCheckpointFullSize",
    "lastCheckpointSize",
    "lastCheckpointCompletedTimestamp",
)
"""Metrics of a job. `numRescales` is the adaptive scheduler's; `runningTime` is there since 1.16, the last one since
2.0; `uptime` may go."""

# `All` is there since 1.19; before that, times of what each kind of collector is called.
_COLLECTORS: Final = (
    "All",
    "G1_Young_Generation",
    "G1_Old_Generation",
    "G1_Concurrent_GC",
    "PS_Scavenge",
    "PS_MarkSweep",
    "Copy",
    "MarkSweepCompact",
    "ParNew",
    "ConcurrentMarkSweep",
    "ZGC_Pauses",
    "ZGC_Minor_Pauses",
    "ZGC_Major_Pauses",
    "Shenandoah_Pauses",
)
GC_TIMES: Final = tuple(f"Status.JVM.GarbageCollector.{name}.Time" for name in _COLLECTORS)
"""Milliseconds in garbage collection: of all collectors, then of each."""
CPU_TIME: Final = "Status.JVM.CPU.Time"
"""Nanoseconds of CPU time of the process."""

TASK_MANAGER_GAUGES: Final = {
    "heap_used_bytes": "Status.JVM.Memory.Heap.Used",
    "heap_bytes": "Status.JVM.Memory.Heap.Max",
    "managed_used_bytes": "Status.Flink.Memory.Managed.Used",
    "managed_bytes": "Status.Flink.Memory.Managed.Total",
    "metaspace_used_bytes": "Status.JVM.Memory.Metaspace.Used",
    "metaspace_bytes": "Status.JVM.Memory.Metaspace.Max",
    "direct_used_bytes": "Status.JVM.Memory.Direct.MemoryUsed",
    "network_used_bytes": "Status.Shuffle.Netty.UsedMemory",
    "network_bytes": "Status.Shuffle.Netty.TotalMemory",
}
"""Figures that are gauges of task managers, added up."""
TASK_MANAGER_METRICS: Final = (CPU_TIME, *GC_TIMES, *TASK_MANAGER_GAUGES.values())
"""Metrics of a task manager."""

BUSY, IDLE, BACK_PRESSURED = "busyTimeMsPerSecond", "idleTimeMsPerSecond", "backPressuredTimeMsPerSecond"
TASK_TIMES: Final = {
    "busy_share": "accumulateBusyTimeMs",
    "idle_share": "accumulateIdleTimeMs",
    "back_pressured_share": "accumulateBackPressuredTimeMs",
}
"""Together they are the time for which a task has run, to the millisecond."""
PENDING: Final = ".pendingRecords"
KAFKA_LAG: Final = ".records-lag-max"
"""What Kafka's own client tells: the largest lag among the partitions of a subtask."""
EVENT_TIME_LAGS: Final = (".currentEmitEventTimeLag", ".currentFetchEventTimeLag")
INPUT_WATERMARK: Final = "currentInputWatermark"
OUTPUT_WATERMARK: Final = ".currentOutputWatermark"
RECORDS_IN, RECORDS_OUT = "numRecordsIn", "numRecordsOut"
SENT: Final = ".numRecordsSend"
"""Only writers of sinks have it."""
SOURCE: Final = "Source__"
"""How the names of operators begin that are sources."""

_OF_TASKS: Final = frozenset(
    {
        BUSY,
        IDLE,
        BACK_PRESSURED,
        *TASK_TIMES.values(),
        RECORDS_IN,
        RECORDS_OUT,
        f"{RECORDS_IN}PerSecond",
        INPUT_WATERMARK,
    }
)
_OF_OPERATORS: Final = (PENDING, KAFKA_LAG, *EVENT_TIME_LAGS, SENT)
_OF_SOURCES: Final = (f".{RECORDS_IN}", f".{RECORDS_OUT}", f".{RECORDS_OUT}PerSecond", OUTPUT_WATERMARK)
_PARTS_OF_SOURCES: Final = (".split.", ".topic.", ".partition.")
# A job that names thousands of operators may not make the sweep slow.
_MOST: Final = 200


def wanted_metrics(names: Iterable[str]) -> list[str]:
    """Return those of a vertex's metrics that figures are made of, the most important ones first."""
    known = sorted(names)
    of_operators = [
        name for name in known if name.endswith(_OF_OPERATORS) and not any(part in name for part in _PARTS_OF_SOURCES)
    ]
    writers = {name.removesuffix(SENT) for name in of_operators if name.endswith(SENT)}
    of_sources = [name for name in known if name.startswith(SOURCE) and name.endswith(_OF_SOURCES)]
    of_sources = [name for name in of_sources if not any(part in name for part in _PARTS_OF_SOURCES)]
    received = [name for name in known if name.removesuffix(f".{RECORDS_IN}") in writers]
    chosen = [name for name in known if name in _OF_TASKS] + of_operators + of_sources + received
    return list(dict.fromkeys(chosen))[:_MOST]
