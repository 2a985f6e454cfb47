"""Two looks at a cluster, compared: what its jobs did in between. Pure.

Nothing is said that two looks do not prove. Counters become rates only between two looks at the same attempt of a job
and the same processes, both of which Flink has collected anew; the first look after a start, a restart or an idle time
only begins an interval. How much time went by between two collections is told by Flink's own counters of time, as far
as it has them, since its answers are cached.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from autostream.telemetry.figures import tidy
from autostream.telemetry.looks import RUNNING, ClusterLook, JobLook, TaskManagerLook
from autostream.telemetry.metric_names import CPU_TIME, GC_TIMES, TASK_MANAGER_GAUGES
from autostream.telemetry.samples import JobSample, VertexSample
from autostream.telemetry.vertex_sampling import VertexReading, read_vertex, sink_vertices

# By how much time by Flink's counters may differ from the collector's before it is not believed.
_CLOCK_TOLERANCE: Final = 0.5
# No process uses more cores than its machine has, but for rounding; what it is allotted may be less.
_MOST_CORES: Final = 1024.0


@dataclass
class _Figures:
    """Figures as they are found, and why others are not."""

    known: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def put(self, name: str, value: float | None, why: str) -> None:
        if value is None or not math.isfinite(value):
            self.missing[name] = why
        else:
            self.known[name] = tidy(value)


def compare(before: ClusterLook | None, now: ClusterLook, *, longest_ms: int) -> tuple[list[JobSample], ClusterLook]:
    """Return what jobs did between two looks, and what the next look is to be compared with.

    Args:
        before: The look before; None where this is the first one.
        now: The present look.
        longest_ms: Two looks that are further apart have a gap between them, of which nothing is said.

    Returns:
        A sample of each job that both looks show, and the present look with its stale parts marked.
    """
    if before is None:
        return [], now
    now = _with_stale_marks(before, now)
    wall_ms = now.at_ms - before.at_ms
    if not 0 < wall_ms <= longest_ms:
        return [], now
    elapsed_ms = _elapsed_ms(before, now, wall_ms)
    samples = []
    for job_id, job in now.jobs.items():
        old = before.jobs.get(job_id)
        if old is not None and (old.started_ms, old.job) == (job.started_ms, job.job):
            samples.append(_sample(before, now, old, job, elapsed_ms))
    return samples, now


def _with_stale_marks(before: ClusterLook, now: ClusterLook) -> ClusterLook:
    jobs = {
        job_id: replace(job, stale=(old := before.jobs.get(job_id)) is not None and _is_stale_job(old, job))
        for job_id, job in now.jobs.items()
    }
    task_managers = {
        key: replace(one, stale=(was := before.task_managers.get(key)) is not None and _is_stale(was, one))
        for key, one in now.task_managers.items()
    }
    return replace(now, jobs=jobs, task_managers=task_managers)


def _is_stale_job(old: JobLook, job: JobLook) -> bool:
    """Say whether the time for which a job has run has not gone on, though it runs."""
    if job.state != RUNNING or old.attempt != job.attempt or job.clock_ms is None or old.clock_ms is None:
        return False
    return job.clock_ms <= old.clock_ms


def _is_stale(old: TaskManagerLook, one: TaskManagerLook) -> bool:
    """Say whether no metric has changed: a process that lives uses time."""
    return bool(one.metrics) and old.metrics == one.metrics


def _elapsed_ms(before: ClusterLook, now: ClusterLook, wall_ms: int) -> float:
    """Return the time between the two collections of metrics: by how much the jobs say that they have run."""
    ran = [
        job.clock_ms - old.clock_ms
        for job_id, job in now.jobs.items()
        if (old := before.jobs.get(job_id)) is not None
        and old.attempt == job.attempt
        and not (old.stale or job.stale)
        and job.clock_ms is not None
        and old.clock_ms is not None
    ]
    believed = [ms for ms in ran if abs(ms - wall_ms) <= _CLOCK_TOLERANCE * wall_ms]
    return sorted(believed)[len(believed) // 2] if believed else wall_ms


def _sample(before: ClusterLook, now: ClusterLook, old: JobLook, job: JobLook, elapsed_ms: float) -> JobSample:
    figures = _Figures()
    task_managers = _task_managers(now, job)
    same = old.attempt == job.attempt and job.state == RUNNING and old.state == RUNNING
    _put_restarts(figures, old, job)
    _put_checkpoints(figures, old, job, now.at_ms)
    shared = False
    if job.state != RUNNING:
        figures.missing["cpu_cores_used"] = f"the job is {job.state}"
    elif task_managers is None:
        figures.missing["task_managers"] = "the cluster did not tell on which task managers the job runs"
    else:
        shared = any(_used_by_others(one, job) for one in task_managers)
        _put_allotted(figures, task_managers, job)
        _put_used(figures, task_managers, job)
        limits = [now.container_limit_bytes for _ in task_managers]
        figures.put("container_limit_bytes", _weighted(task_managers, limits, job), "no Kubernetes tells it")
        _put_times(figures, before, task_managers, job, elapsed_ms if same else None)
    readings: list[VertexReading] = []
    if same and not (job.stale or old.stale):
        older = {vertex.vertex_id: vertex for vertex in old.vertices}
        clock_ms = _clock_ms(job, now.at_ms)
        readings = [read_vertex(older.get(v.vertex_id), v, elapsed_ms, clock_ms) for v in job.vertices]
        _put_flow(figures, job, readings)
    else:
        why = "its metrics are old" if same else _not_running(job)
        figures.missing |= dict.fromkeys(("busy_share_max", "records_in_per_second", "pending_records"), why)
    return JobSample(
        job=job.job,
        job_id=job.job_id,
        from_ms=before.at_ms,
        at_ms=now.at_ms,
        state=job.state,
        shared=shared,
        figures=figures.known,
        missing={name: why for name, why in figures.missing.items() if why},
        vertices=tuple(
            VertexSample(
                v.vertex_id,
                v.name,
                {"parallelism": float(v.parallelism)} | {name: tidy(value) for name, value in its.items()},
            )
            for v, its in zip(job.vertices, [r.figures for r in readings] or [{}] * len(job.vertices), strict=True)
        ),
    )


def _not_running(job: JobLook) -> str:
    return "it has restarted" if job.state == RUNNING else f"the job is {job.state}"


# ------- the job manager's figures
def _put_restarts(figures: _Figures, old: JobLook, job: JobLook) -> None:
    """Count restarts, but not those by which the adaptive scheduler gives a job another parallelism."""
    restarts = _growth(old.metrics, job.metrics, "numRestarts")
    rescales = _growth(old.metrics, job.metrics, "numRescales") or 0.0
    failures = None if restarts is None else max(restarts - rescales, 0.0)
    figures.put("restarts", failures, "the cluster does not tell numRestarts")


def _put_checkpoints(figures: _Figures, old: JobLook, job: JobLook, at_ms: int) -> None:
    for name, metric in (
        ("checkpoints_completed", "numberOfCompletedCheckpoints"),
        ("checkpoints_failed", "numberOfFailedCheckpoints"),
    ):
        figures.put(name, _growth(old.metrics, job.metrics, metric), f"the job does not tell {metric}")
    none = "no checkpoint has completed"
    figures.put("checkpoint_duration_ms", _at_least_zero(job.metrics.get("lastCheckpointDuration")), none)
    size = job.metrics.get("lastCheckpointFullSize", job.metrics.get("lastCheckpointSize"))
    duration_known = "checkpoint_duration_ms" in figures.known
    figures.put("checkpoint_size_bytes", _at_least_zero(size) if duration_known else None, none)
    clock_ms = _clock_ms(job, at_ms)
    age_ms = None
    if job.last_checkpoint_ms is not None and clock_ms is not None:
        age_ms = max(clock_ms - job.last_checkpoint_ms, 0.0)
    why = none if job.last_checkpoint_ms is None else "the job manager does not tell what time it is"
    figures.put("checkpoint_age_ms", age_ms, why)


def _clock_ms(job: JobLook, at_ms: int) -> float | None:
    """Return what time it was by the job manager's clock when metrics were collected, else when it was looked at."""
    if job.clock_ms is not None:
        return job.clock_ms
    return None if job.clock_offset_ms is None else at_ms + job.clock_offset_ms


