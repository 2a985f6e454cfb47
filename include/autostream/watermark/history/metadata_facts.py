"""What a table's metadata tells of the history of its watermarks: pure, the same facts that were recorded then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autostream.iceberg.snapshots import SnapshotFacts
from autostream.watermark.codec import last_reset, read_properties, time_or_none
from autostream.watermark.events import EventKind
from autostream.watermark.history.log_entries import ADVANCE, JOIN, RESET, RETIRE, KnownRecord, LogEntry
from autostream.watermark.marks import TableMark, WriterMark, WriterStatus
from autostream.watermark.reading.derived_marks import complete, lowest, property_mark, statements_of


@dataclass(frozen=True)
class TableId:
    """A table: its full name, and the UUID that stays when it is renamed."""

    name: str
    uuid: str


@dataclass(frozen=True)
class MetadataState:
    """A table's metadata at one time, as far as it is of interest here.

    Attributes:
        file_name: of the metadata file, without its directory.
        updated_ms: since when the table was like this.
        properties: the table's.
    """

    file_name: str
    updated_ms: int
    properties: Mapping[str, str]


def generation(properties: Mapping[str, str]) -> int:
    """Return when a table was last set back, epoch ms; 0 where it never was."""
    return time_or_none(last_reset(properties).get("at-ms")) or 0


def facts_of_state(
    table: TableId, state: MetadataState, property_keys: Sequence[str], *, max_ahead_seconds: float = float("inf")
) -> Iterator[LogEntry]:
    """Yield what the properties of one state say. Its time is the latest at which it can have come about."""
    mark = read_properties(table.name, state.properties, latest_ms=state.updated_ms + max_ahead_seconds * 1000)
    if mark.source is None:
        foreign = property_mark(table.name, state.properties, property_keys)
        yield from _facts_of_mark(table, foreign, state.updated_ms, 0) if foreign else ()
        return
    since = generation(state.properties)
    if since:
        yield _reset(table, last_reset(state.properties), since)
    yield from _facts_of_mark(table, mark, state.updated_ms, since)


class NewFacts:
    """Tells facts that are new from those that are known already, by the recorder or from earlier states."""

    def __init__(self, known: Iterable[KnownRecord]) -> None:
        """Start with what is known."""
        self._there: set[tuple[str, str | None, int | None, int]] = set()
        # What the recorder called a join, or a reset, is in the metadata like any other watermark.
        self._reached: set[tuple[str | None, int | None, int]] = set()
        self._recorded: set[tuple[str | None, int | None, int]] = set()
        self._retired: dict[tuple[str | None, int | None], int] = {}
        for entry in known:
            self._there.add((entry.kind, entry.writer, entry.watermark_ms, entry.generation_ms))
            self._note(entry)

    def is_new(self, fact: LogEntry, *, may_be_earlier: bool) -> bool:
        """Whether a fact has to be added.

        Args:
            fact: what a state says; of several states, the oldest first.
            may_be_earlier: whether it may have been known with a later time only.
        """
        this = (fact.writer, fact.watermark_ms, fact.generation_ms)
        told = (
            (not may_be_earlier and (fact.kind, *this) in self._there)
            or (fact.kind == ADVANCE and this in self._reached)
            # A writer's watermark carries the recorder's time, also when the table is set back and the writer need not
            # be. Its retirement stays as well.
            or (fact.kind == ADVANCE and (fact.writer, fact.watermark_ms, fact.recorded_at_ms) in self._recorded)
            or (fact.kind == RETIRE and self._retired.get(this[:2], fact.generation_ms) != fact.generation_ms)
        )
        self._note(fact)
        return not told

    def _note(self, entry: KnownRecord | LogEntry) -> None:
        if entry.kind in (JOIN, RESET):
            self._reached.add((entry.writer, entry.watermark_ms, entry.generation_ms))
        if entry.writer is not None:
            self._recorded.add((entry.writer, entry.watermark_ms, entry.recorded_at_ms))
        if entry.kind == RETIRE:
            self._retired.setdefault((entry.writer, entry.watermark_ms), entry.generation_ms)


def facts_of_commits(table: TableId, oldest_first: Iterable[SnapshotFacts], keys: Sequence[str]) -> Iterator[LogEntry]:
    """Yield what snapshot summaries say, one after the other.

    The table's own watermark is left out until all its writers are known: those of expired snapshots were there before.
    """
    commits = list(oldest_first)
    everybody = {said.writer for commit in commits for said in statements_of(commit, keys)}
    found: dict[str, WriterMark] = {}
    own: int | None = None
    for commit in commits:
        for said in statements_of(commit, keys):
            before = found.get(said.writer)
            if said.watermark_ms is None:
                found.setdefault(said.writer, WriterMark(said.writer, None))
            elif before is None or before.watermark_ms != said.watermark_ms:
                found[said.writer] = WriterMark(said.writer, said.watermark_ms)
                yield _from_commit(table, said.writer, said.watermark_ms, commit)
        now = lowest(complete(found, keys)) if found.keys() == everybody else None
        if now is not None and now != own:
            own = now
            yield _from_commit(table, None, now, commit)


def _facts_of_mark(table: TableId, mark: TableMark, updated_ms: int, since: int) -> Iterator[LogEntry]:
    for writer in mark.writers:
        at_ms = updated_ms if writer.recorded_at_ms is None else writer.recorded_at_ms
        if writer.watermark_ms is not None:
            yield _fact(table, EventKind.ADVANCE, writer.name, writer.watermark_ms, at_ms, since, writer.job_id)
        if writer.status is WriterStatus.RETIRED:
            yield _fact(
                table, EventKind.RETIRE, writer.name, writer.watermark_ms, updated_ms, since, writer.job_id, writer.note
            )
    if mark.watermark_ms is not None:
        yield _fact(table, EventKind.ADVANCE, None, mark.watermark_ms, updated_ms, since)


def _fact(
    table: TableId,
    kind: EventKind,
    writer: str | None,
    watermark_ms: int | None,
    at_ms: int,
    since: int,
    job_id: str = "",
    note: str = "",
) -> LogEntry:
    return LogEntry(
        table.name, table.uuid, writer, kind.value, watermark_ms, at_ms, generation_ms=since, job_id=job_id, note=note
    )


def _from_commit(table: TableId, writer: str | None, watermark_ms: int, commit: SnapshotFacts) -> LogEntry:
    return LogEntry(
        table.name,
        table.uuid,
        writer,
        EventKind.ADVANCE.value,
        watermark_ms,
        commit.timestamp_ms,
        snapshot_id=commit.snapshot_id,
    )


def _reset(table: TableId, record: Mapping[str, object], at_ms: int) -> LogEntry:
    ends = [value for value in (time_or_none(record.get(key)) for key in ("from-ms", "to-ms")) if value is not None]
    known = time_or_none(record.get("from-ms")) is not None
    return LogEntry(
        table.name,
        table.uuid,
        None,
        EventKind.RESET.value,
        min(ends) if known and len(ends) == 2 else None,
        at_ms,
        generation_ms=at_ms,
        by=str(record.get("by", "")),
        note=str(record.get("reason", "")),
    )
