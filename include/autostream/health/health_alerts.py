"""When people are told of a job's health: once when it becomes bad, once when it is well again. Pure.

An alert begins when its rule holds, and ends when the score is better than that by a margin, or the finding is gone:
a score that moves around the limit is told of once. After it has begun, its rule tells nothing of the job for
`silence_seconds`; what holds then is told.

A score that is not known changes nothing. One that is not sure ends no alert, but begins one: only what is known lowers
a score, and a job that restarts all the time is known by little else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from autostream.config.sections.health import AlertRule
from autostream.findings import Severity
from autostream.health.health_changes import HealthEntry
from autostream.health.job_health import JobHealth
from autostream.notices import Notice, NoticeKind, page_of_job
from autostream.times import describe_length

DEFAULT_ALERTS: Final = (
    AlertRule(name="score-low", when="score-below", value=60),
    AlertRule(name="score-falling", when="falling-by", value=20),
    AlertRule(name="error", when="finding", severity="error"),
)
"""The rules that hold where none is configured."""

_MOST_TOLD: Final = 3
_ORDER: Final = list(Severity)

AlertKey = tuple[str, str]
"""The name of a rule, and the id of the finding that it is about; empty where it is about the score."""


@dataclass(frozen=True)
class AlertState:
    """What is remembered of a rule and a job.

    Attributes:
        since_ms: Since when the alert is on; None where it is off.
        told_ms: When it was last told that it began.
        severity: How bad it was.
    """

    since_ms: int | None
    told_ms: int
    severity: Severity

    @property
    def on(self) -> bool:
        """Whether it has begun, and not ended."""
        return self.since_ms is not None


@dataclass(frozen=True)
class _Verdict:
    """What a rule says now: whether its alert should begin, or may end, and the notice of that."""

    key: AlertKey
    bad: bool
    good: bool
    severity: Severity
    kind: NoticeKind
    fields: Mapping[str, str | int | float]
    recovered: str


def decide_alerts(
    health: JobHealth,
    states: Mapping[AlertKey, AlertState],
    *,
    rules: Iterable[AlertRule],
    earlier: Mapping[int, HealthEntry],
    now_ms: int,
) -> tuple[dict[AlertKey, AlertState], list[Notice]]:
    """Return what is to be remembered of a job's alerts from now on, and what is to be told.

    Args:
        health: How the job is now.
        states: What is remembered; of rules that there are no more, nothing stays.
        rules: The rules.
        earlier: How it was, by how many seconds ago that is: for the rules about scores that fall.
        now_ms: The present.
    """
    after: dict[AlertKey, AlertState] = {}
    notices: list[Notice] = []
    for rule in rules:
        own = {key: state for key, state in states.items() if key[0] == rule.name}
        if health.score is None or not _concerns(rule, health):
            after |= own
            continue
        sure = health.confidence >= rule.least_confidence
        for verdict in _verdicts(rule, health, own, earlier.get(rule.within_seconds)):
            state = own.get(verdict.key)
            silent = state is not None and now_ms - state.told_ms < rule.silence_seconds * 1000
            if state is not None and state.on and verdict.good and sure:
                notices.append(_recovery(health, verdict, state, now_ms))
                state = AlertState(None, state.told_ms, state.severity)
            elif verdict.bad and not (state is not None and state.on) and not silent:
                notices.append(_notice(health, verdict, now_ms))
                state = AlertState(now_ms, now_ms, verdict.severity)
            if state is not None and (state.on or now_ms - state.told_ms < rule.silence_seconds * 1000):
                after[verdict.key] = state
    return after, notices


def _concerns(rule: AlertRule, health: JobHealth) -> bool:
    return not rule.teams or health.record.team in rule.teams


def _verdicts(
    rule: AlertRule, health: JobHealth, own: Mapping[AlertKey, AlertState], before: HealthEntry | None
) -> Iterator[_Verdict]:
    score = health.score or 0
    if rule.when == "score-below":
        worst = min((f.severity for f in health.findings), key=_ORDER.index, default=Severity.WARNING)
        yield _Verdict(
            (rule.name, ""),
            score < rule.value,
            score >= min(100.0, rule.value + rule.margin),
            worst if worst is Severity.ERROR else Severity.WARNING,
            NoticeKind.HEALTH_LOW,
            _told(health) | {"score": score, "limit": rule.value},
            f"Its score is {score} again.",
        )
    elif rule.when == "falling-by":
        if before is None or before.score is None:
            return
        fallen = before.score - score
        yield _Verdict(
            (rule.name, ""),
            fallen >= rule.value,
            fallen < max(rule.value - rule.margin, 0.5),
            Severity.WARNING,
            NoticeKind.HEALTH_FALLING,
            _told(health)
            | {"score": score, "before": before.score, "window": describe_length(rule.within_seconds * 1000)},
            f"Its score is {score}.",
        )
    else:
        yield from _of_findings(rule, health, own)


def _of_findings(rule: AlertRule, health: JobHealth, own: Mapping[AlertKey, AlertState]) -> Iterator[_Verdict]:
    limit = _ORDER.index(Severity(rule.severity))
    there = {f.id: f for f in health.findings if _ORDER.index(f.severity) <= limit}
    for name, finding in there.items():
        fields = {"job": str(health.record.job), "finding": name, "reason": finding.reason, "fix": finding.remedy}
        yield _Verdict((rule.name, name), True, False, finding.severity, NoticeKind.HEALTH_FINDING, fields, "")
    present = {finding.id for finding in health.findings}
    for key, state in own.items():
        if key[1] not in there:  # as long as it is there, only less bad, the alert stays on
            gone = key[1] not in present
            said = f"{key[1]} is gone."
            yield _Verdict(key, False, gone, state.severity, NoticeKind.HEALTH_FINDING, {}, said)


def _told(health: JobHealth) -> dict[str, str | int | float]:
    dearest = [finding for finding in health.findings if finding.deduction > 0][:_MOST_TOLD]
    return {
        "job": str(health.record.job),
        "reasons": "\n".join(finding.reason for finding in dearest),
        "fixes": "\n".join(finding.remedy for finding in dearest if finding.remedy),
    }


def _notice(health: JobHealth, verdict: _Verdict, now_ms: int) -> Notice:
    job = health.record.job
    return Notice(
        kind=verdict.kind,
        severity=verdict.severity,
        subject=f"job {job}",
        at_ms=now_ms,
        team=health.record.team,
        owner=health.record.owner,
        fields=verdict.fields,
        link=page_of_job(str(job)),
        dedupe_key=f"health {' '.join(verdict.key)} {job} {now_ms}",
    )


def _recovery(health: JobHealth, verdict: _Verdict, state: AlertState, now_ms: int) -> Notice:
    job = health.record.job
    return Notice(
        kind=NoticeKind.HEALTH_RECOVERED,
        severity=state.severity,
        subject=f"job {job}",
        at_ms=now_ms,
        team=health.record.team,
        owner=health.record.owner,
        fields={"job": str(job), "score": health.score or 0, "reason": verdict.recovered},
        link=page_of_job(str(job)),
        dedupe_key=f"health {' '.join(verdict.key)} {job} {state.since_ms} ended",
    )
