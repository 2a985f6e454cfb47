"""All jobs of all clusters, each cluster on its own: listed, and one of them looked at closely."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from autostream.config.sections.flink import FlinkClusterSettings, FlinkKubernetesSettings, FlinkSettings
from autostream.errors import AutostreamError, NotFoundError, NotReadyError, ServiceError
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
from autostream.flink.kubernetes_discovery import cluster_name, cluster_settings, discover
from autostream.flink.kubernetes_objects import Deployment
from autostream.flink.ownership import ownership_of
from autostream.flink.progress import job_parameters, list_jobs
from autostream.http import Limits
from autostream.names import JobName
from autostream.spelling import one_of

_LIMITS: Final = Limits(connect_seconds=3.0, read_seconds=8.0)
_PATIENCE_SECONDS: Final = 20.0


@dataclass(frozen=True)
class FleetCluster:
    """A cluster of the fleet.

    Attributes:
        name: What it is called everywhere.
        flink: How it is asked; None while Kubernetes has no job manager of it that is ready.
        deployment: What Kubernetes says of it; None of a cluster that is configured.
    """

    name: str
    flink: FlinkCluster | None
    deployment: Deployment | None = None

    def labels_of(self, job_id: str) -> Mapping[str, str]:
        """Return whose a job is by labels in Kubernetes."""
        return self.deployment.labels_of(job_id) if self.deployment else {}

    def lives(self) -> list[FleetJob]:
        """Return the jobs that its job manager knows, and those that Kubernetes knows besides.

        Raises:
            ServiceError: The job manager cannot be reached, or answers what is not understood.
            DeniedError: It does not accept the login.
        """
        listed = list_jobs(self.flink.rest) if self.flink else []
        lives = [FleetJob(self._job(job.name), job.job_id, job.state, job.started_ms or None) for job in listed]
        seen = {job.job_id for job in listed}
        # Of a job of a session cluster that has not been started there is a session job, and nothing in its cluster.
        besides = [job for job in (self.deployment.jobs if self.deployment else ()) if job.job_id not in seen]
        if self.flink and self.deployment and self.deployment.kind == "application" and lives:
            besides = []
        status = "" if self.flink or not self.deployment else self.deployment.status
        return lives + [
            FleetJob(self._job(job.name), job.job_id, job.state, note=status or job.note) for job in besides
        ]

    def _job(self, name: str) -> JobName:
        return JobName(self.name, name)


@dataclass(frozen=True)
class FleetClusters:
    """The clusters that there are at a moment.

    Attributes:
        found: By name: a cluster, or why it cannot be asked.
        undiscovered: Why the clusters of a Kubernetes are not known, by the name of its entry in the configuration.
    """

    found: Mapping[str, FleetCluster | AutostreamError]
    undiscovered: Mapping[str, AutostreamError]

    def named(self, names: Collection[str]) -> dict[str, FleetCluster | AutostreamError]:
        """Return clusters by their names; all that there are where none is named.

        Raises:
            NotFoundError: There is no such cluster.
            AutostreamError: It is not known, since its Kubernetes cannot be asked.
        """
        for name in names:
            if name not in self.found:
                if (error := self.undiscovered.get(name.partition(".")[0])) is not None:
                    raise error
                known = one_of(name, self.found, "Known are")
                raise NotFoundError(f"Unknown Flink cluster {name!r}. {known}")
        return {name: self.found[name] for name in names or self.found}


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
        self._listings = ClusterCalls[list[FleetJob]]("Flink cluster", patience_seconds=patience_seconds)
        self._discoveries = ClusterCalls[list[Deployment]]("Kubernetes", patience_seconds=patience_seconds)
        self._opened: dict[FlinkClusterSettings, FlinkCluster] = {}

    @property
    def configured(self) -> bool:
        """Whether there is anything to ask."""
        return bool(self._settings.clusters or self._settings.kubernetes)

    def clusters(self) -> FleetClusters:
        """Return the clusters that are configured and those that Kubernetes has now, without asking any of them."""
        found = {cluster.name: self._open(cluster.name, cluster, None) for cluster in self._settings.clusters}
        asked = {one.name: one for one in self._settings.kubernetes}
        answers = self._discoveries.answers({name: partial(discover, one) for name, one in asked.items()})
        undiscovered = {}
        for name, deployments in answers.items():
            if isinstance(deployments, AutostreamError):
                undiscovered[name] = deployments
                continue
            for deployment in deployments:
                cluster = cluster_name(asked[name], deployment)
                found[cluster] = self._open_deployment(cluster, asked[name], deployment)
        return FleetClusters(found, undiscovered)

    def _open_deployment(
        self, name: str, kubernetes: FlinkKubernetesSettings, deployment: Deployment
    ) -> FleetCluster | AutostreamError:
        if not deployment.ready:
            return FleetCluster(name, None, deployment)
        try:
            return self._open(name, cluster_settings(kubernetes, deployment), deployment)
        except AutostreamError as error:
            return error

    def _open(
        self, name: str, settings: FlinkClusterSettings, deployment: Deployment | None
    ) -> FleetCluster | AutostreamError:
        if settings not in self._opened:  # which keeps its connections, and remembers the address that answers
            try:
                self._opened[settings] = FlinkCluster.of(settings, limits=self._limits)
            except AutostreamError as error:
                return error
        return FleetCluster(name, self._opened[settings], deployment)

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
        known = self.clusters()
        chosen = known.named(clusters)
        questions = {
            name: partial(self._jobs_of, cluster, ended=ended)
            for name, cluster in chosen.items()
            if isinstance(cluster, FleetCluster)
        }
        answers = chosen | self._listings.answers(questions)
        found = [job for jobs in answers.values() if isinstance(jobs, list) for job in jobs]
        failed = {**known.undiscovered, **answers}
        errors = tuple(UnreadCluster(name, str(e)) for name, e in failed.items() if isinstance(e, AutostreamError))
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
            NotReadyError: Kubernetes knows the job, and no job manager runs it; or the job is about to start.
        """
        cluster, life = self._find(job, job_id)
        if cluster.flink is None:
            raise NotReadyError(f"No job manager runs {life.job}. {life.note}")
        report = read_report(cluster.flink.rest, self._owned(cluster, [life])[0])
        if report is None:
            raise NotReadyError(
                f"Cluster {cluster.name} does not tell how {life.job} ({life.job_id}) is set up: the job is about to "
                "start, or has just gone. Try again."
            )
        return replace(report, deployment=cluster.deployment)

    def find(self, job: str | JobName, *, job_id: str | None = None) -> tuple[FlinkCluster, FleetJob]:
        """Return the cluster of a job and which of its lives is meant, without its team and owner; raises as `show`."""
        cluster, life = self._find(job, job_id)
        if cluster.flink is None:
            raise NotReadyError(f"No job manager runs {life.job}. {life.note}")
        return cluster.flink, life

    def _find(self, job: str | JobName, job_id: str | None) -> tuple[FleetCluster, FleetJob]:
        name = JobName.parse(job) if isinstance(job, str) else job
        (cluster,) = self.clusters().named([name.cluster]).values()
        if isinstance(cluster, AutostreamError):
            raise cluster
        return cluster, choose_life(cluster.lives(), name, job_id=job_id)

    def _jobs_of(self, cluster: FleetCluster, *, ended: bool) -> list[FleetJob]:
        lives = cluster.lives()
        known = self._parameters.get(cluster.name, {})
        self._parameters[cluster.name] = {life.job_id: known[life.job_id] for life in lives if life.job_id in known}
        return self._owned(cluster, lives if ended else present_lives(lives))

    def _owned(self, cluster: FleetCluster, lives: Sequence[FleetJob]) -> list[FleetJob]:
        known = self._parameters.setdefault(cluster.name, {})
        owned = []
        for life in lives:
            note = life.note
            if cluster.flink is not None and life.job_id not in known and not life.note:
                try:
                    parameters = job_parameters(cluster.flink.rest, life.job_id)
                    if parameters is not None:
                        known[life.job_id] = parameters
                except ServiceError as error:
                    note = f"Its parameters cannot be read, so its team and owner may be others: {error}"
            owner = ownership_of(
                life.job,
                parameters=known.get(life.job_id),
                labels=cluster.labels_of(life.job_id),
                rules=self._settings.jobs,
            )
            owned.append(replace(life, team=owner.team, owner=owner.owner, note=note))
        return owned
