"""What one look at a job came to, compared with the look before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autostream.names import JobName


@dataclass(frozen=True)
class VertexSample:
    """What is known of one vertex.

    Attributes:
        vertex_id: Its id, as Flink has it.
        name: The names of its operators, chained by `->`.
        figures: Values by names of `figures.VERTEX_FIGURES`; what is not known is not there.
        largest: As in `JobSample`.
    """

    vertex_id: str
    name: str
    figures: Mapping[str, float] = field(default_factory=dict)
    largest: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class JobSample:
    """What is known of one job for one interval.

    Attributes:
        job: Its name.
        job_id: The life of the job that this is about.
        from_ms: When the interval began: rates and counts are over it. Epoch milliseconds by the collector's clock.
        at_ms: When it ended: gauges are of then.
        state: `RUNNING`, `RESTARTING` and so on.
        shared: Whether its task managers run other jobs too: of what belongs to processes it then has its slots' share.
        figures: Values by names of `figures.JOB_FIGURES`; what is not known is not there.
        missing: Why figures are not there, by name; not all have an entry.
        vertices: In the order of the job's plan.
        largest: Where this is several samples rolled up, the largest of each figure whose mean `figures` has.
    """

    job: JobName
    job_id: str
    from_ms: int
    at_ms: int
    state: str
    shared: bool = False
    figures: Mapping[str, float] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    vertices: tuple[VertexSample, ...] = ()
    largest: Mapping[str, float] = field(default_factory=dict)
