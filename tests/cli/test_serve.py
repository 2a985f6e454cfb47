import socket
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from autostream.cli import serve as module
from autostream.cli.main import app
from autostream.errors import ConfigurationError, UsageError


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """How the server would have been started."""
    monkeypatch.chdir(tmp_path)
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr("uvicorn.run", lambda application, **how: calls.append({"app": application, **how}))
    return calls


def serve(*arguments: str) -> None:
    CliRunner().invoke(app, ["serve", *arguments], catch_exceptions=False)


def test_it_listens_to_this_machine_alone(started: list[dict[str, Any]]) -> None:
    serve()

    assert (started[0]["host"], started[0]["port"]) == ("127.0.0.1", 8090)
    where, _, name = started[0]["app"].partition(":")
    assert callable(getattr(import_module(where), name))


@pytest.mark.parametrize(
    ("host", "warned"),
    [("0.0.0.0", True), ("::", True), ("lake.example.org", True), ("::1", False), ("localhost", False)],
)
def test_it_warns_where_others_can_reach_it(
    started: list[dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    warned: bool,
) -> None:
    monkeypatch.setattr(
        "autostream.cli.main.configure_logging", lambda verbosity: None
    )  # it would take caplog's handler

    monkeypatch.setattr(module, "require_free", lambda *_: None)  # names are asked of nobody
    serve("--host", host)

    assert ("has no login yet" in caplog.text) == warned
    assert started[0]["host"] == host


def test_what_is_missing_is_named(started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "jinja2" else object())

    with pytest.raises(ConfigurationError, match=r"needs jinja2.*Install autostream\[console\]"):
        serve()
    assert started == []


def test_a_wrong_configuration_is_said_before_anything_is_served(
    started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSTREAM_CONSOLE__URL", "example.org")

    with pytest.raises(ConfigurationError, match=r"console\.url"):
        serve()
    assert started == []


def test_a_taken_port_is_said_before_anything_else(
    started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "load_settings", lambda: pytest.fail("something was opened first"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"Port {port} of 127\.0\.0\.1 is taken\. .*name another port by --port"):
            serve("--port", str(port))
    with pytest.raises(UsageError, match=r"192\.0\.2\.1:8090 cannot be listened at"):
        serve("--host", "192.0.2.1")
    assert started == []


def test_the_real_server_answers(tmp_path: Path) -> None:
    import requests

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "autostream.cli.main", "-vv", "serve", "--port", str(port)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr
        try:
            for line in server.stderr:
                if "Uvicorn running" in line:
                    break
            assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=30).json() == {"status": "ok"}
        finally:
            server.terminate()
            server.stderr.read()
