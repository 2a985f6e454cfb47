"""Traps in how a job is set up, which cost nothing until something happens. Pure. What is not known is not a trap."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from autostream.flink.iceberg_sinks import SinkWriter, as_metric, is_sink_writer, operators_of
from autostream.flink.job_settings import JobSettings
from autostream.flink.overtaking import why_overtaken
from autostream.health.job_facts import JobFacts
from autostream.health.job_view import JobView

_NO_RESTART: Final = re.compile(r"\W*(no\W?restart.*|none|disable|off)", re.IGNORECASE)
_MOST_NAMES: Final = 5


@dataclass(frozen=True)
class ConfigurationTrap:
    """One trap.

    Attributes:
        name: The rest of the finding's id.
        reason: What is wrong, in sentences.
        remedy: What to do about it, in sentences.
        figures: The numbers of it.
    """

    name: str
    reason: str
    remedy: str
    figures: Mapping[str, float] = field(default_factory=dict)


def traps_of(view: JobView) -> tuple[ConfigurationTrap, ...]:
    """Return the traps that a job is set up with."""
    settings, facts = view.record.settings, view.facts
    return (
        *_of_checkpoints(settings, view.value("checkpoint_duration_ms")),
        *_of_restarts(settings),
        *_of_max_parallelism(settings),
        *_of_sinks(settings),
        *_of_facts(facts),
    )


def _of_checkpoints(settings: JobSettings, duration_ms: float | None) -> Iterator[ConfigurationTrap]:
    interval_ms = settings.checkpoint_interval_ms
    if settings.checkpointing is False:
        yield ConfigurationTrap(
            "no-checkpoints",
            "It makes no checkpoints: a restart begins from nothing, and sinks that commit with checkpoints never do.",
            "Set execution.checkpointing.interval, such as 60 s.",
        )
        return
    if settings.checkpoints_retained is False:
        yield ConfigurationTrap(
            "checkpoints-not-retained",
            "Its last checkpoint is deleted when it is cancelled: then there is nothing to start again from.",
            "Set execution.checkpointing.externalized-checkpoint-retention to RETAIN_ON_CANCELLATION.",
        )
    if interval_ms and duration_ms is not None and duration_ms > interval_ms:
        yield ConfigurationTrap(
            "checkpoint-interval",
            f"Its checkpoints take {duration_ms / 1000:.0f} s, and are due every {interval_ms / 1000:.0f} s.",
            f"Set execution.checkpointing.interval to {math.ceil(2 * duration_ms / 1000)} s.",
            {"checkpoint_duration_ms": duration_ms, "checkpoint_interval_ms": float(interval_ms)},
        )


def _of_restarts(settings: JobSettings) -> Iterator[ConfigurationTrap]:
    if settings.restart_strategy and _NO_RESTART.fullmatch(settings.restart_strategy):
        yield ConfigurationTrap(
            "no-restart", "It is not restarted when it fails.", "Set restart-strategy.type to exponential-delay."
        )


def _of_max_parallelism(settings: JobSettings) -> Iterator[ConfigurationTrap]:
    tight = [
        v
        for v in settings.vertices
        if v.max_parallelism and v.parallelism > 1 and v.max_parallelism < 2 * v.parallelism
    ]
    if not tight:
        return
    vertex = min(tight, key=lambda v: (v.max_parallelism or 0) / v.parallelism)
    yield ConfigurationTrap(
        "max-parallelism",
        f"The max parallelism of {vertex.name} is {vertex.max_parallelism}, at {vertex.parallelism} subtasks: these "
        "cannot be doubled, and a larger one needs a start without state.",
        f"Set pipeline.max-parallelism to {max(128, 4 * vertex.parallelism)} at the next start without state.",
        {"max_parallelism": float(vertex.max_parallelism or 0), "parallelism": float(vertex.parallelism)},
    )


@dataclass(frozen=True)
class _Plan:
    """A job's plan, as `flink.overtaking` wants it."""

    vertices: tuple[_Vertex, ...]
    unaligned: bool | None
    flink_version: str


@dataclass(frozen=True)
class _Vertex:
    vertex_id: str
    name: str
    exchanges: tuple[tuple[str, str], ...]


def _of_sinks(settings: JobSettings) -> Iterator[ConfigurationTrap]:
    """Yield that files of a sink can be overtaken, where Flink tells its version and how it makes checkpoints."""
    if not settings.unaligned_checkpoints or not settings.flink_version:
        return
    vertices = tuple(_Vertex(v.vertex_id, v.name, v.inputs) for v in settings.vertices)
    plan = _Plan(vertices, settings.unaligned_checkpoints, settings.flink_version)
    writers = [
        SinkWriter(vertex.vertex_id, as_metric(name), vertex.parallelism, name)
        for vertex in settings.vertices
        for name in operators_of(vertex.name)
        if is_sink_writer(name)
    ]
    if why := why_overtaken(plan, writers):
        reason, _, remedy = why.partition(". ")
        yield ConfigurationTrap("unaligned-checkpoints", f"{reason[0].upper()}{reason[1:]}.", f"{remedy}.")


def _of_facts(facts: JobFacts) -> Iterator[ConfigurationTrap]:
    if facts.without_uid:
        yield ConfigurationTrap(
            "missing-uid",
            f"{_names(facts.without_uid)} have state and no uid: it is lost when the job is changed.",
            "Take a savepoint, and give each operator with state a uid.",
            {"operators": float(len(facts.without_uid))},
        )
    if facts.without_retries:
        yield ConfigurationTrap(
            "sink-retries",
            f"Commits to {_names(facts.without_retries)} are not tried again: one conflict restarts the job.",
            "Set the table property commit.retry.num-retries to 10.",
            {"tables": float(len(facts.without_retries))},
        )
    if facts.not_compacted:
        yield ConfigurationTrap(
            "not-compacted",
            f"It upserts into {_names(facts.not_compacted)}, which nobody compacts: reading takes longer every hour.",
            f"Run: autostream table enable {' '.join(facts.not_compacted[:_MOST_NAMES])}",
            {"tables": float(len(facts.not_compacted))},
        )


def _names(names: tuple[str, ...]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
