"""`make up`: Airflow standalone with the project's DAGs and the demo's lakehouse, until it is interrupted."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from types import FrameType

from autostream.demo.airflow import LocalAirflow, find_project
from autostream.errors import AutostreamError, UsageError

DEFAULT_PORT = 8080
_MORE_CHECKPOINTS = 12
_STOP_SECONDS = 20.0


class Interrupted(Exception):
    """Somebody asked this process to end."""


def main() -> None:
    """Runs Airflow until SIGINT or SIGTERM, and leaves no process behind."""
    parser = argparse.ArgumentParser(prog="scripts/up.sh", description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path(".demo"), help="the demo's directory (%(default)s)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port of Airflow's UI (%(default)s)")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        up(arguments.directory, port=arguments.port)
    except Interrupted:
        _say("Stopped.")
    except AutostreamError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


def up(directory: Path, *, port: int) -> None:
    """Starts Airflow and says how to open it once it is ready; returns only by an exception.

    Raises:
        UsageError: The port is taken.
        AutostreamError: Airflow ended by itself.
        Interrupted: This process got SIGINT or SIGTERM; Airflow has ended.
    """
    _require_free(port)
    airflow = LocalAirflow(directory, find_project())
    _make_work(directory)
    _say("Making Airflow's database.")
    airflow.prepare()
    password = _password(airflow.home)
    log = airflow.home / "standalone.log"
    _say(f"Starting Airflow; it logs to {log}.")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"],
            env=airflow.environment() | _environment(airflow.home, port),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # so that a Ctrl-C of the terminal reaches us alone, and we can end all of it
        )
        try:
            _wait_until_ready(process, port, log)
            _say(
                f"Airflow is ready: http://localhost:{port}/dags/lake_compaction   user: admin   password: {password}\n"
                "Trigger the DAG there, with params if you like. Ctrl-C ends Airflow."
            )
            code = process.wait()
            raise AutostreamError(f"Airflow ended with exit code {code}. See {log}.")
        finally:
            _stop(process)


def _make_work(directory: Path) -> None:
    """A lakehouse with something to compact: a new one, or some more commits to that of the last demo."""
    from autostream.demo.run import clear
    from autostream.demo.seed import is_seeded, seed, write_more

    if is_seeded(directory):
        _say(f"Writing {_MORE_CHECKPOINTS} more checkpoints to each table in {directory}, for there to be work.")
        write_more(directory, checkpoints=_MORE_CHECKPOINTS)
    else:
        _say(f"Making a lakehouse in {directory}.")
        clear(directory)
        seed(directory)


def _environment(home: Path, port: int) -> dict[str, str]:
    # Ports move together, so that two of these fit on one machine; 8793 and 8794 are Airflow's own defaults.
    return {
        "AIRFLOW__API__HOST": "127.0.0.1",  # it has a plain password, so it is for this machine alone
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://localhost:{port}",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(port + 713),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(port + 714),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_password_file(home)),
    }


def _password_file(home: Path) -> Path:
    return home / "passwords.json"


def _password(home: Path) -> str:
    """The password of the user admin, made once."""
    file = _password_file(home)
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(json.dumps({"admin": secrets.token_urlsafe(9)}), encoding="utf-8")
    return str(json.loads(file.read_text(encoding="utf-8"))["admin"])


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(
                f"Port {port} cannot be used: {error.strerror}. End what uses it, or take another: PORT=8090 make up."
            ) from error


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    while not _healthy(port):
        if process.poll() is not None:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise AutostreamError(f"Airflow did not start. Its log {log} ends with:\n{tail}")
        time.sleep(1)


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/api/v2/monitor/health", timeout=5) as answer:
            health = json.load(answer)
    except (OSError, ValueError):
        return False
    return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends Airflow: first as Ctrl-C does, which lets tasks finish their heartbeat, then whatever is left of it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half of it running
    if process.poll() is None:
        _say("Stopping Airflow.")
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_STOP_SECONDS)
    for pid in _session(process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _session(session: int) -> list[int]:
    """Processes of a session that are still there; Airflow's components make process groups of their own."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getsid(int(entry.name)) == session:
                    found.append(int(entry.name))
            except (ProcessLookupError, PermissionError):
                continue
    return found


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


def _say(text: str) -> None:
    sys.stderr.write(f"up: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
