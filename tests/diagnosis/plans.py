"""Vertices of jobs, made by hand."""

from collections.abc import Sequence

from autostream.diagnosis.vertex_times import SubtaskTimes, VertexTimes


def vertex(
    name: str,
    *inputs: str,
    busy: float | Sequence[float] | None = 0.1,
    waits: float | None = 0.0,
    records: Sequence[int] = (),
    exchange: str = "HASH",
    max_parallelism: int | None = 128,
) -> VertexTimes:
    """Return a vertex whose id is its name."""
    given = list(busy) if isinstance(busy, Sequence) else [busy] * max(len(records), 1)
    subtasks = [
        SubtaskTimes(
            index,
            busy=one,
            back_pressured=waits,
            idle=None if one is None else 1 - one,
            records=records[index] if records else None,
            task_manager_id=f"tm-{index}",
        )
        for index, one in enumerate(given)
    ]
    return VertexTimes(
        vertex_id=name,
        name=name,
        parallelism=len(subtasks),
        max_parallelism=max_parallelism,
        inputs=tuple((one, exchange) for one in inputs),
        subtasks=tuple(subtasks),
    )
