"""A recorder's life, from the election to the last publication, as the configuration says."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from autostream import times
from autostream.errors import ConfigurationError
from autostream.flink.cluster import open_clusters
from autostream.iceberg.tables import full_name
from autostream.notify.telling import tell
from autostream.times import iso
from autostream.watermark.history.publications import record_publication
from autostream.watermark.recording.leadership import Leadership, UncontestedLeadership
from autostream.watermark.recording.recorder import Recorder

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

    from autostream.config import Settings
    from autostream.watermark.changes import WatermarkChange
    from autostream.watermark.events import WatermarkEvent

_MOST_PUBLICATIONS: Final = 10_000
"""Of a recorder that runs for months; the history has them all."""


@dataclass(frozen=True)
class Publication:
    """Watermarks that were recorded in a table by one commit.

    Attributes:
        table: Its full name.
        at_ms: When, epoch milliseconds.
        events: What happened.
    """

    table: str
    at_ms: int
    events: tuple[WatermarkEvent, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON: times in ISO 8601 and as `_ms`."""
        events = [
            {
                "kind": event.kind.value,
                "writer": event.writer,
                "watermark": iso(event.watermark_ms),
                "watermark_ms": event.watermark_ms,
            }
            for event in self.events
        ]
        return {"table": self.table, "at": iso(self.at_ms), "at_ms": self.at_ms, "events": events}


@dataclass(frozen=True)
class RecorderReport:
    """What a recorder did.

    Attributes:
        publications: What it recorded, the oldest first; the newest ten thousand.
        not_advancing: Why writers did not advance at its end: `TABLE, writer NAME` to the reason.
    """

    publications: tuple[Publication, ...]
    not_advancing: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return it as `autostream watermark record --json` prints it."""
        return {
            "publications": [publication.to_dict() for publication in self.publications],
            "not_advancing": dict(self.not_advancing),
        }


def record_watermarks(
    settings: Settings,
    *,
    open_catalog: Callable[[str], Catalog],
    seconds: float | None = None,
    stop: threading.Event | None = None,
    on_step: Callable[[], None] | None = None,
) -> RecorderReport:
    """Record the watermarks of running Flink jobs until told to stop, or for some time.

    Args:
        settings: The configuration: clusters, rules, ZooKeeper, database.
        open_catalog: Opens a catalog by its name.
        seconds: How long; None: until `stop` is set.
        stop: Ends it once set.
        on_step: Called again and again while it runs.

    Raises:
        ConfigurationError: No Flink cluster is configured, or one that is not known is named.
    """
    clusters = open_clusters(settings.flink, settings.watermark.flink_clusters, named_by="watermark.flink_clusters")
    if not clusters:
        raise ConfigurationError(
            "Nothing to record: no Flink cluster is configured. Write [[flink.clusters]] with `name` and `url` into "
            "autostream.toml, or set AUTOSTREAM_FLINK__CLUSTERS__PROD__URL=http://jobmanager:8081."
        )
    published: deque[Publication] = deque(maxlen=_MOST_PUBLICATIONS)

    def keep(table: Table, change: WatermarkChange) -> None:
        record_publication(table, change.events, settings=settings.database)
        published.append(Publication(full_name(table), times.now_ms(), change.events))

    with _leadership(settings) as leadership:
        recorder = Recorder(
            settings.watermark,
            clusters,
            leadership=leadership,
            on_publication=keep,
            on_notice=lambda notice: tell([notice], settings),
            on_step=on_step or (lambda: None),
            open_catalog=open_catalog,
        )
        recorder.run(stop or threading.Event(), seconds=seconds)
    return RecorderReport(tuple(published), recorder.notes())


@contextmanager
def _leadership(settings: Settings) -> Iterator[Leadership]:
    """Stand for election where ZooKeeper is configured."""
    if not settings.zookeeper.hosts:
        yield UncontestedLeadership()
        return
    from autostream.coordination.client import shared_client
    from autostream.coordination.election import Election

    with Election(shared_client(settings.zookeeper), "watermark-recorder") as election:
        yield election
