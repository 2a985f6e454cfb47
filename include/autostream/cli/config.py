"""`autostream config`: what is configured, where it came from, and whether it works."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import autostream
from autostream.cli.output import JsonOption, emit
from autostream.cli.terminal import say
from autostream.config import (
    FILE_NAME,
    FILE_VARIABLE,
    Settings,
    load_settings,
    pyiceberg_catalogs,
)
from autostream.config.reference import commented_toml
from autostream.errors import ConfigurationError, UsageError
from autostream.findings import Finding, Severity
from autostream.masking import mask_property

app = typer.Typer(no_args_is_help=True)


@app.command()
def init(
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="Write this file. Default: AUTOSTREAM_CONFIG, or autostream.toml."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write an autostream.toml with every setting at its default and its description, commented out.

    Remove the # before the settings that you change. Defaults that you leave alone follow later versions.
    """
    path = file or Path(os.environ.get(FILE_VARIABLE, "").strip() or FILE_NAME).expanduser()
    try:
        with path.open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(commented_toml())
    except FileExistsError:
        raise UsageError(
            f"{path} already exists. Give --force to overwrite it, or --file to write another file."
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"Cannot write {path}: {error.strerror}. Give --file to write another file."
        ) from error
    emit(
        {"file": path},
        as_json=as_json,
        render=lambda: say(f"Wrote {path}. Remove the # before each setting that you change."),
    )


@app.command()
def show(as_json: JsonOption = False) -> None:
    """Print the effective configuration with the origin of each value; secrets are hidden."""
    settings = load_settings()
    catalogs = {
        name: {key: mask_property(key, value) for key, value in sorted(properties.items())}
        for name, properties in pyiceberg_catalogs().items()
    }
    document = {
        "file": settings.file,
        "values": [asdict(value) for value in settings.values()],
        "catalogs": catalogs,
    }
    emit(document, as_json=as_json, rows="values", render=lambda: _render_settings(settings, catalogs))


@app.command()
def check(
    catalog: Annotated[
        list[str] | None, typer.Option("--catalog", metavar="NAME", help="Check this catalog only; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that catalogs, ZooKeeper, Flink and the database can be reached, and that the engine has room to spill.

    Exit code 0: all is well; 1: something is not reachable; 2: the configuration itself is wrong.
    """
    report = autostream.check(*(catalog or ()))
    document = report.to_dict()
    emit(document, as_json=as_json, rows="checks", render=lambda: _render_checks(report.findings))
    if not report.ok:
        raise typer.Exit(1)


def _render_settings(settings: Settings, catalogs: Mapping[str, Mapping[str, str]]) -> None:
    rows = [(f"{value.section}.{value.key}", _text(value.value), value.origin) for value in settings.values()]
    for name, properties in catalogs.items():
        rows += [(f"catalog {name}: {key}", text, "PyIceberg's configuration") for key, text in properties.items()]
    width = max(len(key) for key, _, _ in rows)
    for key, value, origin in rows:
        say((f"{key:<{width}}  ", "bold"), value, (f"  ({origin})", "dim"), indent=width + 2)
    if settings.file is None:
        say(("No autostream.toml found. These are the defaults and the settings of the environment.", "dim"))


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_text(inner)}" for key, inner in value.items() if inner not in ("", [], False))
    if isinstance(value, list):
        separator = "; " if value and isinstance(value[0], dict) else ", "
        return separator.join(map(_text, value)) or "-"
    return str(value) if value != "" else "-"


def _render_checks(checks: Iterable[Finding]) -> None:
    words = {Severity.OK: ("ok     ", "green"), Severity.WARNING: ("warning ", "yellow")}
    for finding in checks:
        say(words.get(finding.severity, ("failed ", "red")), f"{finding.subject}: {finding}", indent=7)
