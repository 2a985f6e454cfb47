"""`make up`: Airflow on this machine with the project's DAGs and the demo's lakehouse, until it is interrupted.

As `airflow standalone` does, but in order: there, a scheduler that is up before the API server loses the first task.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import select
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from autostream import times
from autostream.demo.airflow import DAG_ID, LocalAirflow, find_project
from autostream.errors import AutostreamError, UsageError

DEFAULT_PORT = 8080
MORE_CHECKPOINTS = 12
_STOP_SECONDS = 20.0
USER = "admin"
_FIRST = "api-server"
_OTHERS = ("scheduler", "dag-processor", "triggerer")


class Interrupted(Exception):
    """Someone asked this process to end."""


def main() -> None:
    """Run Airflow until SIGINT or SIGTERM, and leave no process behind."""
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
    """Start Airflow and say how to open it once it is ready; end only by an exception.

    Raises:
        UsageError: The port is taken, or the directory in use.
        AutostreamError: Airflow ended by itself.
        Interrupted: This process got SIGINT or SIGTERM; Airflow has ended.
    """
    for number in ports(port):
        require_free_port(number, port=port)
    airflow = LocalAirflow(directory, find_project())
    with airflow.alone():
        make_work(directory)
        _say("Creating Airflow's database.")
        airflow.prepare()
        _say(f"Starting Airflow; it logs to {airflow.home}/*.log.")
        _run(airflow, port)


def _run(airflow: LocalAirflow, port: int) -> None:
    with running(airflow, port, say=_say) as (password, wait_until):
        _say(
            f"Airflow is ready: http://localhost:{port}/dags/{DAG_ID}   user: {USER}   password: {password}\nTo "
            "start the work, trigger the DAG there, with params if you like. It has no schedule here, so it waits "
            f"for you.\nFor `airflow` commands, in another terminal:\n  source {shlex.quote(str(airflow.exports))}\n "
            f" airflow dags trigger {DAG_ID}\nCtrl-C ends Airflow."
        )
        wait_until(lambda: False)


@contextmanager
def running(
    airflow: LocalAirflow, port: int, environment: Mapping[str, str] | None = None, *, say: Callable[[str], None]
) -> Iterator[tuple[str, Callable[[Callable[[], bool]], None]]]:
    """Run Airflow's components; give the password of `USER`, and what waits for something as long as all of them run.

    Args:
        airflow: An Airflow that is prepared.
        port: Of its API server.
        environment: Variables on top of its own.
        say: Tells people that it is being stopped. From then on this process ignores SIGINT and SIGTERM.

    Raises:
        AutostreamError: A component ended by itself.
    """
    password = admin_password(airflow.home)
    variables = airflow.environment() | _environment(airflow.home, port) | dict(environment or {})
    started: dict[str, subprocess.Popen[bytes]] = {}
    try:
        _start(_FIRST, airflow.home, variables, started)
        wait_while_running(lambda: bool(_health(port)), airflow.home, started)
        for component in _OTHERS:
            _start(component, airflow.home, variables, started)
        wait_while_running(lambda: _is_healthy(_health(port)), airflow.home, started)
        yield password, lambda condition: wait_while_running(condition, airflow.home, started)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half of it running
        say("Stopping Airflow.")
        stop(started.values())


def _start(
    component: str, home: Path, environment: Mapping[str, str], started: dict[str, subprocess.Popen[bytes]]
) -> None:
    with (home / f"{component}.log").open("wb") as log:
        started[component] = subprocess.Popen(
            [sys.executable, "-m", "airflow", component],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # so that a Ctrl-C of the terminal reaches us alone, and we can end all of it
        )


def wait_while_running(
    condition: Callable[[], bool], home: Path, started: Mapping[str, subprocess.Popen[bytes]]
) -> None:
    """Wait; raise AutostreamError when one of the components ends meanwhile."""
    while not condition():
        for component, process in started.items():
            if process.poll() is not None:
                log = home / f"{component}.log"
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                raise AutostreamError(
                    f"Airflow's {component} ended with exit code {process.returncode}. Its log, {log}, ends "
                    f"with:\n{tail}"
                )
        times.sleep(1)


def make_work(directory: Path) -> None:
    """Make a lakehouse with something to compact: a new one, or some more commits to that of the last demo."""
    from autostream.demo.seed import clear, is_seeded, seed, write_more

    if is_seeded(directory):
        _say(f"Writing {MORE_CHECKPOINTS} more checkpoints to each table in {directory}, so that compaction has work.")
        write_more(directory, checkpoints=MORE_CHECKPOINTS)
    else:
        _say(f"Creating a lakehouse in {directory}.")
        clear(directory)
        seed(directory)


def _environment(home: Path, port: int) -> dict[str, str]:
    _, workers, triggers = ports(port)
    return {
        "AIRFLOW__API__HOST": "127.0.0.1",  # it has a plain password, so it is for this machine alone
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://localhost:{port}",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(workers),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(triggers),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_password_file(home)),
    }


def ports(port: int) -> tuple[int, int, int]:
    """Return the ports of the API server, and of the logs of tasks and triggers that are under way.

    They move together, so that two of these fit on one machine; 8793 and 8794 are Airflow's own defaults.
    """
    return port, port + 713, port + 714


def _password_file(home: Path) -> Path:
    return home / "passwords.json"


def admin_password(home: Path) -> str:
    """Return the password of the user admin, made once."""
    file = _password_file(home)
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(json.dumps({USER: secrets.token_urlsafe(9)}), encoding="utf-8")
    return str(json.loads(file.read_text(encoding="utf-8"))[USER])


def require_free_port(number: int, *, port: int) -> None:
    """Raise UsageError where a port that belongs to another one is taken, or cannot be one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "no such port exists"
            belongs = "" if number == port else f" (a port of {port})"
            raise UsageError(
                f"Cannot use port {number}{belongs}: {reason}. Stop the program that uses it, or take another port: "
                "PORT=8090 make up."
            ) from error


def _health(port: int) -> dict[str, Any]:
    """Return what the API server says of the components; nothing while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5) as answer:
            health: dict[str, Any] = json.load(answer)
            return health
    except (OSError, ValueError):
        return {}


def _is_healthy(health: Mapping[str, Any]) -> bool:
    return all(
        health.get(part, {}).get("status") == "healthy" for part in ("metadatabase", "scheduler", "dag_processor")
    )


def stop(processes: Collection[subprocess.Popen[bytes]]) -> None:
    """End Airflow: first as Ctrl-C does, then whatever is left of it."""
    deadline = times.monotonic() + _STOP_SECONDS
    for process in processes:
        process.send_signal(signal.SIGINT)
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=max(0.0, deadline - times.monotonic()))
    for pid in _members({process.pid for process in processes}):
        with suppress(ProcessLookupError):
            _kill(pid)
    for process in processes:
        process.wait()


def _kill(pid: int) -> None:
    """Kills a process that is not our child, and waits until it is gone."""
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [], _STOP_SECONDS)
    finally:
        os.close(handle)


def _members(sessions: Collection[int]) -> list[int]:
    """Return processes of sessions that are still there; Airflow's components make process groups of their own."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(ProcessLookupError, PermissionError):
                if os.getsid(int(entry.name)) in sessions:
                    found.append(int(entry.name))
    return found


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


def _say(text: str) -> None:
    sys.stderr.write(f"up: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
