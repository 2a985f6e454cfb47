"""Jobs and their samples in the database: added in bulk, asked for by job and time, rolled up as they age."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, select, update

from autostream.flink.job_settings import JobSettings
from autostream.names import JobName
from autostream.store.rows import value_of
from autostream.store.turns import take_turn
from autostream.store.upsert import insert_missing, insert_or_update
from autostream.telemetry.blocks import Block, Outline, outline_of, pack_samples, unpack, unpack_one, unpack_series
from autostream.telemetry.job_records import GONE, JobRecord, KnownJob
from autostream.telemetry.rollups import STEP_MS, rolled_up, step_of
from autostream.telemetry.rows import FlinkJobRow, SampleBlockRow, SampleOutlineRow
from autostream.telemetry.samples import JobSample
from autostream.times import DAY_MS

# Databases take so many values in a statement; SQLite has the lowest limit.
_ROWS_A_STATEMENT: Final = 500
_AS_TAKEN: Final = 0
# A chart of more than this shows no minutes.
_LONG_MS: Final = 8 * DAY_MS
# Samples of a day may be written this long after it.
_SETTLED_MS: Final = 600_000
# What PostgreSQL cannot store in a text, or no encoding can: Flink takes both in names.
_NOT_STORABLE: Final = re.compile("[\0\ud800-\udfff]")
_LISTED_COLUMNS: Final = ("job_id", "state", "team", "owner", "started_ms", "seen_ms")
_RECORD_COLUMNS: Final = (*_LISTED_COLUMNS, "settings")


FigurePoint = tuple[int, int, float, float]
"""One figure of one interval: when that began, when it ended, the figure, and its largest sample, which is the figure
itself where the interval is not several rolled up. Charts take tens of thousands of them."""


@dataclass(frozen=True)
class Keeping:
    """For how long samples are kept.

    Attributes:
        as_taken_days: Whole days before today whose samples are kept as they were taken.
        rolled_up_days: Whole days before today whose samples are kept, the older ones in steps of 15 minutes.
    """

    as_taken_days: int = 2
    rolled_up_days: int = 90


DEFAULT_KEEPING: Final = Keeping()


class TelemetryLog:
    """Jobs and samples, within one transaction.

    A character that databases cannot store, NUL or half of a surrogate pair, is kept in texts as U+FFFD.
    """

    def __init__(self, connection: Connection) -> None:
        """Use a connection of `Database.read`, or of `Database.write` for what changes anything."""
        self._connection = connection

    # ------- jobs
    def put(self, records: Iterable[JobRecord]) -> None:
        """Write what is known of jobs; what was known of them before is replaced."""
        rows = {_digest(record.job): _to_row(record) for record in records}
        for some in _slices(sorted(rows.values(), key=lambda row: row["name_digest"])):
            insert_or_update(self._connection, FlinkJobRow, some, key=["name_digest"], updated=_RECORD_COLUMNS)

    def mark_seen(self, cluster: str, states: Mapping[JobName, str], *, now_ms: int) -> None:
        """Note the states in which a cluster shows its jobs now; those that it does not show any more are `GONE`.

        Args:
            cluster: The cluster.
            states: Of all jobs that it lists; of those that were never `put`, nothing is noted.
            now_ms: When it listed them.
        """
        query = select(FlinkJobRow.name_digest, FlinkJobRow.state).where(FlinkJobRow.cluster == _storable(cluster))
        known = {row.name_digest: row.state for row in self._connection.execute(query)}
        shown = {_digest(job): _storable(state) for job, state in states.items()}
        change = update(FlinkJobRow).where(FlinkJobRow.name_digest == bindparam("digest"))
        # In one order, so that two that write the same do not wait for each other.
        seen = [{"digest": digest, "now_state": state} for digest, state in sorted(shown.items()) if digest in known]
        if seen:
            self._connection.execute(change.values(state=bindparam("now_state"), seen_ms=now_ms), seen)
        gone = [{"digest": digest} for digest, state in sorted(known.items()) if digest not in shown and state != GONE]
        if gone:
            self._connection.execute(change.values(state=GONE), gone)

    def record(self, job: JobName) -> JobRecord | None:
        """Return what is known of a job; None where it was never seen."""
        row = self._connection.execute(select(FlinkJobRow).where(FlinkJobRow.name_digest == _digest(job))).first()
        return None if row is None else _to_record(row)

    def records(self, *, cluster: str | None = None, team: str | None = None) -> list[JobRecord]:
        """Return what is known of all jobs, in the order of their names; also of those that are gone.

        Args:
            cluster: Only those of this cluster.
            team: Only those of this team.
        """
        query = select(FlinkJobRow)
        if cluster is not None:
            query = query.where(FlinkJobRow.cluster == _storable(cluster))
        if team is not None:
            query = query.where(FlinkJobRow.team == _storable(team))
        return sorted((_to_record(row) for row in self._connection.execute(query)), key=lambda record: record.job)

    def listed(self) -> list[KnownJob]:
        """Return what is known of all jobs but for their settings, in no order: several times as fast as `records`."""
        columns = (FlinkJobRow.cluster, FlinkJobRow.name, *(getattr(FlinkJobRow, name) for name in _LISTED_COLUMNS))
        rows = self._connection.execute(select(*columns))
        return [KnownJob(JobName(*row[:2]), *row[2:]) for row in rows]

    # ------- samples
    def add(self, samples: Iterable[JobSample]) -> None:
        """Add samples; of a job and an instant the first one counts. Fractions are kept with six digits."""
        by_job: dict[JobName, list[JobSample]] = defaultdict(list)
        for sample in samples:
            by_job[sample.job].append(sample)
        blocks = [
            (job, block)
            for job, its in by_job.items()
            for sample in sorted(its, key=lambda sample: sample.at_ms)
            for block in pack_samples([sample])
        ]
        ids = self._ids_of_jobs({job: its[-1] for job, its in by_job.items()})
        self._insert([(ids[_digest(job)], block) for job, block in blocks], step_ms=_AS_TAKEN)

    def samples(self, job: JobName, *, since_ms: int, until_ms: int | None = None) -> list[JobSample]:
        """Return samples of a job that were taken after `since_ms` and up to `until_ms`, the oldest first.

        They are as they were taken where they are still kept so, and rolled up into steps of 15 minutes before.
        """
        kept = self._blocks(job, since_ms, until_ms)
        found = [
            s for row in kept.rolled_up for s in unpack(job, outline_of(row.text), row.numbers) if kept.has(s.at_ms)
        ]
        found += [s for row in kept.as_taken for s in unpack(job, outline_of(row.text), row.numbers)]
        return sorted(found, key=lambda sample: sample.at_ms)

    def series(
        self, job: JobName, wanted: Sequence[tuple[str, str | None]], *, since_ms: int, until_ms: int | None = None
    ) -> list[list[FigurePoint]]:
        """Return some figures of a job in the intervals that `samples` gives, several times as fast: for charts.

        Of more than a week, samples are rolled up as far as they already are.

        Args:
            job: The job.
            wanted: Names of figures; each with the id of its vertex, None for one of the job.
            since_ms: See `samples`.
            until_ms: See `samples`.

        Returns:
            For each figure its points, the oldest first; fractions are in single precision.
        """
        asked = tuple(wanted)
        kept = self._blocks(job, since_ms, until_ms)
        if kept.rolled_up and kept.as_taken and kept.as_taken[-1].to_ms - since_ms > _LONG_MS:
            kept = kept.coarse()
        found: list[list[FigurePoint]] = [[] for _ in asked]
        for rows, taken in ((kept.rolled_up, False), (kept.as_taken, True)):
            for row in rows:
                for points, more in zip(found, unpack_series(outline_of(row.text), row.numbers, asked), strict=True):
                    points += more if taken else [point for point in more if kept.has(point[1])]
        return [sorted(points, key=_end) for points in found]

    def recent(self, *, since_ms: int) -> Iterator[tuple[JobName, list[JobSample]]]:
        """Give the samples of all jobs after an instant, job by job, as far as they are kept as they were taken."""
        query = (
            select(SampleBlockRow, SampleOutlineRow.outline.label("text"), FlinkJobRow.cluster, FlinkJobRow.name)
            .join(FlinkJobRow, FlinkJobRow.id == SampleBlockRow.job)
            .join(SampleOutlineRow, SampleOutlineRow.id == SampleBlockRow.outline)
            .where(SampleBlockRow.step_ms == _AS_TAKEN, SampleBlockRow.to_ms > since_ms)
            .order_by(SampleBlockRow.job, SampleBlockRow.to_ms)
        )
        for _, rows in groupby(self._connection.execute(query), key=lambda row: row.job):
            several = list(rows)
            job = JobName(several[0].cluster, several[0].name)
            yield job, _unpacked(job, several)

    def latest(self, figures: Sequence[str], *, since_ms: int) -> dict[JobName, dict[str, float]]:
        """Return some figures of the last sample of each job, as far as that was taken after an instant."""
        newest = (
            select(SampleBlockRow.job, func.max(SampleBlockRow.to_ms).label("to_ms"))
            .where(SampleBlockRow.step_ms == _AS_TAKEN, SampleBlockRow.to_ms > since_ms)
            .group_by(SampleBlockRow.job)
            .subquery()
        )
        query = (
            select(FlinkJobRow.cluster, FlinkJobRow.name, SampleBlockRow.outline, SampleBlockRow.numbers)
            .join(newest, (newest.c.job == SampleBlockRow.job) & (newest.c.to_ms == SampleBlockRow.to_ms))
            .join(FlinkJobRow, FlinkJobRow.id == SampleBlockRow.job)
            # And not by age again: each block is found by its key.
            .where(SampleBlockRow.step_ms == _AS_TAKEN)
        )
        rows = self._connection.execute(query).all()
        outlines = sorted({row.outline for row in rows})
        texts: dict[int, str] = {}
        for some in _slices(outlines):
            of_some = select(SampleOutlineRow.id, SampleOutlineRow.outline).where(SampleOutlineRow.id.in_(some))
            texts |= {row.id: row.outline for row in self._connection.execute(of_some)}
        places = {key: _places(outline_of(text), figures) for key, text in texts.items()}
        return {
            JobName(cluster, name): unpack_one(numbers, places[outline]) for cluster, name, outline, numbers in rows
        }

    # ------- age
    def roll_up_next(self, *, now_ms: int, keeping: Keeping = DEFAULT_KEEPING) -> JobName | None:
        """Roll up the days that are over of one job, and forget what is too old of it.

        Of several processes that do this at once each takes another job. A job is due once a day.

        Returns:
            The job; None where none is due.
        """
        take_turn(self._connection, "roll up samples")
        today_ms = (now_ms - _SETTLED_MS) // DAY_MS * DAY_MS
        due = select(FlinkJobRow).where(FlinkJobRow.rolled_up_to_ms < today_ms).order_by(FlinkJobRow.id).limit(1)
        row = self._connection.execute(due).first()
        if row is None:
            return None
        job = JobName(row.cluster, row.name)
        self._roll_up(job, row.id, row.rolled_up_to_ms, today_ms)
        self._forget(row, today_ms, keeping)
        self._connection.execute(update(FlinkJobRow).where(FlinkJobRow.id == row.id).values(rolled_up_to_ms=today_ms))
        return job

    def forget_outlines(self, *, now_ms: int, keeping: Keeping = DEFAULT_KEEPING) -> None:
        """Delete outlines that no kept block can have."""
        # Blocks that are rolled up later than their samples were taken are new ones, and mark their outlines used.
        oldest_ms = now_ms // DAY_MS * DAY_MS - (keeping.rolled_up_days + keeping.as_taken_days + 1) * DAY_MS
        self._connection.execute(delete(SampleOutlineRow).where(SampleOutlineRow.used_ms < oldest_ms))

    def _roll_up(self, job: JobName, job_key: int, from_ms: int, to_ms: int) -> None:
        samples = _unpacked(job, self._taken(job_key, from_ms, to_ms))
        for _, day in groupby(rolled_up(samples), key=lambda sample: (sample.at_ms - 1) // DAY_MS):
            self._insert([(job_key, block) for block in pack_samples(day)], step_ms=STEP_MS)

    def _forget(self, row: Any, today_ms: int, keeping: Keeping) -> None:
        for step_ms, days in ((_AS_TAKEN, keeping.as_taken_days), (STEP_MS, keeping.rolled_up_days)):
            self._connection.execute(
                delete(SampleBlockRow).where(
                    SampleBlockRow.job == row.id,
                    SampleBlockRow.step_ms == step_ms,
                    SampleBlockRow.to_ms <= today_ms - days * DAY_MS,
                )
            )
        left = select(func.count()).select_from(SampleBlockRow).where(SampleBlockRow.job == row.id)
        if row.seen_ms <= today_ms - keeping.rolled_up_days * DAY_MS and not self._connection.scalar(left):
            self._connection.execute(delete(FlinkJobRow).where(FlinkJobRow.id == row.id))

    # ------- blocks
    def _blocks(self, job: JobName, since_ms: int, until_ms: int | None) -> _Kept:
        query = (
            _block_query()
            .join(FlinkJobRow, FlinkJobRow.id == SampleBlockRow.job)
            .where(FlinkJobRow.name_digest == _digest(job), SampleBlockRow.to_ms > since_ms)
        )
        if until_ms is not None:
            query = query.where(SampleBlockRow.from_ms < until_ms)
        rows = self._connection.execute(query.order_by(SampleBlockRow.step_ms, SampleBlockRow.to_ms)).all()
        as_taken = [row for row in rows if row.step_ms == _AS_TAKEN and (until_ms is None or row.to_ms <= until_ms)]
        # Of an interval whose samples are still kept as they were taken, all are.
        to_ms = step_of(as_taken[0].to_ms) if as_taken else until_ms
        return _Kept(as_taken, [row for row in rows if row.step_ms != _AS_TAKEN], since_ms, to_ms)

    def _taken(self, job_key: int, from_ms: int, to_ms: int) -> Sequence[Any]:
        query = _block_query().where(
            SampleBlockRow.job == job_key,
            SampleBlockRow.step_ms == _AS_TAKEN,
            SampleBlockRow.to_ms > from_ms,
            SampleBlockRow.to_ms <= to_ms,
        )
        rows: Sequence[Any] = self._connection.execute(query.order_by(SampleBlockRow.to_ms)).all()
        return rows

    def _insert(self, blocks: Sequence[tuple[int, Block]], *, step_ms: int) -> None:
        texts = [block.outline.to_text() for _, block in blocks]
        used_ms: dict[str, int] = {}
        for text, (_, block) in zip(texts, blocks, strict=True):
            used_ms[text] = max(block.to_ms, used_ms.get(text, 0))
        ids = self._ids_of_outlines(used_ms)
        rows = [
            {
                "job": job_key,
                "step_ms": step_ms,
                "to_ms": block.to_ms,
                "from_ms": block.from_ms,
                "outline": ids[text],
                "numbers": block.numbers,
            }
            for text, (job_key, block) in zip(texts, blocks, strict=True)
        ]
        for some in _slices(sorted(rows, key=lambda row: (row["job"], row["to_ms"]))):
            insert_missing(self._connection, SampleBlockRow, some)

    def _ids_of_outlines(self, used_ms: Mapping[str, int]) -> dict[str, int]:
        texts = {hashlib.sha256(text.encode()).hexdigest(): text for text in used_ms}
        for some in _slices(sorted(texts)):
            insert_or_update(
                self._connection,
                SampleOutlineRow,
                [{"digest": digest, "outline": texts[digest], "used_ms": used_ms[texts[digest]]} for digest in some],
                key=["digest"],
                updated=["used_ms"],
                # Once a day is enough to know which are still in use.
                where=lambda given: SampleOutlineRow.used_ms < given.used_ms - DAY_MS,
            )
        found = self._ids(SampleOutlineRow.digest, SampleOutlineRow.id, texts)
        return {text: found[digest] for digest, text in texts.items()}

    def _ids_of_jobs(self, samples: Mapping[JobName, JobSample]) -> dict[str, int]:
        new = {_digest(job): _to_row(_unrecorded(sample)) for job, sample in samples.items()}
        found = self._ids(FlinkJobRow.name_digest, FlinkJobRow.id, new)
        if missing := sorted(set(new) - set(found)):
            for some in _slices([new[digest] for digest in missing]):
                insert_missing(self._connection, FlinkJobRow, some)
            found |= self._ids(FlinkJobRow.name_digest, FlinkJobRow.id, missing)
        return found

    def _ids(self, digest: Any, key: Any, digests: Iterable[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for some in _slices(sorted(digests)):
            found |= {row[0]: row[1] for row in self._connection.execute(select(digest, key).where(digest.in_(some)))}
        return found


@dataclass(frozen=True)
class _Kept:
    """Blocks of a job: `rolled_up` ones count for samples after `since_ms` and up to `to_ms`."""

    as_taken: Sequence[Any]
    rolled_up: Sequence[Any]
    since_ms: int
    to_ms: int | None

    def coarse(self) -> _Kept:
        """Return them with samples as they were taken only after those that are rolled up."""
        end_ms = self.rolled_up[-1].to_ms
        return _Kept([row for row in self.as_taken if row.to_ms > end_ms], self.rolled_up, self.since_ms, None)

    def has(self, at_ms: int) -> bool:
        return self.since_ms < at_ms and (self.to_ms is None or at_ms <= self.to_ms)


_end: Final = itemgetter(1)


def _places(outline: Outline, figures: Sequence[str]) -> dict[str, int]:
    found = ((figure, outline.column(figure)) for figure in figures)
    return {figure: place for figure, place in found if place is not None}


def _block_query() -> Any:
    query = select(SampleBlockRow, SampleOutlineRow.outline.label("text"))
    return query.join(SampleOutlineRow, SampleOutlineRow.id == SampleBlockRow.outline)


def _unpacked(job: JobName, rows: Iterable[Any]) -> list[JobSample]:
    return [sample for row in rows for sample in unpack(job, outline_of(row.text), row.numbers)]


def _slices(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), _ROWS_A_STATEMENT):
        yield rows[start : start + _ROWS_A_STATEMENT]


def _digest(job: JobName) -> str:
    return hashlib.sha256(_storable(str(job)).encode()).hexdigest()


def _storable(text: str) -> str:
    return _NOT_STORABLE.sub("\ufffd", text)


def _unrecorded(sample: JobSample) -> JobRecord:
    return JobRecord(
        job=sample.job,
        job_id=sample.job_id,
        state=sample.state,
        team=None,
        owner=None,
        started_ms=0,
        seen_ms=sample.at_ms,
        settings=JobSettings(),
    )


def _to_row(record: JobRecord) -> dict[str, Any]:
    return {
        "name_digest": _digest(record.job),
        "cluster": _storable(record.job.cluster),
        "name": _storable(record.job.name),
        "job_id": _storable(record.job_id),
        "state": _storable(record.state),
        "team": None if record.team is None else _storable(record.team),
        "owner": None if record.owner is None else _storable(record.owner),
        "started_ms": record.started_ms,
        "seen_ms": record.seen_ms,
        "settings": json.dumps(record.settings.model_dump(mode="json")),
        "rolled_up_to_ms": 0,
    }


def _to_record(row: Any) -> JobRecord:
    settings = JobSettings.model_validate(json.loads(row.settings))
    return value_of(JobRecord, row, job=JobName(row.cluster, row.name), settings=settings)
