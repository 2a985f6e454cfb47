"""The entry point: puts the groups of commands together and turns errors into messages and exit codes."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version as installed_version
from typing import Annotated

import typer

from autostream.cli import config, db, demo, lock, serve, table, watermark
from autostream.cli.output import configure_logging, print_error
from autostream.errors import AutostreamError

app = typer.Typer(
    name="autostream",
    help="Keeps a streaming lakehouse healthy: tables that Flink upserts into all day, jobs waiting for them.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 conflict (nothing changed), 4 not ready or "
    "unknown, 5 denied, 124 timed out.",
    no_args_is_help=True,
    # A traceback with local variables could show secrets.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(table.app, name="table")
app.add_typer(watermark.app, name="watermark")
app.add_typer(lock.app, name="lock")
app.add_typer(config.app, name="config")
app.add_typer(db.app, name="db")
app.add_typer(serve.app)
app.add_typer(demo.app)

_logger = logging.getLogger(__name__)


def _print_version(requested: bool) -> None:
    if requested:
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
    configure_logging(verbose)


def run() -> None:
    """Runs the command line of this process and ends it with the exit code that the outcome has."""
    try:
        app()
    except AutostreamError as error:
        _logger.debug("the error came from here", exc_info=True)
        print_error(str(error))
        sys.exit(error.exit_code)
    except Exception as error:
        # Nobody foresaw this one, so whoever reports it needs the traceback.
        _logger.exception("unexpected %s", type(error).__name__)
        print_error(
            f"{type(error).__name__}: {error}. This is a defect of autostream: please report it as logged above."
        )
        sys.exit(1)


if __name__ == "__main__":
    run()
