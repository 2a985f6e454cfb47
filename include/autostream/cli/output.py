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
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from autostream.cli.documents import as_csv
from autostream.cli.terminal import (
    PlainFormatter,
    TerminalHandler,
    log_console,
    output_console,
    print_unwrapped,
    spinner,
)
from autostream.errors import AutostreamError, UsageError
from autostream.exact_ids import with_exact_ids
from autostream.masking import MaskingFormatter, mask, mask_all

LOG_VARIABLE: Final = "AUTOSTREAM_LOG"
LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class Format(StrEnum):
    """How a command prints what it found or did."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class _Wanted:
    """How this process is to print and to log, as its command line says."""

    format: Format | None = None
    verbosity = 0


def forget_wishes() -> None:
    """Print and log again as where nothing was said."""
    _Wanted.format, _Wanted.verbosity = None, 0


def print_as(wanted: Format) -> None:
    """Have the command print so.

    Raises:
        UsageError: It is to print otherwise already.
    """
    if _Wanted.format not in (None, wanted):
        raise UsageError(
            f"You asked for the output as {_Wanted.format} and as {wanted}. Give --json or --output, and only once."
        )
    _Wanted.format = wanted


def is_watched(*, as_json: bool) -> bool:
    """Say whether the command prints for people who look at a terminal."""
    return not as_json and _Wanted.format in (None, Format.TABLE) and output_console().is_terminal


def log_more(levels: int) -> None:
    """Log so many levels more than until now, and set up logging for that."""
    _Wanted.verbosity += levels
    configure_logging(_Wanted.verbosity)


JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
"""The `--json` of every command: `def show(as_json: JsonOption = False)`."""

_logger = logging.getLogger("autostream")


def emit(
    document: Mapping[str, Any],
    *,
    as_json: bool,
    render: Callable[[], None],
    data: Mapping[str, Any] | None = None,
    rows: str | None = None,
) -> None:
    """Print what a command found or did: as JSON or CSV, secrets hidden, or as what `render` makes of it for people.

    What cannot be rendered is no reason to end otherwise: what was done is done.

    Args:
        document: What is printed with `--json`. Times, paths and enumerations in it become strings.
        as_json: Whether `--json` was given.
        render: Prints the same for people.
        data: What else is in the document, printed as it is: rows of tables.
        rows: The list in the document of which each entry is a line of CSV; None makes one line of the document.
    """
    wanted = _Wanted.format or (Format.JSON if as_json else Format.TABLE)
    if wanted is not Format.TABLE:
        printed = mask_all(document) | dict(data or {})
        sys.stdout.write(_as_json(printed) if wanted is Format.JSON else as_csv(json.loads(_as_json(printed)), rows))
        sys.stdout.flush()
        return
    try:
        render()
    except AutostreamError:
        raise
    except Exception as error:
        _logger.exception("the result cannot be shown")
        print_error(
            f"The command is done, but its result cannot be shown ({type(error).__name__}: {error}). --json prints "
            "all of it. This is a defect of autostream. Please report it with the log above."
        )


def _as_json(document: Mapping[str, Any]) -> str:
    return json.dumps(with_exact_ids(document), default=_encode, indent=2, allow_nan=False) + "\n"


def print_error(message: str) -> None:
    """Print a message on stderr, secrets hidden, wrapped by nobody so that it can be searched for."""
    print_unwrapped(("error: ", "bold red"), mask(message))


@contextmanager
def progress(title: str) -> Iterator[Callable[[str], None]]:
    """Show that something long is under way: a spinner on a terminal, log lines otherwise.

    Args:
        title: What is under way, such as `compacting lake.db.orders`.

    Yields:
        A function that is told each step.
    """
    if not log_console().is_terminal:
        yield lambda step: _logger.info("%s: %s", title, step)
        return
    with spinner(title) as update:
        yield lambda step: update(f"{title}: {step}")


def configure_logging(verbosity: int = 0) -> None:
    """Send log records to stderr.

    Args:
        verbosity: 0: what autostream does and what warns; 1: autostream's details; 2 and more: everybody's details.
            The environment variable AUTOSTREAM_LOG (debug, info, warning or error) sets autostream's level where no
            verbosity is given.

    Raises:
        UsageError: AUTOSTREAM_LOG is none of these words.
    """
    handler: logging.Handler
    if log_console().is_terminal:
        handler = TerminalHandler()
        handler.setFormatter(MaskingFormatter(PlainFormatter("%(message)s")))
    else:
        handler = logging.StreamHandler(sys.stderr)
        formatter = PlainFormatter("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        handler.setFormatter(MaskingFormatter(formatter))
    logging.captureWarnings(True)  # Python would print them as they are
    logging.basicConfig(level=logging.DEBUG if verbosity > 1 else logging.WARNING, handlers=[handler], force=True)
    _logger.setLevel(logging.DEBUG if verbosity else _level_of_environment())


def _level_of_environment() -> int:
    word = os.environ.get(LOG_VARIABLE, "").strip().lower() or "info"
    if word not in LEVELS:
        raise UsageError(f"Invalid {LOG_VARIABLE} {word!r}. Set it to one of {', '.join(LEVELS)}, or unset it.")
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
