"""`autostream token`: the bearer tokens of the console."""

from __future__ import annotations

from typing import Annotated

import typer

from autostream.access.roles import Role
from autostream.account import this_account
from autostream.cli import interrupts
from autostream.cli.grid import LABEL, NAME, TEXT, Column, show_grid
from autostream.cli.output import JsonOption, emit
from autostream.cli.terminal import say, say_whole
from autostream.times import describe_instant, now_ms

app = typer.Typer(no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is, or what for, such as ann or ci.")]


@app.command()
def create(
    name: NameArgument,
    role: Annotated[
        Role,
        typer.Option(
            help="What it may do. viewer: look at everything. service: also report on behalf of jobs; for programs, "
            "not for browsers. operator: also change tables, jobs and budgets. admin: also read the audit log."
        ),
    ],
    team: Annotated[str, typer.Option(metavar="TEAM", help="The team that it belongs to.")] = "",
    days: Annotated[int, typer.Option(min=0, max=3650, help="How long it is valid; 0: until it is revoked.")] = 90,
    as_json: JsonOption = False,
) -> None:
    """Create a token, and print it: it is shown this once, for only its digest is kept.

    Exit code 3: a valid token of that name is there already.
    """
    from autostream.access.tokens import create_token
    from autostream.store.database import open_database

    interrupts.leave_behind("'autostream token list' shows whether it was created.")
    now = now_ms()
    with open_database().write() as connection:
        token, secret = create_token(
            connection, name, role=role, team=team, days=days or None, by=this_account(), now_ms=now
        )
    until = "it is revoked" if token.expires_at_ms is None else f"{_minute(token.expires_at_ms)} UTC"

    def render() -> None:
        say_whole(secret)
        say("")
        say(f"This is the token {token.name!r} with the role {token.role}, valid until {until}.")
        say(
            "Copy it now: it is not shown again. Log in with it at the console, or send it in the header "
            "Authorization as a bearer token."
        )

    emit(token.to_dict(now), as_json=as_json, render=render, data={"token": secret})


@app.command("list")
def list_command(as_json: JsonOption = False) -> None:
    """List all tokens with their roles, those that are expired or revoked too."""
    from autostream.access.tokens import list_tokens
    from autostream.store.database import open_database

    now = now_ms()
    with open_database().read() as connection:
        tokens = list_tokens(connection)

    def render() -> None:
        if not tokens:
            say("No tokens. To create one: autostream token create NAME --role viewer")
            return
        columns = [
            Column("name", NAME),
            Column("role", LABEL),
            Column("team", LABEL),
            Column("state", LABEL),
            Column("valid until", LABEL),
            Column("created by", TEXT),
        ]
        show_grid(
            columns,
            [
                [
                    token.name,
                    token.role.value,
                    token.team or "–",
                    token.state(now),
                    "–" if token.expires_at_ms is None else _minute(token.expires_at_ms),
                    token.created_by,
                ]
                for token in tokens
            ],
        )

    emit({"tokens": [token.to_dict(now) for token in tokens]}, as_json=as_json, render=render)


@app.command()
def revoke(name: NameArgument, as_json: JsonOption = False) -> None:
    """End a token at once, and the sessions of browsers that were begun by it.

    Exit code 2: there is no valid token of that name.
    """
    from autostream.access.tokens import revoke_token
    from autostream.store.database import open_database

    interrupts.leave_behind("'autostream token list' shows whether it is revoked.")
    now = now_ms()
    with open_database().write() as connection:
        token = revoke_token(connection, name, by=this_account(), now_ms=now)
    emit(token.to_dict(now), as_json=as_json, render=lambda: say(f"The token {token.name!r} is revoked."))


def _minute(ms: int) -> str:
    return describe_instant(ms - ms % 60_000)
