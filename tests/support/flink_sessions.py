"""Real session clusters of Flink, of any version from 1.18: started, stopped, and given jobs."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.support.services import SERVICES, need_programs, set_up, skip

SCRIPT = SERVICES / "flink" / "flink.sh"
VERSIONS = ("1.18.1", "1.20.5", "2.3.0")


@dataclass(frozen=True)
class FlinkSession:
    """A cluster that runs.

    Attributes:
        directory: Where its logs are.
        urls: One for each job manager.
    """

    directory: Path
    urls: tuple[str, ...]

    def submit(self, main: str, *arguments: str) -> str:
        """Run a job of `scripts/services/flink/src`, and return its id."""
        done = subprocess.run([SCRIPT, "submit", self.directory, main, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def cancel(self, job_id: str) -> None:
        """Ask for a job's end."""
        requests.patch(f"{self.urls[0]}/jobs/{job_id}?mode=cancel", timeout=60).raise_for_status()

    def kill(self, name: str) -> None:
        """Kill `jobmanager-N` or `taskmanager-N`, from 1, at once."""
        subprocess.run([SCRIPT, "kill", self.directory, name], check=True)

    def log(self, name: str) -> str:
        """Return what a process has logged."""
        return (self.directory / f"{name}.log").read_text(errors="replace")


@contextmanager
def flink_session(
    version: str,
    *,
    job_managers: int = 1,
    task_managers: int = 1,
    slots: int = 4,
    task_heap_megabytes: int = 256,
    zookeeper: str = "",
    config: Mapping[str, Any] | None = None,
    application: Sequence[str] = (),
) -> Iterator[FlinkSession]:
    """Run a session cluster, or one for a single application.

    Args:
        version: Of Flink.
        job_managers: More than one need `zookeeper`.
        task_managers: How many.
        slots: Of each task manager.
        task_heap_megabytes: Of each task manager; 96 more are the framework's.
        zookeeper: Hosts of an ensemble, for high availability.
        config: More settings of Flink.
        application: The class of a job in `scripts/services/flink/src`, and its arguments.
    """
    what = f"Flink {version}"
    need_programs(what, "java", "javac", "jar", "uv", "curl")
    set_up(what, "flink/flink.sh", "setup", version)
    options = {
        "JOB_MANAGERS": str(job_managers),
        "TASK_MANAGERS": str(task_managers),
        "SLOTS": str(slots),
        "TASK_HEAP": str(task_heap_megabytes),
        "ZOOKEEPER": zookeeper,
        "CONFIG": "\n".join(f"{key}: {value}" for key, value in (config or {}).items()),
        "APPLICATION": "\n".join(application),
        "SERVICES_OWNER": str(os.getpid()),
    }
    with tempfile.TemporaryDirectory(prefix="autostream-flink-", ignore_cleanup_errors=True) as directory:
        started = subprocess.run(
            [SCRIPT, "start", directory, version], capture_output=True, text=True, env={**os.environ, **options}
        )
        if started.returncode:
            skip(what, started.stderr)
        urls = started.stdout.strip().removeprefix("URLS=").split(",")
        try:
            yield FlinkSession(Path(directory), tuple(urls))
        finally:
            subprocess.run([SCRIPT, "stop", directory], check=True)
