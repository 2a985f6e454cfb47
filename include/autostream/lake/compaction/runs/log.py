"""Compactions that were run, in the database: added once, asked for by table, and forgotten as they age."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select

from autostream.lake.compaction.runs.rows import CompactionCountRow, CompactionRunRow
from autostream.store.chores import take_chore
from autostream.store.rows import value_of
from autostream.store.upsert import insert_or_add
from autostream.times import DAY_MS, iso

_CHORE: Final = "forget old compactions"
# Databases take so many values in a statement; SQLite has the lowest limit.
_NAMES_A_STATEMENT: Final = 500


@dataclass(frozen=True, kw_only=True)
class CompactionRun:
    """What one run did to one table, or to some of its partitions. What is not known is None.

    Attributes:
        table_name: The table's full name at that time.
        by: Who ran it: a DAG run, or an account and its machine.
        started_at_ms: When the table's turn came.
        ended_at_ms: When that was over.
        status: What `autostream table compact --json` says.
        error: Why it failed; empty where it did not.
        partitions: How many partitions it was about; None for the whole table.
        planned_snapshot_id: The snapshot that was planned upon.
        snapshot_id: The snapshot that was committed.
        data_files_before: Live data files of the planned snapshot; `_after`: of the committed one.
        data_files_after: See above.
        delete_files_before: Its live delete files.
        delete_files_after: See above.
        bytes_before: The size of all these files.
        bytes_after: See above.
        rows_read: Rows of the files that were merged.
        rows_deleted: How many of these were deleted ones.
        bytes_read: The size of the files that were merged.
        bytes_written: The size of what was made of them.
        plan_seconds: How long planning took.
        rewrite_seconds: How long it took to write the new files.
        commit_seconds: How long the commit took.
        peak_memory_bytes: The most memory that the process has had.
    """

    table_name: str
    by: str
    started_at_ms: int
    ended_at_ms: int
    status: str
    error: str = ""
    partitions: int | None = None
    planned_snapshot_id: int | None = None
    snapshot_id: int | None = None
    data_files_before: int | None = None
    data_files_after: int | None = None
    delete_files_before: int | None = None
    delete_files_after: int | None = None
    bytes_before: int | None = None
    bytes_after: int | None = None
    rows_read: int | None = None
    rows_deleted: int | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None
    plan_seconds: float | None = None
    rewrite_seconds: float | None = None
    commit_seconds: float | None = None
    peak_memory_bytes: int | None = None

    @classmethod
    def of(
        cls,
        outcome: Mapping[str, Any],
        *,
        by: str,
        started_at_ms: int,
        ended_at_ms: int,
        partitions: int | None = None,
    ) -> CompactionRun:
        """Return the run that had an outcome, as `CompactionResult.to_dict` or `outcome_of_error` gives it."""
        before, after, seconds = (outcome.get(key) or {} for key in ("before", "after", "seconds"))
        same = ("planned_snapshot_id", "snapshot_id", "rows_read", "rows_deleted", "bytes_read", "bytes_written")
        return cls(
            table_name=outcome["table"],
            by=by,
            started_at_ms=started_at_ms,
            ended_at_ms=ended_at_ms,
            status=outcome["status"],
            error=outcome.get("error") or "",
            partitions=partitions,
            data_files_before=before.get("data_files"),
            data_files_after=after.get("data_files"),
            delete_files_before=_delete_files(before),
            delete_files_after=_delete_files(after),
            bytes_before=before.get("bytes"),
            bytes_after=after.get("bytes"),
            plan_seconds=seconds.get("plan"),
            rewrite_seconds=seconds.get("rewrite"),
            commit_seconds=seconds.get("commit"),
            peak_memory_bytes=outcome.get("peak_memory_bytes"),
            **{key: outcome.get(key) for key in same},
        )

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended_at_ms - self.started_at_ms) / 1000

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON document: times in ISO 8601 and as `_ms`."""
        document = asdict(self) | {"started_at": iso(self.started_at_ms), "ended_at": iso(self.ended_at_ms)}
        document["table"] = document.pop("table_name")
        return document


