"""A table in the list of tables: how large it is, by its newest metadata, and whether it is compacted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pyiceberg.table.metadata import TableMetadata

from autostream.lake.compaction.compaction_options import ENABLED
from autostream.lake.table_sizes import TableSizes
from autostream.properties import of_table


@dataclass(frozen=True)
class TableSummary:
    """What the newest snapshot's summary says; None where its writer did not say it.

    Attributes:
        table: Its full name.
        format_version: Of Iceberg.
        compaction_enabled: Whether the hourly workflow compacts it.
        data_files: Number of its data files.
        delete_files: Number of its delete files.
        bytes: Size of all these files.
        records: Rows in data files, deletes not subtracted.
    """

    table: str
    format_version: int
    compaction_enabled: bool
    data_files: int | None
    delete_files: int | None
    bytes: int | None
    records: int | None

    @classmethod
    def of(cls, table: str, metadata: TableMetadata) -> TableSummary:
        """Return the summary of a table's metadata."""
        sizes = TableSizes.of(metadata)
        return cls(
            table=table,
            format_version=metadata.format_version,
            compaction_enabled=of_table(table, metadata.properties).is_true(ENABLED),
            data_files=sizes.data_files,
            delete_files=sizes.delete_files,
            bytes=sizes.size_bytes,
            records=sizes.records,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON carries it."""
        return asdict(self)
