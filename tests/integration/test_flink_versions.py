"""Jobs of real Flink clusters, old and new, alone and with a second job manager: what each version tells of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autostream.config import FlinkSettings
from autostream.errors import ServiceError, UsageError
from autostream.flink.fleet import Fleet
from autostream.flink.job_report import JobReport
from tests.support.event_jobs import wait_for
from tests.support.flink_clusters import cluster_at
from tests.support.flink_sessions import VERSIONS, FlinkSession, flink_session
from tests.support.hadoop import ZooKeeper

pytestmark = [pytest.mark.integration, pytest.mark.exhaustive]

RESTARTS = {
    "restart-strategy": "fixed-delay",  # 1.18 has not heard of the other
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "100",
    "restart-strategy.fixed-delay.delay": "1 s",
}
MB = 1024 * 1024


def fleet_of(session: FlinkSession) -> Fleet:
    return Fleet(FlinkSettings(clusters=(cluster_at(*session.urls),)))


@contextmanager
def cluster(version: str) -> Iterator[tuple[FlinkSession, Fleet]]:
    with flink_session(version, config=RESTARTS) as session:
        yield session, fleet_of(session)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_each_version_tells_of_a_job(version: str, tmp_path: Path) -> None:
    name, fails = "orders ☃ [x]/?a=b&c#%41\n", tmp_path / "fail"
    with cluster(version) as (session, fleet):
        job_id = session.submit("Counting", name, "500", str(fails), "autostream.team=trade", "db.password=s3cret-word")

        def running() -> JobReport | None:
            found = fleet.show(f"prod/{name}")
            settled = found.restarts is not None and (found.completed or 0) > 1
            return found if settled and found.vertices[0].statuses.get("RUNNING") else None

        report = wait_for("a checkpoint", running)
        settings = report.settings
        assert (report.life.job_id, report.life.state, report.life.team) == (job_id, "RUNNING", "trade")
        assert (settings.flink_version, settings.deployment, settings.platform) == (version, "session", "standalone")
        assert (settings.scheduler, settings.state_backend) == ("default", "HashMapStateBackend")
        assert (settings.checkpoint_interval_ms, settings.checkpoint_timeout_ms) == (500, 600_000)
        assert (settings.unaligned_checkpoints, settings.checkpoints_retained) == (False, False)
        assert set(settings.parameters) == {"autostream.team", "db.password"}
        assert "s3cret" not in str(report.to_dict())
        assert [(v.parallelism, v.max_parallelism, dict(v.statuses)) for v in report.vertices] == [
            (1, 128, {"RUNNING": 1})
        ] * 2
        assert settings.vertices[1].inputs == ((settings.vertices[0].vertex_id, "HASH"),)
        (task_manager,) = report.task_managers
        assert task_manager.task_manager_id == "tm-1:a"
        assert (task_manager.slots, task_manager.slots_used, task_manager.slots_of_others) == (4, 1, 0)
        allotted = settings.task_manager
        assert (allotted.cpu_cores, allotted.cpu_cores_are_slots, allotted.slots) == (4.0, True, 4)
        assert (allotted.process_memory_bytes, allotted.heap_bytes) == (768 * MB, 352 * MB)
        assert [words.split(":")[0] for words in report.missing] == ["Cores"]

        fails.touch()

        def restarted() -> JobReport | None:
            found = fleet.show(f"prod/{name}")
            # Its pages are cached, each for itself.
            return found if found.restarts == 1 and found.vertices[0].attempt == 1 and found.restored else None

        after = wait_for("a restart", restarted)
        assert after.life.job_id == job_id

        other = session.submit("Counting", name, "0", "")
        wait_for("both", lambda: len(fleet.jobs().jobs) == 2)
        assert all("Tell them apart by job id" in job.note for job in fleet.jobs().jobs)
        with pytest.raises(UsageError, match=f"2 jobs of cluster prod run under the name .*{other}"):
            fleet.show(f"prod/{name}")
        unsafe = fleet.show(f"prod/{name}", job_id=other[:8])
        assert (unsafe.settings.checkpointing, unsafe.settings.checkpoint_interval_ms) == (False, None)
        assert (unsafe.settings.scheduler, unsafe.life.team) == ("default", None)

        for each in (job_id, other):
            session.cancel(each)
        wait_for("their end", lambda: [job.state for job in fleet.jobs(ended=True).jobs] == ["CANCELED"] * 2)
        assert [job.job_id for job in fleet.jobs().jobs] == [other]
        ended = fleet.show(f"prod/{name}", job_id=job_id)
        assert (ended.life.state, ended.task_managers) == ("CANCELED", ())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_cluster_that_is_for_one_application(version: str) -> None:
    job = ("Counting", "orders", "500", "", "autostream.team=trade")
    with flink_session(version, config=RESTARTS, application=job) as session:
        fleet = fleet_of(session)

        def running() -> bool:  # from its very beginning, when it has no plan yet
            return any(fleet.show(str(job.job)).completed for job in fleet.jobs().jobs)

        wait_for("a checkpoint", running)
        report = fleet.show("prod/orders")
        assert (report.settings.deployment, report.settings.platform) == ("application", "standalone")
        assert (report.life.team, report.settings.scheduler, len(report.vertices)) == ("trade", "default", 2)


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_jobs_are_seen_through_whichever_job_manager_is_left(version: str, zookeeper: ZooKeeper) -> None:
    """A standby job manager hands requests to the leader; while a leader is elected it answers 500 and 503."""
    config = {**RESTARTS, "high-availability.cluster-id": f"fleet-{version}"}
    with flink_session(version, job_managers=2, zookeeper=zookeeper.hosts, config=config) as session:
        fleet = fleet_of(session)
        job_id = session.submit("Counting", "orders", "500", "")
        wait_for("a checkpoint", lambda: fleet.show("prod/orders").completed)
        for url in session.urls:
            through = Fleet(FlinkSettings(clusters=(cluster_at(url),)))
            assert [job.job_id for job in through.jobs().jobs] == [job_id]
        leader = next(n for n in (1, 2) if "granted leadership" in session.log(f"jobmanager-{n}"))
        session.kill(f"jobmanager-{leader}")

        def again() -> bool:
            try:
                return fleet.show("prod/orders").life.state == "RUNNING"
            except (ServiceError, UsageError):  # an election; then a leader that has not begun with its jobs
                return False

        wait_for("the job under the other leader", again)
        assert [job.job_id for job in fleet.jobs().jobs] == [job_id]
        assert fleet.find("prod/orders")[0].rest.url == session.urls[2 - leader]