# ------- the figures of processes
def _task_managers(now: ClusterLook, job: JobLook) -> list[TaskManagerLook] | None:
    """Return the task managers that run a job, or are there for it alone; None where it is not known which."""
    if job.dedicated:
        return list(now.task_managers.values())
    if any(one.slots_by_job is None for one in now.task_managers.values()):
        return None
    return [one for one in now.task_managers.values() if (one.slots_by_job or {}).get(job.job_id)]


def _used_by_others(one: TaskManagerLook, job: JobLook) -> bool:
    return any(slots > 0 for job_id, slots in (one.slots_by_job or {}).items() if job_id != job.job_id)


def _part(one: TaskManagerLook, job: JobLook) -> float:
    """Return which part of a task manager is a job's: its slots among those that are in use."""
    if job.dedicated:
        return 1.0
    slots = one.slots_by_job or {}
    return slots.get(job.job_id, 0) / max(sum(slots.values()), 1)


def _own_slots(one: TaskManagerLook, job: JobLook) -> int:
    return (one.slots_by_job or {}).get(job.job_id, 0)


def _put_allotted(figures: _Figures, task_managers: list[TaskManagerLook], job: JobLook) -> None:
    figures.put("task_managers", float(len(task_managers)), "")
    figures.put("slots", sum(_part(one, job) * one.slots for one in task_managers), "")
    used = (
        None
        if any(one.slots_by_job is None for one in task_managers)
        else sum(_own_slots(t, job) for t in task_managers)
    )
    figures.put("slots_used", used, "the cluster did not tell who occupies its slots")
    allotted: dict[str, list[float | None]] = {
        "cpu_cores": [one.settings.cpu_cores for one in task_managers],
        "memory_bytes": [one.settings.process_memory_bytes for one in task_managers],
        "direct_bytes": [_sum_of(one.settings.off_heap_bytes, one.settings.network_bytes) for one in task_managers],
    }
    for name, values in allotted.items():
        figures.put(name, _weighted(task_managers, values, job), "its task managers do not tell what they are allotted")


