"""What a cluster tells of one job while it runs, read by REST: the input of all that is concluded from it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Final
from urllib.parse import quote

from autostream.backoff import Backoff
from autostream.diagnosis.checkpoint_anatomy import (
    CheckpointAnatomy,
    CheckpointInHistory,
    SubtaskCheckpoint,
    VertexCheckpoint,
    worth_a_look,
)
from autostream.diagnosis.failures import Failure
from autostream.diagnosis.flame_graph import Flame
from autostream.diagnosis.log_errors import LogReport, read_log
from autostream.diagnosis.threads import ThreadReport, read_dump
from autostream.diagnosis.vertex_times import SubtaskTimes, VertexTimes
from autostream.diagnosis.watermark_holders import SourceSubtask, WatermarkReport, find_holders, watermark_of
from autostream.errors import NotFoundError, NotReadyError
from autostream.flink import models
from autostream.flink.metric_values import number_of
from autostream.flink.metrics import metric_ids, read_values
from autostream.flink.rest import FlinkRest
from autostream.sizes import MIB

JOB_MANAGER: Final = "job manager"
LOG_BYTES: Final = MIB
"""How much of the end of a log is looked at."""
LARGEST_LOG_BYTES: Final = 128 * MIB
"""Flink sends logs as a whole; larger ones are not asked for."""

_MOST_FAILURES: Final = 100
_OUTPUT_WATERMARK: Final = re.compile(r"(?P<subtask>\d+)\..+\.currentOutputWatermark")
_SPLIT_IDLE: Final = re.compile(r"(?P<subtask>\d+)\..+\.watermark\.idleTimeMsPerSecond")
_IDLE_MS: Final = 999.0
# The first answer starts the sampling: 50 ms and more for each of 100 samples.
_FLAMES_BACKOFF: Final = Backoff(first_seconds=0.5, cap_seconds=5.0)
_FLAMES_SECONDS: Final = 45.0
_FLAMES_TRIES: Final = 60


def read_vertex_times(rest: FlinkRest, job_id: str, job: models.JobDetail) -> tuple[VertexTimes, ...]:
    """Return a job's vertices and how their subtasks spend their time: two requests a vertex."""
    inputs = {node.id: node.inputs for node in job.plan.nodes}
    found = []
    for vertex in job.vertices:
        path = f"/jobs/{job_id}/vertices/{vertex.id}"
        edges = tuple((edge.id, edge.ship_strategy) for edge in inputs.get(vertex.id, ()))
        detail = rest.read(path, models.VertexDetail)
        pressure = rest.read(f"{path}/backpressure", models.BackPressure)
        shares = {one.index: one for one in pressure.subtasks} if pressure else {}
        subtasks = [
            _subtask(one, shares.get(one.index), source=not edges) for one in (detail.subtasks if detail else ())
        ]
        found.append(
            VertexTimes(
                vertex_id=vertex.id,
                name=vertex.name,
                parallelism=vertex.parallelism,
                max_parallelism=vertex.max_parallelism if vertex.max_parallelism > 0 else None,
                inputs=edges,
                subtasks=tuple(subtasks),
            )
        )
    return tuple(found)


def _subtask(one: models.Subtask, shares: models.SubtaskPressure | None, *, source: bool) -> SubtaskTimes:
    placed = one.task_manager_id and one.task_manager_id != models.UNASSIGNED
    return SubtaskTimes(
        index=one.index,
        busy=number_of(shares.busy) if shares else None,
        back_pressured=number_of(shares.back_pressured) if shares else None,
        idle=number_of(shares.idle) if shares else None,
        # Sources do not count what they read: what they send is all that is known of them.
        records=one.totals.written_records if source else one.totals.read_records,
        task_manager_id=one.task_manager_id if placed else "",
    )


