"""Samples of Flink jobs from a Prometheus server, where a company has one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from autostream import times
from autostream.config.sections.flink import JobRule
from autostream.config.sections.telemetry import FigureQuery, PrometheusSettings
from autostream.errors import ConfigurationError, ServiceError
from autostream.flink.job_settings import JobSettings
from autostream.flink.metric_values import number_of
from autostream.flink.ownership import ownership_of
from autostream.http import JsonClient, Limits, RefusalError
from autostream.names import JobName
from autostream.spelling import one_of
from autostream.telemetry.figures import JOB_FIGURES, VERTEX_FIGURES, tidy
from autostream.telemetry.job_records import JobRecord
from autostream.telemetry.looks import RUNNING
from autostream.telemetry.promql import JOB_QUERIES, PRESENT, SHARED, VERTEX_QUERIES, filled
from autostream.telemetry.samples import JobSample, VertexSample
from autostream.telemetry.sweeps import Sweep

_MISSING: Final = "Prometheus has no series of it"


class _Series(BaseModel):
    """One series of the answer to an instant query: its labels, and time and value."""

    metric: dict[str, str]
    value: tuple[float, str]


class _Answer(BaseModel):
    result: list[_Series]


_ANSWER: Final = TypeAdapter(_Answer)


class PrometheusSource:
    """Asks one server again and again; use it in one thread."""

    def __init__(
        self,
        settings: PrometheusSettings,
        *,
        interval_seconds: int,
        queries: Iterable[FigureQuery] = (),
        rules: Sequence[JobRule] = (),
        limits: Limits | None = None,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            settings: The server.
            interval_seconds: How often it is asked, and over what time rates are.
            queries: Those of the configuration, which replace ours.
            rules: Whose jobs are.
            limits: How long one request waits.

        Raises:
            ConfigurationError: A query is for a figure that there is not, or certificates cannot be read.
        """
        self.cluster = settings.name
        self._settings, self._rules, self._window_ms = settings, rules, interval_seconds * 1000
        self._client = JsonClient(f"Prometheus server {settings.name}", settings, limits=limits)
        self._queries = {"job": dict(JOB_QUERIES), "vertex": dict(VERTEX_QUERIES)}
        for query in queries:
            known = JOB_FIGURES if query.of == "job" else VERTEX_FIGURES
            if query.figure not in known:
                raise ConfigurationError(
                    f"`telemetry.queries` names the figure {query.figure!r} of a {query.of}, which there is not. "
                    f"{one_of(query.figure, known, 'There are')}"
                )
            self._queries[query.of][query.figure] = query.query
        job = f"{settings.job_label}, {settings.job_id_label}"
        self._names = {
            "job": job,
            "vertex": f"{job}, {settings.vertex_label}, {settings.vertex_name_label}",
            "process": settings.process_label,
            "selector": settings.selector,
            "window": f"{interval_seconds}s",
        }
        self._written_ms = 0

    def sweep(self, *, longest_ms: int) -> Sweep:
        """Ask for all figures of all jobs, at one instant.

        Raises:
            ServiceError: The server cannot be reached, or answers what is not understood.
            DeniedError: It does not accept the login.
        """
        del longest_ms  # what a window lacks, Prometheus leaves out itself
        at_ms = times.now_ms()
        present = self._values(PRESENT, at_ms)
        shared = self._values(SHARED, at_ms)
        refused: dict[str, str] = {}
        figures = {name: self._values(q, at_ms, name, refused) for name, q in self._queries["job"].items() if q}
        of_vertices = {
            name: self._by_vertex(q, at_ms, name, refused) for name, q in self._queries["vertex"].items() if q
        }
        from_ms = max(at_ms - self._window_ms, self._written_ms)
        samples = [
            self._sample(key, from_ms, at_ms, figures, of_vertices, shared=key in shared) for key in sorted(present)
        ]
        records = [self._record(sample) for sample in samples]
        states = {sample.job: sample.state for sample in samples}
        problems = tuple(f"the query of {name} is refused: {why}" for name, why in refused.items())
        return Sweep(at_ms, tuple(samples) if from_ms < at_ms else (), tuple(records), states, problems)

    def written(self, sweep: Sweep) -> None:
        """Have the next interval begin where this one ended."""
        self._written_ms = sweep.at_ms

    def forget(self) -> None:
        """Begin anew: another collector has asked in between."""
        self._written_ms = 0

    def _sample(
        self,
        key: tuple[str, str],
        from_ms: int,
        at_ms: int,
        figures: Mapping[str, Mapping[tuple[str, str], float]],
        of_vertices: Mapping[str, Mapping[tuple[str, str], Mapping[tuple[str, str], float]]],
        *,
        shared: bool,
    ) -> JobSample:
        known = {name: values[key] for name, values in figures.items() if key in values}
        vertices: dict[tuple[str, str], dict[str, float]] = {}
        for name, by_job in of_vertices.items():
            for vertex, value in by_job.get(key, {}).items():
                vertices.setdefault(vertex, {})[name] = value
        return JobSample(
            job=JobName(self.cluster, key[0]),
            job_id=key[1],
            from_ms=from_ms,
            at_ms=at_ms,
            state=RUNNING,
            shared=shared,
            figures=known,
            missing=dict.fromkeys((name for name in JOB_FIGURES if name not in known), _MISSING),
            vertices=tuple(VertexSample(i, name, its) for (i, name), its in sorted(vertices.items())),
        )

    def _record(self, sample: JobSample) -> JobRecord:
        whose = ownership_of(sample.job, rules=self._rules)
        return JobRecord(
            sample.job, sample.job_id, sample.state, whose.team, whose.owner, 0, sample.at_ms, JobSettings()
        )

    def _values(
        self, query: str, at_ms: int, figure: str = "", refused: dict[str, str] | None = None
    ) -> dict[tuple[str, str], float]:
        """Return what a query gives for each job: by name and id."""
        return {self._job(labels): value for labels, value in self._tried(query, at_ms, figure, refused)}

    def _by_vertex(
        self, query: str, at_ms: int, figure: str, refused: dict[str, str]
    ) -> dict[tuple[str, str], dict[tuple[str, str], float]]:
        found: dict[tuple[str, str], dict[tuple[str, str], float]] = {}
        for labels, value in self._tried(query, at_ms, figure, refused):
            vertex_id = labels.get(self._settings.vertex_label, "")
            vertex = (vertex_id, labels.get(self._settings.vertex_name_label) or vertex_id)
            found.setdefault(self._job(labels), {})[vertex] = value
        return found

    def _job(self, labels: Mapping[str, str]) -> tuple[str, str]:
        return labels.get(self._settings.job_label, ""), labels.get(self._settings.job_id_label, "")

    def _tried(
        self, query: str, at_ms: int, figure: str, refused: dict[str, str] | None
    ) -> list[tuple[Mapping[str, str], float]]:
        """Ask; a figure whose query the server refuses costs no other figure."""
        try:
            return self._ask(query, at_ms)
        except RefusalError as error:
            if refused is None:
                raise
            refused[figure] = str(error)
            return []

    def _ask(self, query: str, at_ms: int) -> list[tuple[Mapping[str, str], float]]:
        parameters = {"query": filled(query, names=self._names), "time": f"{at_ms / 1000:.3f}"}
        answer: Any = self._client.get("/api/v1/query", parameters)
        try:
            found = _ANSWER.validate_python(answer["data"]).result
        except (KeyError, TypeError, ValidationError) as error:
            raise ServiceError(
                f"Cannot understand the answer of {self._client.service} to {parameters['query']!r} "
                f"({type(error).__name__}). Check that `url` of {self._client.service} is the address of a Prometheus "
                "server, and that the query returns an instant vector."
            ) from None
        values = [(series.metric, number_of(series.value[1])) for series in found if series.metric]
        return [(labels, tidy(value)) for labels, value in values if value is not None and value >= 0]
