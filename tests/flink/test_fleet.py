"""All jobs of all clusters: each cluster on its own, whatever the others do."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autostream.config import FlinkSettings, JobRule
from autostream.errors import NotFoundError, UsageError
from autostream.flink.fleet import Fleet
from autostream.http import Limits
from tests.flink.serving import SESSION_JOB, session
from tests.support.flink_clusters import cluster_at
from tests.support.json_server import Answer, Answers, served

ONCE = Limits(tries=1)
TEAM = "autostream.team"


def cluster_of(*jobs: tuple[str, str, str, dict[str, str]]) -> Answers:
    """Return a cluster with jobs, each of a job id, a name, a state and parameters; later ones began later."""
    listed = [
        {"jid": job_id, "name": name, "state": state, "start-time": 1000 + n}
        for n, (job_id, name, state, _) in enumerate(jobs)
    ]
    paths: dict[str, Answer] = {"/jobs/overview": {"jobs": listed}}
    for job_id, _, _, parameters in jobs:
        paths[f"/jobs/{job_id}/config"] = {"execution-config": {"user-config": parameters}}
    return Answers(paths)


@contextmanager
def fleet_of(
    patience_seconds: float = 30, rules: tuple[JobRule, ...] = (), **clusters: Answers | str
) -> Iterator[Fleet]:
    with ExitStack() as stack:
        urls = {n: a if isinstance(a, str) else stack.enter_context(served(a)) for n, a in clusters.items()}
        entries = tuple(cluster_at(url, name=name) for name, url in urls.items())
        yield Fleet(FlinkSettings(clusters=entries, jobs=rules), patience_seconds=patience_seconds, limits=ONCE)


def seen(fleet: Fleet, **filters: Any) -> list[tuple[str, str, str | None]]:
    return [(str(job.job), job.state, job.team) for job in fleet.jobs(**filters).jobs]


EU = cluster_of(
    ("a1", "orders", "FAILED", {TEAM: "trade"}),
    ("a2", "orders", "RUNNING", {TEAM: "trade", "autostream.owner": "ann"}),
    ("a3", "clicks", "RESTARTING", {}),
    ("a4", "once", "FAILED", {}),
)
US = cluster_of(("b1", "orders", "RUNNING", {}), ("b2", "ads/bids", "RUNNING", {TEAM: "ads"}))


def test_jobs_of_all_clusters_by_team() -> None:
    with fleet_of(eu=EU, us=US, rules=(JobRule(job="us/.*", team="rest"),)) as fleet:
        listing = fleet.jobs()
        assert [(str(job.job), job.state, job.team, job.owner) for job in listing.jobs] == [
            ("us/ads/bids", "RUNNING", "ads", None),
            ("us/orders", "RUNNING", "rest", None),
            ("eu/orders", "RUNNING", "trade", "ann"),
            ("eu/clicks", "RESTARTING", None, None),
            ("eu/once", "FAILED", None, None),
        ]
        assert listing.errors == ()
        assert listing.to_dict()["jobs"][2] == {
            "job": "eu/orders",
            "cluster": "eu",
            "name": "orders",
            "job_id": "a2",
            "state": "RUNNING",
            "team": "trade",
            "owner": "ann",
            "started": "1970-01-01T00:00:01.001Z",
            "started_ms": 1001,
            "note": None,
        }


def test_which_jobs() -> None:
    with fleet_of(eu=EU, us=US) as fleet:
        assert seen(fleet, teams=["trade"]) == [("eu/orders", "RUNNING", "trade")]
        assert seen(fleet, teams=["trade"], ended=True) == [
            ("eu/orders", "RUNNING", "trade"),
            ("eu/orders", "FAILED", "trade"),
        ]
        assert seen(fleet, without_team=True, clusters=["us"]) == [("us/orders", "RUNNING", None)]
        assert seen(fleet, without_team=True, teams=["ads"], clusters=["us"]) == [
            ("us/ads/bids", "RUNNING", "ads"),
            ("us/orders", "RUNNING", None),
        ]
        assert seen(fleet, states=["FAILED", "RESTARTING"]) == [
            ("eu/clicks", "RESTARTING", None),
            ("eu/once", "FAILED", None),
        ]
        with pytest.raises(NotFoundError, match=r"Unknown Flink cluster 'uk'\. .*: eu, us\. Did you mean"):
            fleet.jobs(clusters=["uk"])


def test_what_does_not_change_in_a_jobs_life_is_asked_once() -> None:
    answers = cluster_of(("a1", "orders", "RUNNING", {TEAM: "trade"}))
    with fleet_of(eu=answers) as fleet:
        assert seen(fleet) == seen(fleet) == [("eu/orders", "RUNNING", "trade")]
        assert answers.asked == ["/jobs/overview", "/jobs/a1/config", "/jobs/overview"]
        answers.paths |= cluster_of(("a2", "orders", "RUNNING", {TEAM: "ads"})).paths
        assert seen(fleet) == [("eu/orders", "RUNNING", "ads")]


def test_parameters_of_a_job_that_is_being_initialized_are_asked_for_again() -> None:
    answers = cluster_of(("a1", "orders", "RUNNING", {TEAM: "trade"}))
    told = answers.paths["/jobs/a1/config"]
    answers.paths["/jobs/a1/config"] = {"jid": "a1"}
    with fleet_of(eu=answers) as fleet:
        assert seen(fleet) == [("eu/orders", "RUNNING", None)]
        answers.paths["/jobs/a1/config"] = told
        assert seen(fleet) == [("eu/orders", "RUNNING", "trade")]


def test_a_cluster_that_fails_hides_no_other() -> None:
    liar = Answers({"/jobs/overview": {"jobs": [{"jid": 3}]}})
    with fleet_of(eu=US, down="http://127.0.0.1:1", lies=liar, broken=Answers({"/jobs/overview": 500})) as fleet:
        listing = fleet.jobs()
        assert [str(job.job) for job in listing.jobs] == ["eu/ads/bids", "eu/orders"]
        errors = {one.cluster: one.error for one in listing.errors}
        assert set(errors) == {"down", "lies", "broken"}
        assert "Connection refused" in errors["down"]
        assert "jobs.0" in errors["lies"]
        assert "500" in errors["broken"]


def test_a_cluster_that_hangs_delays_no_other_and_is_not_asked_twice() -> None:
    released = threading.Event()

    def hang(_: dict[str, str]) -> Answer:
        released.wait(60)
        return {"jobs": []}

    slow = Answers({"/jobs/overview": hang})
    try:
        with fleet_of(patience_seconds=0.5, eu=US, slow=slow) as fleet:
            for _ in range(2):
                listing = fleet.jobs()
                assert [str(job.job) for job in listing.jobs] == ["eu/ads/bids", "eu/orders"]
                ((name, error),) = [(one.cluster, one.error) for one in listing.errors]
                assert name == "slow"
                assert "did not answer within 0.5 s" in error
            assert slow.asked == ["/jobs/overview"]
            released.set()
    finally:
        released.set()


def test_a_cluster_whose_settings_are_wrong_hides_no_other(tmp_path: Any) -> None:
    missing = cluster_at("https://127.0.0.1:1", name="tls", tls_ca=str(tmp_path / "gone.pem"))
    with served(US) as url:
        fleet = Fleet(FlinkSettings(clusters=(missing, cluster_at(url, name="us"))), limits=ONCE)
        listing = fleet.jobs()
        assert len(listing.jobs) == 2
        assert "gone.pem" in listing.errors[0].error


def test_a_job_whose_parameters_cannot_be_read_is_listed_all_the_same() -> None:
    answers = cluster_of(("a1", "old", "FINISHED", {}), ("a2", "orders", "RUNNING", {TEAM: "trade"}))
    answers.paths["/jobs/a1/config"] = 500
    with fleet_of(eu=answers, rules=(JobRule(job=".*", team="rest"),)) as fleet:
        old, orders = fleet.jobs().jobs
        assert (old.team, orders.team, orders.note) == ("rest", "trade", "")
        assert old.note.startswith("Its parameters cannot be read, so its team and owner may be others: ")


def test_two_running_jobs_of_one_name() -> None:
    answers = cluster_of(("a1", "orders", "RUNNING", {}), ("a2", "orders", "RUNNING", {}))
    with fleet_of(eu=answers) as fleet:
        assert [job.note for job in fleet.jobs().jobs] == [
            f"One of 2 jobs of this name. Tell them apart by job id: {job_id}." for job_id in ("a2", "a1")
        ]
        with pytest.raises(
            UsageError, match=r"2 jobs of cluster eu run under the name 'orders'\. Add --job-id .*a2.*a1"
        ):
            fleet.show("eu/orders")
        assert fleet.find("eu/orders", job_id="a1")[1].job_id == "a1"


@settings(max_examples=20)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=5, unique=True))
def test_a_job_may_be_called_anything(names: list[str]) -> None:
    answers = cluster_of(*((f"{n:032x}", name, "RUNNING", {}) for n, name in enumerate(names)))
    with fleet_of(eu=answers) as fleet:
        assert {job.job.name for job in fleet.jobs().jobs} == set(names)
        for number, name in enumerate(names):
            assert fleet.find(f"eu/{name}")[1].job_id == f"{number:032x}"


def test_one_job_in_full() -> None:
    answers = session()
    with fleet_of(prod=answers, rules=(JobRule(job="prod/(?P<what>[a-z]+)-.*", team="{what}"),)) as fleet:
        report = fleet.show("prod/backlog-job")
        assert (report.life.team, report.life.job_id) == ("backlog", SESSION_JOB)
        assert [(v.name, v.parallelism, v.max_parallelism, v.statuses, v.attempt) for v in report.vertices] == [
            (name, 1, 128, {"RUNNING": 1}, 0) for name in ("Source: backlog", "work", "sum -> drop: Writer")
        ]
        ((_, *slots),) = [vars(one).values() for one in report.task_managers]
        assert slots == [12, 1, 0]
        assert (report.restarts, report.completed, report.failed) == (0, 5, 0)
        assert report.last_completed is not None
        assert (report.last_completed.checkpoint_id, report.last_completed.duration_ms) == (5, 30250)
        assert report.missing == ("Cores: the cluster configures none, so Flink takes each slot for a core.",)
        document = report.to_dict()
        assert document["vertices"][1]["inputs"] == [
            {"vertex_id": report.vertices[0].vertex_id, "exchange": "REBALANCE"}
        ]
        assert "vertices" not in document["settings"]


def test_what_is_not_known_of_a_job_is_said() -> None:
    answers = session()
    path = f"/jobs/{SESSION_JOB}"
    del answers.paths["/jobmanager/config"], answers.paths["/config"], answers.paths[f"{path}/checkpoints"]
    del answers.paths[f"{path}/checkpoints/config"], answers.paths[f"{path}/metrics"]
    answers.paths["/taskmanagers"] = {"taskmanagers": []}
    with fleet_of(prod=answers) as fleet:
        report = fleet.show("prod/backlog-job")
    assert [words.split(":")[0] for words in report.missing] == [
        "Deployment and scheduler",
        "Version",
        "Cores, memory and slots",
        "Checkpoints",
        "Restarts",
    ]
    assert (report.restarts, report.completed, report.last_completed, report.task_managers) == (None, None, None, ())


def test_a_job_that_failed_and_was_restored() -> None:
    answers = session()
    page = answers.paths[f"/jobs/{SESSION_JOB}/checkpoints"]
    page["latest"]["failed"] = {
        "id": 6,
        "status": "FAILED",
        "failure_timestamp": 2000,
        "trigger_timestamp": 1000,
        "failure_message": "s3://bucket?token=5ecr3t is full",
    }
    page["latest"]["completed"]["external_path"] = "<checkpoint-not-externally-addressable>"
    page["latest"]["restored"] = {"id": 4, "restore_timestamp": 3000, "external_path": "file:/chk-4"}
    with fleet_of(prod=answers) as fleet:
        checkpoints = fleet.show("prod/backlog-job").to_dict()["checkpoints"]
    assert checkpoints["last_completed"]["path"] is None
    assert checkpoints["last_failed"]["at"] == "1970-01-01T00:00:02Z"
    assert checkpoints["last_failed"]["failure"] == "s3://bucket?token=******** is full"
    assert (checkpoints["restored"]["id"], checkpoints["restored"]["path"]) == (4, "file:/chk-4")
