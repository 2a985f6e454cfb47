"""Which lives of a job are shown, and which one is meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.errors import NotFoundError, UsageError
from autostream.flink.fleet_jobs import FleetJob, by_team, choose_life, present_lives, with_doubles_noted
from autostream.names import JobName

ORDERS = JobName("prod", "orders")


def life(job_id: str, state: str = "RUNNING", started_ms: int = 0, *, name: str = "orders") -> FleetJob:
    return FleetJob(JobName("prod", name), job_id * 32, state, started_ms)


def chosen(*lives: FleetJob, job_id: str | None = None) -> str:
    return choose_life(lives, ORDERS, job_id=job_id).job_id[0]


def test_the_life_that_is_meant() -> None:
    old, now = life("a", "FAILED", 1), life("b", "RESTARTING", 2)
    assert chosen(old, now, life("c", name="other")) == "b"
    assert chosen(life("a", "FAILED", 5), life("b", "FINISHED", 4)) == "a"
    assert chosen(old, now, job_id="a") == "a"
    assert chosen(old, now, job_id="AAAA") == "a"


def test_several_that_run_are_told_apart_by_their_ids() -> None:
    running = (life("a", started_ms=1), life("b", started_ms=2), life("c", "FAILED", 3))
    with pytest.raises(UsageError) as raised:
        chosen(*running)
    assert str(raised.value) == (
        "2 jobs of cluster prod run under the name 'orders'. Add --job-id with the id of one of them. Ids: "
        f"{'b' * 32} (RUNNING, since 1970-01-01T00:00:00.002Z), {'a' * 32} (RUNNING, since 1970-01-01T00:00:00.001Z)."
    )
    assert chosen(*running, job_id="b") == "b"
    assert chosen(*running, job_id="c") == "c"


def test_what_there_is_not() -> None:
    with pytest.raises(
        NotFoundError, match=r"There is no job 'prod/orders'\. .*: prod/order\. Did you mean prod/order"
    ):
        chosen(life("a", name="order"))
    with pytest.raises(NotFoundError, match=r"has no job whose id begins with 'd'\. Ids: aaa"):
        chosen(life("a"), job_id="d")
    with pytest.raises(NotFoundError, match="has 2 jobs whose id begins with 'a'"):
        choose_life([life("a"), FleetJob(ORDERS, "ab", "RUNNING")], ORDERS, job_id="a")


def test_of_each_name_what_has_not_ended_else_the_last() -> None:
    jobs = [
        life("a", "FAILED", 1),
        life("b", "RUNNING", 2),
        life("c", "RESTARTING", 3),
        life("d", "FINISHED", 4, name="once"),
        life("e", "CANCELED", 9, name="once"),
    ]
    assert [job.job_id[0] for job in present_lives(jobs)] == ["b", "c", "e"]
    noted = {job.job_id[0]: job.note for job in with_doubles_noted(jobs)}
    assert {name for name, note in noted.items() if note} == {"b", "c"}
    assert noted["b"] == f"One of 2 jobs of this name. Tell them apart by job id: {'b' * 32}."


def test_jobs_without_a_team_come_last() -> None:
    teams = {"a": "z", "b": None, "c": "y", "d": "y"}
    jobs = [FleetJob(JobName("prod", name), "x", "RUNNING", team=team) for name, team in teams.items()]
    assert [job.job.name for job in by_team(reversed(jobs))] == ["c", "d", "a", "b"]


@given(st.text(min_size=1), st.lists(st.text(min_size=1)))
def test_a_job_is_found_by_its_name_whatever_it_is(name: str, others: list[str]) -> None:
    jobs = [FleetJob(JobName("prod", other), "a", "RUNNING") for other in others if other != name]
    wanted = FleetJob(JobName("prod", name), "b", "RUNNING")
    assert choose_life([*jobs, wanted], JobName.parse(f"prod/{name}")) is wanted
    assert JobName.parse(str(wanted.job)) == wanted.job
