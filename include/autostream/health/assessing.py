"""Judging the jobs whose samples are in the database, and writing down what came out: the edge of `health`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from autostream import times
from autostream.config.root import Settings
from autostream.errors import NotFoundError
from autostream.health.health_alerts import DEFAULT_ALERTS, decide_alerts
from autostream.health.health_changes import DAY_MS, HealthChange, HealthEntry, change_between, trend_of
from autostream.health.health_report import HealthReport, worst_jobs_first
from autostream.health.job_facts import NO_FACTS, JobFacts
from autostream.health.job_health import JobHealth, judge_job
from autostream.health.job_view import JobView
from autostream.health.ladders import configured_ladders
from autostream.health.log import HealthLog
from autostream.health.low_utilisation import DEFAULT_UTILISATION_RULES, Utilisation, utilisation_of
from autostream.names import JobName
from autostream.notices import Notice
from autostream.notify.outbox import put
from autostream.spelling import one_of
from autostream.store.database import open_database
from autostream.store.turns import take_turn
from autostream.telemetry.job_records import GONE, JobRecord
from autostream.telemetry.log import TelemetryLog
from autostream.telemetry.windows import window_of

_WITHOUT_HEALTH: Final = frozenset({"CANCELED", "FINISHED", GONE})
_TREND_DAYS: Final = 7

FactsOf = Callable[[JobRecord], JobFacts]
"""Says what is known of a job from elsewhere than its cluster."""


def assess_jobs(
    settings: Settings,
    *,
    job: str | JobName | None = None,
    team: str | None = None,
    window_seconds: int | None = None,
    facts_of: FactsOf = lambda _: NO_FACTS,
) -> HealthReport:
    """Return how jobs are by the samples that are in the database. Jobs that have ended are not among them.

    Args:
        settings: The configuration.
        job: Only this one, CLUSTER/NAME; of one that has ended it is said that it has.
        team: Only jobs of this team.
        window_seconds: Over how long they are judged; None: `health.window_seconds`.
        facts_of: What else is known of each.

    Raises:
        NotFoundError: There is no such job.
        ConfigurationError: A ladder is configured wrongly.
    """
    now_ms = times.now_ms()
    seconds = window_seconds or settings.health.window_seconds
    ladders = configured_ladders(settings.health.ladders)
    with open_database(settings.database).read() as connection:
        log, history = TelemetryLog(connection), HealthLog(connection)
        if job is not None:
            name = JobName.parse(job) if isinstance(job, str) else job
            records = [_require(log, name)]
            windows = {name: window_of(log.samples(name, since_ms=now_ms - seconds * 1000))}
            weeks = {name: history.entries(name, since_ms=now_ms - _TREND_DAYS * DAY_MS)}
            yesterday = history.latest(before_ms=now_ms - DAY_MS, job=name)
        else:
            records = [record for record in log.records(team=team) if record.state not in _WITHOUT_HEALTH]
            windows = {name: window_of(samples) for name, samples in log.recent(since_ms=now_ms - seconds * 1000)}
            weeks = history.scores(since_ms=now_ms - _TREND_DAYS * DAY_MS)
            yesterday = history.latest(before_ms=now_ms - DAY_MS)
    jobs = [
        judge_job(
            record,
            windows.get(record.job),
            now_ms=now_ms,
            window_seconds=seconds,
            stale_after_seconds=settings.health.stale_after_seconds,
            facts=facts_of(record),
            ladders=ladders,
        )
        for record in records
        if team is None or record.team == team
    ]
    trends = {name: trend for name, entries in weeks.items() if (trend := trend_of(entries)) is not None}
    return HealthReport(now_ms, worst_jobs_first(jobs), _changes(jobs, yesterday, now_ms), trends)


def record_health(settings: Settings, *, facts_of: FactsOf = lambda _: NO_FACTS) -> HealthReport:
    """Judge all jobs, write down how they are, and tell people of what has become bad or well.

    Several that do so at once take turns, so that an alert is told once. Its beginning and the messages about it are
    written in one transaction: a process that dies leaves both or neither.
    """
    report = assess_jobs(settings, facts_of=facts_of)
    rules = settings.health.alerts or DEFAULT_ALERTS
    notices: list[Notice] = []
    with open_database(settings.database).write() as connection:
        take_turn(connection, "health")
        log = HealthLog(connection)
        states = log.alerts()
        spans = {rule.within_seconds for rule in rules if rule.when == "falling-by"}
        earlier = {span: log.latest(before_ms=report.at_ms - span * 1000) for span in spans}
        for health in report.jobs:
            job = health.record.job
            before = states.get(str(job), {})
            past = {span: entries[job] for span, entries in earlier.items() if job in entries}
            after, told = decide_alerts(health, before, rules=rules, earlier=past, now_ms=report.at_ms)
            notices += told
            if after != before:
                log.put_alerts(job, after)
        log.forget_alerts_but([health.record.job for health in report.jobs])
        log.add(HealthEntry.of(health, at_ms=report.at_ms) for health in report.jobs)
        log.forget_when_due(now_ms=report.at_ms, keep_days=settings.health.history_days)
        put(connection, notices, settings.notify, now_ms=report.at_ms)
    return replace(report, notices=tuple(notices))


def low_utilisation(settings: Settings, *, team: str | None = None) -> dict[JobName, tuple[Utilisation, ...]]:
    """Return what each rule about low utilisation says of each job that has not ended.

    Each rule looks at a window of its own, which a restart cuts: see its `least_coverage`.
    """
    now_ms = times.now_ms()
    rules = settings.health.low_utilisation or DEFAULT_UTILISATION_RULES
    found: dict[JobName, tuple[Utilisation, ...]] = {}
    with open_database(settings.database).read() as connection:
        log = TelemetryLog(connection)
        for record in log.records(team=team):
            if record.state in _WITHOUT_HEALTH:
                continue
            longest_ms = max(rule.window_seconds for rule in rules) * 1000
            samples = log.samples(record.job, since_ms=now_ms - longest_ms)
            said: list[Utilisation] = []
            for rule in rules:
                window = window_of([s for s in samples if s.at_ms > now_ms - rule.window_seconds * 1000])
                if window is not None:
                    said += utilisation_of(JobView(window, record), [rule])
            found[record.job] = tuple(said)
    return found


def _require(log: TelemetryLog, job: JobName) -> JobRecord:
    record = log.record(job)
    if record is None:
        known = [str(one.job) for one in log.records(cluster=job.cluster)]
        raise NotFoundError(
            f"Nothing is known of job {job}. "
            + (one_of(str(job), known, "Jobs of its cluster") if known else "autostream flink watch samples jobs.")
        )
    return record


def _changes(
    jobs: list[JobHealth], yesterday: Mapping[JobName, HealthEntry], now_ms: int
) -> dict[JobName, HealthChange]:
    return {
        job.record.job: change_between(yesterday[job.record.job], HealthEntry.of(job, at_ms=now_ms))
        for job in jobs
        if job.record.job in yesterday
    }
