"""A small fleet in the database, as the console is to show it."""

from collections.abc import Mapping

from autostream.findings import Severity
from autostream.flink.job_settings import JobSettings, VertexSettings
from autostream.health.health_changes import HealthEntry
from autostream.health.log import HealthLog
from autostream.names import JobName
from autostream.store.database import open_database
from tests.console.support import MINUTE
from tests.support.telemetry import fill_telemetry, job_record, job_samples

GIB = 1 << 30
USE = {
    "cpu_cores_used": 0.03,
    "cpu_cores": 2.0,
    "heap_used_bytes": 0.5 * GIB,
    "memory_bytes": 4.0 * GIB,
    "slots_used": 2.0,
    "slots": 4.0,
    "pending_records": 120_000.0,
    "records_in_per_second": 100.0,
    "checkpoints_completed": 1.0,
}
VERTEX = {"busy_share": 1.0, "parallelism": 2.0}
SETTINGS = JobSettings(
    flink_version="2.3.0",
    checkpoint_interval_ms=60_000,
    parameters={"autostream.team": "trade"},
    vertices=(VertexSettings(vertex_id="v1", name="Source: orders -> sink", parallelism=2, max_parallelism=128),),
)


def fill_fleet(now_ms: int) -> None:
    """A job of team trade with findings, a healthy one of ads, one without a team that failed, and one that is gone."""
    fill_telemetry(
        [
            *job_samples(
                "prod/orders",
                until_ms=now_ms,
                minutes=30,
                figures=USE,
                vertices={"v1": {"busy_share": 1.0, "parallelism": 2.0}},
            ),
            *job_samples("prod/bids", until_ms=now_ms, minutes=5, figures={"cpu_cores_used": 1.5, "cpu_cores": 2.0}),
        ],
        [
            job_record("prod/orders", settings=SETTINGS, seen_ms=now_ms, started_ms=now_ms - 60 * MINUTE),
            job_record("prod/bids", team="ads", owner=None, seen_ms=now_ms),
            job_record("test/a/../b?c=<d>&é", team=None, owner=None, state="FAILED", seen_ms=now_ms),
            job_record("test/old", team="ads", state="GONE", seen_ms=0),
        ],
    )
    put_health("prod/orders", 71, {"io-bound": (20.0, "warning"), "lag-unknown": (0.0, "info")}, at_ms=now_ms)
    put_health("prod/bids", 98, {}, at_ms=now_ms)


def put_health(job: str, score: int, findings: Mapping[str, tuple[float, str]], *, at_ms: int) -> None:
    """Write down that a job was judged."""
    entry = HealthEntry(
        job=JobName.parse(job),
        at_ms=at_ms,
        team=None,
        score=score,
        confidence=0.9,
        deductions={name: cost for name, (cost, _) in findings.items()},
        severities={name: Severity(severity) for name, (_, severity) in findings.items()},
        cpu_cores=2.0,
        memory_bytes=4 * GIB,
    )
    with open_database().write() as connection:
        HealthLog(connection).add([entry])
