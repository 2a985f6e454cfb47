"""Transactions that take turns: what one of them reads stays true until it ends."""

from __future__ import annotations

from zlib import crc32

from sqlalchemy import Connection, text

# The first half of PostgreSQL's key of a lock: a number that no other program uses for its own.
_OURS = 0x6175746F


def take_turn(connection: Connection, name: str) -> None:
    """Wait until no other transaction is under way that has taken a turn under the same name; held until this one ends.

    Queries after it see what those transactions wrote. A transaction that takes several turns takes them in the order
    of their names, or two of them may wait for each other; PostgreSQL ends one of them then.

    Args:
        connection: A connection of `Database.write`.
        name: What they take turns at. Two names may share turns, which makes them wait more often and is harmless else.
    """
    # All of SQLite's transactions that write take turns anyway.
    if connection.dialect.name == "postgresql":
        number = crc32(name.encode("utf-8", "surrogatepass")) - 2**31
        connection.execute(text("SELECT pg_advisory_xact_lock(:ours, :number)"), {"ours": _OURS, "number": number})
