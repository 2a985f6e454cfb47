"""The entry point: loads the command line, which takes a moment, and runs it."""

from __future__ import annotations

import gc
import sys

# Modules make hundreds of thousands of objects that stay: looking through them again and again for garbage took a
# seventh of the time that a command needs to begin.
_OBJECTS_BETWEEN_COLLECTIONS = 100_000


def run() -> None:
    """Run the command line of this process; Ctrl-C while it is loaded ends it like any other."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        from autostream.cli.main import run as run_command
    except KeyboardInterrupt:
        sys.stderr.write("error: Interrupted. Nothing was changed.\n")
        sys.exit(130)
    run_command()
