"""Figures of a real Flink job: what it is known to do is what is sampled, before and after a failure."""

from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from autostream import times
from autostream.config import FlinkSettings
from autostream.config.sections.telemetry import TelemetrySettings
from autostream.names import JobName
from autostream.store.database import Database
from autostream.telemetry.collecting import Collector
from autostream.telemetry.log import TelemetryLog
from autostream.telemetry.samples import JobSample
from tests.support import event_jobs
from tests.support.event_jobs import create_table, wait_for
from tests.support.flink_clusters import cluster_at

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.exhaustive,  # a job that is judged in make test is sampled by the same code
    pytest.mark.xdist_group("java"),
]

RATE = 400


def test_a_job_is_sampled_as_it_is_before_and_after_a_failure(lake: SqlCatalog, tmp_path: Path) -> None:
    create_table(lake, "db.events")
    database = Database(f"sqlite:///{tmp_path}/samples.db")
    with event_jobs.running(lake, tmp_path, "db.events", name="ingest", rate=RATE, ckpt=1000) as job:
        settings = TelemetrySettings(interval_seconds=10)
        collector = Collector(FlinkSettings(clusters=(cluster_at(job.rest, name="real"),)), settings, database)

        def samples() -> list[JobSample]:
            """Look once more, and return what is known by then."""
            collector.step()
            times.sleep(3)
            with database.read() as connection:
                return TelemetryLog(connection).samples(JobName("real", "ingest"), since_ms=0)

        def flowing(restarts: int) -> JobSample | None:
            known = samples()
            if sum(sample.figures.get("restarts", 0) for sample in known) < restarts:
                return None
            last = known[-1] if known else None
            return last if last and "records_in_per_second" in last.figures else None

        before = wait_for("rates", lambda: flowing(0))
        job.fail_over()
        after = wait_for("rates after the failure", lambda: flowing(1))

    assert collector.tallies[0].failed == 0
    for sample in (before, after):
        figures = sample.figures
        assert sample.state == "RUNNING"
        # A busy machine makes the job slower than it is allowed to be, and nothing makes it faster.
        assert 0 < figures["records_in_per_second"] <= 1.2 * RATE
        assert 0 < figures["busy_share_max"] <= 1
        assert figures["watermark_lag_ms"] > 0
        assert figures["checkpoint_age_ms"] < 60_000
        assert figures["checkpoints_completed"] >= 1
        assert figures["slots_used"] >= 1
        assert sum(vertex.figures["parallelism"] for vertex in sample.vertices) >= len(sample.vertices) >= 1
    assert before.figures["restarts"] == 0
    with database.read() as connection:
        (record,) = TelemetryLog(connection).records()
    assert record.settings.checkpoint_interval_ms == 1000
    database.close()
