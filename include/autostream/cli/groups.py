"""The groups of commands, each in a module of its own that is loaded when one of its commands is run."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from typer import Typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from autostream.cli.common_options import spread


@dataclass(frozen=True)
class HelpEntry:
    """One entry of `autostream --help`.

    Attributes:
        module: Where its Typer application `app` is.
        summary: What `autostream --help` says of it.
        is_group: Whether it has commands of its own.
    """

    module: str
    summary: str
    is_group: bool = True

    def load(self, name: str) -> TyperGroup | TyperCommand:
        """Import the module, and return the command or the group of commands."""
        parent = Typer(add_completion=False, pretty_exceptions_enable=False)
        app = import_module(self.module).app
        if self.is_group:
            parent.add_typer(app, name=name, help=self.summary)
        else:
            parent.add_typer(app)
        loaded = spread(get_group(parent).commands[name])
        assert isinstance(loaded, TyperGroup | TyperCommand)
        return loaded


ENTRIES: Final = {
    "table": HelpEntry("autostream.cli.table", "Iceberg tables: look into them, read them, and compact them."),
    "watermark": HelpEntry(
        "autostream.cli.watermark",
        "Watermarks: see how complete tables are, wait until they are, and record it.",
    ),
    "flink": HelpEntry(
        "autostream.cli.flink", "Flink jobs of all clusters: see whose they are, how they are set up and how they fare."
    ),
    "lock": HelpEntry("autostream.cli.lock", "Locks on tables: see who holds them and who waits, and break one."),
    "notify": HelpEntry(
        "autostream.cli.notify", "Notices to people: what became of them, test messages, and their delivery."
    ),
    "config": HelpEntry("autostream.cli.config", "Show and check what is configured."),
    "db": HelpEntry(
        "autostream.cli.db", "autostream's own database: the history of watermarks and compactions, and tokens."
    ),
    "serve": HelpEntry(
        "autostream.cli.serve",
        "Serve the console: tables and their watermarks as web pages and by REST, until it is stopped.",
        is_group=False,
    ),
    "token": HelpEntry("autostream.cli.token", "Tokens: people and programs log in to the console with them."),
    "demo": HelpEntry(
        "autostream.cli.demo",
        "Seed a small lakehouse, compact it through Airflow, and have a workflow run for an hour that is complete.",
        is_group=False,
    ),
}
"""What there is, in the order of `autostream --help`."""


class LazyGroup(TyperGroup):
    """The root of all commands: it knows what there is, and loads what is asked for."""

    def __init__(self, **settings: Any) -> None:
        """Make a group that has an entry of each."""
        super().__init__(**settings)
        spread(self, hidden=False)
        self.commands = {name: TyperCommand(name, help=entry.summary) for name, entry in ENTRIES.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that arguments begin with, loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, ENTRIES[name].load(name) if name in ENTRIES else command, rest
