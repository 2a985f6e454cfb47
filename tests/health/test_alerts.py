"""When people are told of a job's health: once when it becomes bad, once when it is well again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from autostream.config.sections.health import AlertRule
from autostream.findings import Severity
from autostream.health.health_alerts import AlertKey, AlertState, decide_alerts
from autostream.health.health_changes import HealthEntry
from autostream.health.job_findings import JobFinding
from autostream.health.job_health import JobHealth
from autostream.notices import Notice, NoticeKind, page_of_job
from tests.health.jobs import JOB, record

LOW = AlertRule(name="low", when="score-below", value=60, margin=10, silence_seconds=3600)
FALLING = AlertRule(name="falling", when="falling-by", value=20, margin=10, within_seconds=86_400, silence_seconds=0)
ERRORS = AlertRule(name="error", when="finding", severity="error", silence_seconds=3600)
QUARTER_MS = 900_000


def finding(name: str, severity: Severity = Severity.ERROR) -> JobFinding:
    return JobFinding("job", severity, f"{name} is bad.", f"Mend {name}.", name, {}, 40.0)


def health(score: int | None, *findings: JobFinding, confidence: float = 1.0) -> JobHealth:
    return JobHealth(record(), 600, score, confidence, findings)


def run(
    rules: Sequence[AlertRule],
    looks: Sequence[JobHealth],
    *,
    every_ms: int = QUARTER_MS,
    before: Mapping[int, HealthEntry] | None = None,
) -> list[list[Notice]]:
    """What is told at each of several looks, a quarter of an hour apart."""
    states: dict[AlertKey, AlertState] = {}
    told = []
    for number, look in enumerate(looks):
        now_ms = 10**12 + number * every_ms
        states, notices = decide_alerts(look, states, rules=rules, earlier=before or {}, now_ms=now_ms)
        told.append(notices)
    return told


def kinds(told: Sequence[Sequence[Notice]]) -> list[list[str]]:
    return [[notice.kind.value for notice in notices] for notices in told]


def test_a_low_score_is_told_once_and_so_is_its_end() -> None:
    told = run([LOW], [health(70), health(59, finding("skew")), health(40), health(65), health(70), health(90)])
    assert kinds(told) == [[], ["health-low"], [], [], ["health-recovered"], []]
    low, well = told[1][0], told[4][0]
    assert (low.severity, low.team, low.owner, low.subject) == (Severity.ERROR, "trade", "li", f"job {JOB}")
    assert low.fields == {
        "job": str(JOB), "score": 59, "limit": 60.0, "reasons": "skew is bad.", "fixes": "Mend skew."
    }  # fmt: skip
    assert (well.severity, well.fields["score"]) == (low.severity, 70)
    assert low.key != well.key
    assert (low.link, well.link) == (page_of_job(str(JOB)), page_of_job(str(JOB)))


def test_a_score_that_moves_around_the_limit_is_told_once() -> None:
    assert sum(map(len, run([LOW], [health(score) for score in (59, 62, 58, 66, 59, 61, 69, 59)]))) == 1


def test_after_an_alert_its_rule_is_silent_and_then_tells_what_still_holds() -> None:
    looks = [health(50), health(80), health(50), health(50), health(50), health(50)]
    assert kinds(run([LOW], looks)) == [["health-low"], ["health-recovered"], [], [], ["health-low"], []]


def test_a_score_that_is_not_known_changes_nothing_and_one_that_is_not_sure_ends_nothing() -> None:
    looks = [health(50, confidence=0.1), health(None), health(100, confidence=0.2), health(40), health(75)]
    assert kinds(run([LOW], looks)) == [["health-low"], [], [], [], ["health-recovered"]]


def test_a_score_that_falls_is_compared_with_the_day_before() -> None:
    before = {86_400: HealthEntry(JOB, 0, "trade", 90, 1.0)}
    told = run([FALLING], [health(75), health(70), health(75), health(85)], before=before)
    assert kinds(told) == [[], ["health-falling"], [], ["health-recovered"]]
    assert told[1][0].fields["before"] == 90
    assert told[1][0].fields["window"] == "1 d"
    assert kinds(run([FALLING], [health(10)])) == [[]]  # nobody knows how it was


def test_each_finding_is_told_of_by_itself_until_it_is_gone() -> None:
    looks = [
        health(50, finding("restarting")),
        health(30, finding("restarting"), finding("checkpoints-failing")),
        health(60, finding("restarting", Severity.WARNING), finding("checkpoints-failing")),
        health(70, finding("checkpoints-failing")),
        health(100),
    ]
    told = run([ERRORS], looks)
    assert kinds(told) == [["health-finding"], ["health-finding"], [], ["health-recovered"], ["health-recovered"]]
    assert told[1][0].fields == {
        "job": str(JOB), "finding": "checkpoints-failing", "reason": "checkpoints-failing is bad.",
        "fix": "Mend checkpoints-failing.",
    }  # fmt: skip
    assert told[3][0].fields["reason"] == "restarting is gone."


def test_a_rule_may_be_about_some_teams_only() -> None:
    rule = LOW.model_copy(update={"teams": ("ads",)})
    assert kinds(run([rule], [health(10)])) == [[]]
    other = replace(health(10), record=replace(record(), team="ads"))
    assert kinds(run([rule], [other])) == [["health-low"]]


def test_states_of_rules_that_are_gone_are_forgotten() -> None:
    after, told = decide_alerts(
        health(10), {("old", ""): AlertState(1, 1, Severity.ERROR)}, rules=[], earlier={}, now_ms=2
    )
    assert (after, told) == ({}, [])


@given(st.lists(st.one_of(st.none(), st.integers(0, 100)), max_size=40), st.sampled_from([0, 900, 3600, 86_400]))
def test_beginnings_and_ends_take_turns_and_keep_their_silence(scores: list[int | None], silence: int) -> None:
    rule = LOW.model_copy(update={"silence_seconds": silence})
    told = run([rule], [health(score) for score in scores])
    flat = [(number, notice.kind) for number, notices in enumerate(told) for notice in notices]
    wanted = [NoticeKind.HEALTH_LOW, NoticeKind.HEALTH_RECOVERED] * len(flat)
    assert [kind for _, kind in flat] == wanted[: len(flat)]
    begun = [number for number, kind in flat if kind is NoticeKind.HEALTH_LOW]
    assert all((b - a) * QUARTER_MS >= silence * 1000 for a, b in pairwise(begun))
    for number, kind in flat:
        score = scores[number]
        assert score is not None
        assert score < 60 if kind is NoticeKind.HEALTH_LOW else score >= 70