@dataclass(frozen=True, kw_only=True)
class CompactionCount:
    """Sums over all runs on a table that had one status, since they are recorded. They only grow.

    Attributes:
        table_name: The table's full name.
        status: What the runs came to.
        runs: How many there were.
        duration_ms: How long they took together.
        rows_read: Rows of the files that were merged.
        rows_deleted: How many of these were deleted ones.
        bytes_read: The size of the files that were merged.
        bytes_written: The size of what was made of them.
    """

    table_name: str
    status: str
    runs: int
    duration_ms: int
    rows_read: int
    rows_deleted: int
    bytes_read: int
    bytes_written: int

    @classmethod
    def of(cls, run: CompactionRun) -> CompactionCount:
        """Return the sums over one run."""
        return cls(
            table_name=run.table_name,
            status=run.status,
            runs=1,
            duration_ms=run.ended_at_ms - run.started_at_ms,
            rows_read=run.rows_read or 0,
            rows_deleted=run.rows_deleted or 0,
            bytes_read=run.bytes_read or 0,
            bytes_written=run.bytes_written or 0,
        )


_COUNT_KEY: Final = ("table_name", "status")
_SUMS: Final = tuple(field.name for field in fields(CompactionCount) if field.name not in _COUNT_KEY)


class RunLog:
    """The runs in the database, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Use a connection of `Database.read`, or of `Database.write` for what changes anything."""
        self._connection = connection

    def add(self, run: CompactionRun) -> None:
        """Add a run, to the sums too. Several are added in the order of their tables, or two writers may block."""
        self._connection.execute(insert(CompactionRunRow).values(**asdict(run)))
        counted = asdict(CompactionCount.of(run))
        insert_or_add(self._connection, CompactionCountRow, [counted], key=_COUNT_KEY, added=_SUMS)

    def counts(self) -> list[CompactionCount]:
        """Return the sums over all runs that were ever recorded, by table and status."""
        query = select(CompactionCountRow).order_by(CompactionCountRow.table_name, CompactionCountRow.status)
        names = [field.name for field in fields(CompactionCount)]
        return [
            CompactionCount(**{name: getattr(row, name) for name in names}) for row in self._connection.execute(query)
        ]

    def newest(self, table_name: str, *, limit: int) -> list[CompactionRun]:
        """Return the last so many runs of a table, the newest first."""
        query = select(CompactionRunRow).where(CompactionRunRow.table_name == table_name)
        query = query.order_by(CompactionRunRow.ended_at_ms.desc(), CompactionRunRow.id.desc()).limit(limit)
        return [value_of(CompactionRun, row) for row in self._connection.execute(query)]

    def last_of(self, table_names: Collection[str]) -> dict[str, CompactionRun]:
        """Return the last run of each table that has one."""
        names = sorted(table_names)
        found: dict[str, CompactionRun] = {}
        for start in range(0, len(names), _NAMES_A_STATEMENT):
            wanted = CompactionRunRow.table_name.in_(names[start : start + _NAMES_A_STATEMENT])
            newest = (
                select(CompactionRunRow.table_name, func.max(CompactionRunRow.ended_at_ms).label("ended_at_ms"))
                .where(wanted)
                .group_by(CompactionRunRow.table_name)
                .subquery()
            )
            query = (
                select(CompactionRunRow)
                .join(
                    newest,
                    (CompactionRunRow.table_name == newest.c.table_name)
                    & (CompactionRunRow.ended_at_ms == newest.c.ended_at_ms),
                )
                .order_by(CompactionRunRow.id)
            )
            found |= {row.table_name: value_of(CompactionRun, row) for row in self._connection.execute(query)}
        return found

    def forget_when_due(self, *, now_ms: int, keep_days: int) -> None:
        """Delete runs older than so many days, where nobody has done it within the day. The sums stay."""
        if take_chore(self._connection, _CHORE, now_ms=now_ms, every_ms=DAY_MS):
            oldest_ms = now_ms - keep_days * DAY_MS
            self._connection.execute(delete(CompactionRunRow).where(CompactionRunRow.ended_at_ms < oldest_ms))


def _delete_files(counts: Mapping[str, int]) -> int | None:
    if not counts:
        return None
    return counts["equality_delete_files"] + counts["position_delete_files"]
