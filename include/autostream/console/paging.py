"""Long lists in parts: `limit` says how long a part is, `cursor` where it begins."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from autostream.errors import UsageError

Item = TypeVar("Item")
Key = TypeVar("Key", str, int)
Limit = Annotated[int, Query(ge=1, le=1000, description="The most items to return.")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the part before; none for the first part.")]


class Page(BaseModel, Generic[Item]):
    """A part of a list."""

    items: list[Item]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next part; null: this is the last.")


PAGE_ROWS: Final = 50
"""Rows of a list on a page for people."""
PageNumber = Annotated[int, Query(ge=1, le=1_000_000)]


@dataclass(frozen=True)
class Shown(Generic[Item]):
    """What a page for people shows of a list.

    Attributes:
        items: The rows on it.
        count: How many there are in all.
        page: Which page it is, from 1 on.
        pages: How many there are.
    """

    items: Sequence[Item]
    count: int
    page: int
    pages: int


def page_of(rows: Sequence[Item], page: int) -> Shown[Item]:
    """Return a page of a list; the last one where there are not so many."""
    pages = max(1, -(-len(rows) // PAGE_ROWS))
    page = min(page, pages)
    return Shown(rows[(page - 1) * PAGE_ROWS : page * PAGE_ROWS], len(rows), page, pages)


def cursor_of(key: str | int) -> str:
    """Return the cursor of what comes after an item with this key. What it is made of is nobody's concern."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def key_of(cursor: str | None, kind: type[Key]) -> Key | None:
    """Return the key of a cursor; None for none.

    Raises:
        UsageError: It was not made by `cursor_of` for keys of this kind.
    """
    if cursor is None:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        key = None
    if type(key) is not kind:
        raise UsageError(f"Invalid cursor {cursor!r}. Send `next_cursor` of the part before as it is.")
    return key
