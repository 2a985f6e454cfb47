"""Bearer tokens: created and shown once, found by their digest, revoked."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, insert, or_, select, update

from autostream.access import audit
from autostream.access.roles import Role
from autostream.access.rows import TokenRow
from autostream.access.secrets import digest, new_token
from autostream.errors import ConflictError, NotFoundError, UsageError
from autostream.store.rows import value_of
from autostream.store.turns import take_turn
from autostream.times import DAY_MS, iso

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Token:
    """What is known of a token; not the token itself.

    Attributes:
        id: Its number in the database.
        name: Whose it is, or what for; of tokens that are valid at the same time each has another.
        role: What it may do.
        team: The team that it belongs to; empty for none.
        created_at_ms: When it was created.
        created_by: Who created it.
        expires_at_ms: Until when it is valid; None: until it is revoked.
        revoked_at_ms: When it was revoked; None: it was not.
    """

    id: int
    name: str
    role: Role
    team: str
    created_at_ms: int
    created_by: str
    expires_at_ms: int | None
    revoked_at_ms: int | None

    def state(self, now_ms: int) -> str:
        """Return `valid`, `expired` or `revoked`."""
        if self.revoked_at_ms is not None:
            return "revoked"
        return "expired" if self.expires_at_ms is not None and self.expires_at_ms <= now_ms else "valid"

    def to_dict(self, now_ms: int) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "name": self.name,
            "role": self.role.value,
            "team": self.team or None,
            "state": self.state(now_ms),
            "created_at": iso(self.created_at_ms),
            "created_at_ms": self.created_at_ms,
            "created_by": self.created_by,
            "expires_at": iso(self.expires_at_ms),
            "expires_at_ms": self.expires_at_ms,
            "revoked_at": iso(self.revoked_at_ms),
            "revoked_at_ms": self.revoked_at_ms,
        }


def create_token(
    connection: Connection, name: str, *, role: Role, team: str = "", days: int | None, by: str, now_ms: int
) -> tuple[Token, str]:
    """Create a token, and record that.

    Args:
        connection: A connection of `Database.write`.
        name: Whose it is, or what for.
        role: What it may do.
        team: The team that it belongs to.
        days: How long it is valid; None: until it is revoked.
        by: Who creates it.
        now_ms: When.

    Returns:
        What is known of it, and the token, which nobody can find out later.

    Raises:
        UsageError: The name cannot be one.
        ConflictError: A valid token has the name already.
    """
    for what, value in (("name", name), ("team", team)):
        if not _NAME.fullmatch(value) and not (what == "team" and not value):
            raise UsageError(
                f"Invalid {what} {value!r}. Use up to 64 letters, digits and the characters . _ @ -. Start with a "
                "letter or digit."
            )
    take_turn(connection, f"token {name}")
    if _valid(connection, name, now_ms):
        raise ConflictError(f"A valid token {name!r} already exists. Choose another name, or revoke that token first.")
    secret = new_token()
    about = {
        "name": name,
        "role": role.value,
        "team": team,
        "expires_at_ms": None if days is None else now_ms + days * DAY_MS,
    }
    connection.execute(insert(TokenRow).values(**about, digest=digest(secret), created_at_ms=now_ms, created_by=by))
    audit.record(connection, "token-created", by=by, about=about, now_ms=now_ms)
    token = _valid(connection, name, now_ms)
    assert token is not None
    return token, secret


def revoke_token(connection: Connection, name: str, *, by: str, now_ms: int) -> Token:
    """End a token at once, and the sessions that were begun by it, and record that.

    Raises:
        NotFoundError: No valid token has the name.
    """
    take_turn(connection, f"token {name}")
    found = _valid(connection, name, now_ms)
    if found is None:
        raise NotFoundError(f"No valid token {name!r} exists. 'autostream token list' shows all tokens.")
    connection.execute(update(TokenRow).where(TokenRow.id == found.id).values(revoked_at_ms=now_ms))
    audit.record(connection, "token-revoked", by=by, about={"name": name}, now_ms=now_ms)
    return replace(found, revoked_at_ms=now_ms)


def list_tokens(connection: Connection) -> list[Token]:
    """Return all tokens by name, those that have ended too."""
    query = tokens().order_by(TokenRow.name, TokenRow.created_at_ms, TokenRow.id)
    return [to_token(row) for row in connection.execute(query)]


def find_token(connection: Connection, secret: str, *, now_ms: int) -> Token | None:
    """Return the valid token that someone shows; None where it is none."""
    query = tokens().where(TokenRow.digest == digest(secret), is_valid(now_ms))
    row = connection.execute(query).one_or_none()
    return to_token(row) if row else None


def has_tokens(connection: Connection) -> bool:
    """Tell whether a token was ever created; that it has ended does not undo it."""
    return connection.scalar(select(TokenRow.id).limit(1)) is not None


def tokens() -> Select[tuple[Any, ...]]:
    """Return the query for all tokens, without their digests."""
    return select(*(column for column in TokenRow.__table__.columns if column.name != "digest"))


def is_valid(now_ms: int) -> ColumnElement[bool]:
    """Return what a token's row has to fulfil."""
    unexpired = or_(TokenRow.expires_at_ms.is_(None), TokenRow.expires_at_ms > now_ms)
    return TokenRow.revoked_at_ms.is_(None) & unexpired


def to_token(row: Any) -> Token:
    """Return the token of a row of `tokens`."""
    return value_of(Token, row, role=Role(row.role))


def _valid(connection: Connection, name: str, now_ms: int) -> Token | None:
    row = connection.execute(tokens().where(TokenRow.name == name, is_valid(now_ms))).one_or_none()
    return to_token(row) if row else None
