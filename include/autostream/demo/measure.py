"""What a table is like to those who read it: files, bytes, what is in it and how long a question takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from pyiceberg.table import Table

from autostream.lake.scan import scan_table
from autostream.lake.state import read_state


@dataclass(frozen=True)
class Figures:
    """One table at one moment.

    Attributes:
        data_files: Live data files.
        delete_files: Live equality- and position-delete files.
        size_bytes: Size of both.
        rows: Rows that a reader gets.
        checksum: Sum of the hashes of these rows; two tables with the same rows, in whatever order, have the same.
        query_seconds: The shortest time that the question took.
    """

    data_files: int
    delete_files: int
    size_bytes: int
    rows: int
    checksum: str
    query_seconds: float

    def same_contents(self, other: Figures) -> bool:
        """Whether readers get the same rows."""
        return (self.rows, self.checksum) == (other.rows, other.checksum)


def measure(table: Table, *, columns: Sequence[str], question: str, repetitions: int = 3) -> Figures:
    """Reads the table as readers do.

    Args:
        table: The table; it is refreshed first.
        columns: What is asked about.
        question: SQL, with `rows` for the table.
        repetitions: How often the question is asked.
    """
    table.refresh()
    state = read_state(table)
    rows, checksum = _answer(table, None, "SELECT count(*), sum(hash(rows)) FROM rows")[0]
    seconds = []
    for _ in range(repetitions):
        started = time.perf_counter()
        _answer(table, columns, question)
        seconds.append(time.perf_counter() - started)
    return Figures(
        data_files=len(state.data),
        delete_files=len(state.deletes),
        size_bytes=sum(file.size_bytes for file in (*state.data.values(), *state.deletes.values())),
        rows=int(rows),
        checksum=str(checksum),
        query_seconds=min(seconds),
    )


def _answer(table: Table, columns: Sequence[str] | None, question: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.register("rows", scan_table(table, columns=columns).to_batches())
        found: list[tuple[Any, ...]] = connection.execute(question).fetchall()
        return found
