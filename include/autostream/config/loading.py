"""Reads the configuration: defaults, then `autostream.toml`, then environment variables AUTOSTREAM_SECTION__KEY.

The file is the one that AUTOSTREAM_CONFIG names, else the one in the working directory, if there is one. Iceberg
catalogs are not in it: PyIceberg's own configuration holds those.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from autostream.config.root import Settings, section_models
from autostream.errors import ConfigurationError
from autostream.masking import mask_setting

FILE_NAME: Final = "autostream.toml"
FILE_VARIABLE: Final = "AUTOSTREAM_CONFIG"
VARIABLE_PREFIX: Final = "AUTOSTREAM_"


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
    for name, (section, key), text in _from_environment(variables):
        values.setdefault(section, {})[key] = text
        origins[section, key] = f"environment {name}"
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, origins)) from error
    return settings.read_from(origins, file)


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
                f"{FILE_VARIABLE} names {path}, which is no file. Correct the path, or unset {FILE_VARIABLE}."
            )
        return path
    path = (directory or Path.cwd()) / FILE_NAME
    return path if path.is_file() else None


def _from_file(file: Path) -> tuple[dict[str, dict[str, Any]], dict[tuple[str, str], str]]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} is no TOML: {error}.") from error
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}. Correct its permissions.") from error
    origins: dict[tuple[str, str], str] = {}
    for section, content in document.items():
        _require_known(section, None, where=str(file))
        if not isinstance(content, dict):
            raise ConfigurationError(f"`{section}` in {file} must be a section: write [{section}] above its keys.")
        for key in content:
            _require_known(section, key, where=str(file))
            origins[section, key] = f"file {file}"
    return document, origins


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, str], str]]:
    for name, text in sorted(environ.items()):
        section, separator, key = name.removeprefix(VARIABLE_PREFIX).partition("__")
        if not name.startswith(VARIABLE_PREFIX) or not separator:
            continue  # AUTOSTREAM_CONFIG, AUTOSTREAM_LOG and what else needs no file
        section, key = section.lower(), key.lower()
        where = f"the environment variable {name}"
        _require_known(section, None, where=where)
        _require_known(section, key, where=where)
        yield name, (section, key), text


def _require_known(section: str, key: str | None, *, where: str) -> None:
    sections = section_models()
    if section not in sections:
        raise ConfigurationError(f"Unknown section `{section}` in {where}.{_nearest(section, sections)}")
    keys = sections[section].model_fields
    if key is not None and key not in keys:
        raise ConfigurationError(f"Unknown key `{section}.{key}` in {where}.{_nearest(key, keys)}")


def _nearest(name: str, known: Iterable[str]) -> str:
    candidates = list(known)
    near = difflib.get_close_matches(name, candidates, n=3, cutoff=0.6)
    if near:
        return f" Did you mean {' or '.join(f'`{item}`' for item in near)}?"
    return f" There are: {', '.join(f'`{item}`' for item in candidates)}."


def _explain(error: ValidationError, origins: Mapping[tuple[str, str], str]) -> str:
    lines = []
    for problem in error.errors():
        section, key = (*(str(part) for part in problem["loc"]), "")[:2]
        origin = origins.get((section, key), "default")
        where = f" ({origin})" if origin != "default" else ""
        shown = mask_setting(key, str(problem["input"]))
        if problem["type"] == "missing":
            lines.append(f"`{section}.{key}`{where} needs `{problem['loc'][-1]}`, which {shown} does not have.")
            continue
        reason = problem["msg"].removeprefix("Value error, ")
        lines.append(f"`{section}.{key}`{where} cannot be {shown!r}: {reason}.")
    return " ".join(lines)
