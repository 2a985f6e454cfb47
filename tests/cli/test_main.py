import json
import logging
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from autostream import errors
from autostream.cli import main
from tests.support.commands import autostream as process


@pytest.fixture(autouse=True)
def _as_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The command sets up logging for its process: put back what was there, and keep the user's configuration out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AUTOSTREAM_CONFIG", "AUTOSTREAM_LOG"):
        monkeypatch.delenv(name, raising=False)
    root, own = logging.getLogger(), logging.getLogger("autostream")
    before = root.handlers[:], root.level, own.level
    yield
    root.handlers[:], root.level, own.level = before


@pytest.fixture
def autostream(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Command":
    return Command(monkeypatch, capsys)


class Command:
    """`autostream ...` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["autostream", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.run_command()
        out, err = self._capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), out, err


def test_version(autostream: Command) -> None:
    assert autostream("--version") == (0, f"autostream {version('autostream')}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["-h"]])
def test_help_lists_the_groups_and_exit_codes(autostream: Command, arguments: list[str]) -> None:
    code, out, _ = autostream(*arguments)

    assert code == 0
    assert [word for word in ("table", "config", "demo", "Exit codes", "--verbose") if word not in out] == []


def test_the_json_document_is_all_there_is_on_stdout(autostream: Command) -> None:
    code, out, _ = autostream("-v", "config", "show", "--json")

    assert code == 0
    assert {"file", "values", "catalogs"} == set(json.loads(out))


@pytest.mark.parametrize("arguments", [["nonsense"], ["config", "nonsense"], ["config", "show", "--nonsense"]])
def test_wrong_usage_ends_with_2(autostream: Command, arguments: list[str]) -> None:
    code, out, err = autostream(*arguments)

    assert (code, out) == (2, "")
    assert "nonsense" in err


def test_a_wrong_configuration_is_one_message_on_stderr(autostream: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_ENGINE__THREADS", "many")

    code, out, err = autostream("config", "show", "--json")

    assert (code, out) == (2, "")
    assert err.startswith("error: `engine.threads` (environment AUTOSTREAM_ENGINE__THREADS) cannot be 'many'")
    assert "Traceback" not in err


def test_a_wrong_log_level_is_named(autostream: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_LOG", "loud")

    code, _, err = autostream("config", "show")

    assert code == 2
    assert "AUTOSTREAM_LOG cannot be 'loud'. Set it to one of debug, info, warning, error" in err


def _all_errors(base: type[errors.AutostreamError]) -> Iterator[type[errors.AutostreamError]]:
    yield base
    for error in base.__subclasses__():
        yield from _all_errors(error)


@pytest.mark.parametrize("error", sorted(set(_all_errors(errors.AutostreamError)), key=lambda error: error.__name__))
def test_each_error_ends_the_command_with_its_exit_code(
    autostream: Command, monkeypatch: pytest.MonkeyPatch, error: type[errors.AutostreamError]
) -> None:
    def fail(**_: object) -> None:
        raise error("lake.db.[bold]orders is at http://me:hidden@host")

    monkeypatch.setattr(main, "app", fail)

    code, out, err = autostream()

    assert (code, out) == (error.exit_code, "")
    assert err == "error: lake.db.[bold]orders is at http://me:********@host\n"
    assert code in {1, 2, 3, 4, 5, 124}


def test_what_nobody_foresaw_is_logged_with_its_traceback(
    autostream: Command, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: object) -> None:
        raise ZeroDivisionError("a number")

    monkeypatch.setattr(main, "app", fail)

    code, out, err = autostream()

    assert (code, out) == (1, "")
    assert "ZeroDivisionError: a number" in err
    assert caplog.records[-1].exc_info


@pytest.mark.parametrize("text", ['catalog:\n  x: {uri: "hidden"', "catalog:\n\tx: hidden", "hidden"])
def test_a_broken_file_of_pyicebergs_is_no_defect(tmp_path: Path, text: str) -> None:
    (tmp_path / ".pyiceberg.yaml").write_text(text)
    done = process("watermark", "get", "x.a.b", PYICEBERG_HOME=str(tmp_path))
    assert (done.exit_code, "hidden" in done.stderr) == (2, False)
    assert done.stderr.startswith("error: Cannot read the configuration of PyIceberg: ")
