"""Catalogs and tables by name, with errors that say what to configure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Final

from pyiceberg.catalog import Catalog, infer_catalog_type, load_catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table
from pyiceberg.utils.config import Config

from autostream.catalogs.acting import FILE_IO, WEBHDFS_IO
from autostream.config import pyiceberg_catalogs
from autostream.errors import AutostreamError, ConfigurationError, UnsupportedTableError, UsageError
from autostream.masking import ESCAPES, cuts_password, learn_from
from autostream.names import TableName
from autostream.spelling import meant, one_of

IMPLEMENTATIONS: Final = {
    "hive": "autostream.catalogs.hive.HiveCatalog",
    "rest": "autostream.catalogs.rest.RestCatalog",
    "sql": "autostream.catalogs.sql.SqlCatalog",
}
"""What opens each type of catalog: PyIceberg's own, with commits that are asked after and locked."""


def open_catalog(name: str, properties: Mapping[str, str] | None = None) -> Catalog:
    """Open a catalog by PyIceberg's own configuration, with `properties` on top.

    Raises:
        ConfigurationError: no such catalog is configured, or it cannot be opened.
    """
    try:
        if not properties:
            require_catalogs([name])
        return _open(name, dict(properties or {}))
    except AutostreamError:
        raise
    except Exception as error:  # each catalog type fails in its own way
        if (failure := _explained(error)) is not None:
            where = f" The uri is set in .pyiceberg.yaml, or by PYICEBERG_CATALOG__{name.upper()}__URI."
            place = where if isinstance(failure, ConfigurationError) else ""
            raise type(failure)(f"Cannot open catalog {name!r}: {failure}{place}") from error
        raise ConfigurationError(
            f"Cannot open catalog {name!r}: {error or type(error).__name__}. Configure it in .pyiceberg.yaml or by "
            f"environment variables such as PYICEBERG_CATALOG__{name.upper()}__URI. Check that its service is up."
        ) from error


def require_catalogs(names: Iterable[str]) -> None:
    """Refuse names of catalogs that PyIceberg's configuration does not have.

    Raises:
        ConfigurationError: there is no such catalog; says which there are.
    """
    for name in names:
        if Config().get_catalog_config(name) is not None:
            continue
        known = list(pyiceberg_catalogs())
        if known:
            raise ConfigurationError(f"Unknown catalog {name!r}. {one_of(name, known, 'Configured')}")
        raise ConfigurationError(
            f"Unknown catalog {name!r}: no catalog is configured. Configure it in .pyiceberg.yaml, or by environment "
            f"variables such as PYICEBERG_CATALOG__{name.upper()}__URI."
        )


def _open(name: str, properties: dict[str, str]) -> Catalog:
    """Open a catalog by our own implementation of its type where there is one, else by PyIceberg's."""
    merged = {**(Config().get_catalog_config(name) or {}), **properties}
    learn_from(merged)
    if any(map(cuts_password, re.findall(r"(?:https?|thrift)://[^,]+", str(merged.get("uri", ""))))):
        raise ConfigurationError(
            f"Invalid property uri of catalog {name!r}: its password has a character with a special meaning in URLs. "
            f"{ESCAPES}"
        )
    if FILE_IO not in merged and any(key.startswith("webhdfs.") for key in merged):
        properties[FILE_IO] = merged[FILE_IO] = WEBHDFS_IO
    implementation = merged.get("py-catalog-impl") or _implementation(name, merged)
    if implementation is None:
        return load_catalog(name, **properties)
    module, _, attribute = str(implementation).rpartition(".")
    catalog: Catalog = getattr(import_module(module), attribute)(name, **{k: str(v) for k, v in merged.items()})
    return catalog


def _implementation(name: str, properties: Mapping[str, object]) -> str | None:
    """Return the class that opens a type of catalog; a type with a dot is a class itself."""
    kind = str(properties.get("type") or "").lower()
    if "." in kind:
        return str(properties["type"])
    if not properties.get("uri"):
        if kind in IMPLEMENTATIONS:
            raise ConfigurationError(
                f"Catalog {name!r} has no uri. Set it in .pyiceberg.yaml or by PYICEBERG_CATALOG__{name.upper()}__URI."
            )
        return None  # PyIceberg's own message says what is missing
    inferred = None if kind else infer_catalog_type(name, properties)  # type: ignore[arg-type]
    return IMPLEMENTATIONS.get(kind or (inferred.value if inferred else ""))


