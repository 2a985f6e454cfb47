"""Which operators of a job write to Iceberg tables, by the names that Iceberg's sinks give them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol

# FlinkSink's writer, with its uidPrefix if it has one, and what a sink of Flink's newer interface is called.
_WRITERS: Final = re.compile(r"IcebergStreamWriter$|(: |__)Writer$")
# FlinkSink ends in a sink that discards everything, which Flink calls a writer, too.
_DISCARDS: Final = re.compile(r"(^|-)IcebergSink[ _]")
_MOST_CHARACTERS: Final = 80  # of an operator's name in the names of its metrics


class PlanVertex(Protocol):
    """A vertex of a job's plan."""

    @property
    def vertex_id(self) -> str:
        """Its id."""
        ...

    @property
    def name(self) -> str:
        """The names of its operators, chained by `->`."""
        ...

    @property
    def exchanges(self) -> tuple[tuple[str, str], ...]:
        """Ids of the vertices that it gets its rows from, and how these are handed on: `HASH`, `FORWARD`."""
        ...


@dataclass(frozen=True)
class SinkWriter:
    """The operator of an Iceberg sink that writes files.

    Attributes:
        vertex_id: the vertex that it is in.
        operator: its name as metrics have it.
        parallelism: how many subtasks it has.
        text: its name, and those of what it hands its files to, as they are in the job's graph.
    """

    vertex_id: str
    operator: str
    parallelism: int
    text: str


def is_sink_writer(operator: str) -> bool:
    """Say whether an operator writes files of an Iceberg sink, by its name in the plan or in metrics."""
    return bool(_WRITERS.search(operator)) and not _DISCARDS.search(operator)


def operators_of(vertex_name: str) -> list[str]:
    """Return the operators chained in a vertex, of a name like `Source: rows -> (a: Writer, b: Writer)`."""
    return [name.strip() for name in re.split(r" -> |, |[()]", vertex_name) if name.strip()]


def as_metric(operator: str) -> str:
    """Return how metrics call an operator."""
    return re.sub(r"[ .:,]", "_", operator[:_MOST_CHARACTERS])
