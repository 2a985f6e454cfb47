"""Real jobs of old and new Flink looked at closely, and log levels of a cluster that runs."""

from pathlib import Path

import pytest

from autostream.config import FlinkSettings
from autostream.diagnosis.diagnosing import PARTS, JobDiagnosis, diagnose_job, profile_job
from autostream.diagnosis.log_levels import LogLevels
from autostream.flink.fleet import Fleet
from autostream.store.database import Database
from tests.support.event_jobs import wait_for
from tests.support.flink_clusters import cluster_at
from tests.support.flink_sessions import flink_session

pytestmark = pytest.mark.integration

LOGGER = "org.apache.flink.runtime.checkpoint"
CONFIG = {
    "restart-strategy": "fixed-delay",
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "100",
    "restart-strategy.fixed-delay.delay": "100 ms",
    "rest.flamegraph.enabled": "true",
    "rest.flamegraph.num-samples": "10",
    "rest.profiling.enabled": "true",
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("version", ["1.18.1", "2.3.0"])
def test_a_job_and_its_cluster(version: str, tmp_path: Path) -> None:
    fails = tmp_path / "fail"
    with flink_session(version, config=CONFIG) as session:
        session.submit("Counting", "orders", "500", str(fails))
        properties = session.directory / "conf-1" / "log4j.properties"
        settings = FlinkSettings(clusters=(cluster_at(*session.urls, log4j_file=str(properties)),))
        fleet = Fleet(settings)

        def look(*parts: str) -> JobDiagnosis:
            return diagnose_job(fleet, "prod/orders", parts=parts or PARTS)

        wait_for("a checkpoint", lambda: look("checkpoints").parts["checkpoints"].figures)
        found = look()
        ids = {name: {finding.id for finding in part.findings} for name, part in found.parts.items()}
        assert ids["checkpoints"] & {"checkpoint-quick", "checkpoint-start-delay", "checkpoint-other"}
        assert "threads-free" in ids["threads"]
        assert "tasks-at" in ids["threads"]
        assert ids["flame-graph"] == {"flames"}
        assert (found.flame_graph_svg or "").startswith("<svg")
        assert "writes no log file that Flink knows of" in found.parts["logs"].unread[0]
        assert not [name for name, part in found.parts.items() if part.unread and name != "logs"]

        fails.touch()
        (group,) = wait_for("a failure", lambda: look("exceptions").parts["exceptions"].figures)
        assert (group["count"] >= 1, bool(group["tasks"])) == (True, True)
        if version != "1.18.1":
            wait_for("tasks", lambda: look("threads").parts["threads"].figures[1:])
            run, page = profile_job(fleet, "prod/orders", mode="ITIMER", seconds=1)
            assert (run.status, b"<html" in page) == ("FINISHED", True)

        before = properties.read_bytes()
        database = Database(f"sqlite:///{tmp_path}/a.db")
        levels = LogLevels(settings, database)
        assert " DEBUG " not in session.log("jobmanager-1")
        levels.set("prod/orders", LOGGER, "DEBUG", for_ms=600_000)
        wait_for("the level", lambda: " DEBUG Checkpoint" in session.log("jobmanager-1"))
        levels.reset("prod/orders")
        assert properties.read_bytes() == before
        database.close()
