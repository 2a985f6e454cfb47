"""What the recorder knows of clusters, jobs, their sinks, and the tables that these write to."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Final

from autostream.flink.iceberg_sinks import SinkWriter
from autostream.flink.progress import JobSummary, Life
from autostream.flink.rest import FlinkRest
from autostream.watermark.changes import WriterReport
from autostream.watermark.late_notices import LatenessWatch
from autostream.watermark.marks import TableMark
from autostream.watermark.recording.commit_proof import SinkWatch
from autostream.watermark.recording.sink_targets import SinkTarget

GONE: Final = "GONE"
"""State of a job that its cluster does not know any more."""

_NEVER: Final = float("-inf")
"""When something is due that was never done."""


@dataclass
class RecordedSink:
    """A job's way into one table, by one operator of its or several.

    Attributes:
        targets: the table, what the job is called there, and by which operators: one or more that differ by these.
        watch: how far its watermark is on the way to being proved.
        writers: its operators; None while they are not known.
        commit_note: what is missing among the table's commits.
        stalled_since: since when there is a note.
        told: the note that the table was told last.
    """

    targets: tuple[SinkTarget, ...]
    watch: SinkWatch
    writers: tuple[SinkWriter, ...] | None = None
    commit_note: str = ""
    stalled_since: float | None = None
    told: str = ""

    @property
    def target(self) -> SinkTarget:
        """The table and the writer, which all of its targets have."""
        return self.targets[0]

    @property
    def note(self) -> str:
        """Why it does not advance; empty where nothing is known to be in its way."""
        return self.watch.note or self.commit_note

    def __str__(self) -> str:
        """Return what it is called in messages."""
        return f"{self.target.table}, writer {self.target.writer}"


@dataclass
class RecordedJob:
    """A job that writes to tables of ours.

    Attributes:
        summary: as its cluster lists it.
        sinks: one for each table.
        refresh_seconds: by how much its cluster's answers may be old.
        life: as last seen.
        due: before that it is not asked anything, after failures.
        discover_due: before that its operators are not looked for again.
        busy: whether it is being asked.
        failures: of requests in a row.
        finished_since: since when it is known to have finished.
        end_looked_for: whether it was found out how.
    """

    summary: JobSummary
    sinks: list[RecordedSink]
    refresh_seconds: float
    life: Life | None = None
    due: float = _NEVER
    discover_due: float = _NEVER
    busy: bool = False
    failures: int = 0
    finished_since: float | None = None
    end_looked_for: bool = False

    @property
    def gone(self) -> bool:
        """Whether its cluster does not know it any more."""
        return self.summary.state == GONE

    @property
    def finished(self) -> bool:
        """Whether it has come to an end that was not a failure."""
        return "FINISHED" in (self.summary.state, self.life.state if self.life else "")

    @property
    def over(self) -> bool:
        """Whether it will never run again."""
        return self.summary.ended or self.gone or (self.life is not None and self.life.over)


@dataclass
class RecordedCluster:
    """A Flink cluster.

    Attributes:
        rest: its job manager.
        pool: makes requests to it.
        refresh_seconds: by how much its answers may be old; None before it has answered.
        jobs: those that write to tables of ours, by id.
        ignored: ids of the others.
        list_due: when to ask for its jobs again.
        busy: whether that is being asked.
        failures: of that in a row.
    """

    rest: FlinkRest
    pool: Executor
    refresh_seconds: float | None = None
    jobs: dict[str, RecordedJob] = field(default_factory=dict)
    ignored: set[str] = field(default_factory=set)
    list_due: float = _NEVER
    busy: bool = False
    failures: int = 0


@dataclass
class RecordedTable:
    """A table that watermarks are recorded in.

    Attributes:
        name: its full name.
        sinks: the sinks that write to it, with their jobs.
        uuid: which table of that name it was when it was last seen.
        reports: what is to be recorded, by writer.
        look_wanted: whether the table has to be read once more, even if nothing waits for it.
        look_due: before that it is not looked at.
        publish_due: before that nothing is recorded in it.
        busy: whether it is being visited.
        failures: of visits in a row.
        mark: how complete it was when it was last seen; None where that is not known.
        lateness: whether it is late.
    """

    name: str
    lateness: LatenessWatch
    sinks: list[tuple[RecordedJob, RecordedSink]] = field(default_factory=list)
    uuid: str = ""
    reports: dict[str, WriterReport] = field(default_factory=dict)
    look_wanted: bool = False
    look_due: float = _NEVER
    publish_due: float = _NEVER
    busy: bool = False
    failures: int = 0
    mark: TableMark | None = None
