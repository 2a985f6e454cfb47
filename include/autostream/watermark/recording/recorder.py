"""The recorder: reads watermarks of many Flink jobs, proves them, and publishes them in the tables.

One loop in one thread decides; requests to each Flink cluster and to the catalogs are made by a bounded pool each, so
that one that does not answer does not block others. What fails is said once and tried again later;
it never ends the loop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from autostream import times
from autostream.catalogs.opening import open_catalog
from autostream.config import WatermarkSettings
from autostream.flink.cluster import FlinkCluster
from autostream.notices import Notice
from autostream.watermark.changes import WatermarkChange
from autostream.watermark.recording.background_calls import BackgroundCalls
from autostream.watermark.recording.job_visits import JobVisits
from autostream.watermark.recording.leadership import Leadership, UncontestedLeadership
from autostream.watermark.recording.recorded_jobs import RecordedCluster
from autostream.watermark.recording.table_visits import RecorderServices, TableVisits


class Recorder:
    """Records the watermarks of all jobs of some Flink clusters; `run` it."""

    def __init__(
        self,
        settings: WatermarkSettings,
        clusters: Sequence[FlinkCluster],
        *,
        leadership: Leadership | None = None,
        on_publication: Callable[[Table, WatermarkChange], None] = lambda table, change: None,
        on_notice: Callable[[Notice], object] = lambda notice: None,
        on_step: Callable[[], None] = lambda: None,
        open_catalog: Callable[[str], Catalog] = open_catalog,
        pool: Callable[[str], Executor] | None = None,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            settings: rules, intervals.
            clusters: the clusters whose jobs are recorded.
            leadership: whether this process may publish; always, where None.
            on_publication: told of each table that watermarks were recorded in and what was, in the thread that did it.
            on_notice: told what people are to be told of: a table is late, or has caught up.
            on_step: called repeatedly while it runs, so that a health check sees that it is alive.
            open_catalog: opens a catalog by its name; each is opened once.
            pool: makes the pool for a cluster, or for the catalogs; threads where None.
        """
        new_pool = pool or (lambda name: ThreadPoolExecutor(settings.concurrency, thread_name_prefix=name))
        recorded = [RecordedCluster(cluster.rest, new_pool(cluster.name)) for cluster in clusters]
        surroundings = RecorderServices(
            pool=new_pool("catalogs"),
            leadership=leadership or UncontestedLeadership(),
            on_publication=on_publication,
            on_notice=on_notice,
            open_catalog=open_catalog,
        )
        self._work = BackgroundCalls()
        self.tables = TableVisits(settings, self._work, surroundings)
        self.jobs = JobVisits(settings, self._work, self.tables, recorded)
        self._pools = [surroundings.pool, *(cluster.pool for cluster in recorded)]
        self._on_step = on_step

    def run(self, stop: threading.Event, *, seconds: float | None = None) -> None:
        """Record until told to stop, or for some time; what is under way is finished."""
        deadline = None if seconds is None else times.monotonic() + seconds
        while not stop.is_set() and (deadline is None or times.monotonic() < deadline):
            self.step()
            if not self._work.wait(timeout_seconds=0.2):
                stop.wait(0.2)
        self._work.wait()
        self._work.collect()
        for pool in self._pools:
            pool.shutdown()

    def step(self) -> None:
        """Take what has been answered, and ask what is due."""
        self._on_step()
        self._work.collect()
        self.jobs.step()
        self.tables.step()

    def notes(self) -> dict[str, str]:
        """Return why writers do not advance: `TABLE, writer NAME` to the reason."""
        return self.jobs.notes()
