"""When a watermark that a Flink job shows may be published: the rule, as a state machine without I/O.

A watermark w of a sink's writer says that the writer has received all rows up to w. It says nothing about the table:
the rows get there with the commit of the next checkpoint, unless the job restarts first and has then read less. So w
may be published once the table has a commit of a checkpoint that was triggered after w was true, by the same *life* of
the job: no task of it has started again in between.

What Flink answers may be old: its pages of jobs and checkpoints by `refresh_seconds` (`web.refresh-interval`), its
metrics by any length of time, and a metric may even be that of an earlier attempt. So each step says by when an answer
has to have been asked for:

1. *settle*: the job's life is looked at, at `t1`.
2. *baseline*: asked for after `t1 + refresh`, metrics are remembered.
3. *reading*: metrics asked for later still, of which each subtask's task time differs from the baseline's: so they were
   collected after the baseline, and by the attempts of this life. Their smallest watermark is w, at `t3`.
4. *floor*: the largest checkpoint id, in progress or not, that a page asked for after `t3 + refresh` lists: every
   checkpoint with a larger id was triggered after `t3`.
5. *commit*: the table shows, at `t5`, a commit of this job with such an id, which it did not have at `t1`: a job
   that is started again may have the id of an earlier one, and counts its checkpoints from 1. Then the job's life is
   looked at again, after `t5 + refresh`: if it is the one of step 1, w is proved; otherwise all readings are void.

Stale answers cost time that way, and never truth; no two clocks are compared.

Whether a commit has all files of its checkpoint depends on the job's settings and its graph (`overtaking`), which are
part of its life. Where it may not have them, the life is not settled upon, and nothing is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, Flag, auto
from typing import Final

from autostream.flink.progress import Life, TaskMetrics
from autostream.times import FOREVER_MS
from autostream.watermark.codec import NOT_YET_MS

_MOST_PENDING: Final = 16
"""Readings that wait for a commit; of more, those in the middle are of the least use."""
_MOST_BASELINES: Final = 5
"""Looks at metrics that do not change before it is said that they do not."""
_FINISHED: Final = "its job has finished"
_WAITS: Final = ": the table waits for the writer's next run, unless you retire it"


class Question(Flag):
    """What a watch has to be shown next."""

    NOTHING = 0
    LIFE = auto()
    METRICS = auto()
    CHECKPOINTS = auto()


class _Phase(Enum):
    SETTLE = auto()
    BASELINE = auto()
    READING = auto()
    FLOOR = auto()
    REST = auto()


@dataclass(frozen=True)
class RequestTime:
    """When a question was asked and answered, in seconds of the recorder's monotonic clock."""

    at: float
    answered: float


@dataclass(frozen=True)
class WatermarkReading:
    """A watermark that was true, and what would prove that its rows are in the table.

    Attributes:
        watermark_ms: all rows up to it had reached the writer.
        floor: a commit of a checkpoint with this id or a larger one has them.
    """

    watermark_ms: int
    floor: int


