"""One job, looked at closely while it runs: all parts of a diagnosis, each on its own.

What one part cannot read is said with its reason, and hides no other part.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from autostream import times
from autostream.diagnosis import reading
from autostream.diagnosis.back_pressure import find_chains
from autostream.diagnosis.failures import group_failures
from autostream.diagnosis.flame_graph import KINDS, FlameGraph, as_svg, gathered
from autostream.diagnosis.profiling import ProfileRun, run_profiler
from autostream.diagnosis.skew import LEAST_RECORDS, find_skew
from autostream.diagnosis.vertex_times import VertexTimes
from autostream.errors import AutostreamError, NotFoundError, UsageError
from autostream.findings import Finding, Severity
from autostream.flink import models
from autostream.flink.fleet import Fleet
from autostream.flink.fleet_jobs import FleetJob
from autostream.flink.rest import FlinkRest
from autostream.flink.settings_reading import task_manager_ids
from autostream.names import JobName
from autostream.spelling import one_of
from autostream.times import iso

PARTS: Final = ("exceptions", "back-pressure", "skew", "checkpoints", "watermarks", "threads", "logs", "flame-graph")
"""What there is to look at."""
USUAL_PARTS: Final = PARTS[:-1]
"""What is looked at where nothing is named: a flame graph takes some seconds, and Flink makes none by default."""
MOST_PROCESSES: Final = 20
"""Threads and logs of more task managers are not read: their heaviest subtasks are on the first of them."""

_MEANINGS: Final = {"exceptions": "failures", "back-pressure": "back pressure", "flame-graph": "flame graph"}


class _Told(Protocol):
    @property
    def finding(self) -> Finding: ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Part:
    """What one part of a diagnosis found.

    Attributes:
        findings: In words.
        figures: All that it was concluded from, as JSON has it; None where it could not be read.
        unread: What could not be read, and why.
        graph: Of the part `flame-graph`, the graph.
    """

    findings: tuple[Finding, ...]
    figures: Any = None
    unread: tuple[str, ...] = ()
    graph: FlameGraph | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "findings": [finding.to_dict() for finding in self.findings],
            "figures": self.figures,
            "unread": list(self.unread),
        }


@dataclass(frozen=True)
class JobDiagnosis:
    """What was found out about a job.

    Attributes:
        life: Its name, id and state.
        at_ms: When.
        parts: What each part found, by its name, in the order of `PARTS`.
    """

    life: FleetJob
    at_ms: int
    parts: Mapping[str, Part]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that was found, part by part."""
        return tuple(finding for part in self.parts.values() for finding in part.findings)

    @property
    def flame_graph_svg(self) -> str | None:
        """The flame graph as an SVG file; None where none was asked for, or none could be made."""
        part = self.parts.get("flame-graph")
        return as_svg(part.graph) if part is not None and part.graph is not None else None

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {
            "job": str(self.life.job),
            "job_id": self.life.job_id,
            "state": self.life.state,
            "at": iso(self.at_ms),
            "at_ms": self.at_ms,
            "parts": {name: part.to_dict() for name, part in self.parts.items()},
        }


def diagnose_job(
    fleet: Fleet,
    job: str | JobName,
    *,
    job_id: str | None = None,
    parts: Collection[str] | None = None,
    checkpoint_id: int | None = None,
    flame_kind: str = "full",
    report_progress: Callable[[str], None] | None = None,
) -> JobDiagnosis:
    """Find out why a job is slow, stuck or failing.

    Args:
        fleet: The clusters.
        job: CLUSTER/NAME.
        job_id: Which of several jobs of this name; the beginning of the id is enough.
        parts: What to look at, of `PARTS`; None: `USUAL_PARTS`.
        checkpoint_id: The checkpoint to take apart; None: the one that tells most.
        flame_kind: What a flame graph samples: `full`, `on_cpu` or `off_cpu`.
        report_progress: Called with the name of each part before it is looked at.

    Raises:
        UsageError: There is no such part or kind; or as `Fleet.show`.
        NotFoundError: There is no such cluster or job.
        ServiceError: The cluster cannot be reached, or answers what is not understood.
        DeniedError: It does not accept the login.
    """
    parts = USUAL_PARTS if parts is None else parts
    for name in parts:
        if name not in PARTS:
            raise UsageError(f"Unknown part {name!r} of a diagnosis. {one_of(name, PARTS, 'There are')}")
    if flame_kind not in KINDS:
        raise UsageError(f"Unknown kind of flame graph {flame_kind!r}. {one_of(flame_kind, KINDS, 'There are')}")
    cluster, life = fleet.find(job, job_id=job_id)
    detail = cluster.rest.read(f"/jobs/{life.job_id}", models.JobDetail)
    if detail is None:
        raise NotFoundError(f"Job {life.job} ({life.job_id}) has just gone from its cluster. Try again.")
    look = _Look(cluster.rest, life, detail, checkpoint_id=checkpoint_id, flame_kind=flame_kind)
    found: dict[str, Part] = {}
    for name in PARTS:
        if name in parts:
            if report_progress is not None:
                report_progress(_MEANINGS.get(name, name))
            found[name] = look.part(name)
    return JobDiagnosis(life, times.now_ms(), found)


