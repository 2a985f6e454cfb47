"""The terminal: what comes from outside is shown as it is, lines fit, and a stream that fails ends nothing."""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any, Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

Part = str | tuple[str, str]
"""What is printed: text, or text and its style. It is never read as markup."""

_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Joiners: letters of Persian and of Indic scripts, and emoji, need them.
_HARMLESS: Final = "\u200c\u200d"
_LEVEL_STYLES: Final = {
    "DEBUG": "dim",
    "INFO": "blue",
    "WARNING": "yellow",
    "ERROR": "bold red",
    "CRITICAL": "bold red",
}


def shown(value: object, *, keep: str = "") -> str:
    r"""Return a text in which nothing steers the terminal: `\x1b` for an escape character, `\n` for a line's end.

    Control characters, those that turn the direction of writing or take no space, and lone surrogates are escaped.

    Args:
        value: What is shown.
        keep: Characters that stay as they are, such as the line ends of a message.
    """
    text = str(value)
    return text if text.isprintable() else "".join(c if c in keep else _harmless(c) for c in text)


def _harmless(character: str) -> str:
    if character in _HARMLESS or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character
    code = ord(character)
    return _ESCAPES.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def styled(part: Part, *, keep: str = "") -> Text:
    """Return a part as what is printed in its style."""
    text, style = (part, "") if isinstance(part, str) else part
    return Text(shown(text, keep=keep), style)


def output_console() -> Console:
    """Return the console of stdout, as it is at this moment."""
    return Console(markup=False, emoji=False, highlight=False, soft_wrap=True)


class _Shared:
    """The console of stderr while a command runs: a spinner and the lines above it have to share one."""

    log_console: Console | None = None


def log_console() -> Console:
    """Return the console of stderr, for progress, logs and errors."""
    return _Shared.log_console or Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)


def start_anew() -> None:
    """Clear the terminal of stdout, for what is shown again and again."""
    output_console().clear()


def line_width(console: Console) -> int | None:
    """Return how many characters fit in a line; None in a pipe or a file, where there is no edge to fit in."""
    return console.width if console.is_terminal or "COLUMNS" in os.environ else None


def say(*parts: Part, indent: int = 0) -> None:
    """Print one line on stdout, wrapped between words; the lines that follow are indented."""
    _print(output_console(), parts, indent)


def say_whole(*parts: Part) -> None:
    """Print one line on stdout that is there to be copied: only the terminal itself breaks it."""
    output_console().print(Text().join(map(styled, parts)))


def note(*parts: Part) -> None:
    """Print one line on stderr, wrapped between words."""
    _print(log_console(), parts, 0)


def print_unwrapped(*parts: Part) -> None:
    """Print a message on stderr, its line ends kept and no others made."""
    log_console().print(Text().join(styled(part, keep="\n") for part in parts))


def _print(console: Console, parts: Iterable[Part], indent: int) -> None:
    for line in wrapped(Text().join(map(styled, parts)), line_width(console), indent=indent):
        console.print(line)


def wrapped(text: Text, width: int | None, *, indent: int = 0) -> list[Text]:
    """Return a text as lines, broken between words only: what is longer than a line is for the terminal to break."""
    if width is None or cell_len(text.plain) <= width:
        return [text]
    offsets: list[int] = []
    used = 0
    for word in re.finditer(" *[^ ]+", text.plain):
        size = cell_len(word[0])
        if used and used + size > width:
            offsets.append(word.start())
            size, used = cell_len(word[0].lstrip()), indent
        used += size
    first, *others = text.divide(offsets)
    return [first, *(Text(" " * indent).append_text(_without_margin(line)) for line in others)]


def _without_margin(line: Text) -> Text:
    return line[len(line.plain) - len(line.plain.lstrip()) :]


@contextmanager
def spinner(title: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that something is under way; yields what is told how it is called now."""
    console = log_console()
    plain = console.options.ascii_only
    with console.status(Text(shown(title)), spinner="line" if plain else "dots") as status:
        yield lambda text: status.update(Text(shown(text)))


class TerminalHandler(logging.Handler):
    """Log records as lines for people: time, level, message."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, in any number of lines where it has a traceback."""
        try:
            stamp = self.formatter.formatTime(record, "%H:%M:%S") if self.formatter else ""
            level = Text(f"{record.levelname:<8} ", _LEVEL_STYLES.get(record.levelname, "bold red"))
            log_console().print(Text(f"{stamp} ", "dim").append_text(level).append(self.format(record)))
        except Exception:
            self.handleError(record)


class PlainFormatter(logging.Formatter):
    """A formatter of records of which each is one line, tracebacks excepted, whatever is in them."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line."""
        record.message = shown(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        """Return the traceback."""
        return shown(super().formatException(ei), keep="\n")


@contextmanager
def steady_streams() -> Iterator[None]:
    """Have stdout and stderr lose what they cannot take, for as long as this lasts, rather than end the command.

    A reader that has gone (`| head -1`), a full disk behind `> file` or characters that the terminal's encoding lacks
    change nothing of what a command has done, hence nothing of its exit code.
    """
    before = sys.stdout, sys.stderr
    with ExitStack() as stack:
        sys.stderr = _steady(sys.stderr, stack, on_failure=lambda _: None)
        sys.stdout = _steady(sys.stdout, stack, on_failure=_tell)
        _Shared.log_console = log_console()
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdout, sys.stderr = before
            _Shared.log_console = None


def _steady(stream: Any, stack: ExitStack, *, on_failure: Callable[[OSError], None]) -> Any:
    if stream is None:  # it was closed before this process was started
        return stack.enter_context(open(os.devnull, "w"))
    if isinstance(stream, io.TextIOWrapper):
        stack.callback(stream.reconfigure, errors=stream.errors)
        stream.reconfigure(errors="backslashreplace")
    return _SteadyStream(stream, on_failure)


def _tell(error: OSError) -> None:
    if error.errno != errno.EPIPE:
        reason = error.strerror or str(error)
        note(
            ("warning: ", "yellow"),
            f"Cannot write to stdout: {reason}. The rest of the output is lost. The work itself is done.",
        )


class _SteadyStream:
    """A stream that takes what it can: after its first failure everything goes nowhere."""

    def __init__(self, stream: IO[str], on_failure: Callable[[OSError], None]) -> None:
        self._stream = stream
        self._on_failure = on_failure

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        # What is still buffered is written when the process ends: it has to go somewhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, self._stream.fileno())
        finally:
            os.close(nowhere)
        self._on_failure(error)
