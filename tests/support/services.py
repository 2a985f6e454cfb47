"""Real services for tests, or the reason why they cannot be had.

Each function starts or prepares something by a script of scripts/services, and skips the test with what the script said
where that fails; where ``AUTOSTREAM_REQUIRE_SERVICES`` is 1, it fails the test instead. What is fetched is kept in the
cache of those scripts, so only the first run downloads.
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

SERVICES = Path(__file__).parents[2] / "scripts" / "services"
_SETUP_TIMEOUT_SECONDS = 600


def required() -> bool:
    """Tell whether a service that cannot be had is a failure."""
    return os.environ.get("AUTOSTREAM_REQUIRE_SERVICES") == "1"


def skip(what: str, error: str) -> NoReturn:
    """Skip the test, or fail it where services are required, with the last line of a complaint."""
    last = [line for line in error.strip().splitlines() if line.strip()][-1:] or ["no reason given"]
    reason = f"{what} cannot be had: {last[0][:300]}"
    if required():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def need_programs(what: str, *names: str) -> None:
    """Skip the test where a program is missing."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        skip(what, f"{', '.join(missing)} is not installed")


def set_up(what: str, script: str, *args: str) -> None:
    """Run a set-up script, or skip the test with its last line of complaint."""
    try:
        subprocess.run(
            [SERVICES / script, *args], check=True, capture_output=True, text=True, timeout=_SETUP_TIMEOUT_SECONDS
        )
    except subprocess.CalledProcessError as error:
        skip(what, error.stderr or error.stdout)
    except subprocess.TimeoutExpired:
        skip(what, f"{script} did not finish within {_SETUP_TIMEOUT_SECONDS} s")


def need_fetched(what: str, script: str, *, size: str) -> None:
    """Skip the test where the script was never asked to fetch what it needs: too much for a plain test run."""
    if required():
        set_up(what, script, "setup")
    elif subprocess.run([SERVICES / script, "ready"], capture_output=True).returncode:
        skip(what, f"{size} are fetched only on request: run scripts/services/{script} setup")


@contextmanager
def postgres() -> Iterator[str]:
    """Run a throw-away PostgreSQL and give its SQLAlchemy URL."""
    directory = tempfile.mkdtemp(prefix="autostream-postgres-")
    os.chmod(directory, 0o755)  # the server may run as another user
    try:
        if importlib.util.find_spec("psycopg2") is None:
            skip("PostgreSQL", "the package psycopg2 is not installed")
        started = subprocess.run([SERVICES / "postgres.sh", "start", directory], capture_output=True, text=True)
        if started.returncode:
            skip("PostgreSQL", started.stderr)
        try:
            yield started.stdout.strip()
        finally:
            subprocess.run([SERVICES / "postgres.sh", "stop", directory], check=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def prometheus(metrics: str) -> Iterator[str]:
    """Run a throw-away Prometheus server that has some metrics, as OpenMetrics with times, and give its URL."""
    with tempfile.TemporaryDirectory(prefix="autostream-prometheus-") as directory:
        Path(directory, "metrics.txt").write_text(metrics)
        started = subprocess.run([SERVICES / "prometheus.sh", "start", directory], capture_output=True, text=True)
        if started.returncode:
            skip("Prometheus", started.stderr)
        try:
            yield started.stdout.strip()
        finally:
            subprocess.run([SERVICES / "prometheus.sh", "stop", directory], check=True)


@contextmanager
def rest_catalog() -> Iterator[tuple[str, str]]:
    """Run Iceberg's own REST catalog server and give its URL and its warehouse."""
    set_up("the REST catalog server", "java/java.sh", "setup", "iceberg")
    with tempfile.TemporaryDirectory(prefix="autostream-rest-") as directory:
        started = subprocess.run([SERVICES / "rest.sh", "start", directory], capture_output=True, text=True)
        if started.returncode:
            skip("the REST catalog server", started.stderr)
        try:
            yield started.stdout.strip(), f"file://{directory}/warehouse"
        finally:
            subprocess.run([SERVICES / "rest.sh", "stop", directory], check=True)
