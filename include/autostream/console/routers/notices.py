"""REST about the outbox of notices: what became of each message."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from autostream.console.guard import OPERATE
from autostream.console.paging import Cursor, Limit, Page, cursor_of, key_of
from autostream.notices import NoticeKind
from autostream.notify.outbox import Fate, Outbox
from autostream.store.database import open_database

router = APIRouter(prefix="/api/notices", tags=["notices"], dependencies=[OPERATE])


class NoticeMessage(BaseModel):
    """A notice for one target, and what became of it."""

    number: int = Field(description="One more for each message.")
    target: str = Field(description="The name of the target; its URL is a secret.")
    title: str = Field(description="What it says, in one line of English.")
    notice: dict[str, Any] = Field(description="What happened: `kind`, `severity`, `subject`, `fields` and so on.")
    state: Fate
    error: str = Field(description="Why the last try failed, or why it was given up; empty where nothing failed.")
    tries: int = Field(description="How often it was tried to send it.")
    repeats: int = Field(description="How often the same happened again since, which was not sent.")
    created: str | None
    created_ms: int
    settled: str | None = Field(description="When it was sent or given up; null while it waits.")
    settled_ms: int | None
    next_try: str | None = Field(description="When it is tried next, at the earliest; null once it is settled.")
    next_try_ms: int | None


@router.get("")
def notices(
    limit: Limit = 100,
    cursor: Cursor = None,
    state: Annotated[Fate | None, Query(description="Only messages of this fate.")] = None,
    target: Annotated[str | None, Query(max_length=64, description="Only messages for this target.")] = None,
    kind: Annotated[NoticeKind | None, Query(description="Only messages of this kind.")] = None,
    team: Annotated[str | None, Query(max_length=250, description="Only messages about things of this team.")] = None,
) -> Page[NoticeMessage]:
    """List the last messages to people, newest first, each with what became of it."""
    states = () if state is None else (state,)
    with open_database().read() as connection:
        found = Outbox(connection).newest(
            limit=limit + 1, before_id=key_of(cursor, int), states=states, target=target, kind=kind, team=team
        )
    items = [NoticeMessage(**message.to_dict()) for message in found[:limit]]
    return Page(items=items, next_cursor=cursor_of(items[-1].number) if len(found) > limit else None)
