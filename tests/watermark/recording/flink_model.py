"""A Flink job, its job manager and its table as small as can be, for every interleaving with a recorder's watch.

Rows 1, 2, 3, ... have their number as event time and are read in order, so a watermark w means that rows up to w have
reached the writer, and a table is complete up to w where it has the first w rows. What makes it interesting: a restart
reads less than was read before, metrics are those of whenever they were collected, of an earlier attempt even, and
pages of jobs and checkpoints show the state of now or that of a moment ago.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from autostream.flink.iceberg_sinks import SinkWriter
from autostream.flink.overtaking import why_overtaken
from autostream.flink.progress import Life, TaskMetrics, Vertex
from autostream.watermark.codec import NOT_YET_MS
from autostream.watermark.recording.commit_proof import Question, RequestTime, SinkWatch, WatermarkReading

GRAPHS = {
    exchange: (
        Vertex("v", "rows -> IcebergStreamWriter", 2),
        Vertex("c", "IcebergFilesCommitter", 1, (("v", exchange),)),
    )
    for exchange in ("REBALANCE", "FORWARD")
}
WRITERS = (SinkWriter("v", "IcebergStreamWriter", 2, ""),)
REFRESH = 1.0
STEP = 0.5
"""Time between looks: an answer may be as old as the look before the last one."""


class Act(Enum):
    """What may happen, in any order."""

    READ = auto()
    COLLECT = auto()
    TRIGGER = auto()
    COMPLETE = auto()
    COMMIT = auto()
    COMMIT_OVERTAKEN = auto()
    FAIL = auto()
    LOSE_JOB_MANAGER = auto()
    START_ANEW = auto()
    LOOK = auto()
    LOOK_AT_OLD_LIFE = auto()
    LOOK_AT_OLD_CHECKPOINTS = auto()
    LOOK_AT_OLD_PAGES = auto()


LOOKS = {
    Act.LOOK: (False, False),
    Act.LOOK_AT_OLD_LIFE: (True, False),
    Act.LOOK_AT_OLD_CHECKPOINTS: (False, True),
    Act.LOOK_AT_OLD_PAGES: (True, True),
}


@dataclass(frozen=True)
class Limits:
    """How far a model goes: exploring it has to come to an end."""

    rows: int = 3
    checkpoints: int = 3
    failures: int = 1
    looks: int = 9


@dataclass(frozen=True)
class Flink:
    """The state of a job.

    Attributes:
        read: rows that the present attempt's writer has received.
        attempt: number of the attempt, as the job manager counts.
        restored: the checkpoint that it started from, and a time that no two restorations share.
        pending: id and rows of a checkpoint under way.
        completed: id and rows of the last one that completed.
        uncommitted: the same of one that has completed and is not in the table yet.
        counted: how many have completed since this job manager runs.
        next_id: of checkpoints.
        triggered: how many checkpoints there have been.
        started: number of the job manager.
        table: id and rows of each commit, the first one first.
        metrics: watermark and task time as last collected.
        clock: grows with everything, so that task times differ.
        failures: so far.
        exchange: how the writer's files get to the committer.
        unaligned: whether barriers of checkpoints overtake what is queued in an exchange.
        changes: whether that setting is another one after the job was restarted.
    """

    read: int = 0
    attempt: int = 0
    restored: tuple[int, int] | None = None
    pending: tuple[int, int] | None = None
    completed: tuple[int, int] | None = None
    uncommitted: tuple[int, int] | None = None
    counted: int = 0
    next_id: int = 1
    triggered: int = 0
    started: int = 0
    table: tuple[tuple[int, int], ...] = ()
    metrics: tuple[int, int] | None = None
    clock: int = 0
    failures: int = 0
    exchange: str = "REBALANCE"
    unaligned: bool = False
    changes: bool = False

    @property
    def overtakes(self) -> bool:
        """Whether a commit may have to do without files of its checkpoint."""
        return self.unaligned and self.exchange == "REBALANCE"

    @property
    def rows_in_table(self) -> int:
        """How many rows the table has; what is written again replaces what was there."""
        return max((rows for _, rows in self.table), default=0)

    def can(self, limits: Limits) -> Iterator[Act]:
        """Yield what may happen next."""
        if self.read < limits.rows:
            yield Act.READ
        yield Act.COLLECT
        if self.pending is None and self.uncommitted is None and self.triggered < limits.checkpoints:
            yield Act.TRIGGER
        if self.pending is not None:
            yield Act.COMPLETE
        if self.uncommitted is not None:
            yield Act.COMMIT
            if self.overtakes:
                yield Act.COMMIT_OVERTAKEN
        if self.failures < limits.failures:
            yield Act.FAIL
            yield Act.LOSE_JOB_MANAGER
            yield Act.START_ANEW

    def after(self, act: Act) -> "Flink":
        """Return the state after something has happened."""
        match act:
            case Act.READ:
                return replace(self, read=self.read + 1)
            case Act.COLLECT:
                return replace(self, metrics=(self.read, self.clock + 1), clock=self.clock + 1)
            case Act.TRIGGER:
                pending = (self.next_id, self.read)
                return replace(self, pending=pending, next_id=self.next_id + 1, triggered=self.triggered + 1)
            case Act.COMPLETE:
                return replace(
                    self, pending=None, completed=self.pending, uncommitted=self.pending, counted=self.counted + 1
                )
            case Act.COMMIT:
                assert self.uncommitted is not None
                return replace(self, table=(*self.table, self.uncommitted), uncommitted=None)
            case Act.COMMIT_OVERTAKEN:
                # Files that the barrier has overtaken are committed with the next checkpoint.
                assert self.uncommitted is not None
                commit = (self.uncommitted[0], self.rows_in_table)
                return replace(self, table=(*self.table, commit), uncommitted=None)
            case Act.FAIL:
                return replace(self._restarted(), attempt=self.attempt + 1)
            case Act.LOSE_JOB_MANAGER:
                # The next one counts attempts and checkpoints from the start; the ids of checkpoints go on.
                last = self.completed[0] if self.completed else 0
                return replace(self._restarted(), attempt=0, counted=0, next_id=last + 1, started=self.started + 1)
            case Act.START_ANEW:
                # Without a state, and under the same id, as a job of an application cluster can be.
                return Flink(
                    started=self.started + 1,
                    table=self.table,
                    metrics=self.metrics,
                    clock=self.clock,
                    triggered=self.triggered,
                    failures=self.failures + 1,
                    exchange=self.exchange,
                    unaligned=self.unaligned ^ self.changes,
                    changes=self.changes,
                )
        raise AssertionError(act)

    def _restarted(self) -> "Flink":
        failures = self.failures + 1
        restored = (self.completed[0], failures) if self.completed else None
        # What had completed is committed when the job is restored; metrics stay what they were.
        table = (*self.table, self.uncommitted) if self.uncommitted else self.table
        return replace(
            self,
            read=self.completed[1] if self.completed else 0,
            restored=restored,
            pending=None,
            uncommitted=None,
            table=table,
            failures=failures,
        )

    def life(self) -> Life:
        """Return what the pages of the job and its checkpoints show of its life."""
        return Life(
            state="RUNNING",
            attempts={"v": (self.attempt,)},
            statuses={"v": ("RUNNING",)},
            vertices=GRAPHS[self.exchange],
            unaligned=self.unaligned,
            flink_version="2.1.3",
            restarts=None,  # a metric: it may be of any age, so nothing may depend on it
            restored=self.restored,
            completed=self.counted,
            started_ms=self.started,
        )

    def tasks(self) -> dict[str, TaskMetrics]:
        """Return what the metrics show."""
        if self.metrics is None:
            return {"v/0": TaskMetrics(None, None)}
        rows, clock = self.metrics
        return {"v/0": TaskMetrics(rows or NOT_YET_MS, clock)}

    def largest_id(self) -> int:
        """Return the largest id among the checkpoints that are listed."""
        listed = [c[0] for c in (self.pending, self.completed) if c]
        return max(listed, default=0)


@dataclass
class World:
    """A job and a watch on it; pages may show the job as it was at the looks before, the oldest of which come first."""

    flink: Flink
    watch: SinkWatch
    before: tuple[Flink, ...]
    now: float = 0.0
    looks: int = 0
    trusting: bool = False
    """Whether each commit is believed to have all files of its checkpoint."""

    @classmethod
    def new(cls, flink: Flink | None = None, *, trusting: bool = False) -> "World":
        """Return a job at its beginning, which nobody has looked at."""
        flink = flink or Flink()
        return cls(flink, SinkWatch(interval_seconds=0, pause_seconds=0), (flink, flink), trusting=trusting)

    def can(self, limits: Limits) -> Iterator[Act]:
        """Yield what may happen next."""
        yield from (act for act in self.flink.can(limits) if act is not Act.COLLECT or self._collecting_matters())
        if self.looks < limits.looks:
            following = replace(self, watch=copied(self.watch), now=self.now + STEP)
            wanted = following._wanted()
            old_life = Question.LIFE in wanted and self.before[0].life() != self.flink.life()
            old_checkpoints = Question.CHECKPOINTS in wanted and self.before[0].largest_id() != self.flink.largest_id()
            yield from (act for act, (life, ids) in LOOKS.items() if life <= old_life and ids <= old_checkpoints)

    def _collecting_matters(self) -> bool:
        metrics = self.flink.metrics
        return metrics is None or metrics[0] != self.flink.read or metrics[1] == self._baseline_clock()

    def _baseline_clock(self) -> int | None:
        return next((task.task_ms for task in self.watch._baseline.values()), None)

    def after(self, act: Act) -> tuple["World", WatermarkReading | None]:
        """Return the world after something has happened, and the reading that is proved by it."""
        if act not in LOOKS:
            return replace(self, flink=self.flink.after(act), watch=copied(self.watch)), None
        world = replace(
            self,
            watch=copied(self.watch),
            before=(*self.before[1:], self.flink),
            now=self.now + STEP,
            looks=self.looks + 1,
        )
        life, checkpoints = (self.before[0] if old else self.flink for old in LOOKS[act])
        return world, world._look(life, checkpoints)

    def _wanted(self) -> Question:
        """Show the watch the table, and return what else it wants to see."""
        commits = self.flink.table
        if self.watch.waits_for_table:
            self.watch.saw_table(
                frozenset(range(len(commits))),
                lambda had: max((n for i, (n, _) in enumerate(commits) if i not in had), default=None),
                RequestTime(self.now, self.now),
                refresh_seconds=REFRESH,
            )
        return self.watch.wants(self.now)

    def _look(self, shown_life: Flink, shown_checkpoints: Flink) -> WatermarkReading | None:
        asked = RequestTime(self.now, self.now)
        wanted, proved = self._wanted(), None
        if Question.LIFE in wanted:
            life = shown_life.life()
            obstacle = "" if self.trusting else why_overtaken(life, WRITERS)
            proved = self.watch.saw_life(life, asked, refresh_seconds=REFRESH, obstacle=obstacle)
        if Question.METRICS in wanted:
            self.watch.saw_metrics(self.flink.tasks(), asked, refresh_seconds=REFRESH)
        if Question.CHECKPOINTS in wanted:
            self.watch.saw_checkpoints(shown_checkpoints.largest_id(), asked)
        return proved

    def key(self) -> Any:
        """Return what tells this world from others, times counted from now."""
        watch = self.watch
        life = watch._life
        metrics = self.flink.metrics
        return (
            replace(self.flink, clock=0, metrics=None),
            metrics and (metrics[0], metrics[1] == self._baseline_clock()),
            tuple((_told(flink.life()), flink.largest_id()) for flink in self.before),
            watch._phase.value,
            max(watch._due - self.now, 0.0),
            life and _told(life),
            self._baseline_clock() is None,
            watch._watermark_ms,
            tuple(watch._pending),
            tuple(watch._confirming) if watch._confirm_due < float("inf") else None,
            watch._had,
            self.now > watch._settled,
            max(watch._confirm_due - self.now, 0.0),
        )


def _told(life: Life) -> Any:
    """Return what tells this life of a job of one task from others."""
    return (*life.attempts.values(), life.restored, life.completed, life.started_ms, life.unaligned)


def copied(watch: SinkWatch) -> SinkWatch:
    """Return a watch of its own."""
    new = copy.copy(watch)
    new._pending = list(watch._pending)
    return new
