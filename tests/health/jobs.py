"""Jobs to be judged: by default one of two subtasks that is well, on two task managers of its own."""

from __future__ import annotations

from typing import Any

from autostream.flink.job_settings import JobSettings, TaskManagerSettings, VertexSettings
from autostream.health.job_facts import NO_FACTS, JobFacts
from autostream.health.job_health import JobHealth, judge_job
from autostream.names import JobName
from autostream.sizes import GIB, MIB
from autostream.telemetry.job_records import JobRecord
from autostream.telemetry.samples import JobSample, VertexSample
from autostream.telemetry.windows import JobWindow, window_of

JOB = JobName("prod", "orders-enrich")
MINUTE_MS = 60_000
START_MS = 1_795_399_200_000

WELL: dict[str, float] = {
    "cpu_cores_used": 1.0,
    "cpu_cores": 2.0,
    "heap_used_bytes": 1400 * MIB,
    "heap_bytes": 2 * GIB,
    "managed_used_bytes": 0,
    "managed_bytes": 0,
    "metaspace_used_bytes": 200 * MIB,
    "metaspace_bytes": 512 * MIB,
    "memory_bytes": 4 * GIB,
    "gc_share": 0.06,
    "task_managers": 2,
    "slots": 2,
    "slots_used": 2,
    "busy_share_max": 0.6,
    "back_pressured_share_max": 0.0,
    "records_in_per_second": 1000.0,
    "pending_records": 500.0,
    "checkpoint_age_ms": 30_000,
    "checkpoints_completed": 1,
    "checkpoints_failed": 0,
    "restarts": 0,
}


def vertex(name: str = "map", **figures: float) -> VertexSample:
    """A vertex with two subtasks that are both busy for 0.6 of the time."""
    usual = {"parallelism": 2.0, "busy_share": 0.6, "busy_share_max": 0.6}
    if "busy_share" in figures and "busy_share_max" not in figures:
        figures["busy_share_max"] = figures["busy_share"]
    return VertexSample(name, name, usual | figures)


def settings(parallelism: int = 2, **changes: Any) -> JobSettings:
    """How a job is set up on Kubernetes, one core and one slot a task manager."""
    usual: dict[str, Any] = {
        "deployment": "kubernetes",
        "checkpointing": True,
        "checkpoint_interval_ms": 60_000,
        "checkpoints_retained": True,
        "unaligned_checkpoints": False,
        "state_backend": "hashmap",
        "vertices": (VertexSettings(vertex_id="map", name="map", parallelism=parallelism, max_parallelism=128),),
        "task_manager": TaskManagerSettings(cpu_cores=1.0, slots=1),
    }
    return JobSettings(**(usual | changes))


def window(
    *vertices: VertexSample,
    minutes: int = 10,
    state: str = "RUNNING",
    shared: bool = False,
    growing: dict[str, float] | None = None,
    without: tuple[str, ...] = (),
    missing: dict[str, str] | None = None,
    **figures: float,
) -> JobWindow:
    """What samples of so many minutes come to; `growing`: by how much a figure grows a minute."""
    values = {name: value for name, value in (WELL | figures).items() if name not in without}
    samples = [
        JobSample(
            JOB,
            "a1",
            START_MS + (minute - 1) * MINUTE_MS,
            START_MS + minute * MINUTE_MS,
            state,
            shared,
            values | {name: values.get(name, 0.0) + by * minute for name, by in (growing or {}).items()},
            missing or {},
            vertices or (vertex(),),
        )
        for minute in range(1, minutes + 1)
    ]
    found = window_of(samples)
    assert found is not None
    return found


def record(state: str = "RUNNING", **changes: Any) -> JobRecord:
    """The job of team trade."""
    its = changes.pop("settings", None) or settings(**changes)
    return JobRecord(JOB, "a1", state, "trade", "li", START_MS, START_MS, its)


def health(
    seen: JobWindow | None = None, known: JobRecord | None = None, facts: JobFacts = NO_FACTS, **more: Any
) -> JobHealth:
    """How the job is right after the last sample."""
    seen = window() if seen is None else seen
    return judge_job(known or record(), seen, now_ms=seen.to_ms, window_seconds=600, facts=facts, **more)


def ids(judged: JobHealth) -> list[str]:
    """The ids of its findings."""
    return [finding.id for finding in judged.findings]
