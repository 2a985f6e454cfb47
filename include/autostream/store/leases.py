"""Leases: what one process at a time does, for as long as it says again and again that it does.

Who renews a lease in the transaction in which it writes what the lease is about cannot write after somebody else has
taken it. The database's clock counts, so the clocks of processes may differ.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, Connection, String, Text, delete, select, text
from sqlalchemy.orm import Mapped, mapped_column

from autostream import times
from autostream.store.rows import RowBase
from autostream.store.upsert import insert_or_update


class LeaseRow(RowBase):
    """Who does something, and until when."""

    __tablename__ = "autostream_lease"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    holder: Mapped[str] = mapped_column(Text)
    until_ms: Mapped[int] = mapped_column(BigInteger)


@dataclass(frozen=True)
class Lease:
    """A lease, which may have run out.

    Attributes:
        name: What it is about.
        holder: Who holds it, or held it.
        left_ms: For how long it is valid; below zero, for how long it has not been.
    """

    name: str
    holder: str
    left_ms: int


def take_lease(connection: Connection, name: str, *, holder: str, for_ms: int) -> bool:
    """Take or renew a lease from now on, unless somebody else holds it.

    Other processes that want the same lease wait until the transaction ends.

    Args:
        connection: A connection of `Database.write`.
        name: What it is about.
        holder: Who takes it: different for each process, also for a later one on the same machine.
        for_ms: For how long.

    Returns:
        Whether `holder` holds it now.
    """
    now_ms = _now_ms(connection)
    taken = insert_or_update(
        connection,
        LeaseRow,
        [{"name": name, "holder": holder, "until_ms": now_ms + for_ms}],
        key=["name"],
        updated=["holder", "until_ms"],
        where=lambda _given: (LeaseRow.holder == holder) | (LeaseRow.until_ms <= now_ms),
    )
    return taken > 0


def release_lease(connection: Connection, name: str, *, holder: str) -> None:
    """Let others take a lease at once, if `holder` holds it."""
    connection.execute(delete(LeaseRow).where(LeaseRow.name == name, LeaseRow.holder == holder))


def forget_leases(connection: Connection, *, older_than_ms: int) -> None:
    """Delete leases that ran out so long ago: of processes that were killed and will not come back."""
    connection.execute(delete(LeaseRow).where(LeaseRow.until_ms < _now_ms(connection) - older_than_ms))


def leases(connection: Connection, prefix: str) -> list[Lease]:
    """Return the leases whose names begin with a prefix, those too that have run out, in the order of their names."""
    now_ms = _now_ms(connection)
    query = select(LeaseRow).where(LeaseRow.name.startswith(prefix, autoescape=True)).order_by(LeaseRow.name)
    return [Lease(row.name, row.holder, row.until_ms - now_ms) for row in connection.execute(query)]


def _now_ms(connection: Connection) -> int:
    """Return the time by the one clock that all processes see: SQLite's are on one machine."""
    if connection.dialect.name == "postgresql":
        return int(connection.scalar(text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)")) or 0)
    return times.now_ms()
