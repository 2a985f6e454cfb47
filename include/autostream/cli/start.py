"""The entry point: loads the command line, which takes a moment, and runs it."""

from __future__ import annotations

import sys

from autostream.lean_start import start_lean


def run() -> None:
    """Run the command line of this process; Ctrl-C while it is loaded ends it like any other."""
    start_lean()
    try:
        from autostream.cli.main import run_command
    except KeyboardInterrupt:
        sys.stderr.write("error: Interrupted. Nothing was changed.\n")
        sys.exit(130)
    run_command()
