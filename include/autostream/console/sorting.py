"""Lists in the order that was asked for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from autostream.errors import UsageError
from autostream.spelling import one_of

Row = TypeVar("Row")
Sorts = Mapping[str, Callable[[Row], float | str | None]]
"""What rows can be sorted by, by its name; None where it is not known of a row."""


def sort_by(rows: Iterable[Row], sort: str, sorts: Sorts[Row], *, name: Callable[[Row], str]) -> list[Row]:
    """Return rows in an order; those of which it is not known come last, and equal ones by name.

    Args:
        rows: Any.
        sort: A key of `sorts`; after a `-` the largest comes first.
        sorts: What there is.
        name: The name of a row.

    Raises:
        UsageError: There is no such order.
    """
    key_name = sort.removeprefix("-")
    if key_name not in sorts:
        known = one_of(key_name, sorts, "There are")
        raise UsageError(f"Invalid sort {sort!r}. {known} A - before it has the largest come first.")
    by_name = sorted(rows, key=name)
    keyed = [(sorts[key_name](row), row) for row in by_name]
    known_rows = [(key, row) for key, row in keyed if key is not None]
    # Of equal ones the order by name stays, reversed or not.
    known_rows.sort(key=lambda pair: _comparable(pair[0]), reverse=sort.startswith("-"))
    return [row for _, row in known_rows] + [row for key, row in keyed if key is None]


def _comparable(key: float | str) -> tuple[float, str]:
    return (0, key) if isinstance(key, str) else (key, "")