def read_failures(rest: FlinkRest, job_id: str) -> list[Failure]:
    """Return the failures of a job that its cluster remembers, those of several tasks at once one by one."""
    path = f"/jobs/{job_id}/exceptions"
    answer = rest.read(path, models.JobExceptions, {"maxExceptions": str(_MOST_FAILURES)})
    entries = answer.history.entries if answer else ()
    return [
        Failure(
            at_ms=entry.at_ms,
            stack_trace=one.stack_trace or one.name,
            task=one.task,
            place=one.task_manager_id or one.endpoint,
        )
        for entry in entries
        for one in (entry, *entry.concurrent)
        if one.stack_trace or one.name
    ]


def read_checkpoint(
    rest: FlinkRest, job_id: str, vertices: Sequence[VertexTimes], *, checkpoint_id: int | None = None
) -> CheckpointAnatomy | None:
    """Return one checkpoint, taken apart: the one of that id, else the one that tells most; None where there is none.

    Raises:
        NotFoundError: There is no checkpoint of that id any more.
    """
    path = f"/jobs/{job_id}/checkpoints"
    if checkpoint_id is None:
        page = rest.read(path, models.Checkpoints)
        history = [CheckpointInHistory(one.id, one.status, one.duration_ms) for one in (page.history if page else ())]
        chosen = worth_a_look(history)
        if chosen is None:
            return None
        checkpoint_id = chosen.checkpoint_id
    detail = rest.read(f"{path}/details/{checkpoint_id}", models.CheckpointDetail)
    if detail is None:
        raise NotFoundError(
            f"The job has no checkpoint {checkpoint_id} (any more): its cluster remembers only the last ones. Leave "
            "the id out to look at the one that tells most."
        )
    parts = []
    for vertex in vertices:
        if vertex.vertex_id not in detail.tasks:
            continue
        page_of = f"{path}/details/{checkpoint_id}/subtasks/{vertex.vertex_id}"
        answer = rest.read(page_of, models.CheckpointSubtasks)
        subtasks = tuple(map(_checkpoint_of, answer.subtasks)) if answer else ()
        parts.append(VertexCheckpoint(vertex.vertex_id, vertex.name, subtasks))
    return CheckpointAnatomy(
        checkpoint_id=checkpoint_id,
        status=detail.status,
        duration_ms=detail.duration_ms,
        state_size_bytes=detail.state_size_bytes,
        failure=detail.failure_message or "",
        vertices=tuple(parts),
    )


def _checkpoint_of(one: models.CheckpointOfSubtask) -> SubtaskCheckpoint:
    return SubtaskCheckpoint(
        index=one.index,
        acknowledged=one.status.lower() == "completed",
        duration_ms=one.duration_ms,
        start_delay_ms=one.start_delay_ms,
        alignment_ms=one.alignment.duration_ms,
        synchronous_ms=one.snapshot.synchronous_ms,
        asynchronous_ms=one.snapshot.asynchronous_ms,
        state_size_bytes=one.state_size_bytes,
        unaligned=one.unaligned,
    )


def read_watermarks(rest: FlinkRest, job_id: str, vertices: Sequence[VertexTimes], *, now_ms: int) -> WatermarkReport:
    """Return who holds a job's watermark: a request a vertex, a few more for each source."""
    path = f"/jobs/{job_id}/vertices"
    sources: list[SourceSubtask] = []
    inputs: dict[str, int | None] = {}
    fed: dict[str, int | None] = {}
    for vertex in vertices:
        if not vertex.inputs:
            sources += _source_watermarks(rest, f"{path}/{vertex.vertex_id}/metrics", vertex)
            continue
        shown = rest.read(f"{path}/{vertex.vertex_id}/watermarks", list[models.Metric]) or []
        numbers = [number for metric in shown if (number := number_of(metric.value)) is not None]
        if not numbers:
            continue
        least = watermark_of(min(numbers))
        inputs[vertex.name] = least
        # Only where each subtask is fed by all subtasks of the source does its watermark tell of all of these.
        for source, exchange in vertex.inputs:
            if exchange in ("HASH", "REBALANCE", "BROADCAST") and len(vertex.inputs) == 1:
                fed[source] = least
    return find_holders(sources, inputs, fed=fed, now_ms=now_ms)


