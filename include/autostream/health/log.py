"""Jobs' health in the database: entries that tell something new are added, asked for, and forgotten as they age."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select

from autostream.findings import Severity
from autostream.health.health_alerts import AlertKey, AlertState
from autostream.health.health_changes import DAY_MS, KEPT_EVERY_MS, HealthEntry, is_worth_keeping
from autostream.health.rows import HealthAlertRow, JobHealthRow
from autostream.names import JobName
from autostream.store.chores import take_chore

_CHORE: Final = "forget old health"
_ROWS_A_STATEMENT: Final = 500
_LATE_MS: Final = KEPT_EVERY_MS
"""By how much an entry may be late: the workflow does not run to the second, and not in every quarter of an hour."""


class HealthLog:
    """Jobs' health, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Use a connection of `Database.read`, or of `Database.write` for what changes anything."""
        self._connection = connection

    # ------- entries
    def add(self, entries: Iterable[HealthEntry]) -> int:
        """Add entries of one moment, those that tell more than the last one of their job.

        Returns:
            How many were added.
        """
        given = list(entries)
        if not given:
            return 0
        last = self.latest(before_ms=max(entry.at_ms for entry in given))
        rows = [_to_row(entry) for entry in given if is_worth_keeping(entry, last.get(entry.job))]
        for start in range(0, len(rows), _ROWS_A_STATEMENT):
            self._connection.execute(insert(JobHealthRow), rows[start : start + _ROWS_A_STATEMENT])
        return len(rows)

    def latest(self, *, before_ms: int, job: JobName | None = None) -> dict[JobName, HealthEntry]:
        """Return the last entry of each job, or of one, up to some time: of those judged within two hours before."""
        since_ms = before_ms - KEPT_EVERY_MS - _LATE_MS
        last = select(JobHealthRow.name_digest, func.max(JobHealthRow.at_ms).label("at_ms")).where(
            JobHealthRow.at_ms > since_ms, JobHealthRow.at_ms <= before_ms
        )
        if job is not None:
            last = last.where(JobHealthRow.name_digest == _digest(job))
        newest = last.group_by(JobHealthRow.name_digest).subquery()
        query = select(JobHealthRow).join(
            newest, (JobHealthRow.name_digest == newest.c.name_digest) & (JobHealthRow.at_ms == newest.c.at_ms)
        )
        return {
            entry.job: entry
            for row in self._connection.execute(query.order_by(JobHealthRow.id))
            if (entry := _to_entry(row))
        }

    def entries(self, job: JobName, *, since_ms: int) -> list[HealthEntry]:
        """Return the entries of a job since some time, the oldest first."""
        query = select(JobHealthRow).where(JobHealthRow.name_digest == _digest(job), JobHealthRow.at_ms >= since_ms)
        return [_to_entry(row) for row in self._connection.execute(query.order_by(JobHealthRow.at_ms, JobHealthRow.id))]

    def scores(self, *, since_ms: int) -> dict[JobName, list[HealthEntry]]:
        """Return the entries of all jobs since some time, the oldest first."""
        found: dict[JobName, list[HealthEntry]] = defaultdict(list)
        query = select(JobHealthRow).where(JobHealthRow.at_ms >= since_ms)
        for row in self._connection.execute(query.order_by(JobHealthRow.at_ms, JobHealthRow.id)):
            entry = _to_entry(row)
            found[entry.job].append(entry)
        return dict(found)

    # ------- alerts
    def alerts(self) -> dict[str, dict[AlertKey, AlertState]]:
        """Return what is remembered of alerts, by the full name of the job."""
        found: dict[str, dict[AlertKey, AlertState]] = defaultdict(dict)
        for row in self._connection.execute(select(HealthAlertRow)):
            found[row.job][row.rule, row.about] = AlertState(row.since_ms, row.told_ms, Severity(row.severity))
        return dict(found)

    def put_alerts(self, job: JobName, states: Mapping[AlertKey, AlertState]) -> None:
        """Remember these states of a job's alerts, and no others."""
        self._connection.execute(delete(HealthAlertRow).where(HealthAlertRow.name_digest == _digest(job)))
        rows = [
            {
                "name_digest": _digest(job),
                "rule": rule,
                "about": about,
                "job": str(job),
                "since_ms": state.since_ms,
                "told_ms": state.told_ms,
                "severity": state.severity.value,
            }
            for (rule, about), state in states.items()
        ]
        if rows:
            self._connection.execute(insert(HealthAlertRow), rows)

    def forget_alerts_but(self, jobs: Collection[JobName]) -> None:
        """Forget the alerts of all other jobs: these have ended, and nobody waits to hear that they are well."""
        kept = {str(job) for job in jobs}
        for name in self.alerts().keys() - kept:
            self._connection.execute(delete(HealthAlertRow).where(HealthAlertRow.name_digest == _digest_of(name)))

    # ------- age
    def forget_when_due(self, *, now_ms: int, keep_days: int) -> None:
        """Delete entries older than so many days, where nobody has done it within the day."""
        if take_chore(self._connection, _CHORE, now_ms=now_ms, every_ms=DAY_MS):
            oldest_ms = now_ms - keep_days * DAY_MS
            self._connection.execute(delete(JobHealthRow).where(JobHealthRow.at_ms < oldest_ms))


def _digest(job: JobName) -> str:
    return _digest_of(str(job))


def _digest_of(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _to_row(entry: HealthEntry) -> dict[str, Any]:
    findings = {name: [entry.severities[name].value, cost] for name, cost in entry.deductions.items()}
    return {
        "name_digest": _digest(entry.job),
        "cluster": entry.job.cluster,
        "name": entry.job.name,
        "at_ms": entry.at_ms,
        "team": entry.team,
        "score": entry.score,
        "confidence": entry.confidence,
        "findings": json.dumps(findings, separators=(",", ":")),
        "parallelism": entry.parallelism,
        "task_managers": entry.task_managers,
        "cpu_cores": entry.cpu_cores,
        "memory_bytes": entry.memory_bytes,
    }


def _to_entry(row: Any) -> HealthEntry:
    findings = json.loads(row.findings)
    return HealthEntry(
        job=JobName(row.cluster, row.name),
        at_ms=row.at_ms,
        team=row.team,
        score=row.score,
        confidence=row.confidence,
        deductions={name: cost for name, (_, cost) in findings.items()},
        severities={name: Severity(severity) for name, (severity, _) in findings.items()},
        parallelism=row.parallelism,
        task_managers=row.task_managers,
        cpu_cores=row.cpu_cores,
        memory_bytes=row.memory_bytes,
    )
