"""What the rows of all packages have in common, and the list of the modules that declare them.

A package that keeps rows declares them in a module of its own as subclasses of `RowBase`, adds that module to
`ROW_MODULES`, and adds a migration that makes their tables. Names of tables begin with `autostream_`, as the database
may be one that others use too.
"""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import BigInteger, Integer, MetaData
from sqlalchemy.orm import DeclarativeBase

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Value = TypeVar("Value", bound="DataclassInstance")

ROW_MODULES: Final = (
    "autostream.access.rows",
    "autostream.health.rows",
    "autostream.lake.compaction.runs.rows",
    "autostream.notify.rows",
    "autostream.store.chores",
    "autostream.store.journal",
    "autostream.store.leases",
    "autostream.telemetry.rows",
    "autostream.watermark.history.rows",
)
"""The modules that declare rows, by name: what they belong to lies above this package."""

ROW_ID: Final = BigInteger().with_variant(Integer, "sqlite")
"""The type of keys that the database numbers: SQLite does that for INTEGER only."""


class RowBase(DeclarativeBase):
    """The base of all rows."""


def value_of(kind: type[Value], row: Any, **others: Any) -> Value:
    """Return a row as a value of a dataclass: each field from the column of its name, but for the others."""
    named = (field.name for field in fields(kind) if field.name not in others)
    return kind(**{name: getattr(row, name) for name in named}, **others)


def declared_tables() -> MetaData:
    """Return the tables of all packages, as their rows declare them."""
    for module in ROW_MODULES:
        import_module(module)
    return RowBase.metadata
