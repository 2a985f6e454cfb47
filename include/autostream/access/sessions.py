"""Sessions of browsers: begun by a token, so that a browser need not keep it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, delete, insert

from autostream.access.rows import SessionRow, TokenRow
from autostream.access.secrets import digest, new_secret
from autostream.access.tokens import Token, is_valid, to_token, tokens

HOURS: Final = 12
"""How long a session lasts: a working day."""


def begin_session(connection: Connection, token: Token, *, now_ms: int) -> str:
    """Begin a session by a token, and return the secret that the browser shows from then on."""
    connection.execute(delete(SessionRow).where(SessionRow.expires_at_ms <= now_ms))
    secret = new_secret()
    expires_at_ms = now_ms + HOURS * 3_600_000
    connection.execute(insert(SessionRow).values(digest=digest(secret), token_id=token.id, expires_at_ms=expires_at_ms))
    return secret


def find_session(connection: Connection, secret: str, *, now_ms: int) -> Token | None:
    """Return the token by which a session was begun; None where it has ended, or the token has."""
    query = (
        tokens()
        .join(SessionRow, SessionRow.token_id == TokenRow.id)
        .where(SessionRow.digest == digest(secret), SessionRow.expires_at_ms > now_ms, is_valid(now_ms))
    )
    row = connection.execute(query).one_or_none()
    return to_token(row) if row else None


def end_session(connection: Connection, secret: str) -> None:
    """End a session."""
    connection.execute(delete(SessionRow).where(SessionRow.digest == digest(secret)))
