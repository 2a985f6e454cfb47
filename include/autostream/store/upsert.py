"""Insert rows of which some may be there already, in one statement on either database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection
from sqlalchemy.dialects import postgresql, sqlite

from autostream.store.rows import RowBase

Rows = Sequence[dict[str, Any]]


def insert_missing(connection: Connection, row_class: type[RowBase], rows: Rows) -> int:
    """Insert the rows whose key is not there yet.

    Returns:
        How many were inserted.
    """
    return _run(connection, _insert(connection, row_class, rows).on_conflict_do_nothing()) if rows else 0


def insert_or_update(
    connection: Connection,
    row_class: type[RowBase],
    rows: Rows,
    *,
    key: Sequence[str],
    updated: Sequence[str],
    where: Callable[[Any], ColumnElement[bool]] | None = None,
) -> int:
    """Insert rows; where their key is there already, change the `updated` columns of that row to those given.

    Args:
        connection: A connection of `Database.write`.
        row_class: What the rows are.
        rows: Their values by column, no key twice: PostgreSQL refuses to change a row twice by one statement.
        key: The columns of a unique constraint.
        updated: The columns to change.
        where: Gets the columns of the given row, and says when to change the row that is there; by default always.

    Returns:
        How many were inserted or changed.
    """
    if not rows:
        return 0
    statement = _insert(connection, row_class, rows)
    given = statement.excluded
    return _run(
        connection,
        statement.on_conflict_do_update(
            index_elements=key, set_={name: given[name] for name in updated}, where=where(given) if where else None
        ),
    )


def insert_or_add(
    connection: Connection, row_class: type[RowBase], rows: Rows, *, key: Sequence[str], added: Sequence[str]
) -> None:
    """Insert rows; where their key is there already, add their `added` columns to those of that row.

    Args:
        connection: A connection of `Database.write`.
        row_class: What the rows are.
        rows: Their values by column, no key twice.
        key: The columns of a unique constraint.
        added: The columns to add to; the others stay as they are.
    """
    if rows:
        statement = _insert(connection, row_class, rows)
        sums = {name: getattr(row_class, name) + statement.excluded[name] for name in added}
        _run(connection, statement.on_conflict_do_update(index_elements=key, set_=sums))


def _insert(connection: Connection, row_class: type[RowBase], rows: Rows) -> Any:
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(row_class).values(list(rows))


def _run(connection: Connection, statement: Any) -> int:
    return max(0, connection.execute(statement).rowcount)
