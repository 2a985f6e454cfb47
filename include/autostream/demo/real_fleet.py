"""`autostream demo --flink`: three jobs on a real Flink, sampled and judged as all jobs are.

Flink comes from the Python package index. It runs as a session cluster on this machine, while the demonstration does.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autostream.config.root import Settings
from autostream.config.sections.flink import FlinkClusterSettings, FlinkSettings, JobRule
from autostream.demo.airflow import find_project
from autostream.demo.fleet import DATABASE, settings_in, write_configuration
from autostream.errors import AutostreamError
from autostream.health.assessing import assess_jobs
from autostream.health.health_report import HealthReport
from autostream.store.database import open_database
from autostream.telemetry.collecting import Collector

VERSION: Final = "2.3.0"
CLUSTER: Final = "demo"
SECONDS: Final = 120
"""For how long the jobs are sampled once they run: Flink's own means are those of a minute."""

_INTERVAL_SECONDS: Final = 10
_SLOTS: Final = 8
_CONFIGURATION: Final = """\
execution.checkpointing.interval: 10 s
execution.checkpointing.externalized-checkpoint-retention: RETAIN_ON_CANCELLATION
jobmanager.scheduler: adaptive"""


@dataclass(frozen=True)
class RealJob:
    """A job, with what it is told to do.

    Attributes:
        name: Its name.
        what: What it is, in words.
        options: See scripts/services/flink/src/Workload.java.
    """

    name: str
    what: str
    options: tuple[str, ...]


JOBS: Final = (
    RealJob("web-clicks-sessions", "is well", ("rate=200", "wait=5000", "par=2")),
    RealJob(
        "trade-orders-enrich",
        "waits 5 ms for each record, and gets more than it can read",
        ("rate=380", "wait=5000", "backlog=20000"),
    ),
    RealJob("web-users-backfill", "has four subtasks for 20 records a second", ("rate=20", "wait=2000", "par=4")),
)


def judge_real_fleet(directory: Path, *, report_progress: Callable[[str], None]) -> HealthReport:
    """Start Flink, run the jobs, sample them, and return how they are; nothing runs any more then.

    Args:
        directory: Where the samples are kept, and the configuration by which other commands find them.
        report_progress: Told what is done.

    Raises:
        UsageError: There is no checkout of the project.
        AutostreamError: Flink cannot be had, or does not start.
    """
    script = find_project() / "scripts" / "services" / "flink" / "flink.sh"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / DATABASE).unlink(missing_ok=True)
    if subprocess.run([script, "ready", VERSION], capture_output=True, check=False).returncode:
        report_progress(f"fetching Flink {VERSION} from the package index: about 330 MB, once")
        _run(script, "setup", VERSION)
    with _cluster(script, directory, report_progress) as (place, urls):
        settings = _settings(directory, urls)
        for job in JOBS:
            report_progress(f"starting {job.name}, which {job.what}")
            _run(script, "submit", str(place), "Workload", f"name={job.name}", *job.options)
        report_progress(f"sampling the jobs for {SECONDS} s, as `autostream flink watch` does")
        database = open_database(settings.database)
        collector = Collector(settings.flink, settings.telemetry, database, interval_seconds=_INTERVAL_SECONDS)
        collector.run(threading.Event(), seconds=SECONDS + 3 * _INTERVAL_SECONDS)
        report = assess_jobs(settings, window_seconds=SECONDS)
        report_progress("stopping Flink")
    write_configuration(directory, settings)
    return report


@contextmanager
def _cluster(
    script: Path, directory: Path, report_progress: Callable[[str], None]
) -> Iterator[tuple[Path, Sequence[str]]]:
    """Run a session cluster; give its directory and its addresses. Nothing of it is left, however this ends."""
    with tempfile.TemporaryDirectory(prefix="autostream-demo-flink-", ignore_cleanup_errors=True) as name:
        place = Path(name)
        report_progress(f"starting a job manager and a task manager of {_SLOTS} slots; their logs are {place}/*.log")
        checkpoints = f"execution.checkpointing.dir: file://{place}/checkpoints"
        # Its processes end with this one, should this one be killed.
        options = {
            "SLOTS": str(_SLOTS),
            "CONFIG": f"{_CONFIGURATION}\n{checkpoints}",
            "SERVICES_OWNER": str(os.getpid()),
        }
        try:
            said = _run(script, "start", str(place), VERSION, **options)
            yield place, said.strip().removeprefix("URLS=").split(",")
        finally:
            _run(script, "stop", str(place))


def _settings(directory: Path, urls: Sequence[str]) -> Settings:
    clusters = (FlinkClusterSettings(name=CLUSTER, url=tuple(urls)),)
    rules = (JobRule(job=f"{CLUSTER}/(?P<team>[a-z]+)-.+", team="{team}"),)
    return settings_in(directory).model_copy(update={"flink": FlinkSettings(clusters=clusters, jobs=rules)})


def _run(script: Path, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        [script, *arguments], capture_output=True, text=True, env={**os.environ, **variables}, check=False
    )
    if done.returncode:
        why = done.stderr.strip().splitlines()[-3:] or [f"exit code {done.returncode}"]
        raise AutostreamError(f"scripts/services/flink/flink.sh {arguments[0]} failed: {' '.join(why)}")
    return done.stdout
