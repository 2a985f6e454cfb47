"""The `autostream` command as users run it: a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    try:
        document = json.loads(out)
    except ValueError:
        document = None
    return Finished(process.returncode, document, err, out)


def autostream(*args: str, **extra: str) -> Finished:
    """Run the command; keyword arguments are added to its environment."""
    return finish(start(*args, **extra))
