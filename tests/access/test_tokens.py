from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from autostream.access import audit
from autostream.access.roles import Role
from autostream.access.rows import TokenRow
from autostream.access.secrets import digest
from autostream.access.tokens import create_token, find_token, has_tokens, list_tokens, revoke_token
from autostream.errors import ConflictError, NotFoundError, UsageError
from autostream.times import DAY_MS

NOW = 1_790_002_800_000


def create(connection: Connection, name: str = "ann", *, now_ms: int = NOW, **how: Any) -> str:
    how = {"role": Role.VIEWER, "days": 30, "by": "root@desk"} | how
    return create_token(connection, name, now_ms=now_ms, **how)[1]


def test_a_token_is_found_by_what_was_shown_once(connection: Connection) -> None:
    token, secret = create_token(connection, "ci", role=Role.SERVICE, team="trade", days=30, by="root@desk", now_ms=NOW)

    assert find_token(connection, secret, now_ms=NOW) == token
    assert (token.name, token.role, token.team, token.created_by) == ("ci", Role.SERVICE, "trade", "root@desk")
    assert token.expires_at_ms == NOW + 30 * DAY_MS
    assert token.to_dict(NOW)["state"] == "valid"


def test_a_token_cannot_be_guessed_and_is_found_by_scanners(connection: Connection) -> None:
    secrets = {create(connection, f"t{number}") for number in range(20)}

    assert len(secrets) == 20
    assert all(secret.startswith("autostream_") and len(secret) == len("autostream_") + 43 for secret in secrets)


def test_the_database_has_the_digest_alone(connection: Connection) -> None:
    secret = create(connection)

    assert connection.scalar(select(TokenRow.digest)) == digest(secret)
    dump = "".join(
        str(row)
        for table in ("token", "journal")
        for row in connection.execute(text(f"SELECT * FROM autostream_{table}"))
    )
    assert "ann" in dump
    assert secret.removeprefix("autostream_") not in dump


@pytest.mark.parametrize("shown", ["", "autostream_", "x" * 5000, "\ud800", "'; DROP TABLE autostream_token; --"])
def test_what_is_no_token_finds_none(connection: Connection, shown: str) -> None:
    secret = create(connection)

    assert find_token(connection, shown, now_ms=NOW) is None
    assert find_token(connection, digest(secret), now_ms=NOW) is None
    assert find_token(connection, secret.swapcase(), now_ms=NOW) is None


def test_a_token_ends_when_its_days_are_over(connection: Connection) -> None:
    secret = create(connection, days=1)

    assert find_token(connection, secret, now_ms=NOW + DAY_MS - 1)
    assert find_token(connection, secret, now_ms=NOW + DAY_MS) is None
    assert list_tokens(connection)[0].state(NOW + DAY_MS) == "expired"


def test_a_token_without_days_is_valid_until_it_is_revoked(connection: Connection) -> None:
    secret = create(connection, days=None)
    assert find_token(connection, secret, now_ms=NOW + 10_000 * DAY_MS)

    revoked = revoke_token(connection, "ann", by="root@desk", now_ms=NOW + 5)

    assert (revoked.state(NOW + 5), revoked.revoked_at_ms) == ("revoked", NOW + 5)
    assert find_token(connection, secret, now_ms=NOW + 5) is None


def test_names_of_valid_tokens_differ(connection: Connection) -> None:
    first = create(connection, days=1)
    with pytest.raises(ConflictError, match="A valid token 'ann' already exists"):
        create(connection)

    second = create(connection, now_ms=NOW + DAY_MS)  # the first has expired
    revoke_token(connection, "ann", by="root@desk", now_ms=NOW + DAY_MS)
    third = create(connection, now_ms=NOW + DAY_MS)

    valid = [secret for secret in (first, second, third) if find_token(connection, secret, now_ms=NOW + DAY_MS)]
    assert valid == [third]
    assert [token.state(NOW + DAY_MS) for token in list_tokens(connection)] == ["expired", "revoked", "valid"]


def test_only_a_valid_token_can_be_revoked(connection: Connection) -> None:
    create(connection, days=1)

    with pytest.raises(NotFoundError, match="No valid token 'bob'"):
        revoke_token(connection, "bob", by="root@desk", now_ms=NOW)
    with pytest.raises(NotFoundError, match="No valid token 'ann'"):
        revoke_token(connection, "ann", by="root@desk", now_ms=NOW + DAY_MS)


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "a\n", "é", "a" * 65])
def test_names_are_plain(connection: Connection, name: str) -> None:
    with pytest.raises(UsageError, match="Invalid name"):
        create(connection, name)
    with pytest.raises(UsageError, match="Invalid team"):
        create(connection, team=name or " ")


def test_that_there_was_a_token_is_not_forgotten(connection: Connection) -> None:
    assert not has_tokens(connection)
    create(connection)
    revoke_token(connection, "ann", by="root@desk", now_ms=NOW)
    assert has_tokens(connection)


def test_what_is_done_to_tokens_is_recorded(connection: Connection) -> None:
    create(connection, role=Role.ADMIN)
    revoke_token(connection, "ann", by="bob@desk", now_ms=NOW + 5)

    assert [(entry.kind, entry.by, entry.at_ms, entry.body) for entry in audit.newest(connection, limit=9)] == [
        ("token-revoked", "bob@desk", NOW + 5, {"name": "ann"}),
        (
            "token-created",
            "root@desk",
            NOW,
            {"name": "ann", "role": "admin", "team": "", "expires_at_ms": NOW + 30 * DAY_MS},
        ),
    ]
