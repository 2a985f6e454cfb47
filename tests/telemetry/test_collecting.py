"""The service that samples clusters: real HTTP, real threads, a real database; no test waits for time to pass."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from autostream.config import FlinkSettings
from autostream.config.sections.telemetry import TelemetrySettings
from autostream.errors import ServiceError
from autostream.flink.fleet import FleetCluster, FleetClusters
from autostream.flink.kubernetes_objects import AskedResources, Deployment
from autostream.names import JobName
from autostream.store.database import Database
from autostream.store.leases import leases, take_lease
from autostream.telemetry.collecting import Collector
from autostream.telemetry.job_records import JobRecord
from autostream.telemetry.log import TelemetryLog
from autostream.telemetry.samples import JobSample
from tests.support.clocks import FakeClock
from tests.support.flink_clusters import cluster_at, open_cluster
from tests.support.job_managers import StandInJobManager, serving_job_manager


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/samples.db")
    database.prepare()
    yield database
    database.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str], Any]], str]]:
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(serving_job_manager(answer))


def a_job_manager(clock: FakeClock, jobs: int = 2) -> StandInJobManager:
    began = clock.seconds
    return StandInJobManager(jobs, seconds=lambda: 1000 + clock.seconds - began)


def a_collector(database: Database, *urls: str) -> Collector:
    clusters = tuple(cluster_at(url, name=f"c{number}") for number, url in enumerate(urls))
    return Collector(FlinkSettings(clusters=clusters), TelemetrySettings(), database, settle_seconds=0)


def samples(database: Database, job: str) -> list[JobSample]:
    with database.read() as connection:
        return TelemetryLog(connection).samples(JobName.parse(job), since_ms=0)


def records(database: Database) -> list[JobRecord]:
    with database.read() as connection:
        return TelemetryLog(connection).records()


def steps(clock: FakeClock, times: int, *collectors: Collector) -> None:
    for _ in range(times):
        for collector in collectors:
            collector.step()
        clock.advance(60)


def test_jobs_are_sampled_and_known(database: Database, clock: FakeClock, serve: Any) -> None:
    collector = a_collector(database, serve(a_job_manager(clock).answer))
    steps(clock, 3, collector)

    found = samples(database, "c0/job-0")
    assert [sample.at_ms - sample.from_ms for sample in found] == [60_000, 60_000]
    for sample in found:
        assert sample.figures["cpu_cores_used"] == pytest.approx(0.25)  # of half a core, shared by two
        assert sample.figures["records_in_per_second"] == pytest.approx(100)
        assert sample.figures["records_out_per_second"] == pytest.approx(100)
        assert sample.figures["watermark_lag_ms"] == 5000
    assert [(str(r.job), r.team, r.state) for r in records(database)] == [
        ("c0/job-0", "trade", "RUNNING"),
        ("c0/job-1", "trade", "RUNNING"),
    ]
    assert [(t.looks, t.failed, t.samples, t.problem) for t in collector.tallies] == [(3, 0, 4, "")]


def test_jobs_that_end_or_vanish_are_known_to(database: Database, clock: FakeClock, serve: Any) -> None:
    manager = a_job_manager(clock)
    collector = a_collector(database, serve(lambda path: manager.answer(path)))
    steps(clock, 2, collector)
    manager.states[1] = "FAILED"
    steps(clock, 1, collector)
    assert [record.state for record in records(database)] == ["RUNNING", "FAILED"]
    assert len(samples(database, "c0/job-1")) == 1

    manager = a_job_manager(clock, jobs=1)
    steps(clock, 1, collector)
    assert [record.state for record in records(database)] == ["RUNNING", "GONE"]


def test_a_cluster_that_is_away_leaves_a_gap_and_the_others_alone(
    database: Database, clock: FakeClock, serve: Any
) -> None:
    away = False
    manager, other = a_job_manager(clock), a_job_manager(clock)
    collector = a_collector(database, serve(lambda path: [] if away else manager.answer(path)), serve(other.answer))
    steps(clock, 2, collector)
    away = True
    steps(clock, 3, collector)
    problem = collector.tallies[0].problem
    away = False
    steps(clock, 2, collector)

    assert "Cannot understand the answer of Flink cluster c0" in problem
    first, second = samples(database, "c0/job-0")
    assert second.from_ms - first.at_ms == 4 * 60_000
    assert len(samples(database, "c1/job-0")) == 6
    assert [(t.looks, t.failed) for t in collector.tallies] == [(4, 3), (7, 0)]


def test_a_cluster_that_hangs_delays_neither_the_others_nor_the_end(database: Database, serve: Any) -> None:
    """Real time: the first look is at once, and nothing here waits for the second."""
    asked, go_on, seen = threading.Event(), threading.Event(), threading.Event()

    def hanging(_path: str) -> Any:
        asked.set()
        go_on.wait(60)

    def counted(path: str) -> Any:
        if path.startswith("/jobs/") and path.endswith("watermark"):
            seen.set()
        return manager.answer(path)

    manager = StandInJobManager(1, seconds=lambda: 1000.0)
    collector = a_collector(database, serve(hanging), serve(counted))
    stop = threading.Event()
    thread = threading.Thread(target=collector.run, args=(stop,), kwargs={"grace_seconds": 0.0})
    thread.start()
    assert asked.wait(30)
    while not collector.tallies[1].looks:
        stop.wait(0.01)
    stop.set()
    thread.join(30)
    go_on.set()

    assert not thread.is_alive()
    assert [record.job.cluster for record in records(database)] == ["c1"]
    with database.read() as connection:
        assert leases(connection, "") == []


def test_clusters_are_shared_by_collectors_and_change_hands(database: Database, clock: FakeClock, serve: Any) -> None:
    urls = [serve(a_job_manager(clock, jobs=1).answer) for _ in range(4)]
    one, other = a_collector(database, *urls), a_collector(database, *urls)
    steps(clock, 3, one, other)
    shares = [[tally.looks > 1 for tally in collector.tallies] for collector in (one, other)]
    assert all(a != b for a, b in zip(*shares, strict=True))

    for collector in (one, other):
        collector.leave()
    steps(clock, 3, one)
    assert all(tally.looks >= 3 for tally in one.tallies)


def test_a_collector_that_has_lost_its_cluster_writes_nothing(database: Database, clock: FakeClock, serve: Any) -> None:
    manager = a_job_manager(clock)
    take_over = threading.Event()

    def answer(path: str) -> Any:
        if take_over.is_set() and path == "/taskmanagers":
            clock.advance(600)  # it hangs for so long that another one takes the cluster
            with database.write() as connection:
                assert take_lease(connection, "flink watch: c0", holder="another", for_ms=10_000_000)
        return manager.answer(path)

    collector = a_collector(database, serve(answer))
    steps(clock, 2, collector)
    take_over.set()
    steps(clock, 1, collector)

    assert len(samples(database, "c0/job-0")) == 1


def test_a_database_that_fails_costs_the_samples_of_one_look(
    database: Database, clock: FakeClock, serve: Any, tmp_path: Path
) -> None:
    collector = a_collector(database, serve(a_job_manager(clock).answer))
    steps(clock, 2, collector)
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE autostream_flink_sample RENAME TO hidden")
    steps(clock, 1, collector)
    assert "failed" in collector.tallies[0].problem
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE hidden RENAME TO autostream_flink_sample")
    steps(clock, 1, collector)

    found = samples(database, "c0/job-0")
    assert [sample.at_ms - sample.from_ms for sample in found] == [60_000, 120_000]
    assert found[-1].figures["cpu_cores_used"] == pytest.approx(0.25)
    assert collector.tallies[0].problem == ""


def test_a_day_later_samples_are_rolled_up_by_the_service(database: Database, clock: FakeClock, serve: Any) -> None:
    collector = a_collector(database, serve(a_job_manager(clock).answer))
    steps(clock, 40, collector)
    clock.advance(3 * 86_400)
    steps(clock, 2, collector)

    found = samples(database, "c0/job-0")
    assert {(sample.at_ms - sample.from_ms) // 60_000 for sample in found[:-1]} <= set(range(1, 16))
    assert len(found) < 8
    assert found[0].largest["cpu_cores_used"] == pytest.approx(0.25)


def test_clusters_that_come_and_go_are_followed(database: Database, clock: FakeClock, serve: Any) -> None:
    """As Kubernetes has them: found, not ready, gone; a Kubernetes that does not answer takes none away."""
    urls = {name: serve(a_job_manager(clock, jobs=1).answer) for name in ("k8s.a", "k8s.b")}
    ready, silent = {"k8s.a"}, False

    def deployed(name: str) -> FleetCluster:
        asked = AskedResources(memory_bytes=4096)
        deployment = Deployment("ns", name, "application", "STABLE", "READY", task_managers=asked)
        return FleetCluster(name, open_cluster(urls[name]), deployment)

    def discover() -> FleetClusters:
        if silent:
            return FleetClusters({}, {"k8s": ServiceError("does not answer")})
        return FleetClusters({name: deployed(name) for name in urls if name in ready}, {})

    collector = Collector(FlinkSettings(), TelemetrySettings(), database, settle_seconds=0, discover=discover)
    steps(clock, 2, collector)
    ready.add("k8s.b")
    steps(clock, 2, collector)
    silent = True
    steps(clock, 1, collector)
    silent = False
    ready.remove("k8s.a")
    steps(clock, 2, collector)

    assert [(tally.cluster, tally.looks) for tally in collector.tallies] == [("k8s.a", 5), ("k8s.b", 5)]
    assert len(samples(database, "k8s.a/job-0")) == 4
    found = samples(database, "k8s.b/job-0")
    assert len(found) == 4
    assert found[0].figures["container_limit_bytes"] == 4096