def _put_used(figures: _Figures, task_managers: list[TaskManagerLook], job: JobLook) -> None:
    for name, metric in TASK_MANAGER_GAUGES.items():
        values = [_gauge(one, name, metric) for one in task_managers]
        figures.put(name, _weighted(task_managers, values, job), f"not all of its task managers tell {metric}")


def _gauge(one: TaskManagerLook, name: str, metric: str) -> float | None:
    """Return a gauge of a task manager; of a largest size that it does not tell, such as metaspace's, what it is given.

    Flink 1.18 shows -1 as the largest metaspace.
    """
    told = _at_least_zero(one.metrics.get(metric))
    if told is None and name == "metaspace_bytes":
        return one.settings.metaspace_bytes
    return told


def _put_times(
    figures: _Figures, before: ClusterLook, task_managers: list[TaskManagerLook], job: JobLook, elapsed_ms: float | None
) -> None:
    if elapsed_ms is None:
        why = _not_running(job)
        figures.missing |= {"cpu_cores_used": why, "gc_share": why, "gc_share_max": why}
        return
    cores: list[float | None] = []
    collecting: list[float | None] = []
    for one in task_managers:
        old = before.task_managers.get(one.task_manager_id)
        usable = old is not None and not (old.stale or one.stale)
        used_ns = _growth(old.metrics, one.metrics, CPU_TIME) if old and usable else None
        gc_ms = _gc_growth(old.metrics, one.metrics) if old and usable else None
        used = None if used_ns is None else used_ns / 1e6 / elapsed_ms
        cores.append(used if used is not None and used <= _MOST_CORES else None)
        collecting.append(None if gc_ms is None else min(gc_ms / elapsed_ms, 1.0))
    why = "not all of its task managers tell how much CPU time they have used since the sample before"
    figures.put("cpu_cores_used", _weighted(task_managers, cores, job), why)
    known = [share for share in collecting if share is not None]
    complete = known if len(known) == len(task_managers) and known else None
    why = "not all of its task managers tell their time in garbage collection since the sample before"
    figures.put("gc_share", sum(complete) / len(complete) if complete else None, why)
    figures.put("gc_share_max", max(complete) if complete else None, why)


