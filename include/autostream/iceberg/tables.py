"""Loaded tables, and what they are called."""

from __future__ import annotations

from pyiceberg.table import Table

from autostream.names import TableName


def full_name(table: Table) -> str:
    """Return a loaded table's name in full."""
    return str(TableName.of(table.catalog.name, table.name()))
