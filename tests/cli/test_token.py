import json
import re
from typing import Any

import pytest
from typer.testing import CliRunner

from autostream.access.tokens import find_token
from autostream.cli import token as module
from autostream.cli.main import app
from autostream.errors import ConflictError, NotFoundError
from autostream.store.database import open_database
from tests.support.clocks import FakeClock

DAY_SECONDS = 86_400


@pytest.fixture(autouse=True)
def _somebody(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    monkeypatch.setattr(module, "this_account", lambda: "root@desk")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["token", *arguments], catch_exceptions=False, env={"COLUMNS": "80"})
    return result.stdout


def document(*arguments: str) -> dict[str, Any]:
    return json.loads(run(*arguments, "--json"))


def test_a_token_is_created_and_shown_once(clock: FakeClock) -> None:
    said = run("create", "ann", "--role", "viewer")

    (secret,) = re.findall(r"^autostream_[\w-]{43}$", said, re.M)
    assert "This is the token 'ann' with the role viewer, valid until 2027-02-23 02:00 UTC." in said
    assert max(map(len, said.splitlines())) <= 80
    with open_database().read() as connection:
        assert find_token(connection, secret, now_ms=clock.ms)
    assert secret not in run("list") + run("list", "--json")


def test_a_token_as_json() -> None:
    made = document("create", "ci", "--role", "service", "--team", "trade", "--days", "1")

    assert made.pop("token").startswith("autostream_")
    assert made == {
        "name": "ci",
        "role": "service",
        "team": "trade",
        "state": "valid",
        "created_at": "2026-11-25T02:00:00Z",
        "created_at_ms": 1_795_572_000_000,
        "created_by": "root@desk",
        "expires_at": "2026-11-26T02:00:00Z",
        "expires_at_ms": 1_795_658_400_000,
        "revoked_at": None,
        "revoked_at_ms": None,
    }
    assert document("list") == {"tokens": [made]}


def test_a_token_may_be_valid_until_it_is_revoked() -> None:
    assert "valid until it is revoked" in run("create", "ann", "--role", "admin", "--days", "0")


def test_tokens_are_listed_with_what_became_of_them(clock: FakeClock) -> None:
    assert "No tokens. To create one" in run("list")
    run("create", "ann", "--role", "admin", "--days", "0")
    run("create", "ci", "--role", "service", "--team", "trade", "--days", "1")
    run("create", "bob", "--role", "operator")
    assert run("revoke", "bob") == "The token 'bob' is revoked.\n"
    clock.advance(DAY_SECONDS)

    lines = [line.split() for line in run("list").splitlines()]

    assert lines[1:] == [
        ["ann", "admin", "–", "valid", "–", "root@desk"],
        ["bob", "operator", "–", "revoked", "2027-02-23", "02:00", "root@desk"],
        ["ci", "service", "trade", "expired", "2026-11-26", "02:00", "root@desk"],
    ]


def test_what_cannot_be_done_is_said() -> None:
    run("create", "ann", "--role", "viewer")

    with pytest.raises(ConflictError, match="'ann' already exists"):
        run("create", "ann", "--role", "viewer")
    with pytest.raises(NotFoundError, match="No valid token 'bob'"):
        run("revoke", "bob")
    assert CliRunner().invoke(app, ["token", "create", "ann", "--role", "king"]).exit_code == 2
    assert CliRunner().invoke(app, ["token", "create", "ann"]).exit_code == 2
