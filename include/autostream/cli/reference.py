"""All commands in words: the reference in the documentation, made of what `--help` shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

from autostream.cli.groups import ENTRIES
from autostream.cli.main import app


def commands() -> dict[str, Any]:
    """Return every command and group below `autostream`, loaded, by what is typed: `table compact`."""
    found: dict[str, Any] = {}
    for name, entry in ENTRIES.items():
        loaded = entry.load(name)
        found[name] = loaded
        if isinstance(loaded, TyperGroup):
            found |= {f"{name} {below}": command for below, command in loaded.commands.items()}
    return {path: command for path, command in found.items() if not command.hidden}


def root_options() -> list[str]:
    """Return the options of `autostream` itself."""
    return [option for parameter in get_command(app).params for option in parameter.opts]


def markdown() -> str:
    """Return the reference: a heading for each command, what it does, its arguments and options."""
    return "\n".join(line for path, command in commands().items() for line in _command(path, command)).rstrip() + "\n"


def _command(path: str, command: Any) -> Iterator[str]:
    is_group = isinstance(command, TyperGroup)
    yield from (f"{'##' if ' ' not in path else '###'} autostream {path}", "")
    yield from (_paragraphs(command.help), "")
    if is_group:
        return
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    # What every command takes is not handed to its function; it is described once, above.
    own = [option for option in options if option.expose_value and option.name != "as_json" and not option.hidden]
    usage = [f"autostream {path}", "[OPTIONS]", *map(_placeholder, arguments)]
    yield from (f"    {' '.join(usage)}", "")
    if arguments or own:
        yield from ("| argument or option | default | meaning |", "| --- | --- | --- |")
        yield from map(_row, (*arguments, *own))
        yield ""
    if any(option.name == "as_json" for option in options):
        forms = any(option.name == "output" and option not in own for option in options)
        yield from (f"Takes `--json`{' and `--output table|json|csv`' if forms else ''}.", "")


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        called = f"`{_cell(_placeholder(parameter))}`"
    else:
        names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
        value = "" if parameter.is_flag or getattr(parameter, "count", False) else f" {_cell(_placeholder(parameter))}"
        called = names + value
    return f"| {called} | {_default(parameter)} | {_cell(' '.join((parameter.help or '').split()))} |"


def _placeholder(parameter: Any) -> str:
    name = parameter.metavar or (parameter.name or "").upper()
    if parameter.param_type_name == "argument":
        name += "..." if parameter.nargs == -1 and not name.endswith("...") else ""
        return name if parameter.required else f"[{name}]"
    return name


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    without = parameter.default is None or parameter.default is False or parameter.default in ("", (), [])
    return "–" if without or callable(parameter.default) else f"`{_cell(str(parameter.default))}`"


def _paragraphs(text: str | None) -> str:
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
