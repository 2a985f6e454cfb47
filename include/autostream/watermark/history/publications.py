"""What was just published, put into the database."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from pyiceberg.table import Table

from autostream import times
from autostream.config import DatabaseSettings, load_settings
from autostream.errors import ConfigurationError, ServiceError
from autostream.iceberg.tables import full_name
from autostream.store.database import Database, open_database
from autostream.watermark.events import WatermarkEvent
from autostream.watermark.history.log import WatermarkLog
from autostream.watermark.history.log_entries import LogEntry
from autostream.watermark.history.metadata_facts import generation

_logger = logging.getLogger(__name__)


def record_publication(
    table: Table,
    events: Iterable[WatermarkEvent],
    *,
    settings: DatabaseSettings | None = None,
    database: Database | None = None,
) -> bool:
    """Put what was just published into the database; what is there already is not doubled.

    Never fails: the table's metadata has it too, from which the next question fills the gap.

    Args:
        table: as it is after the publication.
        events: what happened.
        settings: which database, and for how long it remembers; those of the configuration where None.
        database: the one that the settings name where None.

    Returns:
        Whether it is in the database; where not, a warning was logged.
    """
    name, metadata = full_name(table), table.metadata
    since = generation(metadata.properties)
    entries = [
        LogEntry(
            table_name=name,
            table_uuid=str(metadata.table_uuid),
            writer=event.writer,
            kind=event.kind.value,
            watermark_ms=event.watermark_ms,
            recorded_at_ms=event.at_ms,
            generation_ms=since,
            job_id=event.job_id,
            checkpoint_id=event.checkpoint_id,
            snapshot_id=event.snapshot_id,
            by=event.by,
            note=event.note,
        )
        for event in events
    ]
    if not entries:
        return True
    try:
        settings = settings or load_settings().database
        with (database or open_database(settings)).write() as connection:
            log = WatermarkLog(connection)
            log.add(entries)
            log.thin_when_due(now_ms=times.now_ms(), keep_days=settings.history_days)
    except (ConfigurationError, ServiceError) as error:
        _logger.warning(
            ("Could not record the history of %s. It has a gap until the table's metadata is read: %s"), name, error
        )
        return False
    return True
