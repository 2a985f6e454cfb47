"""How large a table is, by what its newest metadata says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pyiceberg.table.metadata import TableMetadata

from autostream.lake.compaction.compaction_options import ENABLED
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
        snapshot = metadata.current_snapshot()
        said: Mapping[str, str] = snapshot.summary.additional_properties if snapshot and snapshot.summary else {}
        return cls(
            table=table,
            format_version=metadata.format_version,
            compaction_enabled=of_table(table, metadata.properties).is_true(ENABLED),
            data_files=_number(said.get("total-data-files")),
            delete_files=_number(said.get("total-delete-files")),
            bytes=_number(said.get("total-files-size")),
            records=_number(said.get("total-records")),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON carries it."""
        return asdict(self)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
