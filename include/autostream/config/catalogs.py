"""The catalogs of PyIceberg's own configuration, which holds them for autostream too."""

from __future__ import annotations

from collections.abc import Mapping

from autostream.config.root import Settings
from autostream.errors import ConfigurationError
from autostream.masking import learn_from


def configured_catalogs(settings: Settings) -> tuple[str, ...]:
    """Names of the catalogs to look through: those of `compaction.catalogs`, else all that PyIceberg's own has."""
    return settings.compaction.catalogs or tuple(pyiceberg_catalogs())


def pyiceberg_catalogs() -> dict[str, dict[str, str]]:
    """Return the catalogs of PyIceberg's own configuration: name -> properties, secrets not masked.

    Raises:
        ConfigurationError: The configuration is no mapping of catalogs.
    """
    from pyiceberg.utils.config import Config

    try:
        catalogs = Config().config.get("catalog") or {}
    except Exception as error:
        raise unreadable(error) from None
    if not isinstance(catalogs, dict):
        raise ConfigurationError("Invalid configuration of PyIceberg: `catalog` must map names to properties.")
    found = {str(name): properties for name, properties in sorted(catalogs.items()) if isinstance(properties, dict)}
    for properties in found.values():
        learn_from(properties)
    return {name: {str(key): str(value) for key, value in properties.items()} for name, properties in found.items()}


def unreadable(error: Exception) -> ConfigurationError:
    """Return what to tell of a file of PyIceberg's that is no YAML."""
    return ConfigurationError(
        f"Cannot read the configuration of PyIceberg: {_without_content(error)}. Check .pyiceberg.yaml in "
        "PYICEBERG_HOME, in your home directory or in the working directory."
    )


def _without_content(error: Exception) -> str:
    """Return what is wrong with PyIceberg's configuration, without what it says: that may be a secret."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return f"line {mark.line + 1} is wrong" if mark else str(error).partition(", value: ")[0]


def is_hive_catalog(properties: Mapping[str, str]) -> bool:
    """Whether a catalog with these properties of PyIceberg is one of Hive Metastore."""
    kind = properties.get("type", "").lower() or properties.get("py-catalog-impl", "")
    return "hive" in kind.lower() or (not kind and properties.get("uri", "").startswith("thrift"))
