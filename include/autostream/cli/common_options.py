"""Options that every command takes, wherever on the line they are written: -v, --json and --output."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from autostream.cli.output import Format, forget_wishes, log_more, print_as


def _log_more(context: typer.Context, level: int) -> int:
    if level:
        context.find_root().call_on_close(forget_wishes)
        log_more(level)
    return level


def _print_as_json(context: typer.Context, given: bool) -> bool:
    ask_for(context, Format.JSON if given else None)
    return given


def ask_for(context: typer.Context, given: Format | None) -> None:
    """Have the command of a context print so; None leaves it as it is."""
    if given:
        context.find_root().call_on_close(forget_wishes)
        print_as(given)


def _declarations(
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose", "-v", count=True, callback=_log_more, help="Log details; -vv: those of other libraries too."
        ),
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", callback=_print_as_json, help="Print one JSON document on stdout.")
    ] = False,
    output: Annotated[
        Format | None,
        typer.Option("--output", metavar="FORM", callback=ask_for, help="Print as table, json or csv."),
    ] = None,
) -> None:
    """Declare the options; this is never run."""


def _options() -> dict[str, Any]:
    app = typer.Typer(add_completion=False)
    app.command()(_declarations)
    return {str(option.name): option for option in get_command(app).params}


def spread(command: Any, *, hidden: bool = True) -> Any:
    """Have a command, and all below it, take the options; return it.

    A command that prints nothing, which has no `--json`, takes -v alone; one whose `--output` is its own keeps that.

    Args:
        command: The command.
        hidden: Whether a group's help leaves them out.
    """
    options, own = _options(), {parameter.name: parameter for parameter in command.params}
    is_group = isinstance(command, TyperGroup)
    if "as_json" in own:
        own["as_json"].callback = options["as_json"].callback
    wanted = options if is_group or "as_json" in own else ["verbose"]
    for option in (options[name] for name in wanted if name not in own):
        option.expose_value = False
        option.hidden = is_group and hidden
        command.params.append(option)
    for below in command.commands.values() if is_group else ():
        spread(below)
    return command