def _source_watermarks(rest: FlinkRest, path: str, vertex: VertexTimes) -> Iterable[SourceSubtask]:
    ids = metric_ids(rest, path)
    wanted = sorted(i for i in ids if _OUTPUT_WATERMARK.fullmatch(i) or _SPLIT_IDLE.fullmatch(i))
    values = read_values(rest, path, wanted)
    # A watermark may be made anywhere in the chain: the furthest is the one that is sent on.
    watermarks: dict[int, float] = {}
    idle: defaultdict[int, list[bool]] = defaultdict(list)
    for name, value in values.items():
        if match := _OUTPUT_WATERMARK.fullmatch(name):
            subtask = int(match["subtask"])
            watermarks[subtask] = max(value, watermarks.get(subtask, value))
        elif match := _SPLIT_IDLE.fullmatch(name):
            idle[int(match["subtask"])].append(value >= _IDLE_MS)
    for subtask, number in sorted(watermarks.items()):
        told = all(idle[subtask]) if idle.get(subtask) else None
        yield SourceSubtask(vertex.vertex_id, vertex.name, subtask, watermark_of(number), told or None)


def read_threads(rest: FlinkRest, process: str, vertices: Collection[str]) -> ThreadReport:
    """Return the threads of a task manager, or of the job manager.

    Raises:
        NotFoundError: It has gone.
    """
    path = f"{_path_of(process)}/thread-dump"
    dump = rest.read(path, models.ThreadDump)
    if dump is None:
        raise NotFoundError(f"{process} has gone, or does not tell its threads ({rest.url}{path} is not there).")
    return read_dump(process, [thread.text for thread in dump.threads], vertices=tuple(vertices))


def read_log_of(rest: FlinkRest, process: str) -> LogReport:
    """Return what the end of a log tells, of a task manager or of the job manager.

    Raises:
        NotFoundError: It has gone, or writes no log file.
        ServiceError: The log is too large, or cannot be read.
    """
    path = f"{_path_of(process)}/log"
    tail = rest.tail(path, keep_bytes=LOG_BYTES, most_bytes=LARGEST_LOG_BYTES)
    if tail is None:
        raise NotFoundError(
            f"{process} has gone, or writes no log file that Flink knows of ({rest.url}{path} is not there). On "
            "Kubernetes logs may go to the console alone."
        )
    return read_log(process, tail.content, whole=tail.whole)


def _path_of(process: str) -> str:
    return "/jobmanager" if process == JOB_MANAGER else f"/taskmanagers/{quote(process, safe='')}"


def read_flames(rest: FlinkRest, job_id: str, vertex: VertexTimes, *, kind: str) -> tuple[int, Flame]:
    """Return when a vertex's tasks were sampled last, and where they were. The first question starts the sampling.

    Raises:
        NotReadyError: The cluster makes no flame graphs, the vertex does not run, or its samples took too long.
    """
    path = f"/jobs/{job_id}/vertices/{vertex.vertex_id}/flamegraph"
    for _ in _FLAMES_BACKOFF.attempts(retries=_FLAMES_TRIES, budget_seconds=_FLAMES_SECONDS):
        answer = rest.read(path, models.FlameSamples, {"type": kind})
        if answer is None or answer.ended_ms == models.FLAME_GRAPHS_OFF:
            raise NotReadyError(
                f"{rest.name} makes no flame graphs: set rest.flamegraph.enabled: true in its configuration and "
                "restart its job manager. Sampling costs little, but Flink leaves it off by default."
            )
        if answer.ended_ms == models.TERMINATED:
            raise NotReadyError(f"{vertex.title} does not run, so there is nothing to sample. Try again when it does.")
        if answer.data is not None and answer.ended_ms >= 0:
            return answer.ended_ms, as_flame(answer.data)
    raise NotReadyError(
        f"{rest.name} had no samples of {vertex.title} within {_FLAMES_SECONDS:g} s. Try again; sampling takes as long "
        "as rest.flamegraph.num-samples and rest.flamegraph.delay-between-samples say."
    )


def as_flame(node: models.FlameNode) -> Flame:
    """Return samples as Flink tells them."""
    return Flame(node.name, node.value, tuple(map(as_flame, node.children)))
