"""Real Flink jobs as autostream sees them: sampled by its collector, and judged by what was sampled."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from autostream import times
from autostream.config import FlinkSettings
from autostream.config.sections.telemetry import TelemetrySettings
from autostream.health.job_health import JobHealth, judge_job
from autostream.names import JobName
from autostream.store.database import Database
from autostream.telemetry.collecting import Collector
from autostream.telemetry.log import TelemetryLog
from autostream.telemetry.windows import window_of
from tests.support.event_jobs import wait_for
from tests.support.flink_clusters import cluster_at
from tests.support.flink_sessions import FlinkSession

WINDOW_SECONDS = 30
"""Over how long jobs are judged here: Flink's own means are those of a minute at most."""
LEAST_SAMPLES = 4
_PAUSE_SECONDS = 1.5
_SETTLE_SECONDS = 1.2
"""These clusters collect metrics once a second."""


@dataclass
class JudgedCluster:
    """A cluster whose jobs are sampled every few seconds.

    Attributes:
        session: The cluster.
        collector: What samples its jobs.
        database: Where samples go.
    """

    session: FlinkSession
    collector: Collector
    database: Database

    @contextmanager
    def job(self, name: str, **options: Any) -> Iterator[str]:
        """Run a workload as its arguments say (scripts/services/flink/src/Workload.java), and give its id."""
        words = [f"{key}={value}" for key, value in options.items()]
        job_id = self.session.submit("Workload", f"name={name}", *words)
        try:
            wait_for(f"job {name}", lambda: self.get(f"/jobs/{job_id}")["state"] == "RUNNING")
            yield job_id
        finally:
            self.session.cancel(job_id)
            wait_for(f"the end of job {name}", lambda: self.get(f"/jobs/{job_id}")["state"] == "CANCELED")

    def judged(self, name: str, *expected: str, timeout_seconds: float = 180) -> JobHealth:
        """Sample until a job has exactly these findings three times in a row, and return how it is then.

        Whatever it may be said to have while it starts: it has to settle on what is right.
        """
        deadline, right, said = time.monotonic() + timeout_seconds, 0, []
        while True:
            self.collector.step()
            health = self._judge(JobName("prod", name))
            if health is not None:
                found = [finding.id for finding in health.findings]
                enough = health.window is not None and (
                    health.window.samples >= LEAST_SAMPLES or health.window.restarts
                )
                right = right + 1 if enough and found == list(expected) else 0
                said.append(f"{found}: {_shown(health)}")
                if right == 3:
                    return health
            assert time.monotonic() < deadline, f"{name}: not {list(expected)}, but\n" + "\n".join(said[-12:])
            time.sleep(_PAUSE_SECONDS)

    def get(self, path: str) -> Any:
        """Return what the job manager answers."""
        answer = requests.get(f"{self.session.urls[0]}{path}", timeout=60)
        answer.raise_for_status()
        return answer.json()

    def _judge(self, job: JobName) -> JobHealth | None:
        now_ms = times.now_ms()
        with self.database.read() as connection:
            log = TelemetryLog(connection)
            record = log.record(job)
            window = window_of(log.samples(job, since_ms=now_ms - WINDOW_SECONDS * 1000))
        return None if record is None else judge_job(record, window, now_ms=now_ms, window_seconds=WINDOW_SECONDS)


def judged_cluster(session: FlinkSession, directory: Path) -> JudgedCluster:
    """Prepare to sample a cluster into a database in a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    database = Database(f"sqlite:///{directory}/autostream.db")
    flink = FlinkSettings(clusters=(cluster_at(*session.urls),))
    collector = Collector(flink, TelemetrySettings(), database, interval_seconds=10, settle_seconds=_SETTLE_SECONDS)
    return JudgedCluster(session, collector, database)


def _shown(health: JobHealth) -> str:
    window = health.window
    if window is None:
        return health.unknown
    figures = {name: round(summary.value, 3) for name, summary in window.figures.items()}
    vertices = [
        (vertex.name, {name: round(one.value, 3) for name, one in vertex.figures.items()}) for vertex in window.vertices
    ]
    return f"{window.samples} samples, {window.restarts} restarts, {figures}, {vertices}"
