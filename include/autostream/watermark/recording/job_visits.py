"""The recorder's work on jobs: finding them, looking at them, and finding out how they end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from autostream import times
from autostream.config import WatermarkSettings
from autostream.errors import AutostreamError
from autostream.flink.overtaking import why_overtaken
from autostream.flink.progress import (
    JobSummary,
    job_parameters,
    list_jobs,
    refresh_seconds,
    trigger_checkpoint,
    was_stopped,
)
from autostream.times import FOREVER_MS
from autostream.watermark.changes import WriterReport
from autostream.watermark.recording.background_calls import PAUSES, BackgroundCalls
from autostream.watermark.recording.commit_proof import Question, SinkWatch, WatermarkReading
from autostream.watermark.recording.job_requests import JobAnswers, ask_job, discover_writers
from autostream.watermark.recording.recorded_jobs import GONE, RecordedCluster, RecordedJob, RecordedSink
from autostream.watermark.recording.sink_targets import by_writer, choose_all, targets_of
from autostream.watermark.recording.table_visits import TableVisits

# Between two looks at metrics, which Flink collects every ten seconds at most, unless it is told otherwise.
_MOST_PAUSE_SECONDS: Final = 1.0

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Listed:
    """What a cluster lists.

    Attributes:
        refresh_seconds: by how much its answers may be old.
        jobs: all of its jobs.
        parameters: those of the ones that were not known, by job id.
    """

    refresh_seconds: float
    jobs: Sequence[JobSummary]
    parameters: Mapping[str, Mapping[str, str]]


class JobVisits:
    """The jobs of some clusters that write to tables of ours."""

    def __init__(
        self,
        settings: WatermarkSettings,
        work: BackgroundCalls,
        tables: TableVisits,
        clusters: Sequence[RecordedCluster],
    ) -> None:
        """Begin with no job."""
        self.settings = settings
        self.clusters = clusters
        self._work = work
        self._tables = tables

    def step(self) -> None:
        """Ask what is due."""
        now = times.monotonic()
        for cluster in self.clusters:
            if not cluster.busy and now >= cluster.list_due:
                cluster.busy = True
                self._work.submit(cluster.pool, partial(_list, cluster), partial(self._listed, cluster))
            for job in cluster.jobs.values():
                if not job.busy and now >= job.due:
                    self._ask(cluster, job, now)

    def notes(self) -> dict[str, str]:
        """Return why sinks do not advance, by what they are called."""
        jobs = (job for cluster in self.clusters for job in cluster.jobs.values())
        return {str(sink): sink.note for job in jobs for sink in job.sinks if sink.note}

    # ------------------------------------------------------------------------------------------ what there is

    def _listed(self, cluster: RecordedCluster, done: Future[Any]) -> None:
        cluster.busy = False
        try:
            listed: _Listed = done.result()
        except AutostreamError as error:
            cluster.failures += 1
            cluster.list_due = times.monotonic() + PAUSES.seconds(cluster.failures)
            self._work.say(cluster.rest.name, str(error))
            self._note_all(cluster, "its Flink cluster does not answer")
            return
        self._work.say(cluster.rest.name, "")
        cluster.failures, cluster.refresh_seconds = 0, listed.refresh_seconds
        cluster.list_due = times.monotonic() + self.settings.interval_seconds
        for summary in listed.jobs:
            if summary.job_id in listed.parameters:
                self._meet(cluster, summary, listed.parameters[summary.job_id], listed.refresh_seconds)
            elif summary.job_id in cluster.jobs and not cluster.jobs[summary.job_id].gone:
                cluster.jobs[summary.job_id].summary = summary
        ids = {job.job_id for job in listed.jobs}
        for job_id in cluster.jobs.keys() - ids:
            self._lose(cluster.jobs[job_id])
        self._note_all(cluster)
        self._forget(cluster, ids)

    def _meet(
        self, cluster: RecordedCluster, summary: JobSummary, parameters: Mapping[str, str], refresh_seconds: float
    ) -> None:
        try:
            targets = targets_of(summary, self.settings.writers, parameters)
        except AutostreamError as error:
            self._work.say(f"job {summary.job_id}", str(error))
            targets = []
        if not targets:
            cluster.ignored.add(summary.job_id)
            return
        interval = self.settings.interval_seconds
        pause = min(_MOST_PAUSE_SECONDS, interval / 10)
        sinks = []
        for group in by_writer(targets):
            ends = all(target.ends_forever for target in group)
            sinks.append(RecordedSink(group, SinkWatch(interval_seconds=interval, pause_seconds=pause, ends=ends)))
        before, job = cluster.jobs.get(summary.job_id), RecordedJob(summary, sinks, refresh_seconds)
        cluster.jobs[summary.job_id] = job
        self._tables.join(job)
        if before is not None:  # it was lost for a while
            self._tables.leave(before)
        for sink in sinks:
            writer, table = sink.target.writer, sink.target.table
            _logger.info("Job %s (%s) is writer %s of %s.", summary.job_id, summary.name, writer, table)

    def _lose(self, job: RecordedJob) -> None:
        """Take that a job's cluster does not know it; if it does again, it is met again."""
        if job.gone:
            return
        for sink in job.sinks:
            sink.watch.lost()
        job.summary = replace(job.summary, state=GONE)
        self._tables.look_once_more(job)

    def _forget(self, cluster: RecordedCluster, listed: set[str]) -> None:
        """Let go of jobs that the cluster has let go of, once their tables have been looked at."""
        for job_id, job in list(cluster.jobs.items()):
            if job_id not in listed and not job.busy and not self._tables.are_to_be_looked_at(job):
                self._tables.leave(job)
                del cluster.jobs[job_id]
        cluster.ignored &= listed

    def _note_all(self, cluster: RecordedCluster, note: str = "") -> None:
        for job in cluster.jobs.values():
            for sink in job.sinks:
                sink.watch.note = note or sink.watch.note
                self._tables.note(job, sink)

    # ------------------------------------------------------------------------------------------- one of them

    def _ask(self, cluster: RecordedCluster, job: RecordedJob, now: float) -> None:
        """Ask a job what is most wanted: how it has ended, what its operators are, or what its watches want to see."""
        if self._asks_for_its_end(cluster, job, now):
            return
        if not job.over and now >= job.discover_due and any(sink.writers is None for sink in job.sinks):
            self._submit(cluster, job, partial(discover_writers, cluster.rest, job.summary.job_id), self._discovered)
            return
        wanted = {
            number: sink.watch.wants(now)
            for number, sink in enumerate(job.sinks)
            if sink.writers is not None or job.over  # one that is not found does not hold up the others
        }
        union = Question.NOTHING
        for want in wanted.values():
            union |= want
        if job.summary.ended and not (job.life is not None and job.life.over):
            union |= Question.LIFE  # its list is the first to say so
        if union:
            sinks = {
                number: sink.writers
                for number, sink in enumerate(job.sinks)
                if sink.writers is not None and Question.METRICS in wanted.get(number, Question.NOTHING)
            }
            call = partial(ask_job, cluster.rest, job.summary.job_id, union, sinks, job.life)
            self._submit(cluster, job, call, self._looked)

    def _submit(
        self,
        cluster: RecordedCluster,
        job: RecordedJob,
        call: Callable[[], Any],
        then: Callable[[RecordedCluster, RecordedJob, Future[Any]], None],
    ) -> None:
        job.busy = True
        self._work.submit(cluster.pool, call, partial(then, cluster, job))

    def _answer(self, job: RecordedJob, done: Future[Any]) -> Any:
        """Return what a request about a job was answered by; None where it failed, which is tried again later."""
        try:
            answer = done.result()
        except AutostreamError as error:
            job.failures += 1
            job.due = times.monotonic() + PAUSES.seconds(job.failures)
            self._work.say(f"job {job.summary.job_id}", str(error))
            return None
        job.failures = 0
        self._work.say(f"job {job.summary.job_id}", "")
        return answer

    def _discovered(self, cluster: RecordedCluster, job: RecordedJob, done: Future[Any]) -> None:
        job.busy = False
        writers = self._answer(job, done)
        if writers is None:
            return
        for sink in job.sinks:
            try:
                sink.writers = choose_all(sink.targets, writers)
            except AutostreamError as error:
                sink.watch.note = str(error)
                self._tables.note(job, sink)
                job.discover_due = times.monotonic() + 1.0 + job.refresh_seconds

    def _looked(self, cluster: RecordedCluster, job: RecordedJob, done: Future[Any]) -> None:
        job.busy = False
        looked: JobAnswers | None = self._answer(job, done)
        if looked is None:
            return
        if looked.gone:
            self._lose(job)
        if looked.life:
            if job.life is not None and not job.life.same_as(looked.life[0]):
                for sink in job.sinks:
                    sink.writers = None  # it may run with another parallelism by now, or another graph
            job.life = looked.life[0]
        for number, sink in enumerate(job.sinks):
            self._show(job, sink, number, looked)
            self._tables.note(job, sink)
        if looked.largest_checkpoint_id and self.settings.trigger_checkpoints:
            call = partial(trigger_checkpoint, cluster.rest, job.summary.job_id)
            self._work.submit(cluster.pool, call, partial(self._triggered, job))

    def _show(self, job: RecordedJob, sink: RecordedSink, number: int, looked: JobAnswers) -> None:
        refresh = job.refresh_seconds
        if looked.life:
            obstacle = None if sink.writers is None else why_overtaken(looked.life[0], sink.writers)
            if obstacle is None:
                sink.writers = None
            reading = sink.watch.saw_life(*looked.life, refresh_seconds=refresh, obstacle=obstacle)
            if reading:
                self._proved(job, sink, reading)
        if number in looked.metrics:
            sink.watch.saw_metrics(*looked.metrics[number], refresh_seconds=refresh)
        if looked.largest_checkpoint_id:
            sink.watch.saw_checkpoints(*looked.largest_checkpoint_id)

    def _proved(self, job: RecordedJob, sink: RecordedSink, reading: WatermarkReading) -> None:
        others = [other.summary.job_id for other in self._tables.others(job, sink) if not other.over]
        if others:
            sink.watch.note = (
                f"another running job has the same name ({', '.join(others)}): give the jobs different names"
            )
            return
        if reading.watermark_ms < FOREVER_MS and (reason := self._tables.why_not_believed(reading.watermark_ms)):
            sink.watch.note = reason
            return
        started_ms = job.summary.started_ms
        report = WriterReport(
            sink.target.writer, reading.watermark_ms, job.summary.job_id, reading.floor, started_ms=started_ms
        )
        self._tables.report(sink, report)

    def _triggered(self, job: RecordedJob, done: Future[Any]) -> None:
        error = done.exception()
        self._work.say(f"checkpoint of job {job.summary.job_id}", str(error) if error else "")

    # ------------------------------------------------------------------------------------------------ its end

    def _asks_for_its_end(self, cluster: RecordedCluster, job: RecordedJob, now: float) -> bool:
        """Ask how a job has finished, once the answer cannot be older than that: is a savepoint its last checkpoint?"""
        if not job.finished or job.end_looked_for:
            return False
        if job.finished_since is None:
            job.finished_since = now
        if now < job.finished_since + job.refresh_seconds:
            return False
        job.end_looked_for = True
        self._submit(cluster, job, partial(was_stopped, cluster.rest, job.summary.job_id), self._ended)
        return True

    def _ended(self, cluster: RecordedCluster, job: RecordedJob, done: Future[Any]) -> None:
        """Take how a job finished: by itself, then Flink has committed all that it read."""
        job.busy = False
        if done.exception() is not None:
            job.end_looked_for = False
            self._answer(job, done)
            return
        stopped = done.result()
        if stopped is None:
            self._lose(job)
            return
        for sink in job.sinks:
            if not stopped:
                self._tables.report_end(job, sink)
        self._tables.look_once_more(job)


def _list(cluster: RecordedCluster) -> _Listed:
    refresh = refresh_seconds(cluster.rest) if cluster.refresh_seconds is None else cluster.refresh_seconds
    jobs = list_jobs(cluster.rest)
    known = cluster.ignored | {job_id for job_id, job in list(cluster.jobs.items()) if not job.gone}
    new = [job for job in jobs if job.job_id not in known]
    parameters = {job.job_id: job_parameters(cluster.rest, job.job_id) for job in new}
    # What a job that is about to start does not tell yet is asked for again; one that has ended never tells it.
    told = {job.job_id: parameters[job.job_id] or {} for job in new if parameters[job.job_id] is not None or job.ended}
    return _Listed(refresh, jobs, told)
