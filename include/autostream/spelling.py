"""Words of messages: names that were probably meant, long texts as they are quoted, and numbers of things."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Final

_MOST: Final = 20
_MOST_QUOTED: Final = 80


def meant(name: str, known: Collection[str]) -> str | None:
    """Return the known name that a wrong one looks like, None if there is none."""
    by_folded = {one.casefold(): one for one in sorted(known)}
    near = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.5)
    return by_folded[near[0]] if near else None


def one_of(name: str, known: Collection[str], introduction: str) -> str:
    """Say what there is, and what was probably meant: `Configured: lake. Did you mean lake?`.

    Args:
        name: What does not exist.
        known: What does.
        introduction: The words before the list, such as `Configured`.
    """
    shown = ", ".join(list(known)[:_MOST]) or "none"
    more = f" and {len(known) - _MOST:,} more" if len(known) > _MOST else ""
    near = meant(name, known)
    return f"{introduction}: {shown}{more}." + (f" Did you mean {near}?" if near else "")


def counted(number: int, thing: str, things: str = "") -> str:
    """Return a number with its noun: `1 group`, `2,340 data files`.

    Args:
        number: How many there are.
        thing: What is counted, in the singular.
        things: Its plural, where that is not made by an `s`.
    """
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def shortened(text: str) -> str:
    """Return a text as messages quote it: its beginning, where it is long."""
    return repr(text) if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]!r}…"
