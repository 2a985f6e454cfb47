"""The recorder: reads watermarks of many Flink jobs, proves them, and publishes them in the tables.

One loop in one thread decides; requests to each Flink cluster and to the catalogs are made by a bounded pool each, so
that one that does not answer holds up no other. What fails is said once, tried again later, and never ends the loop.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from autostream.catalogs import TableName, open_catalog, open_table
from autostream.config import WatermarkSettings
from autostream.errors import AutostreamError
from autostream.flink.progress import (
    JobSummary,
    Life,
    job_parameters,
    list_jobs,
    refresh_seconds,
    trigger_checkpoint,
    was_stopped,
)
from autostream.flink.rest import FlinkRest
from autostream.watermark.commits import Committed, committed_by_all, committed_checkpoints
from autostream.watermark.evidence import Reading, Want, Watch
from autostream.watermark.looking import Looked, discover_writers, look
from autostream.watermark.properties import NOT_YET_MS, Change, Report, advance
from autostream.watermark.publish import publish
from autostream.watermark.targets import SinkWriter, Target, choose_writers, targets_of
from autostream.watermark.times import FOREVER_MS

_logger = logging.getLogger(__name__)

_END_OF_INPUT: Final = 2**63 - 1
"""Checkpoint id that FlinkSink commits by when its input has ended."""
_GONE: Final = "GONE"
"""State of a job that its cluster does not know any more."""
_MOST_BACK_OFF_SECONDS: Final = 60.0
# Between two looks at metrics, which Flink collects every ten seconds at most, unless it is told otherwise.
_MOST_PAUSE_SECONDS: Final = 1.0
# A writer that does not advance for so many intervals has its reason logged, and written into the table: whatever
# starts has nothing to show at first.
_INTERVALS_UNTIL_TOLD: Final = 5


class Leadership(Protocol):
    """Says whether this process is the one that publishes."""

    def leads(self) -> bool:
        """Whether it seems to be, without asking anybody."""
        ...

    def verify(self) -> None:
        """Make sure, right before a commit.

        Raises:
            ConflictError: it is not.
        """
        ...


class Alone:
    """Leadership where nobody is elected: whoever runs publishes, and the comparison of commits keeps that safe."""

    def leads(self) -> bool:
        """Say yes."""
        return True

    def verify(self) -> None:
        """Find nothing wrong."""


@dataclass
class _Sink:
    target: Target
    watch: Watch
    writers: tuple[SinkWriter, ...] | None = None
    commit_note: str = ""
    stalled_since: float | None = None
    told: str = ""

    @property
    def note(self) -> str:
        """Why it does not advance; empty where nothing is known to be in its way."""
        return self.watch.note or self.commit_note


@dataclass
class _Job:
    summary: JobSummary
    sinks: list[_Sink]
    life: Life | None = None
    due: float = float("-inf")
    discover_due: float = float("-inf")
    busy: bool = False
    failures: int = 0
    finished_since: float | None = None
    end_looked_for: bool = False

    @property
    def gone(self) -> bool:
        """Whether its cluster does not know it any more."""
        return self.summary.state == _GONE

    @property
    def finished(self) -> bool:
        """Whether it has come to an end that was not a failure."""
        return "FINISHED" in (self.summary.state, self.life.state if self.life else "")

    @property
    def over(self) -> bool:
        """Whether it will never run again."""
        return self.summary.ended or self.gone or (self.life is not None and self.life.over)


@dataclass
class _Cluster:
    rest: FlinkRest
    pool: Executor
    refresh: float | None = None
    jobs: dict[str, _Job] = field(default_factory=dict)
    ignored: set[str] = field(default_factory=set)
    list_due: float = float("-inf")
    busy: bool = False
    failures: int = 0


@dataclass
class _Lake:
    """A table that watermarks are recorded in, and what is to be recorded."""

    name: str
    uuid: str = ""
    reports: dict[str, Report] = field(default_factory=dict)
    look_wanted: bool = False
    look_due: float = float("-inf")
    publish_due: float = float("-inf")
    busy: bool = False
    failures: int = 0


class Recorder:
    """Records the watermarks of all jobs of some Flink clusters; `run` it."""

    def __init__(
        self,
        settings: WatermarkSettings,
        *,
        leadership: Leadership | None = None,
        on_publication: Callable[[Table, Change], None] = lambda table, change: None,
        on_step: Callable[[], None] = lambda: None,
        open_catalog: Callable[[str], Catalog] = open_catalog,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        pool: Callable[[str], Executor] | None = None,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            settings: clusters, rules, intervals.
            leadership: whether this process may publish; always, where None.
            on_publication: told of each table that watermarks were recorded in and what was, in the thread that did it.
            on_step: called again and again while it runs: whoever watches it knows by that that it lives.
            open_catalog: opens a catalog by its name; each is opened once.
            clock: monotonic seconds.
            wall_ms: epoch milliseconds of now.
            pool: makes the pool for a cluster, or for the catalogs; threads where None.
        """
        self.settings = settings
        self._leadership = leadership or Alone()
        self._on_publication, self._on_step = on_publication, on_step
        self._open = open_catalog
        self._clock, self._wall_ms = clock, wall_ms
        self._since = clock()
        new_pool = pool or (lambda name: ThreadPoolExecutor(settings.concurrency, thread_name_prefix=name))
        self._clusters = [_Cluster(FlinkRest(url), new_pool(url)) for url in settings.flink_urls]
        self._catalog_pool = new_pool("catalogs")
        self._catalogs: dict[str, Catalog] = {}
        self._catalogs_lock = threading.Lock()
        self._tables: dict[str, _Lake] = {}
        self._running: dict[Future[Any], Callable[[Future[Any]], None]] = {}
        self._said: dict[str, str] = {}

    def run(self, stop: threading.Event, *, seconds: float | None = None) -> None:
        """Record until told to stop, or for some time; what is under way is finished."""
        deadline = None if seconds is None else self._clock() + seconds
        while not stop.is_set() and (deadline is None or self._clock() < deadline):
            self.step()
            if self._running:
                wait(self._running, timeout=0.2, return_when=FIRST_COMPLETED)
            else:
                stop.wait(0.2)
        wait(self._running)
        self._collect()
        for pool in [self._catalog_pool, *(cluster.pool for cluster in self._clusters)]:
            pool.shutdown()

    def step(self) -> None:
        """Take what has been answered, and ask what is due."""
        self._on_step()
        self._collect()
        now = self._clock()
        for cluster in self._clusters:
            if not cluster.busy and now >= cluster.list_due:
                cluster.busy = True
                self._submit(cluster.pool, partial(self._list, cluster), partial(self._listed, cluster))
            for job in cluster.jobs.values():
                self._look_at_job(cluster, job, now)
        for lake in self._tables.values():
            self._look_at_table(lake, now)

    def notes(self) -> dict[str, str]:
        """Return why writers do not advance: ``TABLE writer NAME`` to the reason."""
        return {
            f"{sink.target.table} writer {sink.target.writer}": sink.note
            for cluster in self._clusters
            for job in cluster.jobs.values()
            for sink in job.sinks
            if sink.note
        }

    # ------------------------------------------------------------------------------------------------- clusters

    def _list(self, cluster: _Cluster) -> tuple[float, list[JobSummary], dict[str, dict[str, str]]]:
        refresh = refresh_seconds(cluster.rest) if cluster.refresh is None else cluster.refresh
        jobs = list_jobs(cluster.rest)
        known = cluster.ignored | {job_id for job_id, job in list(cluster.jobs.items()) if not job.gone}
        new = [job for job in jobs if job.job_id not in known]
        return refresh, jobs, {job.job_id: job_parameters(cluster.rest, job.job_id) for job in new}

    def _listed(self, cluster: _Cluster, done: Future[Any]) -> None:
        cluster.busy = False
        try:
            cluster.refresh, jobs, parameters = done.result()
        except AutostreamError as error:
            cluster.failures += 1
            cluster.list_due = self._clock() + _back_off(cluster.failures)
            self._say(cluster.rest.url, str(error))
            self._note_all(cluster, "its Flink cluster does not answer")
            return
        self._say(cluster.rest.url, "")
        cluster.failures = 0
        cluster.list_due = self._clock() + self.settings.interval_seconds
        for summary in jobs:
            if summary.job_id in parameters:
                self._meet(cluster, summary, parameters[summary.job_id])
            elif summary.job_id in cluster.jobs and not cluster.jobs[summary.job_id].gone:
                cluster.jobs[summary.job_id].summary = summary
        listed = {job.job_id for job in jobs}
        for job_id in cluster.jobs.keys() - listed:
            self._lose(cluster.jobs[job_id])
        self._note_all(cluster)
        self._forget(cluster, listed)

    def _note_all(self, cluster: _Cluster, note: str = "") -> None:
        for job in cluster.jobs.values():
            for sink in job.sinks:
                sink.watch.note = note or sink.watch.note
                self._note(sink, job)

    def _lose(self, job: _Job) -> None:
        """Take that a job's cluster does not know it; if it does again, it is met anew."""
        if job.gone:
            return
        for sink in job.sinks:
            sink.watch.lost()
        job.summary = replace(job.summary, state=_GONE)
        self._look_for_last_commits(job)

    def _look_for_last_commits(self, job: _Job) -> None:
        """Have the tables of a job looked at once more: its last commit may say that its input has ended."""
        for sink in job.sinks:
            self._tables[sink.target.table].look_wanted = True

    def _meet(self, cluster: _Cluster, summary: JobSummary, parameters: Mapping[str, str]) -> None:
        try:
            targets = targets_of(summary, self.settings.writers, parameters)
        except AutostreamError as error:
            self._say(f"job {summary.job_id}", str(error))
            targets = []
        if not targets:
            cluster.ignored.add(summary.job_id)
            return
        interval = self.settings.interval_seconds
        pause = min(_MOST_PAUSE_SECONDS, interval / 10)
        sinks = [_Sink(target, Watch(interval_seconds=interval, pause_seconds=pause)) for target in targets]
        cluster.jobs[summary.job_id] = _Job(summary, sinks)
        for target in targets:
            lake = self._tables.setdefault(target.table, _Lake(target.table))
            _logger.info("Job %s (%s) is writer %s of %s.", summary.job_id, summary.name, target.writer, target.table)
            if not summary.ended:
                # So that the table waits for all of its writers from the beginning.
                lake.reports.setdefault(target.writer, Report(target.writer, None, job_id=summary.job_id))

    def _forget(self, cluster: _Cluster, listed: set[str]) -> None:
        """Let go of jobs that the cluster has let go of, once their tables have been looked at."""
        for job_id, job in list(cluster.jobs.items()):
            waiting = any(self._tables[sink.target.table].look_wanted for sink in job.sinks)
            if job_id not in listed and not job.busy and not waiting:
                for sink in job.sinks:
                    self._tell_table(sink, job)
                del cluster.jobs[job_id]
        cluster.ignored &= listed

    # ----------------------------------------------------------------------------------------------------- jobs

    def _look_at_job(self, cluster: _Cluster, job: _Job, now: float) -> None:
        if job.busy or now < job.due or cluster.refresh is None:
            return
        if self._look_for_its_end(cluster, job, now):
            return
        if not job.over and now >= job.discover_due and any(sink.writers is None for sink in job.sinks):
            job.busy = True
            call = partial(discover_writers, cluster.rest, job.summary.job_id)
            self._submit(cluster.pool, call, partial(self._discovered, cluster, job))
            return
        wanted = {
            number: sink.watch.wants(now)
            for number, sink in enumerate(job.sinks)
            if sink.writers is not None or job.over  # one that is not found does not hold up the others
        }
        union = Want.NOTHING
        for want in wanted.values():
            union |= want
        if job.summary.ended and not (job.life is not None and job.life.over):
            union |= Want.LIFE  # its list is the first to say so
        if not union:
            return
        sinks = {
            number: sink.writers
            for number, sink in enumerate(job.sinks)
            if Want.METRICS in wanted.get(number, Want.NOTHING) and sink.writers is not None
        }
        job.busy = True
        call_look = partial(look, cluster.rest, job.summary.job_id, union, sinks, job.life, clock=self._clock)
        self._submit(cluster.pool, call_look, partial(self._looked, cluster, job))

    def _look_for_its_end(self, cluster: _Cluster, job: _Job, now: float) -> bool:
        """Ask how a job has finished, once the answer cannot be older than that: is a savepoint its last checkpoint?"""
        if not job.finished or job.end_looked_for:
            return False
        if job.finished_since is None:
            job.finished_since = now
        if now < job.finished_since + (cluster.refresh or 0.0):
            return False
        job.busy = job.end_looked_for = True
        call = partial(was_stopped, cluster.rest, job.summary.job_id)
        self._submit(cluster.pool, call, partial(self._ended, job))
        return True

    def _discovered(self, cluster: _Cluster, job: _Job, done: Future[Any]) -> None:
        job.busy = False
        writers = self._answer(job, done)
        if writers is None:
            return
        for sink in job.sinks:
            try:
                sink.writers = choose_writers(sink.target, writers)
            except AutostreamError as error:
                sink.watch.note = str(error)
                self._note(sink, job)
                job.discover_due = self._clock() + 1.0 + (cluster.refresh or 0.0)

    def _looked(self, cluster: _Cluster, job: _Job, done: Future[Any]) -> None:
        job.busy = False
        looked: Looked | None = self._answer(job, done)
        if looked is None or cluster.refresh is None:
            return
        if looked.gone:
            self._lose(job)
        for number, sink in enumerate(job.sinks):
            self._show(cluster.refresh, job, sink, number, looked)
            self._note(sink, job)
        if looked.life:
            if job.life is not None and not job.life.same_as(looked.life[0]):
                for sink in job.sinks:
                    sink.writers = None  # it may run with another parallelism by now
            job.life = looked.life[0]
        if looked.largest_checkpoint_id and self.settings.trigger_checkpoints:
            call = partial(trigger_checkpoint, cluster.rest, job.summary.job_id)
            self._submit(cluster.pool, call, partial(self._triggered, job))

    def _show(self, refresh: float, job: _Job, sink: _Sink, number: int, looked: Looked) -> None:
        if looked.life:
            reading = sink.watch.saw_life(*looked.life, refresh_seconds=refresh)
            if reading:
                self._proved(job, sink, reading)
        if number in looked.metrics:
            sink.watch.saw_metrics(*looked.metrics[number], refresh_seconds=refresh)
        if looked.largest_checkpoint_id:
            sink.watch.saw_checkpoints(*looked.largest_checkpoint_id)

    def _ended(self, job: _Job, done: Future[Any]) -> None:
        """Take how a job finished: by itself, then Flink has committed everything, and nothing will come after it."""
        job.busy = False
        try:
            stopped = done.result()
        except AutostreamError:
            job.end_looked_for = False
            self._answer(job, done)
            return
        if stopped is None:
            self._lose(job)
            return
        for sink in job.sinks:
            if not stopped:
                self._report_end(job, sink)
        self._look_for_last_commits(job)

    def _report_end(self, job: _Job, sink: _Sink) -> None:
        """Have it recorded that nothing will come any more, unless another job goes on where this one ended."""
        if all(other.over for other in self._others(job, sink)):
            self._report(sink.target, Report(sink.target.writer, FOREVER_MS, job.summary.job_id))

    def _triggered(self, job: _Job, done: Future[Any]) -> None:
        error = done.exception()
        self._say(f"checkpoint of job {job.summary.job_id}", str(error) if error else "")

    def _answer(self, job: _Job, done: Future[Any]) -> Any:
        """Return what a request about a job was answered by; None where it failed, which is tried again later."""
        try:
            answer = done.result()
        except AutostreamError as error:
            job.failures += 1
            job.due = self._clock() + _back_off(job.failures)
            self._say(f"job {job.summary.job_id}", str(error))
            return None
        job.failures = 0
        self._say(f"job {job.summary.job_id}", "")
        return answer

    def _proved(self, job: _Job, sink: _Sink, reading: Reading) -> None:
        others = [other for other in self._others(job, sink) if not other.over]
        if others:
            ids = ", ".join(other.summary.job_id for other in others)
            sink.watch.note = f"another job that runs is called so, too ({ids}): give them different names"
            return
        self._report(sink.target, Report(sink.target.writer, reading.watermark_ms, job.summary.job_id, reading.floor))

    def _report(self, target: Target, report: Report) -> None:
        """Have something recorded, unless something further is waiting to be."""
        lake = self._tables[target.table]
        before = lake.reports.get(target.writer)
        if before is None or before.watermark_ms is None or before.watermark_ms <= (report.watermark_ms or NOT_YET_MS):
            lake.reports[target.writer] = report
        elif report.note:
            lake.reports[target.writer] = replace(before, note=report.note)

    def _others(self, job: _Job, sink: _Sink) -> list[_Job]:
        """Return the other jobs that are the same writer of the same table: before it was restored, or by mistake."""
        lake = self._tables[sink.target.table]
        return [other for other, its in self._sinks_of(lake) if its.target == sink.target and other is not job]

    def _note(self, sink: _Sink, job: _Job) -> None:
        """Say once why a sink does not advance, and after a while write it into the table."""
        note, now, interval = sink.note, self._clock(), self.settings.interval_seconds
        subject = f"{sink.target.table}, writer {sink.target.writer}"
        if not note:
            sink.stalled_since, sink.told = None, ""
            self._say(subject, "")
        elif sink.stalled_since is None:
            sink.stalled_since = now
        elif now - sink.stalled_since > _INTERVALS_UNTIL_TOLD * interval:
            self._say(subject, note)
            self._tell_table(sink, job)

    def _tell_table(self, sink: _Sink, job: _Job) -> None:
        """Have it written into the table why a sink does not advance, unless another job has taken its place."""
        replaced = any(not other.over for other in self._others(job, sink))
        if sink.told != sink.note and not replaced:
            sink.told = sink.note
            self._report(sink.target, Report(sink.target.writer, None, job.summary.job_id, note=sink.told))

    # --------------------------------------------------------------------------------------------------- tables

    def _look_at_table(self, lake: _Lake, now: float) -> None:
        if lake.busy:
            return
        publishes = now >= lake.publish_due and self._has_work(lake) and self._leadership.leads()
        waited_for = any(sink.watch.waits_for_commit is not None for _, sink in self._sinks_of(lake))
        if publishes or ((waited_for or lake.look_wanted) and now >= lake.look_due):
            lake.busy, lake.look_wanted = True, False
            reports = dict(lake.reports) if publishes else {}
            call = partial(self._visit, lake, reports, publishes=publishes)
            self._submit(self._catalog_pool, call, partial(self._visited, lake, reports, publishes))

    def _has_work(self, lake: _Lake) -> bool:
        return bool(lake.reports) or self.settings.retire_after_seconds > 0

    def _sinks_of(self, lake: _Lake) -> Iterable[tuple[_Job, _Sink]]:
        for cluster in self._clusters:
            for job in cluster.jobs.values():
                for sink in job.sinks:
                    if sink.target.table == lake.name:
                        yield job, sink

    def _visit(
        self, lake: _Lake, reports: Mapping[str, Report], *, publishes: bool
    ) -> tuple[str, dict[str, dict[str, Committed]], float]:
        """Load a table, publish what is due, and return which table it is, its commits, and by when they were seen."""
        name = TableName.parse(lake.name)
        table = open_table(name, catalog=self._catalog(name.catalog))
        seen = self._clock()
        commits, uuid = committed_checkpoints(table.metadata), str(table.metadata.table_uuid)
        if publishes:
            # What was proved of a table that was made anew, or rolled back, since is not true of it any more.
            true = {w for w, report in reports.items() if lake.uuid in ("", uuid) and _is_there(report, commits)}
            self._publish(table, {w: r if w in true else replace(r, watermark_ms=None) for w, r in reports.items()})
        return uuid, commits, seen

    def _publish(self, table: Table, reports: Mapping[str, Report]) -> None:
        limit = self.settings.retire_after_seconds
        # That nothing was recorded before this recorder came is nobody's fault.
        retires = self._clock() - self._since > limit
        decide = partial(
            advance,
            reports=reports.values(),
            now_ms=self._wall_ms(),
            retire_after_ms=limit * 1000 if retires else 0,
        )
        change = publish(table, decide, before_commit=self._leadership.verify)
        if change:
            self._on_publication(table, change)

    def _visited(self, lake: _Lake, reports: Mapping[str, Report], published: bool, done: Future[Any]) -> None:
        lake.busy = False
        now = self._clock()
        try:
            lake.uuid, commits, seen = done.result()
        except AutostreamError as error:
            lake.failures += 1
            lake.look_due = lake.publish_due = now + _back_off(lake.failures)
            self._say(lake.name, str(error))
            return
        self._say(lake.name, "")
        lake.failures = 0
        lake.look_due = now + self.settings.poll_seconds
        if published:
            lake.publish_due = now + self.settings.interval_seconds
        for writer, report in reports.items():
            if lake.reports.get(writer) is report:
                del lake.reports[writer]
        for job, sink in self._sinks_of(lake):
            self._saw_commits(job, sink, commits.get(job.summary.job_id, {}), seen)

    def _saw_commits(self, job: _Job, sink: _Sink, sinks: Mapping[str, Committed], seen: float) -> None:
        count = self._count_sinks(job, sink, sinks)
        if not count:
            return
        furthest = committed_by_all(sinks, count)
        if furthest is None:
            committed = f"commits of {len(sinks)} of its job's {count} sinks" if sinks else "no commit of its job yet"
            sink.commit_note = f"the table has {committed}"
            return
        sink.commit_note = ""
        if furthest.checkpoint_id == _END_OF_INPUT:
            self._report_end(job, sink)
        refresh = next((c.refresh for c in self._clusters if job.summary.job_id in c.jobs), None)
        sink.watch.saw_commit(furthest.checkpoint_id, seen, refresh_seconds=refresh or 0.0)

    def _count_sinks(self, job: _Job, sink: _Sink, sinks: Mapping[str, Committed]) -> int:
        """Return how many sinks of a job write to a sink's table; 0 while that is not known."""
        same_table = [other for other in job.sinks if other.target.table == sink.target.table]
        if all(other.writers for other in same_table):
            return len({writer for other in same_table for writer in other.writers or ()})
        return max(len(sinks), 1) if job.over else 0

    def _catalog(self, name: str) -> Catalog:
        with self._catalogs_lock:
            if name not in self._catalogs:
                self._catalogs[name] = self._open(name)
            return self._catalogs[name]

    # ------------------------------------------------------------------------------------------------- the loop

    def _submit(self, pool: Executor, call: Callable[[], Any], then: Callable[[Future[Any]], None]) -> None:
        self._running[pool.submit(_expected, call)] = then

    def _collect(self) -> None:
        for future in [future for future in self._running if future.done()]:
            self._running.pop(future)(future)

    def _say(self, subject: str, problem: str) -> None:
        """Log a problem when it begins and when it changes, and that it is over."""
        before = self._said.get(subject, "")
        if problem == before:
            return
        if problem:
            self._said[subject] = problem
            _logger.warning("%s: %s", subject, problem)
        else:
            del self._said[subject]
            _logger.info("%s: in order again", subject)


def _expected(call: Callable[[], Any]) -> Any:
    """Make a call whose errors are all of the kind that is said and tried again."""
    try:
        return call()
    except AutostreamError:
        raise
    except Exception as error:  # a fault in here, or in what is told of publications, must not end all the rest
        _logger.exception("Nobody has thought of this.")
        raise AutostreamError(f"unexpected {type(error).__name__}: {error}") from error


def _is_there(report: Report, commits: Mapping[str, Mapping[str, Committed]]) -> bool:
    """Say whether a table still has the commit that proves a report."""
    sinks = commits.get(report.job_id, {}).values()
    floor = report.checkpoint_id
    return floor is None or any(sink.checkpoint_id >= floor for sink in sinks)


def _back_off(failures: int) -> float:
    return min(2.0 ** min(failures, 10), _MOST_BACK_OFF_SECONDS)
