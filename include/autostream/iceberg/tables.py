"""Loaded tables: what they are called, and their properties."""

from __future__ import annotations

from pyiceberg.table import Table

from autostream.names import TableName
from autostream.properties import Properties, of_table


def full_name(table: Table) -> str:
    """Return a loaded table's name in full."""
    return str(TableName.of(table.catalog.name, table.name()))


def properties_of(table: Table) -> Properties:
    """Return a loaded table's properties, to be read as typed values."""
    return of_table(full_name(table), table.metadata.properties)
