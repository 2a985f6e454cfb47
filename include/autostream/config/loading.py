"""Reads the configuration: defaults, then `autostream.toml`, then environment variables AUTOSTREAM_SECTION__KEY.

The file is the one that AUTOSTREAM_CONFIG names, else the one in the working directory, if there is one. Iceberg
catalogs are not in it: PyIceberg's own configuration holds those.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from autostream.config.explaining import explain
from autostream.config.retired import RETIRED, Origins, Values, replace_retired
from autostream.config.root import Settings, entry_model, section_models
from autostream.config.sections.base import NamedSection, parse_list
from autostream.errors import ConfigurationError

FILE_NAME: Final = "autostream.toml"
FILE_VARIABLE: Final = "AUTOSTREAM_CONFIG"
VARIABLE_PREFIX: Final = "AUTOSTREAM_"

_logger = logging.getLogger(__name__)


def load_settings(*, environ: Mapping[str, str] | None = None, directory: Path | None = None) -> Settings:
    """Read the configuration.

    Args:
        environ: Environment variables; those of the process when None.
        directory: Where `autostream.toml` is looked for when AUTOSTREAM_CONFIG is not set; the working directory when
            None.

    Raises:
        ConfigurationError: The file is missing or is no TOML, a section or key is unknown, or a value is not allowed.
            The message names the key, the file or variable, and what is allowed.
    """
    variables = os.environ if environ is None else environ
    file = find_file(variables, directory=directory)
    values, origins = _from_file(file) if file else ({}, {})
    _add_environment(values, origins, variables)
    warnings = replace_retired(values, origins)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(explain(error, origins)) from error
    for warning in warnings:
        _warn(warning)
    return settings.read_from(origins, file, warnings=warnings)


@cache
def _warn(warning: str) -> None:
    """Log what should be written differently, once a process: settings are read again and again."""
    _logger.warning("%s", warning)


def find_file(environ: Mapping[str, str], *, directory: Path | None = None) -> Path | None:
    """Return the configuration file that counts, or None when there is none.

    Raises:
        ConfigurationError: AUTOSTREAM_CONFIG names a file that does not exist.
    """
    named = environ.get(FILE_VARIABLE, "").strip()
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise ConfigurationError(
                f"{FILE_VARIABLE} names {path}, which is not a file. Correct the path, or unset {FILE_VARIABLE}."
            )
        return path
    path = (directory or Path.cwd()) / FILE_NAME
    return path if path.is_file() else None


def _from_file(file: Path) -> tuple[Values, Origins]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} is not valid TOML: {error}.") from error
    except OSError as error:
        raise ConfigurationError(f"Cannot read {file}: {error.strerror}. Correct its permissions.") from error
    origins: Origins = {}
    for section, content in document.items():
        _require_known(section, None, where=str(file))
        if not isinstance(content, dict):
            raise ConfigurationError(f"`{section}` in {file} must be a section: write [{section}] above its keys.")
        for key in content:
            _require_known(section, key, where=str(file))
            origins[section, key] = f"file {file}"
    return document, origins


def _add_environment(values: Values, origins: Origins, environ: Mapping[str, str]) -> None:
    for name, text in sorted(environ.items()):
        section, *keys = name.removeprefix(VARIABLE_PREFIX).lower().split("__")
        if not name.startswith(VARIABLE_PREFIX) or not keys:
            continue  # AUTOSTREAM_CONFIG, AUTOSTREAM_LOG and what else needs no file
        if not text and len(keys) > 1:
            continue  # such as one that a compose file passes on
        where = f"the environment variable {name}"
        _require_known(section, None, where=where)
        _require_known(section, keys[0], where=where)
        origin = f"environment {name}"
        if len(keys) == 1:
            values.setdefault(section, {})[keys[0]] = text
            origins[section, keys[0]] = origin
        else:
            _add_to_entry(values, section, keys, text, where=where)
            before = origins.get((section, keys[0]))
            origins[section, keys[0]] = f"{before}, {origin}" if before else origin


def _add_to_entry(values: Values, section: str, keys: list[str], text: str, *, where: str) -> None:
    """Set a key of that entry of a list which is called so: AUTOSTREAM_FLINK__CLUSTERS__PROD__TOKEN."""
    key, *rest = keys
    model = entry_model(section, key)
    if model is None or not issubclass(model, NamedSection):
        raise ConfigurationError(f"`{section}.{key}` is a single value and has no keys. Remove {where}.")
    if len(rest) != 2:
        raise ConfigurationError(f"{where[0].upper()}{where[1:]} must end in a name and a key: ...__NAME__KEY.")
    called, field = rest
    if field not in model.model_fields:
        raise ConfigurationError(
            f"Unknown key `{field}` of `{section}.{key}` in {where}.{_nearest(field, model.model_fields)}"
        )
    try:
        entries = list(parse_list(values.get(section, {}).get(key, [])))
    except (TypeError, ValueError):
        return  # it is refused as a whole
    found = next((e for e in entries if isinstance(e, dict) and _in_variables(str(e.get("name"))) == called), None)
    if found is None:
        entries.append(found := {"name": called})
    found[field] = text
    values.setdefault(section, {})[key] = entries


def _in_variables(name: str) -> str:
    """Return a name as names of variables have it, in lower case: `eu-1` as `eu_1`."""
    return re.sub("[^a-z0-9]", "_", name.lower())


def _require_known(section: str, key: str | None, *, where: str) -> None:
    sections = section_models()
    if section not in sections:
        raise ConfigurationError(f"Unknown section `{section}` in {where}.{_nearest(section, sections)}")
    keys = sections[section].model_fields
    if key is not None and key not in keys and (section, key) not in RETIRED:
        raise ConfigurationError(f"Unknown key `{section}.{key}` in {where}.{_nearest(key, keys)}")


def _nearest(name: str, known: Iterable[str]) -> str:
    candidates = list(known)
    near = difflib.get_close_matches(name, candidates, n=3, cutoff=0.6)
    if near:
        return f" Did you mean {' or '.join(f'`{item}`' for item in near)}?"
    return f" There are: {', '.join(f'`{item}`' for item in candidates)}."
