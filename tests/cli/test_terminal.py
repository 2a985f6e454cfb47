"""What comes from outside is shown as it is, and a stream that fails ends nothing."""

import errno
import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from autostream.cli.output import configure_logging, print_error, progress
from autostream.cli.terminal import note, say, shown, steady_streams, wrapped
from tests.support.commands import environment

HOSTILE = (
    "[bold]x[/bold] [/] [red] :warning: \x1b[31m\x1b]0;t\x07 \r\b\u202eabc\u2066 \u200b\ufeff \x85\x9b \u2028 \udcff"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain [red]text[/]", "plain [red]text[/]"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\r\n\tb", "a\\r\\n\\tb"),
        ("\u202e\u2066\u200b\ufeff\u2028", "\\u202e\\u2066\\u200b\\ufeff\\u2028"),
        ("\x9b\x7f\x85", "\\x9b\\x7f\\x85"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\ue0041"),
        ("नमस्ते 👩\u200d🔧 می\u200cخواهم\u00a0é", "नमस्ते 👩\u200d🔧 می\u200cخواهم\u00a0é"),
    ],
)
def test_what_would_steer_the_terminal_is_escaped(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_line_ends_of_messages_are_kept() -> None:
    assert shown("a\n b\r", keep="\n") == "a\n b\\r"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("on_terminal", [True, False])
def test_no_way_out_reads_markup_or_lets_control_characters_through(
    on_terminal: bool,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # what is wrapped would not be counted
    if on_terminal:
        request.getfixturevalue("terminal")
    with steady_streams():
        configure_logging()
        say(HOSTILE)
        say((HOSTILE, "bold"), HOSTILE)
        note(HOSTILE)
        print_error(HOSTILE)
        with progress(HOSTILE) as report:
            report(HOSTILE)
        logging.getLogger("autostream.x").warning("%s", HOSTILE)
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            logging.getLogger("autostream.x").exception("failed")
    out, err = capsys.readouterr()
    assert (out.count(shown(HOSTILE)), err.count(shown(HOSTILE)) >= 4) == (3, True)
    for raw in ("\x1b[31m\x1b]0", "\x07", "\u202e", "\x9b", "\u2028"):
        assert raw not in out + err


@settings(max_examples=50)
@given(words=st.lists(st.text("ab漢", min_size=1, max_size=12)), width=st.integers(1, 40))
def test_lines_are_broken_between_words_only(words: list[str], width: int) -> None:
    lines = [line.plain for line in wrapped(Text(" ".join(words)), width, indent=2)]
    assert " ".join(lines).split() == words
    longest = max((cell_len(word) for word in words), default=0)
    assert all(cell_len(line) <= max(width, 2 + longest) for line in lines)


class Failing(io.StringIO):
    """A stream that takes nothing."""

    def __init__(self, number: int, where: Path) -> None:
        super().__init__()
        self._number = number
        self._descriptor = os.open(where, os.O_CREAT | os.O_WRONLY)

    def fileno(self) -> int:
        return self._descriptor

    def write(self, text: str) -> int:
        raise OSError(self._number, os.strerror(self._number))


@pytest.mark.parametrize(
    ("number", "said"), [(errno.EPIPE, ""), (errno.ENOSPC, "No space left on device"), (errno.EIO, "Input/output")]
)
def test_a_stream_that_fails_is_told_of_once_unless_its_reader_has_gone(
    number: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stdout", Failing(number, tmp_path / "out"))
    with steady_streams():
        say("one")
        sys.stdout.writelines(["two", "three"])
    err = capsys.readouterr().err
    assert said in err
    assert bool(err) == bool(said)


def test_what_the_encoding_lacks_is_escaped() -> None:
    code = "from autostream.cli.terminal import *\nwith steady_streams(): say('é → \\udcff ✓')"
    env = environment(PYTHONIOENCODING="ascii", LC_ALL="C")
    ended = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "\\xe9 \\u2192 \\udcff \\u2713\n"), ended.stderr


@pytest.mark.parametrize("where", ["| head -c 1", "> /dev/full", "2> /dev/full > /dev/full", ">&-", "2>&-", "| true"])
def test_real_streams_that_fail_change_no_exit_code(where: str, tmp_path: Path) -> None:
    line = f'{sys.executable} -c "from autostream.cli.main import run_command; run_command()" config show {where}'
    script = ["bash", "-c", f"set -o pipefail; {line}"]
    ended = subprocess.run(script, env=environment(HOME=str(tmp_path)), cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "defect" not in ended.stderr
    assert ("No space left" in ended.stderr) == (where == "> /dev/full")
