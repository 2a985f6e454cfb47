"""Ladders: how much a measured value costs a job of its 100 points. Pure.

A ladder has thresholds, its rungs. A value costs the weight of its ladder, by the share of rungs that it has reached.
Ladders of four rungs, and those for garbage collection and memory, follow Dr. Elephant of LinkedIn; that the score is
100 less deductions, and the bounds for CPU, follow the rules of Alibaba Cloud's DAS.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from autostream.errors import ConfigurationError
from autostream.spelling import one_of

if TYPE_CHECKING:
    from autostream.config.sections.health import LadderRule


@dataclass(frozen=True)
class Ladder:
    """What a value costs.

    Attributes:
        name: What is measured, such as `gc-high`.
        meaning: The same in words, with its unit.
        rungs: Thresholds, from the harmless end: they rise where more is worse, and fall where less is worse.
        weight: The points that a value beyond the last rung costs; 0 switches the ladder off.
        falling: Whether less is worse.
        source: Where the rungs are from.
    """

    name: str
    meaning: str
    rungs: tuple[float, ...]
    weight: float
    falling: bool = False
    source: str = "autostream"

    def level(self, value: float) -> float:
        """Return the share of rungs that a value has reached, from 0 to 1."""
        reached = sum(value <= rung if self.falling else value >= rung for rung in self.rungs)
        return reached / len(self.rungs)

    def cost(self, value: float) -> float:
        """Return the points that a value costs."""
        return self.weight * self.level(value)


_FLINK: Final = "Flink's web interface, which calls more than half of the time high"
_DR_ELEPHANT: Final = "Dr. Elephant"
_DAS: Final = "Alibaba Cloud DAS"

_LADDERS: Final = (
    Ladder("busy", "busy time of the busiest subtask", (0.8, 0.9, 0.95, 0.99), 20, source="Flink's autoscaler, 0.7"),
    Ladder(
        "back-pressure", "back-pressured time of the subtask that waits most", (0.3, 0.5, 0.7, 0.9), 8, source=_FLINK
    ),
    Ladder("skew", "most over mean, of records or busy time of a vertex's subtasks", (1.5, 2.0, 3.0, 4.0), 16),
    Ladder("lag", "how far sources are behind, in seconds", (300, 900, 1800, 3600), 16, source="Netflix: 5 minutes"),
    Ladder("lag-growth", "growth of the lag over what is read meanwhile", (0.05, 0.1, 0.25, 0.5), 24),
    Ladder("cpu-high", "cores used over cores allotted", (0.8, 0.85, 0.9, 0.95), 16, source=_DAS),
    Ladder("gc-high", "time in garbage collection", (0.08, 0.1, 0.15, 0.2), 24, source=_DR_ELEPHANT),
    Ladder("heap-full", "the least heap in use over its size", (0.85, 0.9, 0.95, 0.98), 16, source=_DAS),
    Ladder("metaspace-full", "metaspace in use over its size", (0.9, 0.94, 0.97, 0.99), 8),
    Ladder("direct-full", "direct memory in use over its size", (0.95, 0.97, 0.98, 0.99), 8),
    Ladder("container", "process memory over the limit of the container", (1.001, 1.02, 1.05, 1.1), 12),
    Ladder("restarts", "restarts within the window", (1, 2, 3, 5), 40),
    Ladder("failed", "whether it has failed for good", (1,), 100),
    Ladder("failed-checkpoints", "failed over all checkpoints", (0.1, 0.25, 0.5, 0.9), 24),
    Ladder("checkpoint-age", "age of the last good checkpoint, in intervals of checkpoints", (3, 5, 10, 20), 20),
    Ladder("no-input", "minutes without a record", (5, 30, 60, 180), 8),
    Ladder("watermark-stalled", "minutes that a watermark which does not move is behind", (5, 15, 30, 60), 16),
    Ladder("watermark-missing", "whether what it computes needs a watermark that is not there", (1,), 8),
    Ladder("busy-low", "busy time of the busiest subtask", (0.35, 0.25, 0.15, 0.1), 16, falling=True),
    Ladder("cpu-low", "cores used over cores allotted", (0.3, 0.2, 0.15, 0.1), 12, falling=True),
    Ladder(
        "memory-low", "heap and managed memory in use over their size", (0.6, 0.5, 0.4, 0.3), 12, True, _DR_ELEPHANT
    ),
    Ladder("gc-low", "time in garbage collection", (0.05, 0.04, 0.03, 0.01), 4, True, _DR_ELEPHANT),
    Ladder("idle-slots", "idle slots over all of its task managers' slots", (0.2, 0.35, 0.5, 0.75), 12),
    Ladder("configuration", "each trap in its configuration", (1,), 4),
)

LADDERS: Final[Mapping[str, Ladder]] = MappingProxyType({ladder.name: ladder for ladder in _LADDERS})
"""The ladders that hold where nothing else is configured, by name."""


def configured_ladders(rules: Iterable[LadderRule]) -> Mapping[str, Ladder]:
    """Return all ladders, with what `[[health.ladders]]` says of some of them.

    Raises:
        ConfigurationError: There is no such ladder, or its rungs do not go one way.
    """
    ladders = dict(LADDERS)
    for rule in rules:
        if rule.name not in ladders:
            raise ConfigurationError(
                f"[[health.ladders]] has name = {rule.name!r}, which is not a ladder. "
                + one_of(rule.name, ladders, "Ladders")
            )
        ladder = ladders[rule.name]
        rungs = rule.rungs or ladder.rungs
        if list(rungs) != sorted(set(rungs), reverse=ladder.falling):
            way = "fall: less is worse" if ladder.falling else "rise: more is worse"
            raise ConfigurationError(
                f"[[health.ladders]] of {rule.name!r} has rungs = {list(rungs)}. They have to {way}."
            )
        ladders[rule.name] = replace(ladder, rungs=rungs, weight=rule.weight)
    return ladders
