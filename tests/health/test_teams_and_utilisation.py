"""Teams' scores, low utilisation, and what has changed since the day before."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.config.sections.health import UtilisationRule
from autostream.findings import Severity
from autostream.health.health_changes import HOUR_MS, HealthEntry, change_between, is_worth_keeping, trend_of
from autostream.health.job_health import JobHealth
from autostream.health.job_view import JobView
from autostream.health.low_utilisation import DEFAULT_UTILISATION_RULES, is_low, utilisation_of
from autostream.health.sizing import JobResources, ResourceProposal
from autostream.health.team_scores import score_of, team_scores
from autostream.sizes import GIB
from tests.health.jobs import JOB, health, record, vertex, window


def job(score: int | None, cores: float, gib: int, team: str | None = "trade") -> JobHealth:
    has = JobResources(1, cpu_cores=cores, memory_bytes=gib * GIB)
    return JobHealth(replace(record(), team=team), 600, score, 0.0 if score is None else 1.0, (), ResourceProposal(has))


# ------- teams
def test_a_teams_score_is_weighted_by_cores_and_memory() -> None:
    found = score_of("trade", [job(100, 2, 8), job(40, 6, 40)])  # weights 4 and 16
    assert (found.score, found.cpu_cores, found.memory_bytes) == (52, 8, 48 * GIB)


def test_a_job_without_a_score_lowers_the_confidence_alone() -> None:
    found = score_of("trade", [job(80, 3, 4), job(None, 3, 4)])
    assert (found.score, found.confidence, found.jobs, found.unknown) == (80, 0.5, 2, 1)
    assert score_of(None, [job(None, 1, 1)]).score is None
    assert score_of(None, []).score is None


def test_teams_are_in_the_order_of_their_names_and_jobs_without_one_last() -> None:
    found = team_scores([job(10, 1, 1, None), job(20, 1, 1, "b"), job(30, 1, 1, "a")])
    assert [(team.team, team.score) for team in found] == [("a", 30), ("b", 20), (None, 10)]


@given(st.lists(st.tuples(st.integers(0, 100), st.floats(0, 100), st.integers(0, 100)), min_size=1, max_size=9))
def test_a_teams_score_lies_between_those_of_its_jobs(given_jobs: list[tuple[int, float, int]]) -> None:
    jobs = [job(*one) for one in given_jobs]
    found, scores = score_of("t", jobs), [one[0] for one in given_jobs]
    assert found.score is not None
    assert min(scores) <= found.score <= max(scores)
    assert score_of("t", jobs[::-1]).score == found.score


# ------- low utilisation
WEEK = 604_800


def hours(count: int, **figures: float) -> JobView:
    seen = window(vertex(), minutes=10, **figures)
    return JobView(replace(seen, covered_ms=count * HOUR_MS), record())


def test_what_uses_little_for_long_enough_is_low() -> None:
    found = utilisation_of(hours(168, cpu_cores_used=0.1, cpu_cores=2.0), DEFAULT_UTILISATION_RULES)
    assert [(one.rule, one.low) for one in found] == [("low-cpu", True), ("low-memory", False), ("idle-slots", False)]
    assert found[0].reason == "It used 5.0% of its cores over 7 d, less than 10%."
    assert is_low(found)


def test_what_was_measured_too_short_is_not_judged() -> None:
    (found,) = utilisation_of(hours(80, cpu_cores_used=0.0), DEFAULT_UTILISATION_RULES[:1])
    assert (found.low, round(found.coverage, 2)) == (None, 0.48)
    assert found.reason == "Samples since its last start cover 48% of 7 d; the rule needs 50%."


def test_what_is_not_known_is_not_low() -> None:
    view = JobView(replace(window(without=("cpu_cores",)), covered_ms=WEEK * 1000), record())
    (found,) = utilisation_of(view, DEFAULT_UTILISATION_RULES[:1])
    assert (found.low, found.used) == (None, None)


@pytest.mark.parametrize(("used", "low"), [(3.9, True), (4.0, False)])
def test_idle_slots_count_by_a_rule_of_their_own(used: float, low: bool) -> None:
    rule = UtilisationRule(name="idle-slots", resource="slots", below=0.5, window_seconds=600)
    (found,) = utilisation_of(hours(1, slots=8, slots_used=used), [rule])
    assert found.low is low


# ------- changes
def entry(score: int | None, at_ms: int = 0, **more: object) -> HealthEntry:
    return HealthEntry(JOB, at_ms, "trade", score, 1.0, **more)  # type: ignore[arg-type]


def test_what_has_changed_since_the_day_before() -> None:
    seen = window(vertex(busy_share=1.0), cpu_cores_used=0.03, busy_share_max=1.0)
    after = HealthEntry.of(health(seen), at_ms=5)
    before = entry(96, deductions={"skew": 4.0}, severities={"skew": Severity.INFO}, parallelism=4, cpu_cores=2.0)
    found = change_between(before, after)
    assert (found.score, found.began, found.ended) == (-28, ("io-bound",), ("skew",))
    assert found.resources == {"parallelism": (4, 2)}


def test_what_is_not_known_has_not_changed() -> None:
    found = change_between(entry(None), entry(50, deductions={"skew": 50.0}, severities={"skew": Severity.ERROR}))
    assert (found.score, found.began, found.resources) == (None, (), {})


def test_entries_are_kept_when_something_changes_and_every_hour() -> None:
    last = entry(90, 0)
    assert is_worth_keeping(last, None)
    assert not is_worth_keeping(entry(90, HOUR_MS - 1), last)
    assert is_worth_keeping(entry(90, HOUR_MS), last)
    assert is_worth_keeping(entry(89, 1), last)
    assert is_worth_keeping(entry(None, 1), last)
    assert is_worth_keeping(entry(90, 1, parallelism=2), entry(90, 0, parallelism=3))
    assert is_worth_keeping(replace(entry(90, 1), team="ads"), last)


@pytest.mark.parametrize(
    ("scores", "trend"),
    [
        ([], None),
        ([50], None),
        ([50, None], None),
        ([80, 82, 79, 81], "steady"),
        ([80, 80, 70, 60], "falling"),
        ([50, 60, None, 90], "rising"),
    ],
)
def test_trends(scores: list[int | None], trend: str | None) -> None:
    assert trend_of([entry(score, at) for at, score in enumerate(scores)]) == trend
