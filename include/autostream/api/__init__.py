"""The library to import: tables by name, and the questions and operations on them.

`autostream.table("lake.db.orders")` is a handle. It opens nothing until you use it. A `Lakehouse` holds what several
handles share, such as open catalogs. Command line, workflows and notebooks call the same methods.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from autostream.api.instants import Instant, to_epoch_ms
from autostream.api.lake_table import FOREVER, LakeTable
from autostream.api.lakehouse import CatalogProperties, Lakehouse, UnlistedCatalog

if TYPE_CHECKING:
    from autostream.api.service_checks import CheckReport
    from autostream.config import Settings
    from autostream.diagnosis.diagnosing import JobDiagnosis
    from autostream.diagnosis.level_changes import LevelChange
    from autostream.diagnosis.log_levels import LevelsSet, LogLevels
    from autostream.diagnosis.profiling import ProfileRun
    from autostream.flink.fleet import Fleet
    from autostream.health.health_report import HealthReport
    from autostream.lake.compaction.table_outcomes import FleetResult
    from autostream.locks.table_locks import LockListing
    from autostream.telemetry.job_metrics import JobMetrics

__all__ = [
    "FOREVER",
    "CatalogProperties",
    "Instant",
    "LakeTable",
    "Lakehouse",
    "UnlistedCatalog",
    "check",
    "compact",
    "diagnose",
    "flink",
    "flink_metrics",
    "health",
    "locks",
    "log_levels",
    "profile",
    "reset_log_levels",
    "set_log_level",
    "table",
    "tables",
]


def table(name: str, *, settings: Settings | None = None, catalogs: CatalogProperties | None = None) -> LakeTable:
    """Return a handle on a table, such as `table("lake.db.orders")`.

    Args:
        name: CATALOG.NAMESPACE.TABLE.
        settings: The configuration; None: read `autostream.toml` and the environment.
        catalogs: The catalogs to use. None: those of PyIceberg's own configuration.

    Raises:
        UsageError: The name is not CATALOG.NAMESPACE.TABLE.
    """
    return Lakehouse(settings=settings, catalogs=catalogs).table(name)


def tables(
    *patterns: str,
    namespace: str | None = None,
    settings: Settings | None = None,
    catalogs: CatalogProperties | None = None,
) -> tuple[LakeTable, ...]:
    """Return the tables whose full names match a pattern, such as `tables("lake.shop.*")`; all without one.

    Args:
        patterns: `*` stands for any characters, dots included, `?` for one.
        namespace: Only tables of this namespace and those within it.
        settings: The configuration; None: read `autostream.toml` and the environment.
        catalogs: The catalogs to use. None: those of PyIceberg's own configuration.

    Raises:
        AutostreamError: A catalog cannot be opened or listed.
    """
    return Lakehouse(settings=settings, catalogs=catalogs).tables(*patterns, namespace=namespace)


def locks(catalog: str | None = None) -> LockListing:
    """Return the locks that are held on tables, in ZooKeeper and in Hive metastores, optionally of one catalog.

    Raises:
        ConfigurationError: The catalog is not configured, or neither ZooKeeper nor a Hive catalog is configured.
    """
    return Lakehouse().locks(catalog)


def flink(settings: Settings | None = None) -> Fleet:
    """Return the Flink clusters that are configured, whose jobs can be listed and looked at.

    Args:
        settings: The configuration; None: read `autostream.toml` and the environment.

    Raises:
        ConfigurationError: It cannot be read, or a value is not allowed.
    """
    from autostream.config import load_settings
    from autostream.flink.fleet import Fleet

    return Fleet((settings or load_settings()).flink)


def health(
    job: str | None = None,
    *,
    team: str | None = None,
    window_seconds: int | None = None,
    record: bool = False,
    settings: Settings | None = None,
) -> HealthReport:
    """Return how Flink jobs are, by the samples that `autostream flink watch` has taken: scores, findings, fixes.

    Args:
        job: Only this one, CLUSTER/NAME.
        team: Only jobs of this team.
        window_seconds: Over how long they are judged; None: `health.window_seconds`.
        record: Write down how all jobs are and tell people what has become bad or well, as the workflow does.
        settings: The configuration; None: read `autostream.toml` and the environment.

    Raises:
        UsageError: A job, a team or a window is given with `record`, which is about all jobs.
        NotFoundError: There is no such job.
        ConfigurationError: A ladder is configured wrongly.
        ServiceError: The database cannot be reached, or fails.
    """
    from autostream.api.job_tables import JobTables
    from autostream.errors import UsageError
    from autostream.health.assessing import assess_jobs, record_health

    lakehouse = Lakehouse(settings=settings)
    facts_of = JobTables(lakehouse).facts_of
    if not record:
        return assess_jobs(lakehouse.settings, job=job, team=team, window_seconds=window_seconds, facts_of=facts_of)
    if job or team or window_seconds:
        raise UsageError("What is recorded is the health of all jobs over the configured window. Name no job or team.")
    return record_health(lakehouse.settings, facts_of=facts_of)


def diagnose(
    job: str,
    *,
    job_id: str | None = None,
    parts: Collection[str] | None = None,
    checkpoint_id: int | None = None,
    flame_kind: str = "full",
    report_progress: Callable[[str], None] | None = None,
    settings: Settings | None = None,
) -> JobDiagnosis:
    """Find out why a Flink job is slow, stuck or failing. The job stays as it is.

    What one part cannot read is in its `unread`, and hides no other part.

    Args:
        job: CLUSTER/NAME.
        job_id: Which of several jobs of this name; the beginning of the id is enough.
        parts: What to look at: `exceptions`, `back-pressure`, `skew`, `checkpoints`, `watermarks`, `threads`, `logs`,
            `flame-graph`. None: all but the last.
        checkpoint_id: The checkpoint to take apart; None: the one that tells most.
        flame_kind: What a flame graph samples: `full`, `on_cpu` or `off_cpu`.
        report_progress: Called with the name of each part before it is looked at.
        settings: The configuration; None: read `autostream.toml` and the environment.

    Raises:
        UsageError: There is no such part or kind, or several jobs have this name.
        NotFoundError: There is no such cluster or job.
        ServiceError: The cluster cannot be reached, or answers what is not understood.
        DeniedError: It does not accept the login.
    """
    from autostream.diagnosis.diagnosing import diagnose_job

    return diagnose_job(
        flink(settings),
        job,
        job_id=job_id,
        parts=parts,
        checkpoint_id=checkpoint_id,
        flame_kind=flame_kind,
        report_progress=report_progress,
    )


def profile(
    job: str,
    *,
    job_id: str | None = None,
    task_manager_id: str | None = None,
    mode: str = "CPU",
    seconds: int = 30,
    settings: Settings | None = None,
) -> tuple[ProfileRun, bytes]:
    """Run Flink's async-profiler on a task manager of a job; return the run, and its page of HTML.

    Args:
        job: CLUSTER/NAME.
        job_id: Which of several jobs of this name; the beginning of the id is enough.
        task_manager_id: Which task manager; None: the first of the job's.
        mode: What is sampled: `CPU`, `ALLOC`, `LOCK`, `WALL` or `ITIMER`.
        seconds: For how long.
        settings: The configuration; None: read `autostream.toml` and the environment.

    Raises:
        UsageError: There is no such mode or task manager, or the length cannot be.
        NotReadyError: The cluster has no profiler, or it is off or busy.
        AutostreamError: The run failed, did not end, or the cluster cannot be reached.
    """
    from autostream.diagnosis.diagnosing import profile_job

    return profile_job(flink(settings), job, job_id=job_id, task_manager_id=task_manager_id, mode=mode, seconds=seconds)


def flink_metrics(
    job: str,
    *,
    since: Instant,
    until: Instant | None = None,
    figures: Collection[str] = (),
    vertex: str | None = None,
    settings: Settings | None = None,
) -> JobMetrics:
    """Return the figures of a Flink job over time, as `autostream flink watch` has sampled them.

    Args:
        job: CLUSTER/NAME, such as `prod/orders-enrich`.
        since: What was sampled after this point in time.
        until: Up to when; None: now.
        figures: Names of figures; none: all.
        vertex: Id, name or beginning of the name of one of its vertices. None: figures of the job.
        settings: The configuration; None: read `autostream.toml` and the environment.

    Raises:
        UsageError: There is no such job, figure or vertex.
        ServiceError: The database cannot be reached, or fails.
    """
    from autostream.telemetry.job_metrics import read_job_metrics

    return read_job_metrics(
        job,
        since_ms=to_epoch_ms(since),
        until_ms=None if until is None else to_epoch_ms(until),
        figures=figures,
        vertex=vertex,
        settings=None if settings is None else settings.database,
    )


def set_log_level(
    job: str, logger: str, level: str, *, for_seconds: float, why: str = "", settings: Settings | None = None
) -> LevelsSet:
    """Change the level of a logger of a job's cluster for a while, without a restart.

    It is reset when its time is over by `autostream flink watch`, or by the next call of one of these functions.

    Args:
        job: CLUSTER/NAME. All jobs of the cluster have the same log configuration.
        logger: A class or a package, or `root`.
        level: `DEBUG`, `TRACE`, `INFO` and so on.
        for_seconds: After how long it is reset; 24 hours at most.
        why: Why, for the journal.
        settings: The configuration; None: read `autostream.toml` and the environment.

    Raises:
        UsageError: There is no such level, or it cannot stay so long.
        NotFoundError: There is no such cluster, or its log configuration is not there.
        ConfigurationError: The deployment cannot do it.
        ConflictError: Others have written the log configuration since levels were changed in it.
        ServiceError: The log configuration or the database cannot be read or written.
    """
    levels = _log_levels(settings)
    levels.reset_due()
    return levels.set(job, logger, level, for_ms=round(for_seconds * 1000), why=why)


def reset_log_levels(
    job: str,
    *,
    loggers: Collection[str] = (),
    why: str = "",
    forget: bool = False,
    settings: Settings | None = None,
) -> tuple[LevelChange, ...]:
    """Reset the levels of a job's cluster to what they were, and return those that were changed.

    Args:
        job: CLUSTER/NAME.
        loggers: Only these; none: all that are changed.
        why: Why, for the journal.
        forget: Leave the log configuration as it is: others have written it since.
        settings: The configuration; None: read `autostream.toml` and the environment.

    Raises:
        UsageError: The level of such a logger is not changed.
        ConflictError: Others have written the log configuration since; it is left as it is.
        AutostreamError: As `set_log_level`.
    """
    return _log_levels(settings).reset(job, loggers=loggers, why=why, forget=forget)


def log_levels(
    job: str | None = None, *, settings: Settings | None = None
) -> tuple[tuple[LevelChange, ...], tuple[str, ...]]:
    """Reset the levels that are due; return those that are changed still, and what could not be reset.

    Args:
        job: Only of this job's cluster.
        settings: The configuration; None: read `autostream.toml` and the environment.
    """
    levels = _log_levels(settings)
    _, problems = levels.reset_due()
    return levels.changes(job), problems


def _log_levels(settings: Settings | None) -> LogLevels:
    from autostream.config import load_settings
    from autostream.diagnosis.log_levels import LogLevels
    from autostream.store.database import open_database

    settings = settings or load_settings()
    return LogLevels(settings.flink, open_database(settings.database))


def compact(
    *patterns: str,
    enabled: bool = False,
    where: str | None = None,
    options: Mapping[str, str] | None = None,
    dry_run: bool = False,
    report_progress: Callable[[str], None] | None = None,
    settings: Settings | None = None,
    catalogs: CatalogProperties | None = None,
) -> FleetResult:
    """Compact tables one after the other, such as `compact("lake.shop.*")`, and say what became of each.

    Args:
        patterns: Full names, or patterns of them; `*` stands for any characters, dots included, `?` for one.
        enabled: Only tables with `autostream.compaction.enabled=true`, of those that match; without patterns, of all.
            A table that is named in full is compacted in any case.
        where: Expression on partition columns that limits the work.
        options: Compaction options that override the tables' properties, by their names without prefix.
        dry_run: Only plan.
        report_progress: Gets a line each time that something new is under way.
        settings: The configuration; None: read `autostream.toml` and the environment.
        catalogs: The catalogs to use. None: those of PyIceberg's own configuration.

    Raises:
        AutostreamError: Nothing could be begun with, as `Lakehouse.compact` says.
    """
    return Lakehouse(settings=settings, catalogs=catalogs).compact(
        *patterns, enabled=enabled, where=where, options=options, dry_run=dry_run, report_progress=report_progress
    )


def check(*catalogs: str) -> CheckReport:
    """Prove that what is configured can be reached: catalogs, ZooKeeper, Flink, the database, room to spill.

    Args:
        catalogs: Only these catalogs; none: those of the setting `compaction.catalogs`, or else all.

    Raises:
        ConfigurationError: The configuration cannot be read, or no catalog is configured.
    """
    return Lakehouse().check(*catalogs)
