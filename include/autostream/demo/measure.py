"""What a table is like to those who read it: files, bytes, what is in it and how long a question takes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from pyiceberg.table import Table

from autostream import times
from autostream.iceberg.state import read_state
from autostream.lake.scan import scan_table


@dataclass(frozen=True)
class Figures:
    """One table at one moment.

    Attributes:
        data_files: Live data files.
        delete_files: Live equality- and position-delete files.
        size_bytes: Size of both.
        rows: Rows that a reader gets.
        checksum: Sum of the hashes of these rows; two tables with the same rows, in whatever order, have the same.
        query_seconds: The median of the times that the question took.
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


def measure(
    table: Table, snapshot_ids: Sequence[int], *, columns: Sequence[str], question: str, repetitions: int = 7
) -> list[Figures]:
    """Read snapshots of a table as readers do.

    The snapshots are asked in turn, so that whatever else the machine does slows all of them down alike.

    Args:
        table: The table, refreshed.
        snapshot_ids: The snapshots.
        columns: What is asked about.
        question: SQL, with `rows` for the table.
        repetitions: How often the question is asked of each.

    Returns:
        One a snapshot.
    """
    seconds: dict[int, list[float]] = {snapshot_id: [] for snapshot_id in snapshot_ids}
    for _ in range(repetitions):
        for snapshot_id in snapshot_ids:
            started = times.monotonic()
            _answer(table, snapshot_id, columns, question)
            seconds[snapshot_id].append(times.monotonic() - started)
    return [_figures(table, snapshot_id, statistics.median(seconds[snapshot_id])) for snapshot_id in snapshot_ids]


def _figures(table: Table, snapshot_id: int, query_seconds: float) -> Figures:
    state = read_state(table, snapshot_id=snapshot_id)
    rows, checksum = _answer(table, snapshot_id, None, "SELECT count(*), sum(hash(rows)) FROM rows")[0]
    return Figures(
        data_files=len(state.data),
        delete_files=len(state.deletes),
        size_bytes=sum(file.size_bytes for file in (*state.data.values(), *state.deletes.values())),
        rows=int(rows),
        checksum=str(checksum),
        query_seconds=query_seconds,
    )


def _answer(table: Table, snapshot_id: int, columns: Sequence[str] | None, question: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.register("rows", scan_table(table, columns=columns, snapshot_id=snapshot_id).to_batches())
        found: list[tuple[Any, ...]] = connection.execute(question).fetchall()
        return found
