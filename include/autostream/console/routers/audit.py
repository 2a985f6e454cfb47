"""REST about the audit log."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from autostream.access import audit
from autostream.console.guard import ADMINISTER
from autostream.console.paging import Cursor, Limit, Page, cursor_of, key_of
from autostream.store.database import open_database
from autostream.times import iso

router = APIRouter(prefix="/api/audit", tags=["audit"], dependencies=[ADMINISTER])


class AuditEntry(BaseModel):
    """Something that someone did."""

    number: int = Field(description="One more for each entry.")
    at: str | None
    at_ms: int
    kind: str = Field(
        description="`login`, `token-created`, `token-revoked`; a change through the console is a `request`, before it "
        "is made, and an `outcome` with the same `request` and its status."
    )
    by: str
    about: dict[str, Any]


@router.get("")
def entries(limit: Limit = 100, cursor: Cursor = None) -> Page[AuditEntry]:
    """List what was changed through the console and by commands, newest first."""
    with open_database().read() as connection:
        found = audit.newest(connection, before=key_of(cursor, int), limit=limit + 1)
    items = [
        AuditEntry(
            number=entry.version,
            at=iso(entry.at_ms),
            at_ms=entry.at_ms,
            kind=entry.kind,
            by=entry.by,
            about=dict(entry.body),
        )
        for entry in found[:limit]
    ]
    return Page(items=items, next_cursor=cursor_of(items[-1].number) if len(found) > limit else None)
