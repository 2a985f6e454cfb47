import pytest
from sqlalchemy import Connection, func, select

from autostream.access.roles import Role
from autostream.access.rows import SessionRow
from autostream.access.secrets import digest
from autostream.access.sessions import HOURS, begin_session, end_session, find_session
from autostream.access.tokens import Token, create_token, revoke_token

NOW = 1_790_002_800_000
HOUR_MS = 3_600_000


@pytest.fixture
def token(connection: Connection) -> Token:
    return create_token(connection, "ann", role=Role.VIEWER, days=1, by="root@desk", now_ms=NOW)[0]


def test_a_session_is_that_of_its_token(connection: Connection, token: Token) -> None:
    secret, other = (begin_session(connection, token, now_ms=NOW) for _ in range(2))

    assert secret != other
    assert find_session(connection, secret, now_ms=NOW) == token
    assert find_session(connection, digest(secret), now_ms=NOW) is None
    assert find_session(connection, "", now_ms=NOW) is None


def test_a_session_ends_by_itself(connection: Connection, token: Token) -> None:
    secret = begin_session(connection, token, now_ms=NOW)

    assert find_session(connection, secret, now_ms=NOW + HOURS * HOUR_MS - 1)
    assert find_session(connection, secret, now_ms=NOW + HOURS * HOUR_MS) is None


def test_a_session_ends_with_its_token(connection: Connection, token: Token) -> None:
    secret = begin_session(connection, token, now_ms=NOW)
    late = begin_session(connection, token, now_ms=NOW + 20 * HOUR_MS)

    assert find_session(connection, late, now_ms=NOW + 24 * HOUR_MS - 1)
    assert find_session(connection, late, now_ms=NOW + 24 * HOUR_MS) is None
    revoke_token(connection, "ann", by="root@desk", now_ms=NOW)
    assert find_session(connection, secret, now_ms=NOW) is None


def test_a_session_is_ended_alone(connection: Connection, token: Token) -> None:
    secret, other = (begin_session(connection, token, now_ms=NOW) for _ in range(2))

    end_session(connection, secret)

    assert find_session(connection, secret, now_ms=NOW) is None
    assert find_session(connection, other, now_ms=NOW)


def test_sessions_that_have_ended_are_forgotten(connection: Connection, token: Token) -> None:
    begin_session(connection, token, now_ms=NOW)
    begin_session(connection, token, now_ms=NOW + HOURS * HOUR_MS)

    assert connection.scalar(select(func.count()).select_from(SessionRow)) == 1
