"""The entry point: puts the groups of commands together and turns errors into messages and exit codes."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from traceback import extract_tb
from typing import Annotated, Final

import typer
from typer.exceptions import TyperException

import autostream
from autostream.cli import interrupts
from autostream.cli.checkout import require_own_code
from autostream.cli.groups import LazyGroup
from autostream.cli.output import log_more, print_error
from autostream.cli.terminal import steady_streams
from autostream.errors import AutostreamError, ConfigurationError, ResourceError
from autostream.resources import is_disk_full

app = typer.Typer(
    name="autostream",
    cls=LazyGroup,
    help="Keeps a streaming lakehouse healthy: tables that Flink upserts into all day, jobs waiting for them.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 conflict (nothing changed), 4 not ready or "
    "unknown, 5 denied, 124 timed out.",
    no_args_is_help=True,
    # A traceback with local variables could show secrets.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_PYICEBERGS_CONFIGURATION: Final = str(Path("pyiceberg", "utils", "config.py"))

_logger = logging.getLogger(__name__)


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version as installed_version

        sys.stdout.write(f"autostream {installed_version('autostream')}\n")
        raise typer.Exit


@app.callback()
def prepare(
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Log details; -vv: those of other libraries too.")
    ] = 0,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of all commands; given before the group."""
    log_more(verbose)


def run_command() -> None:
    """Run the command line of this process and end it with the exit code that the outcome has."""
    with steady_streams(), interrupts.watch_for_interrupts():
        code = _outcome()
        if code == interrupts.EXIT_CODE:
            print_error(f"Interrupted. {interrupts.left_behind()}")
    sys.exit(code)


def _outcome() -> int:
    try:
        require_own_code(sys.argv[0], Path(autostream.__file__).parent)
        code = app(standalone_mode=False)
        return code if isinstance(code, int) else 0
    except TyperException as error:
        return _explain_usage(error)
    except typer.Abort:
        print_error("Aborted.")
        return 1
    except KeyboardInterrupt:
        return interrupts.EXIT_CODE
    except Exception as error:
        return interrupts.EXIT_CODE if interrupts.interrupted() else _explain(error)


def _explain(error: Exception) -> int:
    if isinstance(error, AutostreamError):
        _logger.debug("the error came from here", exc_info=True)
        print_error(str(error))
        return error.exit_code
    if is_disk_full(error):
        _logger.debug("the error came from here", exc_info=True)
        print_error(
            f"No space left: {error}. Free some space, or name a place on another disk, and run the command again."
        )
        return ResourceError.exit_code
    # PyIceberg reads its file when it is imported, and what it raises shows lines of it.
    if any(frame.filename.endswith(_PYICEBERGS_CONFIGURATION) for frame in extract_tb(error.__traceback__)):
        from autostream.config import unreadable

        print_error(str(unreadable(error)))
        return ConfigurationError.exit_code
    # This error was not expected, so a report of it needs the traceback.
    _logger.error("unexpected %s", type(error).__name__, exc_info=error)
    print_error(
        f"{type(error).__name__}: {error}. This is a defect of autostream. Please report it with the log above."
    )
    return 1


def _explain_usage(error: TyperException) -> int:
    """Say what is wrong with the arguments; for a group without any, its help has been printed."""
    context = getattr(error, "ctx", None)
    if message := error.format_message():
        path = context.command_path if context else "autostream"
        sentence = message.rstrip(".") + "."
        # Typer ends a suggestion with a question mark and a full stop.
        sentence = sentence.replace("?.", "?")
        print_error(f"{sentence} '{path} --help' lists the commands and options.")
    return error.exit_code


if __name__ == "__main__":
    run_command()
