"""REST about all tables."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from autostream.console.compaction_answers import Compaction
from autostream.console.guard import READ
from autostream.console.paging import Cursor, Limit, Page, cursor_of, key_of
from autostream.console.questions import OverviewOfTables
from autostream.console.table_rows import SORTS, TableRow, find_rows, sort_rows
from autostream.times import iso, now_ms

router = APIRouter(prefix="/api/tables", tags=["tables"], dependencies=[READ])

Word = Annotated[str, Query(description="Only tables with this in their name, whatever its case.")]
Sort = Annotated[str, Query(description=f"One of {', '.join(SORTS)}; after a `-` the largest comes first.")]


class TableItem(BaseModel):
    """What is known of a table; null: it is not known. No manifest is read for it."""

    table: str
    data_files: int | None
    delete_files: int | None
    small_files_ratio: float | None = Field(
        description="Which share of the data files compaction calls too small, from 0 to 1: an estimate by the "
        "summaries of commits."
    )
    bytes: int | None
    records: int | None = Field(description="Rows in data files, deletes not subtracted.")
    changed_at: str | None = Field(description="When the newest snapshot was made.")
    changed_at_ms: int | None
    watermark: str | None
    watermark_ms: int | None
    watermark_source: str | None
    lag_seconds: float | None = Field(
        description="How far the watermark is behind now; null also where all data has come."
    )
    held_back_by: str | None = Field(description="The writer that the table waits for.")
    held_back_because: str | None = Field(description="Why that one does not advance, where it is known.")
    last_compaction: Compaction | None = Field(description="The last one that is recorded.")
    problem: str | None = Field(description="Why something is not known.")


class CatalogItem(BaseModel):
    """Whether a catalog answers."""

    catalog: str
    up: bool
    problem: str | None
    looked_at: str | None
    looked_at_ms: int | None


class TablePage(Page[TableItem]):
    """A part of the list of tables."""

    total: int = Field(description="How many tables there are with this word.")
    catalogs: list[CatalogItem]
    problem: str | None = Field(description="Why compactions are not known.")


@router.get("")
def tables(
    overview: OverviewOfTables, q: Word = "", sort: Sort = "table", limit: Limit = 100, cursor: Cursor = None
) -> TablePage:
    """List the tables of all catalogs, as they were some seconds ago. A catalog that is away says so in `catalogs`."""
    start = key_of(cursor, int) or 0
    rows = sort_rows(find_rows(overview.rows, q), sort)
    end, now = start + limit, now_ms()
    return TablePage(
        items=[_item(row, now) for row in rows[start:end]],
        next_cursor=cursor_of(end) if end < len(rows) else None,
        total=len(rows),
        catalogs=[
            CatalogItem(
                catalog=look.catalog,
                up=look.up,
                problem=look.problem or None,
                looked_at=iso(look.looked_at_ms),
                looked_at_ms=look.looked_at_ms,
            )
            for look in overview.catalogs
        ],
        problem=overview.problem or None,
    )


def _item(row: TableRow, now_ms: int) -> TableItem:
    sizes, held, lag_ms = row.sizes, row.held_back_by, row.lag_ms(now_ms)
    return TableItem(
        table=row.name,
        data_files=sizes.data_files,
        delete_files=sizes.delete_files,
        small_files_ratio=sizes.small_files_ratio,
        bytes=sizes.size_bytes,
        records=sizes.records,
        changed_at=iso(sizes.changed_at_ms),
        changed_at_ms=sizes.changed_at_ms,
        watermark=iso(row.watermark_ms),
        watermark_ms=row.watermark_ms,
        watermark_source=row.mark.source.value if row.mark and row.mark.source else None,
        lag_seconds=None if lag_ms is None else lag_ms / 1000,
        held_back_by=held.name if held else None,
        held_back_because=held.note or None if held else None,
        last_compaction=Compaction.of(row.last_run) if row.last_run else None,
        problem=row.problem or None,
    )
