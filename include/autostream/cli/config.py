"""`autostream config`: what is configured, where it came from, and whether it works."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from autostream.cli.output import JsonOption, emit
from autostream.cli.terminal import say
from autostream.config import (
    FILE_NAME,
    FILE_VARIABLE,
    DatabaseSettings,
    Settings,
    ZooKeeperSettings,
    configured_catalogs,
    load_settings,
    pyiceberg_catalogs,
)
from autostream.config.reference import commented_toml
from autostream.errors import AutostreamError, ConfigurationError, UsageError
from autostream.findings import Finding, Severity
from autostream.masking import mask, mask_property
from autostream.spelling import counted

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
    settings = load_settings()
    names = tuple(catalog or configured_catalogs(settings))
    if not names:
        raise ConfigurationError(
            "No catalog is configured. Configure a catalog in .pyiceberg.yaml (or by the environment variables "
            "PYICEBERG_CATALOG__NAME__TYPE and PYICEBERG_CATALOG__NAME__URI)."
        )
    checks = [_guarded("engine.spill_directory", partial(_check_spill_directory, settings.engine.spill_directory))]
    checks.append(_guarded("database", partial(_check_database, settings.database)))
    if settings.zookeeper.hosts:
        checks.append(_guarded("zookeeper", partial(_check_zookeeper, settings.zookeeper)))
    checks += _check_flink(settings)
    checks += [_guarded(f"catalog {name}", partial(_check_catalog, name)) for name in names]
    checks += [Finding("configuration", Severity.WARNING, warning) for warning in settings.warnings]
    failed = any(finding.severity is Severity.ERROR for finding in checks)
    document = {"ok": not failed, "checks": [finding.to_dict() for finding in checks]}
    emit(document, as_json=as_json, rows="checks", render=lambda: _render_checks(checks))
    if failed:
        raise typer.Exit(1)


def _guarded(subject: str, examine: Callable[[], str]) -> Finding:
    """One thing that is out of order must not hide the state of the others."""
    try:
        return Finding(subject, Severity.OK, mask(examine()))
    except AutostreamError as error:
        return Finding(subject, Severity.ERROR, str(error))
    except Exception as error:
        return Finding(subject, Severity.ERROR, mask(f"{type(error).__name__}: {error}"))


def _check_catalog(name: str) -> str:
    from autostream.catalogs.opening import open_catalog

    catalog = open_catalog(name)
    namespaces = catalog.list_namespaces()
    found = f"reachable, {counted(len(namespaces), 'namespace')}"
    return found + _check_warehouse(catalog.properties)


def _check_warehouse(properties: Mapping[str, str]) -> str:
    """Return what is found of a warehouse that WebHDFS serves; nothing of another, which only its tables can show."""
    from pyiceberg.io import PY_IO_IMPL

    warehouse = properties.get("warehouse", "")
    if properties.get(PY_IO_IMPL) != "autostream.hadoop.fileio.WebHdfsFileIO" or "://" not in warehouse:
        return ""
    from autostream.hadoop.fileio import WebHdfsFileIO
    from autostream.hadoop.settings import SCHEMES, parse_location

    place = parse_location(warehouse)
    if place.scheme not in SCHEMES:
        return ""
    client = WebHdfsFileIO({**properties, "webhdfs.retries": "0"}).client(warehouse)
    try:
        # Listing needs more than status does: the right to look into the directory.
        next(client.list_directory(place.path), None)
    except FileNotFoundError:
        return f"; warehouse {warehouse} does not exist yet"
    return f"; warehouse {warehouse} can be read"


def _check_zookeeper(settings: ZooKeeperSettings) -> str:
    from autostream.coordination.client import shared_client

    return shared_client(settings).check()


def _check_flink(settings: Settings) -> list[Finding]:
    references = {
        "watermark.flink_clusters": settings.watermark.flink_clusters,
        "janitor.flink_clusters": settings.janitor.flink_clusters,
    }
    if not settings.flink.clusters and not any(references.values()):
        return []
    from autostream.flink.cluster import check_cluster, open_clusters

    found = [finding for cluster in settings.flink.clusters for finding in check_cluster(cluster)]
    for key, names in references.items():
        try:
            open_clusters(settings.flink, names, named_by=key)
        except AutostreamError as error:
            found.append(Finding(key, Severity.ERROR, str(error)))
    return found


def _check_database(settings: DatabaseSettings) -> str:
    from autostream.store.database import open_database

    return open_database(settings).check()


def _check_spill_directory(configured: str) -> str:
    directory = Path(configured or tempfile.gettempdir())
    # What is missing is made by the engine: its nearest parent that exists must be writable.
    existing = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"Cannot write to {directory}: {error.strerror}. Set engine.spill_directory to a directory that this "
            "account can write to."
        ) from error
    return f"{directory} is writable"


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


def _render_checks(checks: list[Finding]) -> None:
    words = {Severity.OK: ("ok     ", "green"), Severity.WARNING: ("warning ", "yellow")}
    for finding in checks:
        say(words.get(finding.severity, ("failed ", "red")), f"{finding.subject}: {finding}", indent=7)
