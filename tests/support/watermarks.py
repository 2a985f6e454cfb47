"""Recorders that run beside a test, and the check of all that they have published."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata

from autostream.catalogs.opening import open_catalog
from autostream.config import WatermarkSettings
from autostream.watermark.codec import read_properties
from autostream.watermark.recording.recorder import Recorder
from tests.support.event_jobs import EventJob, Rows, rows_up_to
from tests.support.flink_clusters import open_cluster

KEEP_ALL_METADATA = {"write_metadata_previous__versions__max": "100000"}
"""For ``create_table``: the table as it was at each publication can be looked at afterwards."""
QUICK_PAGES = {"conf.web.refresh-interval": 100}
"""For a job: it shows its state at once, so that a test need not wait for what it shows."""


@contextlib.contextmanager
def recording(catalog: Catalog, job: EventJob, settings: WatermarkSettings) -> Iterator[Recorder]:
    """Run a recorder of a job's cluster in a thread, with a connection to the catalog of its own."""
    properties = {key: str(value) for key, value in catalog.properties.items()} | {"type": "sql"}
    recorder = Recorder(settings, [open_cluster(job.rest)], open_catalog=lambda name: open_catalog(name, properties))
    stop = threading.Event()
    thread = threading.Thread(target=recorder.run, args=(stop,))
    thread.start()
    try:
        yield recorder
    finally:
        stop.set()
        thread.join()


@dataclass(frozen=True)
class Published:
    """A watermark as it appeared in a table, with the table as it was in that very moment."""

    watermark_ms: int
    metadata: TableMetadata


def published(table: Table) -> list[Published]:
    """Return every watermark that a table has had, oldest first; the table must have kept its metadata."""
    locations = [entry.metadata_file for entry in table.metadata.metadata_log]
    versions = [FromInputFile.table_metadata(table.io.new_input(location)) for location in locations]
    found: list[Published] = []
    for metadata in [*versions, table.metadata]:
        watermark = read_properties("", metadata.properties).watermark_ms
        if watermark is not None and (not found or found[-1].watermark_ms != watermark):
            found.append(Published(watermark, metadata))
    return found


def assert_sound(table: Table, *, end: int | None = None) -> list[Published]:
    """Check that each watermark's rows were in the table when it appeared, and that it never went back.

    Returns:
        What was published.
    """
    rows = Rows()
    history = published(table)
    watermarks = [entry.watermark_ms for entry in history]
    assert watermarks == sorted(watermarks), "a watermark went back"
    for entry in history:
        snapshot = entry.metadata.current_snapshot()
        present = rows(table, snapshot.snapshot_id if snapshot else None, metadata=entry.metadata)
        missing = [n for n in rows_up_to(entry.watermark_ms, end=end) if n not in present]
        assert not missing, f"{len(missing)} rows up to {entry.watermark_ms} are missing, the first: {missing[:5]}"
    return history
