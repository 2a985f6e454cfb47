"""The `autostream` command as users run it: a process of its own."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

_ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from autostream.cli.start import run; run()"]


@dataclass(frozen=True)
class Finished:
    """How a command ended; ``document`` is what ``--json`` printed, if it was one."""

    exit_code: int
    document: Any
    stderr: str
    stdout: str = ""


def environment(**extra: str) -> dict[str, str]:
    """Return the environment in which the command finds this repository's code."""
    return {**os.environ, "PYTHONPATH": f"{_ROOT}/include:{os.environ.get('PYTHONPATH', '')}", **extra}


def start(*args: str, **extra: str) -> "subprocess.Popen[str]":
    """Start the command and do not wait for it."""
    return subprocess.Popen(
        [*COMMAND, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**extra)
    )


def finish(process: "subprocess.Popen[str]") -> Finished:
    """Wait for a started command."""
    out, err = process.communicate()
    return _finished(process.returncode, out, err)


def autostream(*args: str, **extra: str) -> Finished:
    """Run the command; keyword arguments are added to its environment."""
    return finish(start(*args, **extra))


def autostream_here(*args: str, **extra: str) -> Finished:
    """Run the command in this process, in a tenth of the time: where how it starts is not the point."""
    from autostream.cli.main import run_command

    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        patch.object(sys, "argv", ["autostream", *args]),
        patch.dict(os.environ, extra),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            run_command()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return _finished(code, out.getvalue(), err.getvalue())


def _finished(code: int, out: str, err: str) -> Finished:
    try:
        document = json.loads(out)
    except ValueError:
        document = None
    return Finished(code, document, err, out)


class InProcess:
    """`autostream ...` in this process: exit code, stdout, stderr."""

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command."""
        found = autostream_here(*arguments)
        return found.exit_code, found.stdout, found.stderr

    def document(self, *arguments: str, code: int = 0) -> Any:
        """Run with --json and return the document."""
        found, out, err = self(*arguments, "--json")
        assert found == code, err
        return json.loads(out)

    def refused(self, *arguments: str) -> str:
        """Run what is a usage or configuration error, with and without --json, and return the message."""
        found, out, err = self(*arguments)
        assert (found, out) == (2, "")
        assert self(*arguments, "--json")[:2] == (2, "")
        return " ".join(err.split())
