"""The journal: streams of entries that are only appended to, each entry with who, when and why.

What is decided from a stream is decided for one version of it. `Journal.append` with that version succeeds only where
the stream is still at it, so that of two processes that decided upon the same version one is told to decide again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Integer, Select, String, Text, func, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from autostream.errors import ConflictError
from autostream.store.rows import RowBase
from autostream.store.turns import take_turn

LONGEST_NAME: Final = 400
"""The longest name of a stream."""
LONGEST_KIND: Final = 64
"""The longest name of what happened."""


class JournalRow(RowBase):
    """One entry. The database refuses to change or delete it."""

    __tablename__ = "autostream_journal"

    stream: Mapped[str] = mapped_column(String(LONGEST_NAME), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    at_ms: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(LONGEST_KIND))
    by: Mapped[str] = mapped_column(Text)
    why: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)


@dataclass(frozen=True, kw_only=True)
class NewEntry:
    """Something that happened.

    Attributes:
        kind: What happened, such as `loan-approved`.
        by: Who did it.
        why: Why; empty where nobody said.
        body: The rest, as JSON: what was before and after, for example.
    """

    kind: str
    by: str
    why: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class JournalEntry(NewEntry):
    """An entry that is in the journal.

    Attributes:
        stream: The stream that it is in.
        version: The version of the stream that it made: 1 for the first entry, one more for each.
        at_ms: When it was appended. Clocks of processes differ: order entries by their version.
    """

    stream: str
    version: int
    at_ms: int


class Journal:
    """The journal, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Use a connection of `Database.read`, or of `Database.write` to append."""
        self._connection = connection

    def version(self, stream: str) -> int:
        """Return the version of a stream: how many entries it has, 0 where there is none of that name."""
        newest = select(func.max(JournalRow.version)).where(JournalRow.stream == stream)
        return self._connection.scalar(newest) or 0

    def streams(self, prefix: str) -> list[str]:
        """Return the names of the streams that begin so, in their order."""
        query = select(JournalRow.stream).where(JournalRow.stream.startswith(prefix, autoescape=True)).distinct()
        return sorted(
            name for name in self._connection.scalars(query) if name.startswith(prefix)
        )  # LIKE takes any case

    def append(
        self, stream: str, entries: Sequence[NewEntry], *, now_ms: int, expected_version: int | None = None
    ) -> list[JournalEntry]:
        """Append entries to a stream, all or none; other writers of the stream wait until the transaction ends.

        A transaction that appends to several streams does so in the order of their names, see `take_turn`.

        Args:
            stream: The stream's name, such as `rescale/prod/orders`; the first entry makes it.
            entries: What happened, in this order.
            now_ms: When.
            expected_version: The version that the stream must be at, 0 for a stream that must be new; any by default.

        Returns:
            The entries as they are in the journal.

        Raises:
            ConflictError: The stream is at another version than expected; nothing was appended.
            ValueError: An entry cannot be stored: it is not JSON, or a name is too long or has a NUL character.
        """
        if not 0 < len(stream) <= LONGEST_NAME:
            raise ValueError(
                f"Invalid name of a stream {stream!r}: it has {len(stream)} characters, and must have 1 to "
                f"{LONGEST_NAME}."
            )
        contents = [_content(entry) for entry in entries]
        take_turn(self._connection, f"journal {stream}")
        before = self.version(stream)
        if expected_version is not None and before != expected_version:
            raise ConflictError(
                f"The stream {stream!r} of the journal is at version {before}, not {expected_version}: another "
                f"process has appended to it. Read the entries after version {min(expected_version, before)}, then "
                "decide again."
            )
        rows: list[dict[str, Any]] = [
            {"stream": stream, "version": version, "at_ms": now_ms, **content}
            for version, content in enumerate(contents, start=before + 1)
        ]
        if rows:
            self._connection.execute(insert(JournalRow), rows)
        return [_to_entry(row) for row in rows]

    def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> list[JournalEntry]:
        """Return the entries of a stream after a version, oldest first; the oldest `limit` where given."""
        query = _of(stream).where(JournalRow.version > after).order_by(JournalRow.version)
        return [_to_entry(row) for row in self._connection.execute(_limited(query, limit)).mappings()]

    def newest(self, stream: str, *, before: int | None = None, limit: int) -> list[JournalEntry]:
        """Return the newest entries of a stream, newest first; those before a version where given."""
        query = _of(stream).order_by(JournalRow.version.desc())
        if before is not None:
            query = query.where(JournalRow.version < before)
        return [_to_entry(row) for row in self._connection.execute(_limited(query, limit)).mappings()]


def _content(entry: NewEntry) -> dict[str, str]:
    for name, value in (("kind", entry.kind), ("by", entry.by), ("why", entry.why)):
        if re.search("[\0\ud800-\udfff]", value):  # PostgreSQL stores no NUL, and no database half a character
            raise ValueError(
                f"Cannot store {name!r} of a journal entry: {value!r} has a character that the database does not "
                "accept."
            )
    if not 0 < len(entry.kind) <= LONGEST_KIND:
        raise ValueError(
            f"Invalid kind of a journal entry {entry.kind!r}: it must have 1 to {LONGEST_KIND} characters."
        )
    # In ASCII any character of a text in it can be stored.
    body = json.dumps(entry.body, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return {"kind": entry.kind, "by": entry.by, "why": entry.why, "body": body}


def _of(stream: str) -> Select[tuple[Any, ...]]:
    return select(*JournalRow.__table__.columns).where(JournalRow.stream == stream)


def _limited(query: Select[tuple[Any, ...]], limit: int | None) -> Select[tuple[Any, ...]]:
    return query if limit is None else query.limit(limit)


def _to_entry(row: Mapping[Any, Any]) -> JournalEntry:
    return JournalEntry(**{**row, "body": json.loads(row["body"])})
