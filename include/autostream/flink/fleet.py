"""All jobs of all clusters, each cluster on its own: listed, and one of them looked at closely."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

from autostream.config.sections.flink import FlinkSettings
from autostream.errors import AutostreamError, NotFoundError, ServiceError
from autostream.flink.cluster import FlinkCluster
from autostream.flink.cluster_calls import ClusterCalls
from autostream.flink.fleet_jobs import (
    FleetJob,
    FleetListing,
    UnreadCluster,
    by_team,
    choose_life,
    present_lives,
    with_doubles_noted,
)
from autostream.flink.job_report import JobReport, read_report
from autostream.flink.ownership import ownership_of
from autostream.flink.progress import job_parameters, list_jobs
from autostream.http import Limits
from autostream.names import JobName
from autostream.spelling import one_of

_LIMITS: Final = Limits(connect_seconds=3.0, read_seconds=8.0)
_PATIENCE_SECONDS: Final = 20.0


class Fleet:
    """The Flink clusters that are configured, and their jobs. For use by one thread.

    What does not change in a job's life is read once, so looks that are repeated cost a request a cluster.

    Args:
        settings: The section `flink`.
        patience_seconds: How long a listing waits for a cluster.
        limits: How long one request waits.
    """

    def __init__(
        self, settings: FlinkSettings, *, patience_seconds: float = _PATIENCE_SECONDS, limits: Limits = _LIMITS
    ) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._limits = limits
        self._parameters: dict[str, dict[str, dict[str, str]]] = {}
        self._present = ClusterCalls(lambda c: self._jobs_of(c, ended=False), patience_seconds=patience_seconds)
        self._all = ClusterCalls(lambda c: self._jobs_of(c, ended=True), patience_seconds=patience_seconds)

    @property
    def configured(self) -> bool:
        """Whether there is anything to ask."""
        return bool(self._settings.clusters)

    @property
    def clusters(self) -> tuple[FlinkCluster, ...]:
        """The clusters that there are, but for those whose settings make it impossible to ask them."""
        return tuple(one for one in self._opened.values() if isinstance(one, FlinkCluster))

    @cached_property
    def _opened(self) -> dict[str, FlinkCluster | AutostreamError]:
        opened: dict[str, FlinkCluster | AutostreamError] = {}
        for cluster in self._settings.clusters:
            try:
                opened[cluster.name] = FlinkCluster.of(cluster, limits=self._limits)
            except AutostreamError as error:
                opened[cluster.name] = error
        return opened

    def jobs(
        self,
        *,
        clusters: Collection[str] = (),
        teams: Collection[str] = (),
        states: Collection[str] = (),
        without_team: bool = False,
        ended: bool = False,
    ) -> FleetListing:
        """Return the jobs of all clusters. A cluster that fails is an error of the listing, and hides no other.

        Args:
            clusters: Only jobs of these; none: of all.
            teams: Only jobs of these teams.
            states: Only jobs that are in one of these states.
            without_team: Only jobs of which nobody says whose they are; with `teams`, those as well.
            ended: All lives that clusters remember. Otherwise those that have not ended, and of a name whose lives have
                all ended the last one.

        Raises:
            NotFoundError: There is no cluster of a name that is given.
        """
        chosen = self._chosen(clusters)
        asked = [cluster for cluster in chosen.values() if isinstance(cluster, FlinkCluster)]
        answers = chosen | (self._all if ended else self._present).answers(asked)
        found = [job for jobs in answers.values() if isinstance(jobs, list) for job in jobs]
        errors = tuple(UnreadCluster(name, str(e)) for name, e in answers.items() if isinstance(e, AutostreamError))
        wanted = [
            job
            for job in with_doubles_noted(found)
            if (not states or job.state in states)
            and (not (teams or without_team) or job.team in teams or (without_team and job.team is None))
        ]
        return FleetListing(by_team(wanted), errors)

    def show(self, job: str | JobName, *, job_id: str | None = None) -> JobReport:
        """Return what a cluster tells of one job at this moment.

        Args:
            job: CLUSTER/NAME.
            job_id: Which of several jobs of this name; the beginning of the id is enough.

        Raises:
            UsageError: This is not the name of a job, or several jobs run under it and no id says which one is meant.
            NotFoundError: There is no such cluster or job.
            ServiceError: The cluster cannot be reached, or answers what is not understood.
            DeniedError: It does not accept the login.
        """
        cluster, life = self.find(job, job_id=job_id)
        report = read_report(cluster.rest, self._owned(cluster, [life])[0])
        if report is None:
            raise NotFoundError(f"Job {life.job} ({life.job_id}) has just gone from its cluster. Try again.")
        return report

    def find(self, job: str | JobName, *, job_id: str | None = None) -> tuple[FlinkCluster, FleetJob]:
        """Return the cluster of a job and which of its lives is meant, without its team and owner; raises as `show`."""
        name = JobName.parse(job) if isinstance(job, str) else job
        (cluster,) = self._chosen([name.cluster]).values()
        if isinstance(cluster, AutostreamError):
            raise cluster
        return cluster, choose_life(_lives(cluster), name, job_id=job_id)

    def _chosen(self, names: Collection[str]) -> dict[str, FlinkCluster | AutostreamError]:
        for name in names:
            if name not in self._opened:
                known = one_of(name, self._opened, "Configured as `[[flink.clusters]]`")
                raise NotFoundError(f"Unknown Flink cluster {name!r}. {known}")
        return {name: self._opened[name] for name in names or self._opened}

    def _jobs_of(self, cluster: FlinkCluster, *, ended: bool) -> list[FleetJob]:
        lives = _lives(cluster)
        known = self._parameters.get(cluster.name, {})
        self._parameters[cluster.name] = {life.job_id: known[life.job_id] for life in lives if life.job_id in known}
        return self._owned(cluster, lives if ended else present_lives(lives))

    def _owned(self, cluster: FlinkCluster, lives: Sequence[FleetJob]) -> list[FleetJob]:
        known = self._parameters.setdefault(cluster.name, {})
        owned = []
        for life in lives:
            note = ""
            if life.job_id not in known:
                try:
                    known[life.job_id] = job_parameters(cluster.rest, life.job_id)
                except ServiceError as error:
                    note = f"Its parameters cannot be read, so its team and owner may be others: {error}"
            owner = ownership_of(life.job, parameters=known.get(life.job_id), rules=self._settings.jobs)
            owned.append(replace(life, team=owner.team, owner=owner.owner, note=note))
        return owned


def _lives(cluster: FlinkCluster) -> list[FleetJob]:
    return [
        FleetJob(JobName(cluster.name, job.name), job.job_id, job.state, job.started_ms or None)
        for job in list_jobs(cluster.rest)
    ]
