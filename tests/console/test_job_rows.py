"""Which jobs a list has, and in which order; what they use."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.console.job_rows import ANY_STATE, SORTS, JobFilter, JobRow, choose_jobs
from autostream.console.resource_use import FIGURES, ResourceUse, lag_seconds, memory_used_bytes, sum_of
from autostream.errors import UsageError
from autostream.findings import Severity
from autostream.health.health_changes import HealthEntry
from autostream.names import JobName
from autostream.telemetry.job_records import KnownJob


def row(name: str = "prod/orders", *, score: int | None = None, **more: Any) -> JobRow:
    fields = {"job_id": "a", "state": "RUNNING", "team": "trade", "owner": None, "started_ms": 0, "seen_ms": 0} | more
    figures = fields.pop("figures", {})
    job = JobName.parse(name)
    health = None if score is None else HealthEntry(job, 0, "trade", score, 1.0)
    return JobRow(KnownJob(job, **fields), health, figures)


ROWS = [
    row("prod/orders", score=71),
    row("prod/Users", team="ads", state="RESTARTING"),
    row("test/x/orders", team=None, score=100),
    row("test/old", state="GONE", team=None),
    row("test/dead", state="FAILED", score=0),
]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (JobFilter(), ["prod/orders", "prod/Users", "test/x/orders", "test/dead"]),
        (JobFilter(state=ANY_STATE), ["prod/orders", "prod/Users", "test/x/orders", "test/old", "test/dead"]),
        (JobFilter(state="GONE"), ["test/old"]),
        (JobFilter(q=" USERS "), ["prod/Users"]),
        (JobFilter(team="ads"), ["prod/Users"]),
        (JobFilter(without_team=True), ["test/x/orders"]),
        (JobFilter(team="ads", without_team=True), []),
        (JobFilter(cluster="test", state="FAILED"), ["test/dead"]),
        (JobFilter(cluster="tes"), []),
    ],
)
def test_those_jobs_are_listed_that_were_asked_for(wanted: JobFilter, names: list[str]) -> None:
    assert {each.name for each in choose_jobs(ROWS, wanted, "job")} == set(names)


def test_the_lowest_score_is_first_and_what_has_none_last() -> None:
    assert [each.score for each in choose_jobs(ROWS, JobFilter(), "score")] == [0, 71, 100, None]
    assert [each.score for each in choose_jobs(ROWS, JobFilter(), "-score")] == [100, 71, 0, None]
    with pytest.raises(UsageError, match=r"Invalid sort 'scores'\. Did you mean score\?|There are"):
        choose_jobs(ROWS, JobFilter(), "scores")


@given(st.permutations(ROWS), st.sampled_from([*SORTS]))
def test_no_order_loses_a_job_or_depends_on_where_it_came_from(rows: list[JobRow], sort: str) -> None:
    assert choose_jobs(rows, JobFilter(), sort) == choose_jobs(ROWS, JobFilter(), sort)


def test_the_dearest_finding_is_first() -> None:
    costs = {"a": 1.0, "b": 20.0, "c": 20.0}
    severities = {"a": Severity.INFO, "b": Severity.WARNING, "c": Severity.ERROR}
    health = HealthEntry(JobName("prod", "x"), 0, None, 59, 1.0, costs, severities)

    assert JobRow(row().listed, health).findings == [
        ("b", Severity.WARNING),
        ("c", Severity.ERROR),
        ("a", Severity.INFO),
    ]


def test_memory_in_use_is_that_of_the_pools_that_are_known() -> None:
    assert memory_used_bytes({"heap_used_bytes": 3.0, "direct_used_bytes": 4.0}) == 7
    assert memory_used_bytes({"managed_used_bytes": 3.0}) is None


@pytest.mark.parametrize(
    ("figures", "seconds"),
    [
        ({}, None),
        ({"pending_records": 100.0, "records_in_per_second": 10.0}, 10.0),
        ({"pending_records": 0.0}, 0.0),
        ({"pending_records": 100.0, "records_in_per_second": 0.0}, None),
        ({"pending_records": 100.0, "records_in_per_second": 10.0, "event_time_lag_ms": 15_000.0}, 15.0),
        ({"event_time_lag_ms": 1.0}, 0.001),
    ],
)
def test_a_lag_is_by_what_waits_or_by_times_in_records(figures: dict[str, float], seconds: float | None) -> None:
    assert lag_seconds(figures) == seconds


def test_a_sum_has_of_each_resource_those_of_which_use_and_size_are_known() -> None:
    uses = [
        ResourceUse(cpu_cores_used=1.0, cpu_cores=2.0, memory_bytes=5),
        ResourceUse(cpu_cores=8.0, memory_used_bytes=3, memory_bytes=4),
        ResourceUse(cpu_cores_used=0.5, cpu_cores=1.0),
    ]

    assert sum_of(uses) == ResourceUse(1.5, 3.0, 3, 4)
    assert sum_of([]) == ResourceUse()


def test_what_is_used_is_made_of_the_figures_that_are_read() -> None:
    read: list[str] = []

    class Figures(dict[str, float]):
        def __contains__(self, name: object) -> bool:
            read.append(str(name))
            return True

        def get(self, name: str, default: object = None) -> Any:
            read.append(name)
            return 1.0

    ResourceUse.of(Figures())
    lag_seconds(Figures())
    assert set(read) == set(FIGURES)
