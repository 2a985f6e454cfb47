"""Arguments that several groups take, and what a shell completes them by."""

from __future__ import annotations

from typing import Annotated

import typer


def complete_table(incomplete: str) -> list[str]:
    """Return what the name of a table may go on with: catalogs, then a catalog's namespaces, then the tables of one.

    Whatever fails completes nothing: a shell has no place for an error.
    """
    try:
        return _next_parts(incomplete)
    except Exception:
        return []


def complete_catalog(incomplete: str) -> list[str]:
    """Return the catalogs whose names begin so."""
    from autostream.api import Lakehouse

    try:
        return [name for name in Lakehouse().catalogs if name.startswith(incomplete)]
    except Exception:
        return []


def _next_parts(incomplete: str) -> list[str]:
    from autostream.api import Lakehouse

    lakehouse = Lakehouse()
    name, dot, rest = incomplete.partition(".")
    if not dot:
        return [f"{catalog}." for catalog in lakehouse.catalogs if catalog.startswith(incomplete)]
    catalog = lakehouse.open_catalog(name)
    parent = tuple(rest.split(".")[:-1])
    found = [f"{name}.{'.'.join(namespace)}." for namespace in catalog.list_namespaces(parent)]
    if parent:
        found += [f"{name}.{'.'.join(identifier)}" for identifier in catalog.list_tables(parent)]
    return sorted(text for text in found if text.startswith(incomplete))


TableArgument = Annotated[
    str,
    typer.Argument(
        metavar="TABLE", help="CATALOG.NAMESPACE.TABLE, such as lake.db.orders.", autocompletion=complete_table
    ),
]
PatternsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATTERN...",
        help="Full names, or patterns of them such as 'lake.shop.*'; a catalog's name alone: all of its tables. None: "
        "all tables of all catalogs.",
        autocompletion=complete_table,
    ),
]
NamespaceOption = Annotated[
    str | None,
    typer.Option("--namespace", metavar="NAME", help="Only tables of this namespace and those within it."),
]
