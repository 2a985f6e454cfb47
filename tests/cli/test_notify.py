"""`autostream notify`: messages with their fate, a test message, and delivery."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from autostream.cli.main import app
from autostream.errors import AutostreamError, ConfigurationError, NotFoundError
from autostream.notify.sending import NotDeliveredError
from autostream.notify.telling import tell
from autostream.times import Clock
from tests.notify.notices import released
from tests.notify.robots import Robots, robots
from tests.support.clocks import FakeClock


@pytest.fixture(autouse=True)
def _at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", f"sqlite:///{tmp_path}/a.db")


@pytest.fixture
def robot(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Robots]:
    with robots(clock) as standing:
        configure(standing, monkeypatch)
        yield standing


def configure(robot: Robots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_NOTIFY__TARGETS__ONCALL__URL", robot.target_url)
    monkeypatch.setenv("AUTOSTREAM_NOTIFY__DINGTALK_URL", robot.url)


def run(*arguments: str, fails: bool = False) -> Result:
    result = CliRunner().invoke(app, ["notify", *arguments], env={"COLUMNS": "100"})
    assert fails or result.exit_code == 0, result.exception
    return result


def document(*arguments: str, fails: bool = False) -> dict[str, Any]:
    return json.loads(run(*arguments, "--json", fails=fails).stdout)


def error(*arguments: str) -> AutostreamError:
    result = run(*arguments, fails=True)
    assert isinstance(result.exception, AutostreamError), result.output
    return result.exception


def test_messages_are_listed_with_their_fate(robot: Robots) -> None:
    assert tell([released(), released("lake.db.clicks"), released()]) == 2
    robot.refusals.extend([{"errcode": 310000, "errmsg": "sign not match"}])

    delivered = run("deliver", fails=True)
    assert delivered.exit_code == 1
    assert "0 sent, 1 failed, 0 given up." in delivered.stdout
    assert "oncall: DingTalk does not take the message: errcode 310000, sign not match." in delivered.stdout
    assert "2 waiting." in delivered.stdout
    listed = run("list").stdout
    assert "Warning: Stale lock on lake.db.orders was released (2 times)" in " ".join(listed.split())
    assert "2 waiting, 0 sent, 0 given-up" in listed
    found = document("list", "--waiting", "--limit", "1")["messages"]
    assert [(m["target"], m["state"], m["notice"]["subject"]) for m in found] == [
        ("oncall", "waiting", "table lake.db.orders")
    ]
    assert document("list", "--given-up")["messages"] == []


def test_what_is_due_is_delivered(robot: Robots) -> None:
    tell([released(), released("lake.db.clicks")])

    assert document("deliver") == {"sent": 2, "failed": 0, "given_up": 0, "waiting": 0, "problems": {}}
    assert len(robot.taken) == 2
    assert run("deliver").stdout == "0 sent, 0 failed, 0 given up.\n"
    assert document("list")["counts"] == {"waiting": 0, "sent": 2, "given-up": 0}


def test_a_test_message(robot: Robots) -> None:
    said = run("send-test", "oncall").stdout
    assert "The service of oncall took the message: For information: Test message for oncall" in " ".join(said.split())
    assert len(robot.taken) == 1
    robot.refusals.append({"errcode": 300001, "errmsg": "token is not exist"})
    assert isinstance(error("send-test", "oncall"), NotDeliveredError)
    assert isinstance(error("send-test", "x"), NotFoundError)


def test_what_to_do_where_no_target_is_configured() -> None:
    assert "No target is configured, so nobody is told anything." in run("list").stdout
    refused = error("deliver")
    assert isinstance(refused, ConfigurationError)
    assert "[[notify.targets]]" in str(refused)


def test_nothing_is_opened_where_no_target_is_configured(tmp_path: Path) -> None:
    assert tell([released()]) == 0
    assert not (tmp_path / "a.db").exists()


def test_telling_fails_nothing(
    robot: Robots, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", "postgresql+psycopg2://me:hidden-Pa55@127.0.0.1:1/d")

    assert [tell([released()]) for _ in range(3)] == [0, 0, 0]
    assert caplog.text.count("Nobody is told of what happens: The database") == 1
    assert "hidden-Pa55" not in caplog.text
    monkeypatch.setenv("AUTOSTREAM_NOTIFY__REPEAT_AFTER_SECONDS", "nonsense")
    assert tell([released()]) == 0
    assert tell(released(str(1 // number)) for number in (1, 0)) == 0
    assert "ZeroDivisionError" in caplog.text


def test_a_service_delivers_until_it_is_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    with robots(Clock()) as robot:
        configure(robot, monkeypatch)
        command = [sys.executable, "-m", "autostream.cli.main", "notify", "deliver", "--watch"]
        service = subprocess.Popen(command, env=os.environ, stderr=subprocess.PIPE)
        try:
            tell([released(at_ms=Clock().now_ms())])
            assert robot.arrived.wait(60)
            service.send_signal(signal.SIGTERM)
            _, logged = service.communicate(timeout=60)
        finally:
            service.kill()
    assert service.returncode == 0, logged.decode()
    assert document("list")["counts"]["sent"] == 1


@pytest.mark.parametrize("command", [["watermark", "record", "--for", "1"], ["flink", "watch", "--for", "1s"]])
def test_a_service_that_does_something_else_delivers_as_well(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the real clock: it goes on for a second, and what is under way then is finished."""
    monkeypatch.setenv("AUTOSTREAM_FLINK__CLUSTERS__PROD__URL", "http://127.0.0.1:9")
    with robots(Clock()) as robot:
        configure(robot, monkeypatch)
        tell([released()])
        CliRunner().invoke(app, command)
        assert robot.arrived.is_set()
    assert document("list")["counts"]["sent"] == 1


def test_config_check_says_which_targets_are_not_understood(lake: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_NOTIFY__TARGETS__GOOD__URL", "dingtalk://SECabcdef1234@tokenoftherobot1/")
    monkeypatch.setenv("AUTOSTREAM_NOTIFY__TARGETS__BAD__URL", "nosuchservice://tokenoftheother2/")
    result = CliRunner().invoke(app, ["config", "check", "--json"])
    checks = {check["subject"]: check for check in json.loads(result.stdout)["checks"]}
    assert checks["notify target good"]["severity"] == "ok"
    assert checks["notify target bad"]["severity"] == "error"
    assert "Apprise does not understand `url` of the target bad" in checks["notify target bad"]["reason"]
    assert "tokenofthe" not in result.output
