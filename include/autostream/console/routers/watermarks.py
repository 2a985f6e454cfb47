"""REST about watermarks: how complete tables are, and when they became so."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from autostream.console.exact_answers import AN_EXACT_ID, ExactId
from autostream.console.guard import READ
from autostream.console.problems import declared
from autostream.console.questions import (
    Lateness,
    TablesOfApp,
    Until,
    Zone,
    asked,
    completion_of,
    condition_of,
    instant_of,
)
from autostream.times import parse_zone
from autostream.watermark.conditions import judge
from autostream.watermark.history.table_history import watermark_history

router = APIRouter(prefix="/api/tables", tags=["watermarks"], dependencies=[READ], responses=declared(404, 422))


class _Answer(BaseModel):
    """An answer has what it declares, and nothing else. Instants are there in ISO 8601 and as epoch ms."""

    model_config = ConfigDict(extra="forbid")


class Writer(_Answer):
    """What is known of one writer of a table."""

    watermark: str | None
    watermark_ms: int | None
    recorded_at: str | None
    recorded_at_ms: int | None
    active: bool = Field(description="Whether the table waits for it.")
    status: str
    job_id: str | None
    note: str | None


class Verdict(_Answer):
    """Whether a table is complete up to some time, and why not."""

    met: bool
    known: bool
    need: str | None
    need_ms: int
    watermark: str | None
    watermark_ms: int | None
    held_back_by: str | None
    explanation: str


class Watermark(_Answer):
    """How complete a table is."""

    table: str
    watermark: str | None
    watermark_ms: int | None
    source: str | None = Field(description="`writers`, `column`, `snapshot-summary`, `property`; null: nobody says.")
    writers: dict[str, Writer]
    problems: list[str]
    condition: Verdict | None = Field(None, description="There where `until` was asked.")


class HistoryEntry(_Answer):
    """One thing that happened to a watermark."""

    recorded_at: str | None
    recorded_at_ms: int
    kind: str = Field(description="`advance`, `join`, `retire` or `reset`.")
    writer: str | None = Field(description="Null: the table's own watermark.")
    watermark: str | None
    watermark_ms: int | None
    job_id: str | None
    checkpoint_id: ExactId | None = Field(description=f"Flink's checkpoint. {AN_EXACT_ID}")
    snapshot_id: ExactId | None = Field(description=f"The snapshot that it came with. {AN_EXACT_ID}")
    by: str | None
    note: str | None


class History(_Answer):
    """What happened to a table's watermarks, oldest first."""

    table: str
    entries: list[HistoryEntry]
    problems: list[str]


class Withdrawn(_Answer):
    """A time for which a table was said to be complete, until it was set back."""

    reached_at: str | None
    reached_at_ms: int
    reset: HistoryEntry


class Completed(_Answer):
    """When a table became complete up to some time."""

    table: str
    until: str | None
    until_ms: int
    complete: bool
    reached_at: str | None
    reached_at_ms: int | None
    not_yet_at: str | None
    not_yet_at_ms: int | None
    entry: HistoryEntry | None
    withdrawn: list[Withdrawn]
    explanation: str
    problems: list[str]


@router.get("/{table:name}/watermark", response_model=Watermark, response_model_exclude_unset=True)
def watermark(
    table: str, tables: TablesOfApp, until: Until = None, lateness: Lateness = "0s", time_zone: Zone = "UTC"
) -> dict[str, Any]:
    """Say how complete a table is; with `until`, whether it is complete up to there, and why not."""
    condition = condition_of(table, until, lateness, parse_zone(time_zone))
    found = tables.mark(table)
    document = found.to_dict()
    return document if condition is None else document | {"condition": judge(condition, {table: found}).to_dict()}


@router.get("/{table:name}/watermark/history", response_model=History | Completed)
def history(
    table: str,
    tables: TablesOfApp,
    since: Annotated[str | None, Query(description="What was recorded from then on.")] = None,
    until: Annotated[str | None, Query(description="What was recorded before then.")] = None,
    at: Annotated[str | None, Query(description="When was the table complete up to this time?")] = None,
    writer: Annotated[str | None, Query(description="Of this writer only.")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="Show at most this many, the newest.")] = 100,
    time_zone: Zone = "UTC",
) -> dict[str, Any]:
    """Tell what happened to a table's watermarks, oldest first; with `at`, when it became complete up to some time."""
    zone = parse_zone(time_zone)
    at_ms, since_ms, until_ms = (None if text is None else instant_of(text, zone) for text in (at, since, until))
    loaded, _ = tables.load(table)
    if at_ms is not None:
        return completion_of(loaded, at_ms).to_dict()
    return asked(
        lambda: watermark_history(loaded, since_ms=since_ms, until_ms=until_ms, writer=writer, newest=limit)
    ).to_dict()
