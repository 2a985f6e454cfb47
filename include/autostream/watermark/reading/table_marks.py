"""The watermark of a table, read from its metadata alone."""

from __future__ import annotations

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from autostream import times
from autostream.catalogs.opening import open_table
from autostream.config import WatermarkSettings, load_settings
from autostream.names import TableName
from autostream.watermark.codec import read_properties
from autostream.watermark.marks import TableMark


def read_mark(
    name: TableName | str, *, catalog: Catalog | None = None, settings: WatermarkSettings | None = None
) -> TableMark:
    """Load a table and return how complete it is.

    Args:
        name: the table's full name.
        catalog: its catalog, where it is open already.
        settings: which foreign keys count; those of the configuration where None.

    Raises:
        UsageError: the catalog has no such table.
        ConfigurationError: the catalog cannot be opened or read, or a table property is wrong.
        AutostreamError: the table's metadata cannot be read.
    """
    return mark_of(open_table(name, catalog=catalog), str(name), settings=settings)


def mark_of(
    table: Table, name: str, *, settings: WatermarkSettings | None = None, now_ms: int | None = None
) -> TableMark:
    """Return how complete a loaded table is: what its writers report, or else what can be derived.

    Args:
        table: as it was loaded.
        name: its full name.
        settings: which foreign keys count, and what is too far ahead; those of the configuration where None.
        now_ms: epoch milliseconds of now; those of this machine's clock where None.

    Raises:
        ConfigurationError: a table property is wrong.
    """
    settings = settings or load_settings().watermark
    now_ms = times.now_ms() if now_ms is None else now_ms
    latest_ms = now_ms + settings.max_ahead_seconds * 1000
    mark = read_properties(name, table.metadata.properties, latest_ms=latest_ms)
    if mark.source is not None:
        return mark
    from autostream.watermark.reading.derived_marks import derive_mark  # here, for it reads manifests

    return derive_mark(table, name, settings, now_ms=now_ms)
