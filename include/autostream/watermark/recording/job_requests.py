"""One look at a Flink job: the requests that a recorder's watches want answered, each of them made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autostream import times
from autostream.flink.iceberg_sinks import SinkWriter
from autostream.flink.progress import (
    Life,
    TaskMetrics,
    largest_checkpoint_id,
    metric_names,
    read_life,
    read_metrics,
    read_vertices,
)
from autostream.flink.rest import FlinkRest
from autostream.times import FOREVER_MS
from autostream.watermark.recording.commit_proof import Question, RequestTime
from autostream.watermark.recording.sink_targets import find_writers


@dataclass(frozen=True)
class JobAnswers:
    """What a job has shown.

    Attributes:
        gone: the cluster does not know the job.
        life: its life and when it was asked for, where that was wanted.
        metrics: of each sink for which they were wanted, what each of its writers' tasks shows.
        largest_checkpoint_id: likewise.
    """

    gone: bool = False
    life: tuple[Life, RequestTime] | None = None
    metrics: Mapping[int, tuple[Mapping[str, TaskMetrics], RequestTime]] = field(default_factory=dict)
    largest_checkpoint_id: tuple[int, RequestTime] | None = None


def ask_job(
    rest: FlinkRest,
    job_id: str,
    wanted: Question,
    sinks: Mapping[int, Sequence[SinkWriter]],
    known: Life | None,
) -> JobAnswers:
    """Ask a job for what is wanted.

    Args:
        rest: its cluster.
        job_id: its id.
        wanted: which questions to ask.
        sinks: the writers of each sink whose metrics are wanted, by a number of the caller's.
        known: the job's life as last seen, which says what tasks there are; METRICS need it.

    Raises:
        ServiceError: the cluster cannot be reached, or answers what is not understood.
    """
    life = checkpoints = None
    if Question.LIFE in wanted:
        at = times.monotonic()
        seen = read_life(rest, job_id)
        if seen is None:
            return JobAnswers(gone=True)
        known, life = seen, (seen, RequestTime(at, times.monotonic()))
    metrics = {}
    if Question.METRICS in wanted and known is not None:
        for number, writers in sinks.items():
            at = times.monotonic()
            shown: dict[str, TaskMetrics] = {}
            for writer in writers:
                shown |= _tasks(rest, job_id, writer, known)
            metrics[number] = (shown, RequestTime(at, times.monotonic()))
    if Question.CHECKPOINTS in wanted:
        at = times.monotonic()
        largest = largest_checkpoint_id(rest, job_id)
        if largest is None:
            return JobAnswers(gone=True)
        checkpoints = (largest, RequestTime(at, times.monotonic()))
    return JobAnswers(False, life, metrics, checkpoints)


def discover_writers(rest: FlinkRest, job_id: str) -> list[SinkWriter]:
    """Return the writers of a job's Iceberg sinks: 1 request, and one a vertex. At first a job may show none."""
    vertices = read_vertices(rest, job_id)
    return find_writers(vertices, {v.vertex_id: metric_names(rest, job_id, v.vertex_id) for v in vertices})


def _tasks(rest: FlinkRest, job_id: str, writer: SinkWriter, life: Life) -> dict[str, TaskMetrics]:
    statuses = life.statuses.get(writer.vertex_id, ())
    running = [number for number, status in enumerate(statuses) if status != "FINISHED"]
    shown = read_metrics(rest, job_id, writer.vertex_id, writer.operator, running) if running else {}
    over = TaskMetrics(FOREVER_MS, None, over=True)
    return {f"{writer.vertex_id}/{writer.operator}/{n}": shown.get(n, over) for n in range(len(statuses))}