def _gc_growth(old: Mapping[str, float], new: Mapping[str, float]) -> float | None:
    everything, *each = GC_TIMES
    if everything in new:
        return _growth(old, new, everything)
    grown = [_growth(old, new, name) for name in each if name in new]
    known = [value for value in grown if value is not None]
    return sum(known) if grown and len(known) == len(grown) else None


def _weighted(task_managers: list[TaskManagerLook], values: Iterable[float | None], job: JobLook) -> float | None:
    """Return a job's part of a figure of its task managers; None where one of them does not tell it."""
    total = 0.0
    for one, value in zip(task_managers, values, strict=True):
        if value is None:
            return None
        total += _part(one, job) * value
    return total if task_managers else None


# ------- the figures of its vertices, together
def _put_flow(figures: _Figures, job: JobLook, readings: list[VertexReading]) -> None:
    for name, of_vertex in (("busy_share_max", "busy_share_max"), ("back_pressured_share_max",) * 2):
        values = [r.figures[of_vertex] for r in readings if of_vertex in r.figures]
        figures.put(name, max(values, default=None), f"no vertex tells it: {_reasons(readings, of_vertex)}")
    sources = [(v, r) for v, r in zip(job.vertices, readings, strict=True) if not v.inputs]
    read = [r.read_per_second for _, r in sources]
    known = [value for value in read if value is not None]
    figures.put(
        "records_in_per_second",
        sum(known) if known and len(known) == len(read) else None,
        "not all of its sources tell how many records they have read",
    )
    _put_received(figures, job, readings)
    _put_lag(figures, job, readings)


def _put_received(figures: _Figures, job: JobLook, readings: list[VertexReading]) -> None:
    written = [r.written_per_second for r in readings if r.written_per_second is not None]
    if not written:
        sinks = sink_vertices(job.vertices)
        pairs = zip(job.vertices, readings, strict=True)
        ends = [reading.figures.get("records_in_per_second") for vertex, reading in pairs if vertex.vertex_id in sinks]
        written = [value for value in ends if value is not None]
        if len(written) < len(ends):
            written = []
    figures.put("records_out_per_second", sum(written) if written else None, "its sinks do not tell what they receive")


def _put_lag(figures: _Figures, job: JobLook, readings: list[VertexReading]) -> None:
    sources = [(v, r) for v, r in zip(job.vertices, readings, strict=True) if not v.inputs or r.pending is not None]
    silent = [v.name for v, r in sources if r.pending is None]
    pending = [r.pending for _, r in sources if r.pending is not None]
    why = f"{_named(silent)} tell no pendingRecords and no Kafka lag" if sources else "it has no sources"
    figures.put("pending_records", sum(pending) if pending else None, why)
    if pending and silent:
        figures.missing["pending_records"] = f"{_named(silent)} tell no pendingRecords and are not counted"
    lags = [r.event_time_lag_ms for r in readings if r.event_time_lag_ms is not None]
    why = "no source tells currentEmitEventTimeLag or currentFetchEventTimeLag"
    figures.put("event_time_lag_ms", max(lags, default=None), why)
    behind = [r.figures["watermark_lag_ms"] for r in readings if "watermark_lag_ms" in r.figures]
    figures.put("watermark_lag_ms", max(behind, default=None), "no vertex shows a watermark")


def _reasons(readings: list[VertexReading], name: str) -> str:
    return next((r.missing[name] for r in readings if name in r.missing), "it has no vertices")


def _named(names: list[str]) -> str:
    shown = ", ".join(repr(name[:60]) for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")


# ------- numbers
def _growth(old: Mapping[str, float], new: Mapping[str, float], name: str) -> float | None:
    """Return by how much a counter has grown; None where one of the values is not known, or it went back."""
    if name not in old or name not in new or new[name] < old[name]:
        return None
    return new[name] - old[name]


def _at_least_zero(value: float | None) -> float | None:
    return value if value is not None and value >= 0 else None


def _sum_of(*parts: int | None) -> float | None:
    known = [part for part in parts if part is not None]
    return float(sum(known)) if len(known) == len(parts) else None
