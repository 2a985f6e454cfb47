import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from autostream import errors
from autostream.cli import main
from tests.support.commands import InProcess
from tests.support.commands import autostream as process


def test_version(autostream: InProcess) -> None:
    assert autostream("--version") == (0, f"autostream {version('autostream')}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["-h"]])
def test_help_lists_the_groups_and_exit_codes(autostream: InProcess, arguments: list[str]) -> None:
    code, out, _ = autostream(*arguments)

    assert code == 0
    assert [word for word in ("table", "config", "demo", "Exit codes", "--verbose") if word not in out] == []


def test_the_json_document_is_all_there_is_on_stdout(autostream: InProcess) -> None:
    code, out, _ = autostream("-v", "config", "show", "--json")

    assert code == 0
    assert {"file", "values", "catalogs"} == set(json.loads(out))


@pytest.mark.parametrize("arguments", [["nonsense"], ["config", "nonsense"], ["config", "show", "--nonsense"]])
def test_wrong_usage_ends_with_2(autostream: InProcess, arguments: list[str]) -> None:
    code, out, err = autostream(*arguments)

    assert (code, out) == (2, "")
    assert "nonsense" in err


def test_a_wrong_configuration_is_one_message_on_stderr(autostream: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_ENGINE__THREADS", "many")

    code, out, err = autostream("config", "show", "--json")

    assert (code, out) == (2, "")
    assert err.startswith("error: `engine.threads` (environment AUTOSTREAM_ENGINE__THREADS) cannot be 'many'")
    assert "Traceback" not in err


def test_a_wrong_log_level_is_named(autostream: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_LOG", "loud")

    code, _, err = autostream("config", "show")

    assert code == 2
    assert "Invalid AUTOSTREAM_LOG 'loud'. Set it to one of debug, info, warning, error" in err


def _all_errors(base: type[errors.AutostreamError]) -> Iterator[type[errors.AutostreamError]]:
    yield base
    for error in base.__subclasses__():
        yield from _all_errors(error)


@pytest.mark.parametrize("error", sorted(set(_all_errors(errors.AutostreamError)), key=lambda error: error.__name__))
def test_each_error_ends_the_command_with_its_exit_code(
    autostream: InProcess, monkeypatch: pytest.MonkeyPatch, error: type[errors.AutostreamError]
) -> None:
    def fail(**_: object) -> None:
        raise error("lake.db.[bold]orders is at http://me:hidden@host")

    monkeypatch.setattr(main, "app", fail)

    code, out, err = autostream()

    assert (code, out) == (error.exit_code, "")
    assert err == "error: lake.db.[bold]orders is at http://me:********@host\n"
    assert code in {1, 2, 3, 4, 5, 124}


def test_an_unexpected_error_is_logged_with_its_traceback(
    autostream: InProcess, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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
