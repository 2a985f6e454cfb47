"""`autostream notify`: notices to people, and what became of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

import autostream
from autostream.account import this_account
from autostream.cli import interrupts
from autostream.cli.grid import LABEL, NAME, NUMBER, TEXT, Column, show_grid
from autostream.cli.output import JsonOption, emit
from autostream.cli.terminal import Part, say
from autostream.config import load_settings
from autostream.errors import ConfigurationError
from autostream.times import describe_instant

if TYPE_CHECKING:
    from autostream.notify.outbox import Fate, OutboxMessage

app = typer.Typer(no_args_is_help=True)

_NO_TARGETS = (
    "No target is configured, so nobody is told anything. Write [[notify.targets]] with `name` and `url` into "
    "autostream.toml, or set AUTOSTREAM_NOTIFY__TARGETS__ONCALL__URL."
)


@app.command("list")
def list_command(
    waiting: Annotated[bool, typer.Option("--waiting", help="Only messages that wait to be sent.")] = False,
    given_up: Annotated[bool, typer.Option("--given-up", help="Only messages that were given up.")] = False,
    target: Annotated[str | None, typer.Option(metavar="NAME", help="Only messages for this target.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The most messages to list.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the last messages, the newest first, each with what became of it: sent, waiting, or given up and why."""
    from autostream.notify.outbox import Fate, Outbox
    from autostream.store.database import open_database

    states = [fate for fate, wanted in ((Fate.WAITING, waiting), (Fate.GIVEN_UP, given_up)) if wanted]
    with open_database().read() as connection:
        outbox = Outbox(connection)
        messages = outbox.newest(limit=limit, states=states, target=target)
        counts = outbox.counts()
    document = {
        "counts": {fate.value: count for fate, count in counts.items()},
        "messages": [message.to_dict() for message in messages],
    }
    emit(document, as_json=as_json, rows="messages", render=lambda: _render(messages, counts))


@app.command("send-test")
def send_test_command(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The name of a target in [[notify.targets]].")],
    as_json: JsonOption = False,
) -> None:
    """Send a test message to a target at once, to see whether it arrives.

    Exit code 0: its service took the message; 1: it did not, and why; 2: there is no such target, or its URL is not
    understood.
    """
    from autostream.notify.delivery import send_test

    interrupts.leave_behind("The test message may have been sent.")
    letter = send_test(target, load_settings(), by=this_account())
    document = {"target": target, "sent": True, "title": letter.title, "body": letter.body}
    emit(document, as_json=as_json, render=lambda: say(f"The service of {target} took the message: {letter.title}"))


@app.command()
def deliver(
    watch: Annotated[bool, typer.Option("--watch", help="Go on, and send what comes, until SIGTERM.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Send the messages that are due.

    Any number of processes may do so: each message is sent by one of them. Exit code 0: none failed; 1: a message could
    not be sent, and is tried again later, or was given up.
    """
    from autostream.notify.delivery import deliver_until
    from autostream.store.database import open_database

    settings = load_settings()
    if not settings.notify.targets:
        raise ConfigurationError(_NO_TARGETS)
    interrupts.leave_behind("A message that was being sent may be sent again in a few minutes.")
    if watch:
        with interrupts.stopped_by_signals(stop := threading.Event()):
            deliver_until(stop, open_database(), settings)
        return
    report = autostream.Lakehouse(settings=settings).deliver_notices()
    document = report.to_dict()
    emit(document, as_json=as_json, render=lambda: _render_report(document))
    if report.problems:
        raise typer.Exit(1)


def _render(messages: Sequence[OutboxMessage], counts: Mapping[Fate, int]) -> None:
    if not messages:
        say("There are no messages." if load_settings().notify.targets else _NO_TARGETS)
        return
    columns = [
        Column("number", NUMBER),
        Column("put at (UTC)"),
        Column("target", NAME),
        Column("fate", LABEL),
        Column("tries", NUMBER),
        Column("message", TEXT),
    ]
    show_grid(columns, [_cells(message) for message in messages])
    say("")
    say(", ".join(f"{count:,} {fate.value}" for fate, count in counts.items()))


def _cells(message: OutboxMessage) -> list[Part]:
    told = message.title
    if message.repeats:
        told = f"{told} ({message.repeats + 1:,} times)"
    if message.error:
        told = f"{told} – {message.error}"
    at = describe_instant(message.created_ms - message.created_ms % 1000)
    return [str(message.number), at, message.target, message.state.value, str(message.tries), told]


def _render_report(document: Mapping[str, Any]) -> None:
    say(f"{document['sent']:,} sent, {document['failed']:,} failed, {document['given_up']:,} given up.")
    for target, why in document["problems"].items():
        say((f"{target}: ", "bold"), why, indent=2)
    if document["waiting"]:
        say(f"{document['waiting']:,} waiting.")
