"""Looks at a Flink cluster, with as few requests as show what is needed.

A look is one request for the jobs, one for the task managers, one for each task manager, one for each job that has not
ended, one for each of its vertices. What changes only when something starts or ends is kept: plans, settings, names of
metrics, and which jobs occupy which slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar
from urllib.parse import quote

from autostream import times
from autostream.config.sections.flink import JobRule
from autostream.errors import AutostreamError
from autostream.flink import models
from autostream.flink.job_states import ENDED_STATES
from autostream.flink.metrics import metric_ids, read_aggregates, read_values
from autostream.flink.ownership import ownership_of
from autostream.flink.rest import FlinkRest
from autostream.flink.settings_reading import ClusterSetup, read_cluster_setup, read_job_settings
from autostream.flink.task_managers import TaskManager, list_task_managers, slots_by_job
from autostream.http import RefusalError
from autostream.names import JobName
from autostream.telemetry.job_records import JobRecord
from autostream.telemetry.looks import RUNNING, ClusterLook, JobLook, TaskManagerLook, VertexLook
from autostream.telemetry.metric_names import BUSY, JOB_METRICS, TASK_MANAGER_METRICS, wanted_metrics
from autostream.telemetry.parallel import in_parallel
from autostream.telemetry.sampling import compare
from autostream.telemetry.sweeps import Sweep

SETTLE_SECONDS: Final = 2.0
"""How long Flink gets to collect metrics, once a question has made it begin."""

# A cluster that fails so often within one look does not answer.
_MOST_ERRORS: Final = 5
_SETUP_AGE_SECONDS: Final = 600.0
# Names of metrics come late: sources and Kafka's client register theirs when they have work. They are asked for again
# after at most so many looks.
_LONGEST_NAMES: Final = 16


_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Sighting:
    """What a look at a cluster has shown.

    Attributes:
        look: What samples are made of.
        records: What is known of the jobs in it.
        states: States of all jobs that the cluster lists, those that have ended or could not be read too.
        problems: What could not be read, in words.
    """

    look: ClusterLook
    records: tuple[JobRecord, ...]
    states: Mapping[JobName, str]
    problems: tuple[str, ...] = ()


@dataclass
class _Names:
    """Which metrics of a vertex to ask for, and when to ask again what there is."""

    chosen: list[str]
    looks_left: int
    next_looks: int


@dataclass
class _Life:
    """What stays the same until anything of a job starts or ends."""

    key: object
    detail: models.JobDetail
    record: JobRecord
    dedicated: bool
    inputs: Mapping[str, tuple[str, ...]]
    clock_offset_ms: int | None
    names: dict[str, _Names] = field(default_factory=dict)


@dataclass(frozen=True)
class _Occupation:
    """Which jobs occupy the slots of a task manager, and what tells that it has to be asked again."""

    key: object
    slots: Mapping[str, int]


class ClusterWatch:
    """Looks at one cluster again and again; use it in one thread."""

    def __init__(
        self,
        cluster: str,
        rest: FlinkRest,
        *,
        rules: Sequence[JobRule] = (),
        threads: int = 4,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            cluster: Its name.
            rest: How it is asked.
            rules: Whose jobs are, where they do not say it themselves.
            threads: How many requests are under way at once.
            settle_seconds: See `SETTLE_SECONDS`.
        """
        self.cluster = cluster
        self._rest, self._rules, self._threads, self._settle_seconds = rest, rules, threads, settle_seconds
        self._setup: tuple[float, ClusterSetup] | None = None
        self._lives: dict[str, _Life] = {}
        self._occupations: dict[str, _Occupation] = {}
        self._labels_of: Callable[[str], Mapping[str, str]] = lambda job_id: {}
        self._container_limit_bytes: float | None = None
        self._before: ClusterLook | None = None
        self._now: ClusterLook | None = None

    def update(
        self,
        rest: FlinkRest,
        labels_of: Callable[[str], Mapping[str, str]],
        *,
        container_limit_bytes: float | None = None,
    ) -> None:
        """Ask at another address from the next look on.

        Args:
            rest: How the cluster is asked now.
            labels_of: Gives the labels of a job in Kubernetes, by its id.
            container_limit_bytes: What Kubernetes gives each of its task managers.
        """
        self._rest, self._labels_of, self._container_limit_bytes = rest, labels_of, container_limit_bytes

    def sweep(self, *, longest_ms: int) -> Sweep:
        """Look at all jobs, and compare with the last sweep that was written. See `SampleSource`."""
        sighting = self.look()
        samples, self._now = compare(self._before, sighting.look, longest_ms=longest_ms)
        return Sweep(sighting.look.at_ms, tuple(samples), sighting.records, sighting.states, sighting.problems)

    def written(self, sweep: Sweep) -> None:
        """Compare the next look with the one of this sweep."""
        if self._now is not None and self._now.at_ms == sweep.at_ms:
            self._before = self._now

    def forget(self) -> None:
        """Compare the next look with none."""
        self._before = None

    def look(self) -> Sighting:
        """Look at all jobs.

        Raises:
            ServiceError: The cluster cannot be reached, or answers what is not understood.
            DeniedError: It does not accept the login.
        """
        # Flink answers by metrics that it has, and collects them again because it is asked: so it is asked twice.
        read_values(self._rest, "/jobmanager/metrics", ["numRunningJobs"])
        times.sleep(self._settle_seconds)
        at_ms = times.now_ms()
        listed = self._rest.require("/jobs/overview", models.JobsOverview).jobs
        setup = self._cluster_setup()
        chosen = chosen_jobs(listed)
        alive = [job for job in chosen if job.state not in ENDED_STATES]
        problems: list[str] = []
        task_managers = self._look_at_task_managers(setup, alive, problems)
        setup = replace(setup, task_managers=tuple(one for one, _ in task_managers))
        jobs = self._look_at_jobs(setup, alive, at_ms, problems)
        self._lives = {job_id: life for job_id, life in self._lives.items() if job_id in jobs}
        by_id = {found.task_manager_id: found for _, found in task_managers}
        look = ClusterLook(at_ms, jobs, by_id, self._container_limit_bytes)
        records = [replace(self._lives[job_id].record, state=job.state, seen_ms=at_ms) for job_id, job in jobs.items()]
        states = {JobName(self.cluster, job.name): job.state for job in chosen}
        return Sighting(look, tuple(records), states, tuple(problems))

    def _cluster_setup(self) -> ClusterSetup:
        if self._setup is None or times.monotonic() - self._setup[0] > _SETUP_AGE_SECONDS:
            self._setup = times.monotonic(), read_cluster_setup(self._rest)
        return self._setup[1]

    def _all(self, call: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result | AutostreamError]:
        """Call for each item; where the cluster does not answer any more, the look has failed."""
        results = in_parallel(call, items, threads=self._threads, most_errors=_MOST_ERRORS)
        errors = [one for one in results if isinstance(one, AutostreamError) and not isinstance(one, RefusalError)]
        if len(errors) >= _MOST_ERRORS:
            raise errors[0]
        return results

    # ------- task managers
    def _look_at_task_managers(
        self, setup: ClusterSetup, alive: Sequence[models.ListedJob], problems: list[str]
    ) -> list[tuple[TaskManager, TaskManagerLook]]:
        listed = list_task_managers(self._rest, setup.configuration)
        lives = frozenset((job.job_id, job.started_ms, job.changed_ms) for job in alive)
        looks = self._all(lambda one: self._look_at_task_manager(one, lives), listed)
        self._occupations = {
            one.task_manager_id: self._occupations[one.task_manager_id]
            for one in listed
            if one.task_manager_id in self._occupations
        }
        found = []
        for one, look in zip(listed, looks, strict=True):
            if isinstance(look, AutostreamError):
                problems.append(str(look))
                look = TaskManagerLook(one.task_manager_id, one.slots, one.settings)
            found.append((one, look))
        return found

    def _look_at_task_manager(self, one: TaskManager, lives: object) -> TaskManagerLook:
        key = (one.slots, one.free_slots, lives)
        known = self._occupations.get(one.task_manager_id)
        if known is None or known.key != key:
            known = _Occupation(key, slots_by_job(self._rest, one.task_manager_id))
            self._occupations[one.task_manager_id] = known
        path = f"/taskmanagers/{quote(one.task_manager_id, safe='')}/metrics"
        metrics = read_values(self._rest, path, TASK_MANAGER_METRICS)
        return TaskManagerLook(one.task_manager_id, one.slots, one.settings, known.slots, metrics)

    # ------- jobs
    def _look_at_jobs(
        self, setup: ClusterSetup, alive: Sequence[models.ListedJob], at_ms: int, problems: list[str]
    ) -> dict[str, JobLook]:
        looks = self._all(lambda job: self._look_at_job(setup, job, at_ms), alive)
        found: dict[str, JobLook] = {}
        for job, look in zip(alive, looks, strict=True):
            if isinstance(look, AutostreamError):
                problems.append(f"job {job.name}: {look}")
            elif look is not None:
                found[job.job_id] = look
        return found

    def _look_at_job(self, setup: ClusterSetup, job: models.ListedJob, at_ms: int) -> JobLook | None:
        life = self._life(setup, job, at_ms)
        if life is None:
            return None
        metrics = read_values(self._rest, f"/jobs/{job.job_id}/metrics", JOB_METRICS)
        runs = job.state == RUNNING
        return JobLook(
            job=JobName(self.cluster, job.name),
            job_id=job.job_id,
            state=job.state,
            started_ms=job.started_ms,
            running_since_ms=(life.detail.timestamps.running_ms or None) if runs else None,
            metrics=metrics,
            vertices=tuple(self._look_at_vertex(job, life, vertex, runs=runs) for vertex in life.detail.vertices),
            dedicated=life.dedicated,
            clock_offset_ms=life.clock_offset_ms,
            last_checkpoint_ms=self._last_checkpoint_ms(job, metrics),
        )

    def _life(self, setup: ClusterSetup, job: models.ListedJob, at_ms: int) -> _Life | None:
        key = (job.started_ms, job.changed_ms)
        life = self._lives.get(job.job_id)
        if life is not None and life.key == key:
            return life
        detail = self._rest.read(f"/jobs/{job.job_id}", models.JobDetail)
        offset_ms = detail.now_ms - times.now_ms() if detail is not None and detail.now_ms is not None else None
        settings = None if detail is None else read_job_settings(self._rest, job.job_id, setup)
        if detail is None or settings is None:
            return None
        name = JobName(self.cluster, job.name)
        labels = self._labels_of(job.job_id)
        whose = ownership_of(name, parameters=settings.parameters, labels=labels, rules=self._rules)
        record = JobRecord(name, job.job_id, job.state, whose.team, whose.owner, job.started_ms, at_ms, settings)
        inputs = {node.id: tuple(edge.id for edge in node.inputs) for node in detail.plan.nodes}
        life = _Life(key, detail, record, settings.deployment == "application", inputs, offset_ms)
        self._lives[job.job_id] = life
        return life

    def _look_at_vertex(
        self, job: models.ListedJob, life: _Life, vertex: models.JobVertex, *, runs: bool
    ) -> VertexLook:
        found = VertexLook(vertex.id, vertex.name, vertex.parallelism, life.inputs.get(vertex.id, ()))
        if not runs:
            return found
        path = f"/jobs/{job.job_id}/vertices/{vertex.id}/subtasks/metrics"
        names = self._names(life, vertex.id, path)
        metrics = read_aggregates(self._rest, path, names.chosen)
        if names.chosen and not metrics:
            names.looks_left = 0  # one of the names is not there any more: Flink says nothing at all then
        return replace(found, metrics=metrics)

    def _names(self, life: _Life, vertex_id: str, path: str) -> _Names:
        names = life.names.get(vertex_id)
        if names is None or names.looks_left <= 0:
            chosen = wanted_metrics(metric_ids(self._rest, path))
            looks = min(names.next_looks, _LONGEST_NAMES) if names and BUSY in chosen else 1
            names = life.names[vertex_id] = _Names(chosen, looks, looks * 2)
        names.looks_left -= 1
        return names

    def _last_checkpoint_ms(self, job: models.ListedJob, metrics: Mapping[str, float]) -> int | None:
        told = metrics.get("lastCheckpointCompletedTimestamp")
        if told is not None:
            return int(told) if told > 0 else None
        if not metrics.get("numberOfCompletedCheckpoints"):
            return None
        # Before 2.0 no metric tells it.
        page = self._rest.read(f"/jobs/{job.job_id}/checkpoints", models.Checkpoints)
        completed = page.latest.completed if page and page.latest else None
        return completed.acknowledged_ms if completed else None


def chosen_jobs(listed: Iterable[models.ListedJob]) -> list[models.ListedJob]:
    """Return one job of each name: one that has not ended if there is one, of several the one that started last."""
    by_name: dict[str, models.ListedJob] = {}
    for job in sorted(listed, key=lambda job: (job.state not in ENDED_STATES, job.started_ms, job.job_id)):
        by_name[job.name] = job
    return list(by_name.values())
