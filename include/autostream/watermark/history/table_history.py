"""What happened to a table's watermarks, by time of record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyiceberg.table import Table

from autostream.config import Settings
from autostream.store.database import Database
from autostream.watermark.history.log_entries import LogEntry
from autostream.watermark.history.table_past import MOST_FILES, TablePast


@dataclass(frozen=True)
class WatermarkHistory:
    """What happened to a table's watermarks.

    Attributes:
        table: its full name.
        entries: what happened, oldest first.
        problems: why something may be missing.
    """

    table: str
    entries: tuple[LogEntry, ...]
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON: times in ISO 8601 and as `_ms`."""
        return {
            "table": self.table,
            "entries": [entry.to_dict() for entry in self.entries],
            "problems": list(self.problems),
        }


def watermark_history(
    table: Table | str,
    *,
    since_ms: int | None = None,
    until_ms: int | None = None,
    writer: str | None = None,
    newest: int | None = None,
    settings: Settings | None = None,
    database: Database | None = None,
    most_files: int = MOST_FILES,
) -> WatermarkHistory:
    """Return what happened to a table's watermarks from `since_ms` to before `until_ms`, by time of record.

    Args:
        table: the table, or its full name.
        since_ms: epoch ms; from the first record where None.
        until_ms: epoch ms; to the last record where None.
        writer: only what happened to this writer.
        newest: the most entries; the newest ones.
        settings: the configuration; None reads it.
        database: the one that the settings name where None.
        most_files: so many metadata files are read for what the database does not know.

    Raises:
        AutostreamError: the table cannot be loaded.
    """
    past = TablePast(table, database, most_files, settings=settings)
    found = past.ask(
        lambda log, uuid: log.entries(uuid, since_ms=since_ms, until_ms=until_ms, writer=writer, newest=newest)
    )
    return WatermarkHistory(past.id.name, tuple(found), tuple(past.problems))
