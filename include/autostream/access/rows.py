"""The rows of tokens and of browsers' sessions in the database: of what a caller shows, only the digest is there."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Identity, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from autostream.store.rows import ROW_ID, RowBase


class TokenRow(RowBase):
    """A token; one that is revoked or expired stays, so that the name in an entry of the audit log means something."""

    __tablename__ = "autostream_token"

    id: Mapped[int] = mapped_column(ROW_ID, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), index=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    team: Mapped[str] = mapped_column(String(64))
    created_at_ms: Mapped[int] = mapped_column(BigInteger)
    created_by: Mapped[str] = mapped_column(Text)
    expires_at_ms: Mapped[int | None] = mapped_column(BigInteger)
    revoked_at_ms: Mapped[int | None] = mapped_column(BigInteger)


class SessionRow(RowBase):
    """A browser that was logged in by a token, until it logs out, the session expires or the token ends."""

    __tablename__ = "autostream_session"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    token_id: Mapped[int] = mapped_column(ForeignKey("autostream_token.id"))
    expires_at_ms: Mapped[int] = mapped_column(BigInteger, index=True)
