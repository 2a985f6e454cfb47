"""The audit log: who changed what through commands and the console, as a stream of the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection

from autostream.store.journal import Journal, JournalEntry, NewEntry

STREAM: Final = "audit"


def record(connection: Connection, kind: str, *, by: str, about: Mapping[str, Any], now_ms: int) -> None:
    """Append what someone does.

    Args:
        connection: A connection of `Database.write`: what is recorded is committed together with what is done by it.
        kind: What is done, such as `token-created`.
        by: Who does it.
        about: The rest. It has no secrets.
        now_ms: When.
    """
    Journal(connection).append(STREAM, [NewEntry(kind=kind, by=by, body=about)], now_ms=now_ms)


def newest(connection: Connection, *, before: int | None = None, limit: int) -> list[JournalEntry]:
    """Return the newest entries, newest first; those before a version where given."""
    return Journal(connection).newest(STREAM, before=before, limit=limit)
