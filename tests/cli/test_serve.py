import socket
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from autostream.access.roles import Role
from autostream.access.tokens import create_token
from autostream.cli import serve as module
from autostream.cli.main import app
from autostream.errors import ConfigurationError, UsageError
from autostream.store.database import open_database


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


OTHERS = ["0.0.0.0", "::", "lake.example.org"]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged; names of hosts are asked of nobody."""
    monkeypatch.setattr("autostream.cli.output.configure_logging", lambda verbosity: None)  # it would take this handler
    monkeypatch.setattr(module, "require_free_address", lambda *_: None)
    return caplog


def create_a_token() -> None:
    with open_database().write() as connection:
        create_token(connection, "ann", role=Role.VIEWER, days=1, by="test", now_ms=0)


@pytest.mark.parametrize("host", OTHERS)
def test_others_cannot_reach_it_before_a_token_exists(
    started: list[dict[str, Any]], logged: pytest.LogCaptureFixture, host: str
) -> None:
    with pytest.raises(UsageError, match=r"no token exists\. Run 'autostream token create NAME --role admin'"):
        serve("--host", host)
    assert started == []
    create_a_token()
    serve("--host", host)
    assert started[0]["host"] == host
    assert "tokens cross the network without encryption" in logged.text


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_without_a_token_this_machine_is_told_what_it_may_do(
    started: list[dict[str, Any]], logged: pytest.LogCaptureFixture, host: str
) -> None:
    serve("--host", host)
    assert "everyone on this machine can read the console without a login" in logged.text
    logged.clear()
    create_a_token()
    serve("--host", host)
    assert [record.levelname for record in logged.records] == ["INFO"]


def test_it_is_served_by_https(started: list[dict[str, Any]], logged: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    create_a_token()

    serve("--host", "0.0.0.0", "--tls-cert", str(certificate), "--tls-key", str(key))

    assert (started[0]["ssl_certfile"], started[0]["ssl_keyfile"]) == (certificate, key)
    assert "serving at https://0.0.0.0:8090" in logged.text
    assert "without encryption" not in logged.text


def test_files_that_are_not_for_https_are_said_before_anything_is_served(
    started: list[dict[str, Any]], tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path)
    other = self_signed(tmp_path / "other")[1]

    for arguments, message in (
        (["--tls-key", str(key)], "--tls-key needs --tls-cert"),
        (["--tls-cert", str(tmp_path / "none.pem")], r"none\.pem for https: No such file"),
        (["--tls-cert", str(key)], r"key\.pem for https"),
        (["--tls-cert", str(certificate), "--tls-key", str(other)], "Cannot use .* for https"),
    ):
        with pytest.raises(UsageError, match=message):
            serve("--port", "0", *arguments)
    assert started == []


def self_signed(directory: Path) -> tuple[Path, Path]:
    """Make a certificate for `localhost` and its key."""
    directory.mkdir(exist_ok=True)
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost -addext"
    command = [*words.split(), "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


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
        with pytest.raises(UsageError, match=rf"Port {port} of 127\.0\.0\.1 is in use\. .*give another --port"):
            serve("--port", str(port))
    with pytest.raises(UsageError, match=r"Cannot listen at 192\.0\.2\.1:8090"):
        serve("--host", "192.0.2.1")
    assert started == []


def test_the_real_server_answers_by_https_who_shows_a_token(tmp_path: Path) -> None:
    import requests

    with open_database().write() as connection:
        _, token = create_token(connection, "ann", role=Role.VIEWER, days=None, by="test", now_ms=0)
    certificate, key = self_signed(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    files = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    command = [sys.executable, "-m", "autostream.cli.main", "-vv", "serve", "--port", str(port), *files]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr
        try:
            for line in server.stderr:
                if "Uvicorn running" in line:
                    break
            url = f"https://127.0.0.1:{port}"
            with requests.Session() as session:
                session.verify, session.trust_env = str(certificate), False
                assert session.get(f"{url}/healthz", timeout=120).json() == {"status": "ok"}
                assert session.get(f"{url}/api/me", timeout=120).status_code == 401
                session.headers["Authorization"] = f"Bearer {token}"
                answer = session.get(f"{url}/api/me", timeout=120)
            assert answer.json()["name"] == "ann"
            assert "server" not in answer.headers
            assert answer.headers["strict-transport-security"]
        finally:
            server.terminate()
            server.stderr.read()