def open_table(name: TableName | str, *, catalog: Catalog | None = None) -> Table:
    """Load a table by its full name.

    Raises:
        UsageError: the catalog has no such table.
        ConfigurationError: the catalog cannot be opened or read.
        AutostreamError: the table's metadata cannot be read.
    """
    name = TableName.parse(name) if isinstance(name, str) else name
    catalog = catalog or open_catalog(name.catalog)
    try:
        return catalog.load_table(name.identifier)
    except NoSuchTableError as error:
        raise UsageError(
            f"Table {name} does not exist in catalog {name.catalog!r}.{_what_was_meant(name, catalog)} "
            f"'autostream table list {name.catalog}' shows the tables it has."
        ) from error
    except FileNotFoundError as error:
        raise AutostreamError(
            f"Cannot read the metadata of table {name}: {error}. The catalog points to a file that does not exist. "
            "Restore the file, or point the catalog to the newest metadata.json that exists."
        ) from error
    except AutostreamError as error:  # denied, unreachable: it says what to do
        raise type(error)(f"Table {name}: {error}") from error
    except Exception as error:
        if (failure := _explained(error)) is not None:
            raise type(failure)(f"Table {name}: {failure}") from error
        if "manifest-list\n  Field required" in str(error):
            raise UnsupportedTableError(
                f"Table {name} has snapshots that list their manifests in the metadata file itself ('manifests', not "
                "'manifest-list'), as the first Iceberg releases did. autostream cannot read these. Nothing was "
                "changed. Write to the table with a newer Iceberg release, for example from Spark or Flink, then "
                "expire the old snapshots with it."
            ) from error
        raise ConfigurationError(
            f"Cannot load table {name} from catalog {name.catalog!r}: {type(error).__name__}: {error}. Check the "
            "catalog's connection and the table's metadata file."
        ) from error


def _what_was_meant(name: TableName, catalog: Catalog) -> str:
    """Return what a catalog has that looks like a table's name, for a message; nothing where it cannot be asked."""
    *parents, _ = name.identifier
    try:
        try:
            tables = [identifier[-1] for identifier in catalog.list_tables(tuple(parents))]
        except NoSuchNamespaceError:
            tables = []
        if not tables:
            namespaces = sorted(".".join(levels) for levels in catalog.list_namespaces(tuple(parents[:-1])))
            if name.namespace not in namespaces:
                others = f" {one_of(name.namespace, namespaces, 'Namespaces')}" if namespaces else ""
                return f" Namespace {name.namespace} does not exist.{others}"
        near = meant(name.table, tables)
    except Exception:  # the message is about the table
        return ""
    return f" Did you mean {TableName(name.catalog, name.namespace, near)}?" if near else ""


def list_tables(catalog: Catalog, catalog_name: str) -> Iterator[TableName]:
    """Yield the names of all tables of a catalog, namespaces of every level included.

    Raises:
        AutostreamError: the catalog does not answer, or denies it.
    """
    try:
        yield from _walk(catalog, catalog_name)
    except AutostreamError:
        raise
    except Exception as error:
        if (failure := _explained(error)) is None:
            raise
        raise type(failure)(f"Cannot list the tables of catalog {catalog_name!r}: {failure}") from error


def _explained(error: Exception) -> AutostreamError | None:
    from autostream.catalogs.failures import explained  # loads the libraries of all types of catalogs

    return explained(error)


def _walk(catalog: Catalog, catalog_name: str) -> Iterator[TableName]:
    pending = sorted(catalog.list_namespaces())
    while pending:
        namespace = pending.pop(0)
        for identifier in sorted(catalog.list_tables(namespace)):
            yield TableName.of(catalog_name, identifier)
        pending.extend(child for child in catalog.list_namespaces(namespace) if len(child) > len(namespace))
