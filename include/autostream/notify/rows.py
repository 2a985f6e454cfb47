"""The rows of the outbox in the database."""

from __future__ import annotations

from sqlalchemy import BigInteger, Identity, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from autostream.store.rows import ROW_ID, RowBase


class OutboxMessageRow(RowBase):
    """One notice for one target, and what became of it.

    `claim` and `claimed_until_ms` say which process is sending it, and until when nobody else does.
    """

    __tablename__ = "autostream_outbox_message"
    __table_args__ = (
        Index("autostream_outbox_message_due", "state", "next_try_ms"),
        Index("autostream_outbox_message_age", "created_ms"),
    )

    id: Mapped[int] = mapped_column(ROW_ID, Identity(), primary_key=True)
    target: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(64))
    severity: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(Text)
    team: Mapped[str | None] = mapped_column(Text)
    notice: Mapped[str] = mapped_column(Text)
    created_ms: Mapped[int] = mapped_column(BigInteger)
    repeats: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16))
    tries: Mapped[int] = mapped_column(Integer)
    next_try_ms: Mapped[int] = mapped_column(BigInteger)
    claim: Mapped[str] = mapped_column(String(36))
    claimed_until_ms: Mapped[int] = mapped_column(BigInteger)
    settled_ms: Mapped[int | None] = mapped_column(BigInteger)
    error: Mapped[str] = mapped_column(Text)


class OutboxKeyRow(RowBase):
    """When a notice of a key was last put into the outbox for a target, and as which message."""

    __tablename__ = "autostream_outbox_key"
    __table_args__ = (Index("autostream_outbox_key_age", "put_ms"),)

    target: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    put_ms: Mapped[int] = mapped_column(BigInteger)
    message_id: Mapped[int | None] = mapped_column(BigInteger)


class OutboxTargetRow(RowBase):
    """How a target has fared: the times of the last tries, as JSON, and until when it is left alone."""

    __tablename__ = "autostream_outbox_target"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    recent_ms: Mapped[str] = mapped_column(Text)
    failures: Mapped[int] = mapped_column(Integer)
    paused_until_ms: Mapped[int] = mapped_column(BigInteger)
