"""Looks at a cluster: what they show, and how little they ask for."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from autostream.config import JobRule
from autostream.errors import ServiceError
from autostream.flink import models
from autostream.http import RefusalError
from autostream.names import JobName
from autostream.telemetry.looking import ClusterWatch, chosen_jobs
from autostream.telemetry.samples import JobSample
from autostream.telemetry.sampling import compare
from tests.support.clocks import FakeClock
from tests.support.recorded_looks import RecordedCluster

BACKLOG, SECOND = JobName("lab", "backlog"), JobName("lab", "second")


@pytest.fixture
def cluster(clock: FakeClock) -> RecordedCluster:
    return RecordedCluster(clock)


def kinds(asked: list[tuple[str, str]]) -> Counter[str]:
    """What was asked for: the last part of each path, with ids left out, and whether metrics were asked for by name."""
    return Counter(
        ("metrics of " if get else "") + "/".join(part for part in path.split("/") if part and len(part) < 20)
        for path, get in asked
    )


def test_a_look_at_what_is_known_already_asks_for_metrics_only(cluster: RecordedCluster) -> None:
    watch = ClusterWatch("lab", cluster)
    cluster.show("first")
    watch.look()
    first = kinds(cluster.asked)
    cluster.show("third")
    watch.look()
    watch.look()  # names of metrics are asked for at the first look, the second and the fourth
    cluster.show("third")
    watch.look()
    watch.look()

    later = kinds(cluster.asked[len(cluster.asked) // 2 + 3 :])
    assert first["jobs/config"] == 2
    assert set(later) == {
        "metrics of jobmanager/metrics",
        "jobs/overview",
        "taskmanagers",
        "metrics of taskmanagers/metrics",
        "metrics of jobs/metrics",
        "metrics of jobs/vertices/subtasks/metrics",
    }


def test_flink_is_given_time_to_collect_metrics_anew(cluster: RecordedCluster, clock: FakeClock) -> None:
    cluster.show("first")
    ClusterWatch("lab", cluster).look()

    assert cluster.asked[0] == ("/jobmanager/metrics", "numRunningJobs")
    assert clock.slept[0] == 2.0


def test_the_life_of_two_jobs_through_a_restart(cluster: RecordedCluster) -> None:
    watch = ClusterWatch("lab", cluster)
    before, found = None, dict[str, dict[JobName, JobSample]]()
    for name in cluster.looks:
        cluster.show(name)
        sighting = watch.look()
        assert sighting.problems == ()
        samples, before = compare(before, sighting.look, longest_ms=150_000)
        found[name] = {sample.job: sample for sample in samples}

    assert found["first"] == {}
    third = found["third"][BACKLOG]
    assert third.figures["records_in_per_second"] == pytest.approx(100, rel=0.01)
    assert third.figures["records_out_per_second"] == pytest.approx(100, rel=0.01)
    assert third.figures["cpu_cores_used"] == pytest.approx(found["third"][SECOND].figures["cpu_cores_used"])
    assert third.shared
    assert [v.name for v in third.vertices] == ["Source: backlog", "work", "sum -> drop: Writer"]
    gone = found["without task manager"][BACKLOG]
    assert (gone.state, gone.figures["restarts"]) == ("CREATED", 1)
    assert gone.figures["checkpoint_age_ms"] > third.figures["checkpoint_age_ms"]
    assert "cpu_cores_used" not in found["restarted"][BACKLOG].figures
    after = found["after restart"][BACKLOG]
    assert after.figures["restarts"] == 0
    assert after.figures["records_in_per_second"] == pytest.approx(100, rel=0.01)


def test_records_say_whose_jobs_are_and_how_they_are_set_up(cluster: RecordedCluster) -> None:
    cluster.show("first")
    rules = (JobRule(job="lab/(?P<team>b.*)", team="{team}"),)
    records = {record.job: record for record in ClusterWatch("lab", cluster, rules=rules).look().records}

    assert (records[BACKLOG].team, records[SECOND].team) == ("backlog", None)
    assert records[BACKLOG].settings.scheduler == "adaptive"
    assert [v.parallelism for v in records[BACKLOG].settings.vertices] == [1, 1, 1]


class Faulty(RecordedCluster):
    """Fails for paths that hold a text."""

    faults: Mapping[str, Exception] = {}

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        answer = super().get(path, parameters)
        for text, fault in self.faults.items():
            if text in path:
                raise fault
        return answer


def test_a_job_that_cannot_be_read_is_named_and_the_others_are_seen(clock: FakeClock) -> None:
    """Flink answers some pages of jobs that have just ended by 500."""
    cluster = Faulty(clock)
    cluster.show("first")
    job_id = next(job["jid"] for job in cluster.get("/jobs/overview")["jobs"] if job["name"] == "second")
    cluster.faults = {f"/jobs/{job_id}": ServiceError("500 Internal server error")}

    sighting = ClusterWatch("lab", cluster).look()

    assert [job.job for job in sighting.look.jobs.values()] == [BACKLOG]
    assert sighting.problems == ("job second: 500 Internal server error",)
    assert set(sighting.states) == {BACKLOG, SECOND}


def test_a_cluster_that_fails_again_and_again_is_left_alone(clock: FakeClock) -> None:
    cluster = Faulty(clock)
    cluster.show("first")
    jobs = cluster.get("/jobs/overview")["jobs"]
    many = [{**jobs[0], "name": f"job-{number}"} for number in range(50)]
    cluster.answer("/jobs/overview", {"jobs": many})
    cluster.faults = {"/jobs/" + jobs[0]["jid"]: ServiceError("does not answer")}
    cluster.asked = []

    with pytest.raises(ServiceError, match="does not answer"):
        ClusterWatch("lab", cluster, threads=1).look()

    assert sum(path.startswith("/jobs/" + jobs[0]["jid"]) for path, _ in cluster.asked) == 5


def test_what_is_refused_does_not_mean_that_the_cluster_is_away(clock: FakeClock) -> None:
    cluster = Faulty(clock)
    cluster.show("first")
    cluster.faults = {"/vertices/": RefusalError("no such vertex", status=400)}

    sighting = ClusterWatch("lab", cluster).look()

    assert len(sighting.problems) == 2
    assert sighting.look.jobs == {}


def test_metrics_that_are_gone_are_not_asked_for_for_long(cluster: RecordedCluster) -> None:
    """Flink answers nothing at all where it does not know one of the names."""
    watch = ClusterWatch("lab", cluster)
    cluster.show("first")
    watch.look()
    path = next(path for path, get in cluster.asked if path.endswith("/subtasks/metrics") and get)
    cluster.answer_nothing(path)
    assert {v.metrics == {} for job in watch.look().look.jobs.values() for v in job.vertices} == {True, False}
    cluster.show("third")
    watch.look()

    assert (path, "") in cluster.asked


def listed(job_id: str, name: str, state: str, started_ms: int) -> models.ListedJob:
    return models.ListedJob.model_validate({"jid": job_id, "name": name, "state": state, "start-time": started_ms})


def test_of_several_jobs_of_one_name_one_is_seen() -> None:
    jobs = [
        listed("a", "orders", "RUNNING", 1),
        listed("b", "orders", "RUNNING", 2),
        listed("c", "orders", "CANCELED", 3),
        listed("d", "users", "FAILED", 1),
        listed("e", "users", "FINISHED", 2),
    ]

    assert [job.job_id for job in chosen_jobs(jobs)] == ["e", "b"]
    assert [job.job_id for job in chosen_jobs(reversed(jobs))] == ["e", "b"]
