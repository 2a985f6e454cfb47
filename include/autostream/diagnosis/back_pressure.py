"""Who slows a job down: the chain of back pressure, from those that wait to the one that they wait for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from autostream.diagnosis.vertex_times import VertexTimes, percent
from autostream.findings import Finding, Severity

WAITING: Final = 0.1
"""From this share of its time on a vertex is back-pressured; Flink's own pages call it `low` from here, too."""
WAITING_MUCH: Final = 0.5
"""From here on Flink's pages call it `high`."""
AT_ITS_LIMIT: Final = 0.8
"""A subtask that works for this share of its time has hardly any room."""


@dataclass(frozen=True)
class Chain:
    """Vertices that wait for each other, in the order of the rows.

    Attributes:
        waiting: Those that are back-pressured, the most upstream first.
        bottleneck: The one that the last of them waits for: the most downstream one that is not back-pressured itself.
    """

    waiting: tuple[VertexTimes, ...]
    bottleneck: VertexTimes


@dataclass(frozen=True)
class BackPressureReport:
    """What is known of a job's back pressure.

    Attributes:
        vertices: All of its vertices.
        chains: The chains of back pressure, one for each bottleneck, the worst first.
    """

    vertices: tuple[VertexTimes, ...]
    chains: tuple[Chain, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Say who the bottleneck is, and what to do."""
        if self.chains:
            return tuple(map(_of_chain, self.chains))
        known = [vertex for vertex in self.vertices if vertex.busiest is not None]
        if not known:
            return (
                Finding(
                    "back pressure",
                    Severity.INFO,
                    "Flink shows no busy or back-pressured times of this job (yet): they come some seconds after a "
                    "job has started, and sources of the old kind show none.",
                    id="back-pressure-unknown",
                ),
            )
        busiest = max(known, key=lambda vertex: vertex.busiest or 0.0)
        if (busiest.busiest or 0.0) >= AT_ITS_LIMIT:
            return (
                Finding(
                    busiest.title,
                    Severity.WARNING,
                    f"No vertex is back-pressured, but {busiest.title} is at its limit: its busiest subtask works "
                    f"{percent(busiest.busiest)} of its time. What arrives faster than that waits outside of the job, "
                    "or in the buffers before it.",
                    _more(busiest),
                    id="at-its-limit",
                    figures={"busy": round(busiest.busiest or 0.0, 3)},
                ),
            )
        return (
            Finding(
                "back pressure",
                Severity.OK,
                f"No vertex is back-pressured. The busiest is {busiest.title}: its busiest subtask works "
                f"{percent(busiest.busiest)} of its time.",
                id="no-back-pressure",
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "vertices": [vertex.to_dict() for vertex in self.vertices],
            "chains": [
                {
                    "waiting": [vertex.vertex_id for vertex in chain.waiting],
                    "bottleneck": chain.bottleneck.vertex_id,
                }
                for chain in self.chains
            ],
        }


def find_chains(vertices: Sequence[VertexTimes]) -> BackPressureReport:
    """Follow back pressure downstream.

    A vertex that is back-pressured waits for one that gets its rows: for those that are back-pressured themselves, and
    otherwise for the busiest of them, which is the bottleneck.
    """
    outputs = _outputs(vertices)
    bottlenecks: dict[str, set[str]] = {}
    for vertex in vertices:
        if _waits(vertex):
            for vertex_id in _waited_for(vertex, outputs, set()):
                bottlenecks.setdefault(vertex_id, set()).add(vertex.vertex_id)
    order = _downstream_order(vertices)
    by_id = {vertex.vertex_id: vertex for vertex in vertices}
    chains = [
        Chain(tuple(by_id[one] for one in sorted(waiting, key=order.__getitem__)), by_id[vertex_id])
        for vertex_id, waiting in bottlenecks.items()
    ]
    chains.sort(key=lambda c: (-len(c.waiting), -(c.bottleneck.busiest or 0.0), order[c.bottleneck.vertex_id]))
    return BackPressureReport(tuple(vertices), tuple(chains))


def _waits(vertex: VertexTimes) -> bool:
    return (vertex.most_back_pressured or 0.0) >= WAITING


def _outputs(vertices: Sequence[VertexTimes]) -> Mapping[str, list[VertexTimes]]:
    outputs: dict[str, list[VertexTimes]] = {vertex.vertex_id: [] for vertex in vertices}
    for vertex in vertices:
        for source, _ in vertex.inputs:
            if source in outputs:
                outputs[source].append(vertex)
    return outputs


def _waited_for(vertex: VertexTimes, outputs: Mapping[str, list[VertexTimes]], seen: set[str]) -> set[str]:
    """Return the ids of those that a back-pressured vertex waits for in the end; none where nothing takes its rows."""
    if vertex.vertex_id in seen:  # plans have no circles, answers may
        return set()
    seen.add(vertex.vertex_id)
    takers = outputs[vertex.vertex_id]
    waiting = [taker for taker in takers if _waits(taker)]
    found = {one for taker in waiting for one in _waited_for(taker, outputs, seen)}
    if found or waiting:
        return found or {waiting[0].vertex_id}
    return {max(takers, key=lambda taker: taker.busiest or 0.0).vertex_id} if takers else set()


def _downstream_order(vertices: Sequence[VertexTimes]) -> Mapping[str, int]:
    """Return how many steps from a source each vertex is at most."""
    inputs = {vertex.vertex_id: [source for source, _ in vertex.inputs] for vertex in vertices}
    depth = dict.fromkeys(inputs, 0)
    for _ in vertices:
        for vertex_id, sources in inputs.items():
            depth[vertex_id] = max((depth[s] + 1 for s in sources if s in depth), default=0)
    return depth


def _of_chain(chain: Chain) -> Finding:
    slow, last = chain.bottleneck, chain.waiting[-1]
    steps = [f"{vertex.title} waits {percent(vertex.most_back_pressured)}" for vertex in chain.waiting]
    reason = (
        f"{slow.title} is the bottleneck: its busiest subtask works {percent(slow.busiest)} of its time, and "
        f"{last.title} before it waits {percent(last.most_back_pressured)} of its time until it takes more. Chain: "
        f"{' -> '.join([*steps, f'{slow.title} works {percent(slow.busiest)}'])}."
    )
    remedy = _more(slow)
    if slow.busiest is not None and slow.busiest < AT_ITS_LIMIT:
        remedy = (
            "None of its subtasks looks busy, so it waits itself without Flink counting that: for a lock, a blocking "
            "call in another thread, or the network. Look at its thread dumps (`--part threads`)."
        )
    elif _one_alone(slow):
        remedy = (
            f"Only some of its subtasks are at their limit (in the mean they work {percent(slow.mean_busy)}), so more "
            "of them would not help: look at its skew (`--part skew`)."
        )
    much = (last.most_back_pressured or 0.0) >= WAITING_MUCH
    return Finding(
        slow.title,
        Severity.ERROR if much else Severity.WARNING,
        reason,
        remedy,
        id="bottleneck",
        figures={
            "busy": round(slow.busiest or 0.0, 3),
            "back_pressured_before": round(last.most_back_pressured or 0.0, 3),
        },
    )


def _one_alone(vertex: VertexTimes) -> bool:
    return len(vertex.subtasks) > 1 and (vertex.mean_busy or 0.0) < 0.6 * (vertex.busiest or 0.0)


def _more(vertex: VertexTimes) -> str:
    most = vertex.max_parallelism
    if most is not None and vertex.parallelism >= most:
        room = f"It has {vertex.parallelism} subtasks, which is its max parallelism: it can only be made faster"
    else:
        limit = f", it may have up to {most}" if most is not None else ""
        room = f"Give it more subtasks (it has {vertex.parallelism}{limit}), or make it faster"
    return f"{room}; a flame graph shows what it does (`--flame-graph`)."
