"""The vertices of a job and how their subtasks spend their time: what other parts conclude from. Pure values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from autostream.spelling import shortened


@dataclass(frozen=True)
class SubtaskTimes:
    """One subtask. None: Flink does not tell.

    Attributes:
        index: Which one, from 0.
        busy: Share of its time that it works, from 0 to 1, in the last seconds.
        back_pressured: Share of its time that it waits for those that take its records.
        idle: Share of its time that it has nothing to do.
        records: Records that it has received since it began; of a source, those that it has sent.
        task_manager_id: Where it runs; empty where it runs nowhere.
    """

    index: int
    busy: float | None = None
    back_pressured: float | None = None
    idle: float | None = None
    records: int | None = None
    task_manager_id: str = ""


@dataclass(frozen=True)
class VertexTimes:
    """One vertex.

    Attributes:
        vertex_id: Its id.
        name: The names of its operators.
        parallelism: How many subtasks it has.
        max_parallelism: Into how many key groups its state is cut; None where Flink does not tell.
        inputs: Ids of the vertices that it gets its rows from, with how these are handed on: `HASH`, `FORWARD`.
        subtasks: Those of which something is known.
    """

    vertex_id: str
    name: str
    parallelism: int
    max_parallelism: int | None = None
    inputs: tuple[tuple[str, str], ...] = ()
    subtasks: tuple[SubtaskTimes, ...] = ()

    @property
    def title(self) -> str:
        """Its name, as sentences have it."""
        return shortened(self.name)

    @property
    def busiest(self) -> float | None:
        """How busy the busiest subtask is."""
        return max(_known(subtask.busy for subtask in self.subtasks), default=None)

    @property
    def most_back_pressured(self) -> float | None:
        """How back-pressured the subtask is that is most."""
        return max(_known(subtask.back_pressured for subtask in self.subtasks), default=None)

    @property
    def mean_busy(self) -> float | None:
        """How busy its subtasks are in the mean."""
        known = _known(subtask.busy for subtask in self.subtasks)
        return sum(known) / len(known) if known else None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "vertex_id": self.vertex_id,
            "name": self.name,
            "parallelism": self.parallelism,
            "busy_max": self.busiest,
            "busy_mean": self.mean_busy,
            "back_pressured_max": self.most_back_pressured,
            "subtasks": [vars(subtask) for subtask in self.subtasks],
        }


def percent(share: float | None) -> str:
    """Return a share as people read it."""
    return "unknown" if share is None else f"{share:.0%}"


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]
