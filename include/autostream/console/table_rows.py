"""The list of tables: what a row has, which rows were asked for, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from autostream.console.sorting import Sorts, sort_by
from autostream.lake.compaction.runs.log import CompactionRun
from autostream.lake.table_sizes import TableSizes
from autostream.watermark.marks import MarkSource, TableMark, WriterMark, slowest

NOT_KNOWN: Final = TableSizes()


@dataclass(frozen=True)
class TableRow:
    """What is known of one table.

    Attributes:
        name: Its full name.
        sizes: How large it is.
        mark: How complete it is; None where it was not looked at yet, or cannot be.
        last_run: Its last compaction; None where none is recorded.
        problem: Why something is not known; empty where all is.
    """

    name: str
    sizes: TableSizes = NOT_KNOWN
    mark: TableMark | None = None
    last_run: CompactionRun | None = None
    problem: str = ""

    @property
    def watermark_ms(self) -> int | None:
        """The table's watermark."""
        return self.mark.watermark_ms if self.mark else None

    @property
    def held_back_by(self) -> WriterMark | None:
        """The writer that the table waits for; None where no writers report, or all have ended."""
        if self.mark is None or self.mark.source is not MarkSource.WRITERS or self.mark.ended:
            return None
        return slowest(self.mark.writers)

    def lag_ms(self, now_ms: int) -> int | None:
        """Return how far the watermark is behind now; None where there is none, or all data has come."""
        if self.mark is None or self.mark.watermark_ms is None or self.mark.ended:
            return None
        return now_ms - self.mark.watermark_ms


SORTS: Final[Sorts[TableRow]] = {
    "table": lambda row: row.name,
    "data_files": lambda row: row.sizes.data_files,
    "delete_files": lambda row: row.sizes.delete_files,
    "small_files": lambda row: row.sizes.small_files_ratio,
    "size": lambda row: row.sizes.size_bytes,
    "compacted": lambda row: row.last_run.ended_at_ms if row.last_run else None,
    # Now is the same for all rows: the longest lag is that of the lowest watermark.
    "lag": lambda row: row.lag_ms(0),
}
"""What rows can be sorted by, by its name."""


def find_rows(rows: Iterable[TableRow], word: str) -> list[TableRow]:
    """Return the rows with a word in the name of their table, whatever its case."""
    wanted = word.strip().lower()
    return [row for row in rows if wanted in row.name.lower()]


def sort_rows(rows: Iterable[TableRow], sort: str) -> list[TableRow]:
    """Return rows in an order, see `sort_by`: by a key of `SORTS`.

    Raises:
        UsageError: There is no such order.
    """
    return sort_by(rows, sort, SORTS, name=lambda row: row.name)
