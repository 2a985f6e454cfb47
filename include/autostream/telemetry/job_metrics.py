"""The figures of one job over time, as they are in the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autostream import times
from autostream.config.sections.database import DatabaseSettings
from autostream.errors import NotFoundError, UsageError
from autostream.names import JobName
from autostream.spelling import one_of
from autostream.store.database import open_database
from autostream.telemetry.figures import JOB_FIGURES, VERTEX_FIGURES
from autostream.telemetry.job_records import JobRecord
from autostream.telemetry.log import TelemetryLog
from autostream.telemetry.samples import JobSample, VertexSample
from autostream.times import iso


@dataclass(frozen=True)
class JobMetrics:
    """What is known of a job from some instant on.

    Attributes:
        job: Its name.
        record: What is known of it besides; None where it is only known by its samples.
        since_ms: The instant.
        until_ms: Up to when.
        samples: The oldest first: as they were taken where they are still kept so, in steps of 15 minutes before.
        vertex: The vertex whose figures `to_dict` gives; None for those of the job.
        figures: Names of the figures that it gives; none gives all that there are.
    """

    job: JobName
    record: JobRecord | None
    since_ms: int
    until_ms: int
    samples: tuple[JobSample, ...]
    vertex: VertexSample | None = None
    figures: tuple[str, ...] = ()

    @property
    def missing(self) -> Mapping[str, str]:
        """Why figures are not there, as last told."""
        return self.samples[-1].missing if self.samples else {}

    def values(self, sample: JobSample) -> tuple[dict[str, float], dict[str, float]] | None:
        """Return what a sample says of the chosen figures, and their largest values; None where it lacks the vertex."""
        part: JobSample | VertexSample | None = sample
        if self.vertex is not None:
            wanted = self.vertex.vertex_id
            part = next((vertex for vertex in sample.vertices if vertex.vertex_id == wanted), None)
        if part is None:
            return None
        return self._chosen(part.figures), self._chosen(part.largest)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON: times in ISO 8601 and as `_ms`."""
        last = self.samples[-1].vertices if self.samples else ()
        return {
            "job": str(self.job),
            "job_id": self.record.job_id if self.record else None,
            "state": self.record.state if self.record else None,
            "team": self.record.team if self.record else None,
            "since": iso(self.since_ms),
            "since_ms": self.since_ms,
            "until": iso(self.until_ms),
            "until_ms": self.until_ms,
            "vertex": None if self.vertex is None else {"id": self.vertex.vertex_id, "name": self.vertex.name},
            "vertices": [{"id": vertex.vertex_id, "name": vertex.name} for vertex in last],
            "missing": dict(self.missing),
            "samples": [row for sample in self.samples if (row := self._row(sample)) is not None],
        }

    def _row(self, sample: JobSample) -> dict[str, Any] | None:
        values = self.values(sample)
        if values is None:
            return None
        figures, largest = values
        return {
            "from": iso(sample.from_ms),
            "from_ms": sample.from_ms,
            "at": iso(sample.at_ms),
            "at_ms": sample.at_ms,
            "job_id": sample.job_id,
            "state": sample.state,
            "shared": sample.shared,
            "figures": figures,
            "largest": largest,
        }

    def _chosen(self, values: Mapping[str, float]) -> dict[str, float]:
        known = VERTEX_FIGURES if self.vertex else JOB_FIGURES
        return {name: values[name] for name in self.figures or known if name in values}


def read_job_metrics(
    job: JobName | str,
    *,
    since_ms: int,
    until_ms: int | None = None,
    figures: Collection[str] = (),
    vertex: str | None = None,
    settings: DatabaseSettings | None = None,
) -> JobMetrics:
    """Return the figures of a job that were sampled after `since_ms`.

    Args:
        job: `CLUSTER/NAME`.
        since_ms: From when on, epoch milliseconds.
        until_ms: Up to when; None for now.
        figures: Names of figures; none for all.
        vertex: Id, name or beginning of the name of one of its vertices, whose figures are asked for instead.
        settings: The database; None reads the configuration.

    Raises:
        UsageError: There is no such job, figure or vertex.
        ServiceError: The database cannot be reached, or fails.
    """
    name = JobName.parse(job) if isinstance(job, str) else job
    until_ms = times.now_ms() if until_ms is None else until_ms
    known = JOB_FIGURES if vertex is None else VERTEX_FIGURES
    for figure in figures:
        if figure not in known:
            whose = "of a job" if vertex is None else "of a vertex"
            raise UsageError(f"There is no figure {figure!r} {whose}. {one_of(figure, known, 'There are')}")
    with open_database(settings).read() as connection:
        log = TelemetryLog(connection)
        record = log.record(name)
        samples = log.samples(name, since_ms=since_ms, until_ms=until_ms)
        if record is None:
            raise NotFoundError(_unknown(name, [str(other.job) for other in log.records()]))
    chosen = None if vertex is None else _vertex(name, vertex, samples)
    return JobMetrics(name, record, since_ms, until_ms, tuple(samples), chosen, tuple(figures))


def _unknown(job: JobName, known: Sequence[str]) -> str:
    if not known:
        return (
            f"Nothing is known of job {job}: no job was sampled yet. Run 'autostream flink watch', which samples the "
            "jobs of all configured clusters."
        )
    return f"Nothing is known of job {job}. {one_of(str(job), known, 'Sampled jobs')}"


def _vertex(job: JobName, wanted: str, samples: Sequence[JobSample]) -> VertexSample:
    """Return a vertex by what names it: its id, its name, or how one name begins, in the last sample that has it."""
    for sample in reversed(samples):
        for matches in (str.__eq__, str.startswith):
            found = [v for v in sample.vertices if v.vertex_id == wanted or matches(v.name, wanted)]
            if len(found) == 1:
                return found[0]
            if found:
                several = ", ".join(f"{v.name} ({v.vertex_id})" for v in found)
                raise UsageError(f"{wanted!r} names several vertices of job {job}: {several}. Give the id of one.")
    names = list(dict.fromkeys(vertex.name for sample in samples for vertex in sample.vertices))
    raise NotFoundError(f"Job {job} has no vertex {wanted!r} in this time. {one_of(wanted, names, 'There are')}")