class SinkWatch:
    """One sink of one job on the way from what it shows to what may be published.

    Attributes:
        interval_seconds: time between the beginnings of two readings.
        pause_seconds: time between looks at metrics, which are collected only now and then.
        ends: whether a watermark that says that the input has ended is one; otherwise the last one before it counts.
        note: why there is nothing to publish; empty where everything goes its way.
        ended: whether the job has come to its end, so that nothing more can be read.
    """

    def __init__(self, *, interval_seconds: float, pause_seconds: float = 1.0, ends: bool = False) -> None:
        """Begin with nothing known."""
        self.interval_seconds = interval_seconds
        self.pause_seconds = pause_seconds
        self.ends = ends
        self.note = ""
        self.ended = False
        self._life: Life | None = None
        self._settled = float("inf")
        self._had: frozenset[int] | None = None
        self._phase = _Phase.SETTLE
        self._due = float("-inf")
        self._begun = float("-inf")
        self._baseline: Mapping[str, TaskMetrics] = {}
        self._unchanged = 0
        self._watermark_ms = NOT_YET_MS
        self._pending: list[WatermarkReading] = []
        self._confirming: list[WatermarkReading] = []
        self._confirm_due = float("inf")

    @property
    def waits_for_table(self) -> bool:
        """Whether it has to be shown the table: what it had at first, or a commit that proves something."""
        return self._life is not None and (self._had is None or bool(self._pending))

    def wants(self, now: float) -> Question:
        """Return what to show it at this moment."""
        wanted = Question.NOTHING
        if now >= self._confirm_due:
            wanted |= Question.LIFE
        if now >= self._due and not self.ended:
            if self._phase is _Phase.REST:
                self._phase, self._begun = _Phase.BASELINE, now
            wanted |= {
                _Phase.SETTLE: Question.LIFE,
                _Phase.BASELINE: Question.METRICS,
                _Phase.READING: Question.METRICS,
                _Phase.FLOOR: Question.CHECKPOINTS,
            }[self._phase]
        return wanted

    def saw_life(
        self, life: Life, asked: RequestTime, *, refresh_seconds: float, obstacle: str | None = ""
    ) -> WatermarkReading | None:
        """Take the job's life; return the reading that this proves, the furthest one.

        Args:
            life: what the job shows.
            asked: when.
            refresh_seconds: by how much the answer may be old.
            obstacle: why commits prove nothing in this life; empty where they do, None where that is not known yet.
        """
        proved = None
        if self._life is not None and life.same_as(self._life):
            if asked.at >= self._confirm_due:
                proved = self._confirm()
        elif self._life is not None:
            self._void()
        if life.over:
            finished = _FINISHED if self.ends else _FINISHED + _WAITS
            self.note = finished if life.state == "FINISHED" else f"its job is {life.state}"
            self.ended = not self._pending
            self._phase, self._due = _Phase.REST, float("inf")
        elif self._phase is _Phase.SETTLE:
            self._settle(life, asked, refresh_seconds, obstacle)
        return proved

    def saw_metrics(self, metrics: Mapping[str, TaskMetrics], asked: RequestTime, *, refresh_seconds: float) -> None:
        """Take the metrics of all of the writer's tasks, by a name of the task."""
        if self._phase is _Phase.BASELINE:
            self._baseline, self._unchanged = metrics, 0
            self._go(_Phase.READING, asked.answered + self.pause_seconds)
        elif self._phase is _Phase.READING:
            self._read(metrics, asked, refresh_seconds)

    def saw_checkpoints(self, largest_id: int, asked: RequestTime) -> None:
        """Take the largest id among the checkpoints that the job lists."""
        if self._phase is not _Phase.FLOOR:
            return
        if len(self._pending) >= _MOST_PENDING:
            del self._pending[-2]
        self._pending.append(WatermarkReading(self._watermark_ms, largest_id + 1))
        self._go(_Phase.REST, max(self._begun + self.interval_seconds, asked.answered))

    def saw_table(
        self,
        snapshots: frozenset[int],
        furthest: Callable[[frozenset[int]], int | None],
        asked: RequestTime,
        *,
        refresh_seconds: float,
    ) -> None:
        """Take what the table has.

        Args:
            snapshots: ids of all its snapshots.
            furthest: gives the largest checkpoint id of this job's commits among the snapshots that are not in a set.
            asked: when it was loaded.
            refresh_seconds: by how much the job's answers may be old.
        """
        if self._life is None:
            return
        if self._had is None:
            if asked.at >= self._settled:
                self._had = snapshots
            return
        committed = furthest(self._had) if self._pending and self._confirm_due == float("inf") else None
        if committed is not None and committed >= self._pending[0].floor:
            # What is read or committed later needs a later look at the job's life.
            self._confirming = [reading for reading in self._pending if reading.floor <= committed]
            self._confirm_due = asked.answered + refresh_seconds

    def lost(self) -> None:
        """Take that the job is not there any more: nothing read from it can be proved."""
        self._void()
        self.note = self.note or "its job is gone"
        self.ended = True

    def _settle(self, life: Life, asked: RequestTime, refresh_seconds: float, obstacle: str | None) -> None:
        self._life = life
        if not life.running:
            self.note = (
                f"its job is {life.state}" if life.state != "RUNNING" else ("not all tasks of its job are running")
            )
        elif life.completed is None:
            self.note = "its job makes no checkpoints, so its commits cannot be followed"
        elif not life.recoverable:
            # Before that, a job manager that starts again would show the same life again.
            self.note = "its job has not completed a checkpoint yet"
        elif obstacle != "":
            self.note = obstacle or self.note
        else:
            self._begun = self._settled = asked.answered
            self._had = None
            self._go(_Phase.BASELINE, asked.answered + refresh_seconds)
            return
        self._life = None
        # An obstacle lasts as long as the life does.
        self._due = asked.answered + max(self.interval_seconds if obstacle else self.pause_seconds, refresh_seconds)

    def _read(self, metrics: Mapping[str, TaskMetrics], asked: RequestTime, refresh_seconds: float) -> None:
        problem = self._problem(metrics)
        if problem:
            if any(task.task_ms is None and not task.over for task in self._baseline.values()):
                self._baseline = metrics  # the first answer has often nothing yet
            self._unchanged += 1
            if self._unchanged >= _MOST_BASELINES:
                self.note = problem
            self._due = asked.answered + self.pause_seconds * min(self._unchanged, 10)
            return
        watermark = min(task.watermark_ms for task in metrics.values() if task.watermark_ms is not None)
        if watermark <= NOT_YET_MS:
            self.note = "its job has no watermark yet: it has received no rows, or has no watermark strategy"
            self._go(_Phase.REST, self._begun + self.interval_seconds)
            return
        if watermark >= FOREVER_MS and not self.ends:
            self.note = "the input of its job has ended"
            self._go(_Phase.REST, self._begun + self.interval_seconds)
            return
        self.note = ""
        self._watermark_ms = min(watermark, FOREVER_MS)
        self._go(_Phase.FLOOR, asked.answered + refresh_seconds)

    def _problem(self, metrics: Mapping[str, TaskMetrics]) -> str:
        """Say why a look at metrics is no reading; empty if it is one."""
        missing = sum(task.watermark_ms is None for task in metrics.values())
        if missing or not metrics:
            return f"its job does not show the watermark of {missing or 'any'} of the writer's tasks"
        for task, now in metrics.items():
            before = self._baseline.get(task)
            if not now.over and (before is None or before.task_ms in (None, now.task_ms) or now.task_ms is None):
                return "Flink does not refresh the metrics of its job"
        return ""

    def _confirm(self) -> WatermarkReading | None:
        self._pending = [reading for reading in self._pending if reading not in self._confirming]
        self._confirm_due = float("inf")
        return max(self._confirming, key=lambda reading: reading.watermark_ms, default=None)

    def _void(self) -> None:
        self._pending.clear()
        self._life = None
        self._confirm_due = float("inf")
        self._phase, self._due = _Phase.SETTLE, float("-inf")

    def _go(self, phase: _Phase, due: float) -> None:
        self._phase, self._due = phase, due
