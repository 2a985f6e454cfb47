"""`make up`: components in order, a clear end, and nothing left behind. A small program stands in for Airflow."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autostream.demo import up
from autostream.demo.airflow import LocalAirflow
from autostream.errors import AutostreamError, UsageError

# The API server answers; the scheduler starts a child that ignores what it is told, and ends by itself once a test
# has asked after its health twice; the others wait for their end.
AIRFLOW = """
import http.server, json, os, pathlib, signal, subprocess, sys, time
home = pathlib.Path(os.environ["AIRFLOW_HOME"])
with (home / "started").open("a") as started:
    started.write(sys.argv[3] + "\\n")
asked = home / "asked"
if sys.argv[3] == "api-server":
    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            scheduler = "healthy" if "scheduler" in (home / "started").read_text() else None
            self.send_response(200)
            self.end_headers()
            parts = {"metadatabase": "healthy", "scheduler": scheduler, "dag_processor": scheduler}
            self.wfile.write(json.dumps({part: {"status": status} for part, status in parts.items()}).encode())
            if scheduler:
                asked.touch()
        def log_message(self, *arguments):
            pass
    http.server.HTTPServer(("127.0.0.1", int(os.environ["AIRFLOW__API__PORT"])), Health).serve_forever()
if sys.argv[3] == "scheduler":
    script = "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (2, 15)]; "
    script += "print(1, flush=True); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, process_group=0)
    child.stdout.readline()
    (home / "child").write_text(str(child.pid))
    while not asked.exists():
        time.sleep(0.05)
    print("the scheduler has had enough")
    os._exit(7)
time.sleep(600)
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A demo whose Airflow is the program above."""
    directory = tmp_path / "demo"
    program = tmp_path / "airflow.py"
    program.write_text(AIRFLOW)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {program} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(up.sys, "executable", str(python))
    monkeypatch.setattr(up, "make_work", lambda directory: None)
    monkeypatch.setattr(LocalAirflow, "prepare", lambda self: self.home.mkdir(parents=True))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield directory
    for number, handler in handlers.items():
        signal.signal(number, handler)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return b"Z" not in Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[:1]


def test_components_start_in_order_and_all_end_when_one_does(
    directory: Path, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        AutostreamError, match=r"Airflow's scheduler ended with exit code 7.*\nthe scheduler has had enough"
    ):
        up.up(directory, port=port)
    home = directory / "airflow"
    assert (home / "started").read_text().split()[0] == "api-server"
    assert set((home / "started").read_text().split()) == {"api-server", "scheduler", "dag-processor", "triggerer"}
    assert not alive(int((home / "child").read_text()))
    password = json.loads((home / "passwords.json").read_text())["admin"]
    said = capsys.readouterr().err
    assert f"http://localhost:{port}/dags/lake_compaction" in said
    assert password in said
    assert f"source {home}/exports.sh" in said


def test_an_interrupt_ends_everything(directory: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    stop = up.stop

    def wait_until(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(up, "wait_while_running", wait_until)
    monkeypatch.setattr(up, "stop", lambda processes: (stop(processes), ended.extend(p.returncode for p in processes)))
    monkeypatch.setattr(sys, "argv", ["up", "--directory", str(directory), "--port", str(port)])
    up.main()
    assert len(ended) == 1


def test_a_port_that_is_taken_is_named(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr(sys, "argv", ["up", "--directory", str(directory), "--port", str(taken)])
        with pytest.raises(SystemExit) as raised:
            up.main()
    assert raised.value.code == UsageError.exit_code
    said = capsys.readouterr().err
    assert f"Cannot use port {taken}" in said
    assert "PORT=8090 make up" in said


def test_the_ports_that_belong_to_it_are_looked_at_too(port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        with pytest.raises(UsageError, match=rf"Cannot use port {taken} .a port of {taken - 713}."):
            up.require_free_port(taken, port=taken - 713)
    with pytest.raises(UsageError, match=r"Cannot use port 70713 .a port of 70000.: no such port exists"):
        up.require_free_port(up.ports(70_000)[1], port=70_000)


def test_the_password_is_made_once_and_is_private(tmp_path: Path) -> None:
    password = up.admin_password(tmp_path)
    assert up.admin_password(tmp_path) == password
    assert (tmp_path / "passwords.json").stat().st_mode & 0o077 == 0


def test_there_is_always_something_to_compact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from autostream.demo import seed

    monkeypatch.setattr(seed, "STREAMS", (replace(seed.STREAMS[0], checkpoints=2),))
    monkeypatch.setattr(up, "MORE_CHECKPOINTS", 3)
    snapshots = []
    for _ in range(2):
        up.make_work(tmp_path / "demo")
        table = seed.open_demo_catalog(tmp_path / "demo").load_table(("shop", "orders"))
        snapshots.append(len(table.metadata.snapshots))
    assert snapshots == [2, 5]


def test_the_script_says_what_it_takes() -> None:
    script = Path(__file__).parents[2] / "scripts" / "up.sh"
    environment = os.environ | {"PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))}
    said = subprocess.run([script, "--help"], env=environment, capture_output=True, text=True, check=True).stdout
    assert "--port" in said
    assert "--directory" in said
