import json
import logging
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from pathlib import Path

import pytest

from autostream.cli.output import configure_logging, emit, print_error, progress
from autostream.errors import UsageError


class Colour(Enum):
    RED = "red"


def test_what_json_lacks_becomes_strings(capsys: pytest.CaptureFixture[str]) -> None:
    east = timezone(timedelta(hours=8))
    document = {
        "utc": datetime(2026, 11, 23, 2, tzinfo=UTC),
        "elsewhere": datetime(2026, 11, 23, 10, tzinfo=east),
        "path": Path("a/b"),
        "colour": Colour.RED,
        "set": {3, 1, 2},
    }

    emit(document, as_json=True, render=lambda: pytest.fail("rendered for people"))

    assert json.loads(capsys.readouterr().out) == {
        "utc": "2026-11-23T02:00:00Z",
        "elsewhere": "2026-11-23T02:00:00Z",
        "path": "a/b",
        "colour": "red",
        "set": [1, 2, 3],
    }


def test_without_json_only_people_are_served(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"a": 1}, as_json=False, render=lambda: print("for people"))

    assert capsys.readouterr().out == "for people\n"


def test_what_cannot_be_rendered_is_said_and_ends_nothing(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    emit({"a": 1}, as_json=False, render=lambda: print(1 // 0))

    assert "its result cannot be shown (ZeroDivisionError" in capsys.readouterr().err
    assert caplog.records[-1].exc_info


def test_a_usage_error_while_rendering_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> None:
        raise UsageError("no such zone")

    with pytest.raises(UsageError):
        emit({"a": 1}, as_json=False, render=refuse)


@pytest.mark.parametrize("value", [b"bytes", object()])
def test_what_has_no_json_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        emit({"value": value}, as_json=True, render=lambda: None)


def test_no_number_is_written_that_json_does_not_know() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        emit({"value": float("nan")}, as_json=True, render=lambda: None)


def test_a_long_error_stays_on_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    message = "word " * 50 + "end"

    print_error(message)

    assert capsys.readouterr().err == f"error: {message}\n"


def test_progress_becomes_log_lines_where_there_is_no_terminal(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "autostream"), progress("compacting lake.db.orders") as step:
        step("group 1 of 8")

    assert caplog.messages == ["compacting lake.db.orders: group 1 of 8"]


def test_progress_is_a_spinner_on_a_terminal(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")

    with progress("compacting") as step:
        step("group 1 of 8")

    captured = capsys.readouterr()
    assert "compacting" in captured.err
    assert captured.out == ""
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("verbosity", "variable", "own", "others"),
    [
        (0, None, logging.INFO, logging.WARNING),
        (1, None, logging.DEBUG, logging.WARNING),
        (2, None, logging.DEBUG, logging.DEBUG),
        (0, "error", logging.ERROR, logging.WARNING),
        (0, " Debug ", logging.DEBUG, logging.WARNING),
        (1, "error", logging.DEBUG, logging.WARNING),
    ],
)
def test_how_much_is_logged(
    monkeypatch: pytest.MonkeyPatch, verbosity: int, variable: str | None, own: int, others: int
) -> None:
    if variable is not None:
        monkeypatch.setenv("AUTOSTREAM_LOG", variable)

    configure_logging(verbosity)

    assert logging.getLogger("autostream").level == own
    assert logging.getLogger().level == others


def test_logs_go_to_stderr_with_utc_times(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    logging.getLogger("autostream.lake").info("hello")

    out, err = capsys.readouterr()
    assert out == ""
    stamp, _, rest = err.partition(" ")
    assert rest == "INFO autostream.lake: hello\n"
    assert datetime.fromisoformat(stamp).tzinfo == UTC


def test_logs_on_a_terminal_are_for_people(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    configure_logging()
    logging.getLogger("autostream.lake").warning("hello")

    assert "hello" in capsys.readouterr().err


def test_an_unknown_level_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_LOG", "loud")

    with pytest.raises(UsageError, match="'loud'"):
        configure_logging()
