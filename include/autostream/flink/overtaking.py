"""Whether checkpoints of a job can overtake the files on their way from a sink's writer to its committer. Pure.

A commit of a checkpoint has the rows that the writer had received before it only if the committer has been handed all
of their files by then. With aligned checkpoints it has. The barriers of unaligned ones overtake what is queued in an
exchange: then FlinkSink commits some files with a later checkpoint, or loses them, where a checkpoint fails or the job
restarts in between (Iceberg issue 15846). So nothing that is seen later proves that they are there. With an aligned
checkpoint timeout, each checkpoint may turn into an unaligned one.

Nothing is overtaken where there is no exchange, as the committer is chained to the writer; or where the exchange is one
of those that Flink keeps aligned: forward, rescale and broadcast, and all between the operators of IcebergSink since
Flink 1.20.1 (FLINK-36287).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol

from autostream.flink.iceberg_sinks import PlanVertex, SinkWriter, as_metric, operators_of

_ICEBERG_SINK: Final = re.compile(r"(: |__)Writer$")
_FLINK_SINK: Final = re.compile(r"IcebergStreamWriter$")
_ITS_COMMITTER: Final = re.compile(r"IcebergFilesCommitter$")
_KEPT_ALIGNED: Final = frozenset({"FORWARD", "RESCALE", "BROADCAST"})
# The first versions that keep them aligned, as far as that was looked up.
_SINCE_EXCHANGES: Final = (1, 16, 0)
_SINCE_ICEBERG_SINK: Final = (1, 20, 1)
_VERSION: Final = re.compile(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})")
_WAY_ROUND: Final = "Switch execution.checkpointing.unaligned.enabled off, or use"


class CheckpointedPlan(Protocol):
    """A job's plan, and how its checkpoints are made."""

    @property
    def vertices(self) -> Sequence[PlanVertex]:
        """What it is made of."""
        ...

    @property
    def unaligned(self) -> bool | None:
        """Whether its checkpoints can be unaligned; None where Flink does not say."""
        ...

    @property
    def flink_version(self) -> str:
        """Version of its job manager; empty where that is not known."""
        ...


def why_overtaken(life: CheckpointedPlan, writers: Sequence[SinkWriter]) -> str | None:
    """Say why commits of a sink do not prove that files are there; empty where they do.

    Args:
        life: the job's plan.
        writers: the operators of the sink.

    Returns:
        None where the job does not have these writers: it is not the one that they were found in.
    """
    vertices = {vertex.vertex_id: vertex for vertex in life.vertices}
    if any(writer.vertex_id not in vertices for writer in writers):
        return None
    if life.unaligned is False:
        return ""
    may_be = "may be unaligned" if life.unaligned else "may be unaligned (Flink does not say that they are not)"
    version = _version(life.flink_version)
    for writer in writers:
        if _is_iceberg_sink(writer, vertices[writer.vertex_id]):
            if version < _SINCE_ICEBERG_SINK:
                return (
                    f"its checkpoints {may_be}, and overtake files of an IcebergSink in Flink before 1.20.1 (it is "
                    f"{life.flink_version or 'not known'}), which commits them late. {_WAY_ROUND} a later one"
                )
        elif _leaves_files_behind(vertices[writer.vertex_id], life.vertices, version):
            return (
                f"its checkpoints {may_be}, and overtake files of a FlinkSink, which commits them late or loses them. "
                f"{_WAY_ROUND} IcebergSink (in SQL: table.exec.iceberg.use-v2-sink)"
            )
    return ""


def _is_iceberg_sink(writer: SinkWriter, vertex: PlanVertex) -> bool:
    """Say whether a writer is that of an IcebergSink, by its name in the graph: in metrics, long names are cut."""
    names = [name for name in operators_of(vertex.name) if as_metric(name) == writer.operator]
    return all(_ICEBERG_SINK.search(name) for name in names or [writer.operator])


def _leaves_files_behind(vertex: PlanVertex, vertices: Sequence[PlanVertex], version: tuple[int, ...]) -> bool:
    """Say whether barriers may overtake files between the FlinkSink writers of a vertex and their committers."""
    names = operators_of(vertex.name)
    chained = sum(bool(_ITS_COMMITTER.search(name)) for name in names)
    if chained and chained >= sum(bool(_FLINK_SINK.search(name)) for name in names):
        return False
    exchanges = [
        strategy
        for other in vertices
        if any(_ITS_COMMITTER.search(name) for name in operators_of(other.name))
        for source, strategy in other.exchanges
        if source == vertex.vertex_id
    ]
    return version < _SINCE_EXCHANGES or not exchanges or not _KEPT_ALIGNED.issuperset(exchanges)


def _version(text: str) -> tuple[int, ...]:
    """Return a version as numbers: of a release in full, as others may be from before it; else the lowest there is."""
    match = _VERSION.match(text)
    return tuple(map(int, match.groups())) if match and "preview" not in text and "SNAPSHOT" not in text else (0, 0, 0)
