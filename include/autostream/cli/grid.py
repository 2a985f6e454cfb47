"""Tables for people that fit a terminal: nothing is cut, names stay whole, what matters least gives way first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import zip_longest
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from autostream.cli.terminal import Part, line_width, output_console, styled, wrapped

_GAP: Final = "  "
_MARGIN: Final = 2
# A column of text that is narrower than this is hard to read.
_NARROWEST: Final = 24


class Kind(Enum):
    """What a column holds, and so what may become of it where the terminal is narrow."""

    NAME = auto()
    """Identities: never broken; on a line of their own above the rest of their row, where it must be."""
    LABEL = auto()
    """A word or two: never broken."""
    NUMBER = auto()
    """The same, to the right."""
    TEXT = auto()
    """Words: wrapped, and below the rest of their row, where it must be."""


NAME, LABEL, NUMBER, TEXT = Kind


@dataclass(frozen=True)
class Column:
    """A column: its heading, and what it holds."""

    heading: str
    kind: Kind = LABEL


Row = Sequence[Part]


def show_grid(columns: Sequence[Column], rows: Sequence[Row], *, data: bool = False) -> None:
    """Print a table on stdout, as wide as it may be; `data` are values that mean nothing without their heading."""
    console = output_console()
    for line in lay_out(columns, rows, line_width(console), data=data):
        console.print(line)


def lay_out(columns: Sequence[Column], rows: Sequence[Row], width: int | None, *, data: bool = False) -> list[Text]:
    """Return the lines of a table.

    The first of these that fits: all in columns, with headings and texts wrapped; the text below its row; names above
    it too; a line for each cell. Data have only the first and the last.

    Args:
        columns: What there is.
        rows: A cell for each column.
        width: Of the terminal; None is as wide as it takes.
        data: Whether these are values that mean nothing without their heading.
    """
    cells = [[styled(cell) for cell in row] for row in rows]
    for moved in ((),) if data else ((), (TEXT,), (NAME, TEXT)):
        inside = [n for n, column in enumerate(columns) if column.kind not in moved]
        if not inside or [column.kind for column in columns if column.kind in moved].count(TEXT) > 1:
            break
        room = None if width is None else width - (_MARGIN if NAME in moved else 0)
        widths = _fit([columns[n] for n in inside], [[row[n] for row in cells] for n in inside], room)
        if widths is not None:
            return _table(columns, cells, dict(zip(inside, widths, strict=True)), width)
    return _records(columns, cells, width)


def _fit(columns: Sequence[Column], cells: Sequence[Sequence[Text]], width: int | None) -> list[int] | None:
    """Return the widths of columns that stand side by side; None if they do not fit."""
    contents = [max((cell_len(cell.plain) for cell in column), default=0) for column in cells]
    wanted = [max(size, cell_len(column.heading)) for column, size in zip(columns, contents, strict=True)]
    if width is None:
        return wanted
    least = [
        max(_longest_word([_heading(column)]), size if column.kind is not TEXT else min(size, _NARROWEST), longest)
        for column, size, longest in zip(columns, contents, map(_longest_word, cells), strict=True)
    ]
    left = width - sum(least) - len(_GAP) * (len(columns) - 1)
    if left < 0:
        return None
    # Room goes to texts before headings, in equal shares to those that want it.
    for texts in (True, False):
        asking = sorted((n for n, c in enumerate(columns) if (c.kind is TEXT) == texts), key=lambda n: wanted[n])
        for position, n in enumerate(asking):
            more = min(wanted[n] - least[n], left // (len(asking) - position))
            least[n] += more
            left -= more
    return least


def _longest_word(texts: Sequence[Text]) -> int:
    return max((cell_len(word) for text in texts for word in text.plain.split(" ")), default=0)


def _table(
    columns: Sequence[Column], cells: Sequence[Sequence[Text]], widths: dict[int, int], width: int | None
) -> list[Text]:
    """Return the lines of a table of which some columns stand side by side, and the others above and below these."""
    above = [n for n, column in enumerate(columns) if column.kind is NAME and n not in widths]
    below = [n for n, column in enumerate(columns) if column.kind is TEXT and n not in widths]
    margin = " " * _MARGIN if above else ""
    lines = [_heading(columns[n]) for n in above]
    headings = [wrapped(_heading(columns[n]), size) for n, size in widths.items()]
    highest = max(map(len, headings))
    headings = [[Text("")] * (highest - len(heading)) + heading for heading in headings]
    lines += _side_by_side(columns, headings, widths, margin)
    for row in cells:
        lines += [row[n] for n in above]
        lines += _side_by_side(columns, [wrapped(row[n], size) for n, size in widths.items()], widths, margin)
        for n in below:
            if row[n].plain:
                lines += wrapped(Text(" " * 2 * _MARGIN) + row[n], width, indent=2 * _MARGIN)
    return lines


def _heading(column: Column) -> Text:
    return styled((column.heading, "bold"))


def _side_by_side(
    columns: Sequence[Column], blocks: Sequence[Sequence[Text]], widths: dict[int, int], margin: str
) -> list[Text]:
    lines = []
    for parts in zip_longest(*blocks, fillvalue=Text("")):
        padded = []
        for part, (n, size) in zip(parts, widths.items(), strict=True):
            space = Text(" " * (size - cell_len(part.plain)))
            padded.append(space + part if columns[n].kind is NUMBER else part + space)
        line = Text(margin) + Text(_GAP).join(padded)
        line.rstrip()
        lines.append(line)
    return lines


def _records(columns: Sequence[Column], cells: Sequence[Sequence[Text]], width: int | None) -> list[Text]:
    """Return a line for each cell, and an empty one between rows."""
    lines: list[Text] = []
    for row in cells:
        if lines:
            lines.append(Text(""))
        for column, cell in zip(columns, row, strict=True):
            lines += wrapped(_heading(column) + Text(": ") + cell, width, indent=_MARGIN)
    return lines