def profile_job(
    fleet: Fleet,
    job: str | JobName,
    *,
    job_id: str | None = None,
    task_manager_id: str | None = None,
    mode: str = "CPU",
    seconds: int = 30,
) -> tuple[ProfileRun, bytes]:
    """Run Flink's async-profiler on a task manager that runs a job's tasks; return the run and its page of HTML.

    Args:
        fleet: The clusters.
        job: CLUSTER/NAME.
        job_id: Which of several jobs of this name; the beginning of the id is enough.
        task_manager_id: Which task manager; None: the first of the job's.
        mode: What is sampled, of `profiling.MODES`.
        seconds: For how long.

    Raises:
        UsageError: There is no such mode, the length cannot be, or no such task manager runs tasks of the job.
        NotReadyError: The cluster has no profiler, or it is off or busy.
        AutostreamError: The run failed, did not end, or the cluster cannot be reached.
    """
    cluster, life = fleet.find(job, job_id=job_id)
    detail = cluster.rest.read(f"/jobs/{life.job_id}", models.JobDetail)
    vertices = [vertex.id for vertex in detail.vertices] if detail else []
    used = sorted(task_manager_ids(cluster.rest, life.job_id, vertices))
    if not used:
        raise UsageError(f"No task manager runs tasks of {life.job}, so there is nothing to profile.")
    if task_manager_id is not None and task_manager_id not in used:
        known = one_of(task_manager_id, used, "Those that do")
        raise UsageError(f"Task manager {task_manager_id!r} does not run tasks of {life.job}. {known}")
    return run_profiler(cluster.rest, task_manager_id or used[0], mode=mode, seconds=seconds)


class _Look:
    """One look at a job; what several parts need is read once."""

    def __init__(
        self, rest: FlinkRest, life: FleetJob, job: models.JobDetail, *, checkpoint_id: int | None, flame_kind: str
    ) -> None:
        self._rest, self._life, self._job = rest, life, job
        self._checkpoint_id, self._flame_kind = checkpoint_id, flame_kind
        self._read: tuple[VertexTimes, ...] | None = None

    def part(self, name: str) -> Part:
        """Return what a part finds, or why it cannot be told."""
        looks: dict[str, Callable[[], Part]] = {
            "exceptions": self._exceptions,
            "back-pressure": self._back_pressure,
            "skew": self._skew,
            "checkpoints": self._checkpoints,
            "watermarks": self._watermarks,
            "threads": self._threads,
            "logs": self._logs,
            "flame-graph": self._flame_graph,
        }
        try:
            return looks[name]()
        except AutostreamError as error:
            return Part((), unread=(str(error),))

    @property
    def _vertices(self) -> tuple[VertexTimes, ...]:
        if self._read is None:
            self._read = reading.read_vertex_times(self._rest, self._life.job_id, self._job)
        return self._read

    def _exceptions(self) -> Part:
        groups = group_failures(reading.read_failures(self._rest, self._life.job_id))
        none = "Flink remembers no failure of this job since its job manager runs it."
        return _several(groups, otherwise=("failures", none))

    def _back_pressure(self) -> Part:
        report = find_chains(self._vertices)
        return Part(report.findings, report.to_dict())

    def _skew(self) -> Part:
        none = (
            "The work is spread evenly over the subtasks of each vertex, as far as there are records to judge by "
            f"({LEAST_RECORDS:,} and more, on two subtasks and more)."
        )
        return _several(find_skew(self._vertices), otherwise=("skew", none))

    def _checkpoints(self) -> Part:
        anatomy = reading.read_checkpoint(
            self._rest, self._life.job_id, self._vertices, checkpoint_id=self._checkpoint_id
        )
        if anatomy is None:
            none = "The job has made no checkpoint since its job manager runs it."
            return Part((Finding("checkpoints", Severity.INFO, none, id="checkpoints-none"),), None)
        return Part(anatomy.findings, anatomy.to_dict())

    def _watermarks(self) -> Part:
        report = reading.read_watermarks(self._rest, self._life.job_id, self._vertices, now_ms=times.now_ms())
        return Part(report.findings, report.to_dict())

    def _threads(self) -> Part:
        names = {vertex.name for vertex in self._vertices}
        return self._of_processes(lambda process: reading.read_threads(self._rest, process, names))

    def _logs(self) -> Part:
        return self._of_processes(lambda process: reading.read_log_of(self._rest, process))

    def _of_processes(self, read: Callable[[str], Any]) -> Part:
        """Look at the processes that run the job, each on its own."""
        used = {one.task_manager_id for v in self._vertices for one in v.subtasks if one.task_manager_id}
        processes = [reading.JOB_MANAGER, *sorted(used)[:MOST_PROCESSES]]
        found, unread = [], []
        for process in processes:
            try:
                found.append(read(process))
            except AutostreamError as error:
                unread.append(f"{process}: {error}")
        if len(used) > MOST_PROCESSES:
            unread.append(f"The job runs on {len(used)} task managers, of which {MOST_PROCESSES} were looked at.")
        findings = tuple(finding for report in found for finding in report.findings)
        return Part(findings, [report.to_dict() for report in found], tuple(unread))

    def _flame_graph(self) -> Part:
        sampled, unread = [], []
        for vertex in self._vertices:
            try:
                at_ms, flame = reading.read_flames(self._rest, self._life.job_id, vertex, kind=self._flame_kind)
                sampled.append((vertex.name, at_ms, flame))
            except AutostreamError as error:
                if str(error) not in unread:
                    unread.append(str(error))
        if not sampled:
            return Part((), unread=tuple(unread))
        graph = gathered(str(self._life.job), self._flame_kind, sampled)
        return Part(graph.findings, graph.to_dict(), tuple(unread), graph)


def _several(found: Sequence[_Told], *, otherwise: tuple[str, str]) -> Part:
    if not found:
        return Part((Finding(otherwise[0], Severity.OK, otherwise[1]),), [])
    return Part(tuple(one.finding for one in found), [one.to_dict() for one in found])
