"""Chores: what is done now and then by whichever process comes first."""

from __future__ import annotations

from sqlalchemy import BigInteger, Connection, String
from sqlalchemy.orm import Mapped, mapped_column

from autostream.store.rows import RowBase
from autostream.store.upsert import insert_or_update


class ChoreRow(RowBase):
    """When a chore was last done."""

    __tablename__ = "autostream_chore"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    done_at_ms: Mapped[int] = mapped_column(BigInteger)


def take_chore(connection: Connection, name: str, *, now_ms: int, every_ms: int) -> bool:
    """Tell whether a chore is due, and note that it is done now: of several processes one gets true.

    The note is part of the transaction: where that fails, the chore stays due.
    """
    due = insert_or_update(
        connection,
        ChoreRow,
        [{"name": name, "done_at_ms": now_ms}],
        key=["name"],
        updated=["done_at_ms"],
        where=lambda _given: ChoreRow.done_at_ms <= now_ms - every_ms,
    )
    return due > 0
