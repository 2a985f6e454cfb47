"""How jobs are set up, read from what their cluster tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from autostream.flink import models
from autostream.flink.job_settings import JobSettings, VertexSettings
from autostream.flink.job_states import ENDED_STATES, INITIALIZING
from autostream.flink.rest import FlinkRest
from autostream.flink.task_managers import TaskManager, list_task_managers, most_common
from autostream.masking import mask_setting

_NEVER_MS: Final = 2**62
"""Flink writes the largest long as the interval of a job that makes no checkpoints by itself."""
_APPLICATION_KEYS: Final = ("$internal.application.main", "$internal.application.program-args")


@dataclass(frozen=True)
class ClusterSetup:
    """What all jobs of a cluster have in common, so that it is read once for all of them.

    Attributes:
        flink_version: Version of its job manager; None where it does not tell.
        configuration: Settings of its job manager, with secrets hidden; None where it does not tell.
        task_managers: Those that are registered.
    """

    flink_version: str | None = None
    configuration: Mapping[str, str] | None = None
    task_managers: tuple[TaskManager, ...] = ()


def read_cluster_setup(rest: FlinkRest) -> ClusterSetup:
    """Ask a cluster for what its jobs have in common: three requests.

    Raises:
        ServiceError: It cannot be reached, or answers what is not understood.
        DeniedError: It does not accept the login.
    """
    dashboard = rest.read("/config", models.ClusterConfig)
    entries = rest.read("/jobmanager/config", list[models.ConfigurationEntry])
    configuration = None if entries is None else {e.key: str(mask_setting(e.key, e.value)) for e in entries}
    return ClusterSetup(
        flink_version=_known(dashboard.flink_version) if dashboard else None,
        configuration=configuration,
        task_managers=list_task_managers(rest, configuration),
    )


def read_job_settings(rest: FlinkRest, job_id: str, cluster: ClusterSetup | None = None) -> JobSettings | None:
    """Return how a job is set up; None where its cluster does not know it, or does not know it yet.

    A job that is being initialized has neither vertices nor parameters. Pages are cached for some time, so it may have
    none for seconds after it runs.

    It takes three requests; three more without `cluster`; and one a vertex where task managers are allotted different
    things, since then it matters which of them run the job.

    Args:
        rest: The job's cluster.
        job_id: 32 hexadecimal digits.
        cluster: What is known of the cluster already.

    Raises:
        ServiceError: The cluster cannot be reached, or answers what is not understood.
        DeniedError: It does not accept the login.
    """
    job = rest.read(f"/jobs/{job_id}", models.JobDetail)
    if job is None:
        return None
    config = rest.read(f"/jobs/{job_id}/config", models.JobConfig) or models.JobConfig()
    if job.state == INITIALIZING or (config.execution_config is None and job.state not in ENDED_STATES):
        return None
    cluster = cluster or read_cluster_setup(rest)
    checkpoints = rest.read(f"/jobs/{job_id}/checkpoints/config", models.CheckpointsConfig)
    task_managers: Sequence[TaskManager] = cluster.task_managers
    if len({one.settings for one in task_managers}) > 1:
        used = task_manager_ids(rest, job_id, [vertex.id for vertex in job.vertices])
        task_managers = [one for one in task_managers if one.task_manager_id in used]
    return settings_of(job, config, checkpoints, cluster, task_managers)


def task_manager_ids(rest: FlinkRest, job_id: str, vertex_ids: Sequence[str]) -> frozenset[str]:
    """Return the ids of the task managers that run a job's tasks: one request a vertex.

    Raises:
        ServiceError: The cluster cannot be reached, or answers what is not understood.
        DeniedError: It does not accept the login.
    """
    pages = [rest.read(f"/jobs/{job_id}/vertices/{v}/taskmanagers", models.VertexTaskManagers) for v in vertex_ids]
    found = [one.id for page in pages if page is not None for one in page.task_managers]
    return frozenset(found) - {models.UNASSIGNED}


def settings_of(
    job: models.JobDetail,
    config: models.JobConfig,
    checkpoints: models.CheckpointsConfig | None,
    cluster: ClusterSetup,
    task_managers: Sequence[TaskManager],
) -> JobSettings:
    """Return what a cluster's answers say of how a job is set up.

    Args:
        job: The job's page.
        config: Its configuration.
        checkpoints: How it makes checkpoints; None where there is no such page: it makes none.
        cluster: What its cluster's jobs have in common.
        task_managers: Those that run it, as far as it matters.
    """
    execution = config.execution_config or models.ExecutionConfig()
    page = checkpoints or models.CheckpointsConfig()
    interval_ms = page.interval_ms if page.interval_ms and 0 < page.interval_ms < _NEVER_MS else None
    retained = page.externalization
    return JobSettings(
        flink_version=cluster.flink_version,
        deployment=_deployment(cluster.configuration),
        platform=_platform(cluster.configuration),
        scheduler=_scheduler(job, cluster.configuration, batch=_is_batch(job, checkpoints)),
        checkpointing=interval_ms is not None,
        checkpoint_interval_ms=interval_ms,
        checkpoint_timeout_ms=page.timeout_ms,
        unaligned_checkpoints=page.unaligned_checkpoints,
        checkpoints_retained=None if retained is None else retained.enabled and not retained.delete_on_cancellation,
        tolerable_failed_checkpoints=page.tolerable_failed_checkpoints,
        state_backend=page.state_backend,
        restart_strategy=execution.restart_strategy,
        parameters={
            key: str(mask_setting(key, value)) for key, value in execution.user_config.items() if value is not None
        },
        vertices=_vertices(job),
        task_manager=most_common(task_managers),
    )


def _known(version: str) -> str | None:
    """Return a version; None of a build that does not know its own, which says `<unknown>`."""
    return None if version.startswith("<") else version or None


def _vertices(job: models.JobDetail) -> tuple[VertexSettings, ...]:
    inputs = {node.id: node.inputs for node in job.plan.nodes}
    return tuple(
        VertexSettings(
            vertex_id=vertex.id,
            name=vertex.name,
            parallelism=vertex.parallelism,
            max_parallelism=vertex.max_parallelism if vertex.max_parallelism > 0 else None,
            inputs=tuple((edge.id, edge.ship_strategy) for edge in inputs.get(vertex.id, ())),
        )
        for vertex in job.vertices
    )


def _deployment(configuration: Mapping[str, str] | None) -> str | None:
    """Say what the cluster is for: one application, whose job manager has `embedded` for its target, or any jobs."""
    if configuration is None:
        return None
    target = configuration.get("execution.target", "")
    application = target == "embedded" or target.endswith("-application")
    return "application" if application or any(key in configuration for key in _APPLICATION_KEYS) else "session"


def _platform(configuration: Mapping[str, str] | None) -> str | None:
    """Say who starts the cluster's processes."""
    if configuration is None:
        return None
    target = configuration.get("execution.target", "")
    if target.startswith("kubernetes-") or "kubernetes.cluster-id" in configuration:
        return "kubernetes"
    yarn = target.startswith("yarn-") or any(key.startswith("$internal.yarn") for key in configuration)
    return "yarn" if yarn else "standalone"


def _is_batch(job: models.JobDetail, checkpoints: models.CheckpointsConfig | None) -> bool:
    """Say whether a job is a batch job. Flink 1.18 does not say it; of a batch job it has no page about checkpoints."""
    return job.job_type == "BATCH" if job.job_type else checkpoints is None


def _scheduler(job: models.JobDetail, configuration: Mapping[str, str] | None, *, batch: bool) -> str | None:
    """Return what schedules a job's tasks: what its page says; up to Flink 2.1, what is configured."""
    if job.scheduler_type:
        return _as_configured(job.scheduler_type)
    if configuration is None:
        return None
    if configuration.get("scheduler-mode", "").lower() == "reactive":
        return "adaptive"
    # What batch jobs get where nothing is configured differs between versions.
    return _as_configured(configuration.get("jobmanager.scheduler", "" if batch else "default")) or None


def _as_configured(scheduler: str) -> str:
    """Return the name of a scheduler as `jobmanager.scheduler` has it: pages write `AdaptiveBatch`."""
    name = scheduler.lower()
    return "adaptive-batch" if name == "adaptivebatch" else name
