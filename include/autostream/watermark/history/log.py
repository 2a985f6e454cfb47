"""The log of watermarks in the database: facts are added once, asked for by time, and thinned as they age."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Connection, delete, literal, or_, select
from sqlalchemy.orm import aliased

from autostream.store.chores import take_chore
from autostream.store.rows import value_of
from autostream.store.upsert import insert_missing, insert_or_update
from autostream.times import DAY_MS
from autostream.watermark.history.log_entries import ADVANCE, RESET, STEP_MS, WHOLE_MS, KnownRecord, LogEntry
from autostream.watermark.history.rows import MetadataReadRow, WatermarkRow

_CHORE: Final = "thin the log of watermarks"
_CHORE_EVERY_MS: Final = 3_600_000
_ROWS_A_STATEMENT: Final = 500


class WatermarkLog:
    """The log, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Use a connection of `Database.read`, or of `Database.write` for what changes anything."""
        self._connection = connection

    def add(self, entries: Iterable[LogEntry]) -> None:
        """Add what is not there yet; of a fact that is, the earlier time counts."""
        # In one order, so that two that add the same do not wait for each other.
        rows = sorted((_to_row(entry) for entry in entries), key=lambda r: (r["table_uuid"], r["writer"], r["fact"]))
        for start in range(0, len(rows), _ROWS_A_STATEMENT):
            insert_or_update(
                self._connection,
                WatermarkRow,
                _earliest(rows[start : start + _ROWS_A_STATEMENT]),
                key=["table_uuid", "writer", "fact"],
                updated=["recorded_at_ms"],
                where=lambda given: WatermarkRow.recorded_at_ms > given.recorded_at_ms,
            )

    def entries(
        self,
        table_uuid: str,
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
        writer: str | None = None,
        newest: int | None = None,
    ) -> list[LogEntry]:
        """Return what was recorded from `since_ms` to before `until_ms`, oldest first.

        `newest` is the most there may be, the newest ones then; `writer` leaves out all other writers and the
        table's own.
        """
        query = select(WatermarkRow).where(WatermarkRow.table_uuid == table_uuid)
        if since_ms is not None:
            query = query.where(WatermarkRow.recorded_at_ms >= since_ms)
        if until_ms is not None:
            query = query.where(WatermarkRow.recorded_at_ms < until_ms)
        if writer is not None:
            query = query.where(WatermarkRow.writer == writer)
        # Of what happened at once, writers come first: the table's watermark follows from theirs.
        query = query.order_by(
            WatermarkRow.recorded_at_ms.desc(), (WatermarkRow.writer == "").desc(), WatermarkRow.id.desc()
        )
        if newest is not None:
            query = query.limit(newest)
        return [_to_entry(row) for row in reversed(self._connection.execute(query).all())]

    def first_reaching(self, table_uuid: str, until_ms: int, *, generation_ms: int = 0) -> LogEntry | None:
        """Return the first record by which the table was complete up to an instant, having been set back last then."""
        query = (
            select(WatermarkRow)
            .where(
                WatermarkRow.table_uuid == table_uuid,
                WatermarkRow.writer == "",
                WatermarkRow.watermark_ms >= until_ms,
                WatermarkRow.generation_ms >= generation_ms,
            )
            .order_by(WatermarkRow.recorded_at_ms, WatermarkRow.id)
            .limit(1)
        )
        row = self._connection.execute(query).first()
        return None if row is None else _to_entry(row)

    def resets(self, table_uuid: str) -> list[LogEntry]:
        """Return all times that the table was set back, oldest first."""
        query = (
            select(WatermarkRow)
            .where(WatermarkRow.table_uuid == table_uuid, WatermarkRow.writer == "", WatermarkRow.kind == RESET)
            .order_by(WatermarkRow.recorded_at_ms, WatermarkRow.id)
        )
        return [_to_entry(row) for row in self._connection.execute(query)]

    def last_before(self, table_uuid: str, recorded_at_ms: int) -> LogEntry | None:
        """Return the last record of the table's own watermark from before an instant."""
        query = (
            select(WatermarkRow)
            .where(
                WatermarkRow.table_uuid == table_uuid,
                WatermarkRow.writer == "",
                WatermarkRow.recorded_at_ms < recorded_at_ms,
            )
            .order_by(WatermarkRow.recorded_at_ms.desc(), WatermarkRow.id.desc())
            .limit(1)
        )
        row = self._connection.execute(query).first()
        return None if row is None else _to_entry(row)

    def known(self, table_uuid: str) -> list[KnownRecord]:
        """Return all that is in the log of a table, in short."""
        columns = [getattr(WatermarkRow, name) for name in KnownRecord._fields]
        query = select(*columns).where(WatermarkRow.table_uuid == table_uuid)
        return [KnownRecord(*row)._replace(writer=row.writer or None) for row in self._connection.execute(query)]

    def files_read(self, table_uuid: str) -> set[str]:
        """Return the names of the metadata files of a table whose watermarks are in the log."""
        query = select(MetadataReadRow.file_name).where(MetadataReadRow.table_uuid == table_uuid)
        return set(self._connection.scalars(query))

    def mark_read(self, table_uuid: str, names: Collection[str], *, listed: Collection[str]) -> None:
        """Remember that metadata files were read; forget those that the table no longer lists."""
        known = self.files_read(table_uuid)
        if gone := known - set(listed):
            self._connection.execute(
                delete(MetadataReadRow).where(
                    MetadataReadRow.table_uuid == table_uuid, MetadataReadRow.file_name.in_(gone)
                )
            )
        rows = [{"table_uuid": table_uuid, "file_name": name} for name in sorted(set(names) - known)]
        insert_missing(self._connection, MetadataReadRow, rows)

    def thin(self, *, now_ms: int, keep_days: int, table_uuid: str | None = None) -> int:
        """Delete records older than `keep_days`, and of those older than two days what nobody misses.

        Returns:
            How many were deleted.
        """
        whose = [WatermarkRow.table_uuid == table_uuid] if table_uuid else []
        old = delete(WatermarkRow).where(WatermarkRow.recorded_at_ms < now_ms - keep_days * DAY_MS, *whose)
        earlier = aliased(WatermarkRow)
        first = (
            select(literal(1))
            .where(
                earlier.table_uuid == WatermarkRow.table_uuid,
                earlier.writer == WatermarkRow.writer,
                earlier.kind == ADVANCE,
                earlier.generation_ms == WatermarkRow.generation_ms,
                _step(earlier.watermark_ms) == _step(WatermarkRow.watermark_ms),
                # What lies in the same step is near: lets the index find it.
                earlier.watermark_ms > WatermarkRow.watermark_ms - STEP_MS,
                earlier.watermark_ms < WatermarkRow.watermark_ms + STEP_MS,
                or_(
                    earlier.recorded_at_ms < WatermarkRow.recorded_at_ms,
                    (earlier.recorded_at_ms == WatermarkRow.recorded_at_ms) & (earlier.id < WatermarkRow.id),
                ),
            )
            .correlate(WatermarkRow)
            .exists()
        )
        repeated = select(WatermarkRow.id).where(
            WatermarkRow.kind == ADVANCE, WatermarkRow.recorded_at_ms < now_ms - WHOLE_MS, first, *whose
        )
        deleted = self._connection.execute(old).rowcount
        return deleted + self._connection.execute(delete(WatermarkRow).where(WatermarkRow.id.in_(repeated))).rowcount

    def thin_when_due(self, *, now_ms: int, keep_days: int) -> None:
        """Do `thin` where nobody has within the hour."""
        if take_chore(self._connection, _CHORE, now_ms=now_ms, every_ms=_CHORE_EVERY_MS):
            self.thin(now_ms=now_ms, keep_days=keep_days)


def _step(watermark_ms: Any) -> Any:
    # SQLAlchemy renders // as integer division, which both databases cut towards zero: the two steps around 1970 are
    # one, and that is all.
    return watermark_ms // STEP_MS


def _earliest(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each fact once: PostgreSQL refuses to change a row twice by one statement."""
    facts: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        key = (row["table_uuid"], row["writer"], row["fact"])
        if key not in facts or facts[key]["recorded_at_ms"] > row["recorded_at_ms"]:
            facts[key] = row
    return list(facts.values())


def _to_row(entry: LogEntry) -> dict[str, Any]:
    return {**asdict(entry), "writer": entry.writer or "", "fact": entry.fact}


def _to_entry(row: Any) -> LogEntry:
    return value_of(LogEntry, row, writer=row.writer or None)
