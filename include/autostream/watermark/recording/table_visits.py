"""The recorder's work on tables: looking for commits, and recording what is proved."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata

from autostream import times
from autostream.catalogs.opening import open_table
from autostream.config import WatermarkSettings
from autostream.errors import AutostreamError
from autostream.iceberg.flink_commits import FlinkCommit, committed_by_all, committed_checkpoints
from autostream.iceberg.snapshots import SnapshotFacts, lineage_of_main
from autostream.names import TableName
from autostream.notices import Notice
from autostream.spelling import counted
from autostream.times import FOREVER_MS, why_too_far_ahead
from autostream.watermark.changes import WatermarkChange, WriterReport, apply_reports
from autostream.watermark.codec import NOT_YET_MS, read_properties
from autostream.watermark.late_notices import LatenessWatch
from autostream.watermark.marks import TableMark
from autostream.watermark.publish import publish
from autostream.watermark.recording.background_calls import PAUSES, BackgroundCalls
from autostream.watermark.recording.commit_proof import RequestTime
from autostream.watermark.recording.leadership import Leadership
from autostream.watermark.recording.recorded_jobs import RecordedJob, RecordedSink, RecordedTable

_END_OF_INPUT: Final = 2**63 - 1
"""Checkpoint id that FlinkSink commits by when its input has ended."""
# A writer that does not advance for so many intervals has its reason logged, and written into the table: whatever
# starts has nothing to show at first.
_INTERVALS_UNTIL_TOLD: Final = 5


@dataclass(frozen=True)
class RecorderServices:
    """What tables are reached by, and who is told of them.

    Attributes:
        pool: visits tables.
        leadership: whether this process may publish.
        on_publication: told of each table that watermarks were recorded in and what was, in the thread that did it.
        on_notice: told what people are to be told of, in a thread of the pool.
        open_catalog: opens a catalog by its name.
    """

    pool: Executor
    leadership: Leadership
    on_publication: Callable[[Table, WatermarkChange], None]
    on_notice: Callable[[Notice], object]
    open_catalog: Callable[[str], Catalog]


@dataclass(frozen=True)
class _Visit:
    """What a table has shown.

    Attributes:
        metadata: the table's.
        lineage: the snapshots that main is made of.
        commits: its furthest commits, by job and operator.
        asked: when it was loaded.
    """

    metadata: TableMetadata
    lineage: Sequence[SnapshotFacts]
    commits: Mapping[str, Mapping[str, FlinkCommit]]
    asked: RequestTime

    @property
    def uuid(self) -> str:
        """Which table of its name it is."""
        return str(self.metadata.table_uuid)


class TableVisits:
    """The tables that watermarks are recorded in."""

    def __init__(self, settings: WatermarkSettings, work: BackgroundCalls, surroundings: RecorderServices) -> None:
        """Begin with no table."""
        self.settings = settings
        self.known: dict[str, RecordedTable] = {}
        self._work = work
        self._around = surroundings
        self._since = times.monotonic()
        self._catalogs: dict[str, Catalog] = {}
        self._catalogs_lock = threading.Lock()

    def join(self, job: RecordedJob) -> None:
        """Take that a job writes to its tables; they wait for all of their writers from the beginning."""
        for sink in job.sinks:
            table = self.known.setdefault(sink.target.table, self._met(sink.target.table))
            table.sinks.append((job, sink))
            if not job.summary.ended:
                joins = WriterReport(sink.target.writer, None, job.summary.job_id, started_ms=job.summary.started_ms)
                table.reports.setdefault(sink.target.writer, joins)

    def leave(self, job: RecordedJob) -> None:
        """Take that a job is forgotten; its tables are told why it does not advance any more."""
        for sink in job.sinks:
            self._tell(job, sink)
        for sink in job.sinks:
            table = self._of(sink)
            table.sinks = [entry for entry in table.sinks if entry[0] is not job]

    def look_once_more(self, job: RecordedJob) -> None:
        """Have the tables of a job looked at: its last commit may say that its input has ended."""
        for sink in job.sinks:
            self._of(sink).look_wanted = True

    def are_to_be_looked_at(self, job: RecordedJob) -> bool:
        """Say whether that has not been done yet."""
        return any(self._of(sink).look_wanted for sink in job.sinks)

    def others(self, job: RecordedJob, sink: RecordedSink) -> Iterable[RecordedJob]:
        """Yield the other jobs that are the same writer of the same table: before it was restored, or by mistake."""
        named = (sink.target.table, sink.target.writer)
        entries = self._of(sink).sinks
        return (other for other, its in entries if (its.target.table, its.target.writer) == named and other is not job)

    def report(self, sink: RecordedSink, report: WriterReport) -> None:
        """Have something recorded, unless something further is waiting to be."""
        reports = self._of(sink).reports
        before = reports.get(report.writer)
        if before is not None and before.job_id == report.job_id and report.started_ms is None:
            report = replace(report, started_ms=before.started_ms)  # that it runs is not recorded yet
        if before is None or before.watermark_ms is None or before.watermark_ms <= (report.watermark_ms or NOT_YET_MS):
            reports[report.writer] = report
        elif report.note:
            reports[report.writer] = replace(before, note=report.note)

    def report_end(self, job: RecordedJob, sink: RecordedSink) -> None:
        """Have it recorded that nothing will come any more, where a rule says so of jobs that end.

        Not where another job goes on as this writer, or has been it after this one.
        """
        others = list(self.others(job, sink))
        last = all(other.over and other.summary.started_ms <= job.summary.started_ms for other in others)
        if sink.watch.ends and last:
            self.report(sink, WriterReport(sink.target.writer, FOREVER_MS, job.summary.job_id))

    def why_not_believed(self, watermark_ms: int) -> str:
        """Say why a watermark is not to be recorded: it is too far ahead of now; empty where it is not."""
        most = self.settings.max_ahead_seconds
        reason = why_too_far_ahead(watermark_ms, now_ms=times.now_ms(), most_seconds=most)
        return f"its job has read a row from the future: its watermark {reason}" if reason else ""

    def note(self, job: RecordedJob, sink: RecordedSink) -> None:
        """Say once why a sink does not advance, and write it into the table, when that has lasted for a while."""
        note, now = sink.note, times.monotonic()
        if not note:
            sink.stalled_since, sink.told = None, ""
            self._work.say(str(sink), "")
        elif sink.stalled_since is None:
            sink.stalled_since = now
        elif now - sink.stalled_since > _INTERVALS_UNTIL_TOLD * self.settings.interval_seconds:
            self._work.say(str(sink), note)
            self._tell(job, sink)

    def step(self) -> None:
        """Visit the tables that are due: something is to be recorded in them, or a commit is waited for."""
        now = times.monotonic()
        for table in self.known.values():
            self._judge_lateness(table)
            if table.busy:
                continue
            has_work = bool(table.reports) or self.settings.retire_after_seconds > 0
            publishes = has_work and now >= table.publish_due and self._around.leadership.leads()
            waited_for = any(sink.watch.waits_for_table for _, sink in table.sinks)
            if publishes or ((waited_for or table.look_wanted) and now >= table.look_due):
                table.busy, table.look_wanted = True, False
                reports = dict(table.reports) if publishes else {}
                call = partial(self._visit, table, reports, publishes=publishes)
                then = partial(self._visited, table, reports, publishes)
                self._work.submit(self._around.pool, call, then)

    def _met(self, name: str) -> RecordedTable:
        return RecordedTable(name, LatenessWatch(round(self.settings.late_after_seconds * 1000)))

    def _judge_lateness(self, table: RecordedTable) -> None:
        """Have people told when a table becomes late, and when it has caught up."""
        if table.mark is None or not self._around.leadership.leads():
            return
        if notice := table.lateness.look(table.mark, times.now_ms()):
            self._work.submit(self._around.pool, partial(self._around.on_notice, notice), lambda _: None)

    def _of(self, sink: RecordedSink) -> RecordedTable:
        return self.known[sink.target.table]

    def _tell(self, job: RecordedJob, sink: RecordedSink) -> None:
        """Have it written into the table why a sink does not advance, unless another job has taken its place."""
        if sink.told != sink.note and all(other.over for other in self.others(job, sink)):
            sink.told = sink.note
            self.report(sink, WriterReport(sink.target.writer, None, job.summary.job_id, note=sink.told))

    def _visit(self, known: RecordedTable, reports: Mapping[str, WriterReport], *, publishes: bool) -> _Visit:
        """Load a table, and record in it what is due."""
        name = TableName.parse(known.name)
        at = times.monotonic()
        table = open_table(name, catalog=self._catalog(name.catalog))
        line = tuple(lineage_of_main(table.metadata))
        visit = _Visit(table.metadata, line, committed_checkpoints(line), RequestTime(at, times.monotonic()))
        if publishes:
            # What was proved of a table that was created again, or rolled back, since is not true of it any more.
            same = known.uuid in ("", visit.uuid)
            self._publish(
                table, [r if same and _is_there(r, visit) else replace(r, watermark_ms=None) for r in reports.values()]
            )
        return visit

    def _publish(self, table: Table, reports: Iterable[WriterReport]) -> None:
        limit = self.settings.retire_after_seconds
        # That nothing was recorded before this recorder came is nobody's fault.
        retires = times.monotonic() - self._since > limit
        decide = partial(
            apply_reports,
            reports=reports,
            now_ms=times.now_ms(),
            retire_after_ms=limit * 1000 if retires else 0,
        )
        change = publish(table, decide, before_commit=self._around.leadership.verify)
        if change:
            self._around.on_publication(table, change)

    def _visited(
        self, table: RecordedTable, reports: Mapping[str, WriterReport], published: bool, done: Future[Any]
    ) -> None:
        table.busy = False
        now = times.monotonic()
        try:
            visit: _Visit = done.result()
        except AutostreamError as error:
            table.failures += 1
            table.look_due = table.publish_due = now + PAUSES.seconds(table.failures)
            self._work.say(table.name, str(error))
            return
        self._work.say(table.name, "")
        table.failures, table.uuid, table.mark = 0, visit.uuid, self._mark(table.name, visit)
        table.look_due = now + self.settings.poll_seconds
        if published:
            table.publish_due = now + self.settings.interval_seconds
        for writer, report in reports.items():
            if table.reports.get(writer) is report:
                del table.reports[writer]
        for job, sink in table.sinks:
            self._saw_table(job, sink, visit)

    def _mark(self, name: str, visit: _Visit) -> TableMark | None:
        latest_ms = times.now_ms() + self.settings.max_ahead_seconds * 1000
        try:
            return read_properties(name, visit.metadata.properties, latest_ms=latest_ms)
        except AutostreamError:  # a property is wrong; whoever asks for the watermark is told
            return None

    def _saw_table(self, job: RecordedJob, sink: RecordedSink, visit: _Visit) -> None:
        sinks = visit.commits.get(job.summary.job_id, {})
        count = _count_sinks(job, sink, sinks)
        if not count:
            return
        if len(sinks) > count:
            # How far the others have got, no watermark that is read says.
            sink.commit_note = (
                f"{counted(len(sinks), 'sink')} of its job commit to the table, but watermark.writers names only "
                f"{count} of them: write a rule with `operator` for each"
            )
            return

        def furthest(had: frozenset[int]) -> int | None:
            new = committed_checkpoints(visit.lineage, besides=had).get(job.summary.job_id, {})
            last = committed_by_all(new, count)
            return last.checkpoint_id if last else None

        snapshots = frozenset(snapshot.snapshot_id for snapshot in visit.metadata.snapshots)
        sink.watch.saw_table(snapshots, furthest, visit.asked, refresh_seconds=job.refresh_seconds)
        last = committed_by_all(sinks, count)
        if last is None:
            committed = f"commits of {len(sinks)} of its job's {count} sinks" if sinks else "no commit of its job yet"
            sink.commit_note = f"the table has {committed}"
            return
        sink.commit_note = ""
        if last.checkpoint_id == _END_OF_INPUT:
            self.report_end(job, sink)

    def _catalog(self, name: str) -> Catalog:
        with self._catalogs_lock:
            if name not in self._catalogs:
                self._catalogs[name] = self._around.open_catalog(name)
            return self._catalogs[name]


def _count_sinks(job: RecordedJob, sink: RecordedSink, sinks: Mapping[str, FlinkCommit]) -> int:
    """Return how many sinks of a job write to a sink's table; 0 while that is not known."""
    same_table = [other for other in job.sinks if other.target.table == sink.target.table]
    if all(other.writers for other in same_table):
        return len({writer for other in same_table for writer in other.writers or ()})
    return max(len(sinks), 1) if job.over else 0


def _is_there(report: WriterReport, visit: _Visit) -> bool:
    """Say whether a table still has the commit that proves a report."""
    sinks = visit.commits.get(report.job_id, {}).values()
    floor = report.checkpoint_id
    return floor is None or any(sink.checkpoint_id >= floor for sink in sinks)
