"""Watermarks that people change: recorded in the table, remembered in the database, and what the table says then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autostream.watermark.history.publications import record_publication
from autostream.watermark.publish import Decision, publish
from autostream.watermark.reading.table_marks import mark_of

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from autostream.config import Settings
    from autostream.watermark.changes import WatermarkChange
    from autostream.watermark.marks import TableMark


@dataclass(frozen=True)
class WatermarkUpdate:
    """What a change of watermarks came to.

    Attributes:
        mark: How complete the table is, after it.
        change: What was changed and what happened thereby; nothing where the table said it all already.
    """

    mark: TableMark
    change: WatermarkChange

    @property
    def changed(self) -> bool:
        """Whether anything was recorded."""
        return bool(self.change)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON: the table's watermark, and `changed`."""
        return self.mark.to_dict() | {"changed": self.changed}


def change_watermarks(table: Table, decide: Decision, *, name: str, settings: Settings) -> WatermarkUpdate:
    """Change a table's watermarks.

    Args:
        table: As it was loaded; what it has become, on return.
        decide: What has to change; asked again upon each state of the table.
        name: The table's full name.
        settings: The configuration.

    Raises:
        AutostreamError: It was not recorded, or that is not known; as `publish` says.
    """
    change = publish(table, decide)
    record_publication(table, change.events, settings=settings.database)
    return WatermarkUpdate(mark_of(table, name, settings=settings.watermark), change)
