"""How commands speak: one document on stdout, everything else on stderr."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.logging import RichHandler

from autostream.errors import UsageError
from autostream.masking import MaskingFormatter, mask, mask_all

LOG_VARIABLE: Final = "AUTOSTREAM_LOG"
PIPE_COLUMNS: Final = 200
LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
"""The `--json` of every command: `def show(as_json: JsonOption = False)`."""

_logger = logging.getLogger("autostream")


def output_console() -> Console:
    """The console that `render` functions print tables and text to: stdout, as it is at this moment."""
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        # In a pipe or a log there is no edge to fit in: names must not be cut.
        console.width = PIPE_COLUMNS
    return console


def log_console() -> Console:
    """The console for progress and errors: stderr, as it is at this moment."""
    return Console(file=sys.stderr, stderr=True, highlight=False)


def emit(
    document: Mapping[str, Any], *, as_json: bool, render: Callable[[], None], data: Mapping[str, Any] | None = None
) -> None:
    """Prints what a command found: the JSON document, secrets hidden, or what `render` makes of it for people.

    Args:
        document: What is printed with `--json`. Times, paths and enumerations in it become strings.
        as_json: Whether `--json` was given.
        render: Prints the same for people, on `output_console()`.
        data: What else is in the document, printed as it is: rows of tables.
    """
    if as_json:
        printed = mask_all(document) | dict(data or {})
        sys.stdout.write(json.dumps(printed, default=_encode, indent=2, allow_nan=False) + "\n")
        sys.stdout.flush()
    else:
        render()


def print_error(message: str) -> None:
    """Prints a message on stderr, passwords in URLs hidden, wrapped by nobody so that it can be searched for."""
    console = log_console()
    console.print("[bold red]error:[/] ", end="", soft_wrap=True)
    console.print(mask(message), markup=False, soft_wrap=True)


@contextmanager
def progress(title: str) -> Iterator[Callable[[str], None]]:
    """Shows that something long is under way: a spinner on a terminal, log lines otherwise.

    Args:
        title: What is under way, such as `compacting lake.db.orders`.

    Yields:
        A function that is told each step.
    """
    console = log_console()
    if not console.is_terminal:
        yield lambda step: _logger.info("%s: %s", title, step)
        return
    with console.status(title) as status:
        yield lambda step: status.update(f"{title}: {step}")


def configure_logging(verbosity: int = 0) -> None:
    """Sends log records to stderr.

    Args:
        verbosity: 0: what autostream does and what warns; 1: autostream's details; 2 and more: everybody's details.
            The environment variable AUTOSTREAM_LOG (debug, info, warning or error) sets autostream's level where no
            verbosity is given.

    Raises:
        UsageError: AUTOSTREAM_LOG is none of these words.
    """
    console = log_console()
    handler: logging.Handler
    if console.is_terminal:
        handler = RichHandler(console=console, show_path=False, log_time_format="%H:%M:%S")
        handler.setFormatter(MaskingFormatter(logging.Formatter("%(message)s")))
    else:
        handler = logging.StreamHandler(sys.stderr)
        formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        handler.setFormatter(MaskingFormatter(formatter))
    logging.captureWarnings(True)  # Python would print them as they are
    logging.basicConfig(level=logging.DEBUG if verbosity > 1 else logging.WARNING, handlers=[handler], force=True)
    _logger.setLevel(logging.DEBUG if verbosity else _level_of_environment())


def _level_of_environment() -> int:
    word = os.environ.get(LOG_VARIABLE, "").strip().lower() or "info"
    if word not in LEVELS:
        raise UsageError(f"{LOG_VARIABLE} cannot be {word!r}. Set it to one of {', '.join(LEVELS)}, or unset it.")
    return LEVELS[word]


def _encode(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
