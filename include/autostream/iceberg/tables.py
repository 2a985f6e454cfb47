"""Loaded tables, and what they are called."""

from __future__ import annotations

from pyiceberg.table import Table


def full_name(table: Table) -> str:
    """Return a loaded table's name in full."""
    return ".".join((table.catalog.name, *table.name()))
