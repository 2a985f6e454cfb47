"""A table's past: what the database knows, with what the metadata that the table keeps adds to it.

What the recorder writes into the database may have gaps: it was down, or others published. Each question therefore
first reads the metadata files that the table still lists and that were not read before, and puts into the database what
is missing there. Where the database cannot be used, the metadata alone answers, with a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from pyiceberg.table import Table

from autostream import times
from autostream.catalogs.opening import open_table
from autostream.config import Settings, load_settings
from autostream.errors import ConfigurationError, ServiceError
from autostream.iceberg.snapshots import SnapshotFacts, lineage, snapshots_of
from autostream.iceberg.tables import full_name
from autostream.spelling import counted
from autostream.store.database import Database, open_database
from autostream.times import DAY_MS, why_too_far_ahead
from autostream.watermark.codec import read_properties
from autostream.watermark.history.log import WatermarkLog
from autostream.watermark.history.log_entries import KnownRecord, LogEntry, thinned
from autostream.watermark.history.metadata_facts import (
    MetadataState,
    NewFacts,
    TableId,
    facts_of_commits,
    facts_of_state,
)
from autostream.watermark.history.metadata_states import file_name_of, read_states
from autostream.watermark.reading.derived_marks import property_mark

MOST_FILES: Final = 100
"""So many metadata files are read for one question, the newest ones; Iceberg's tables list no more by default."""

T = TypeVar("T")
_Question = Callable[[WatermarkLog, str], T]


class TablePast:
    """One table's past, put together for one question."""

    def __init__(
        self, table: Table | str, database: Database | None, most_files: int, *, settings: Settings | None = None
    ) -> None:
        self.table = open_table(table) if isinstance(table, str) else table
        self.id = TableId(full_name(self.table), str(self.table.metadata.table_uuid))
        self.problems: list[str] = []
        self._database = database
        self._most_files = most_files
        self._settings = settings

    def ask(self, question: _Question[T]) -> T:
        """Answer from the database with what metadata adds to it, or from metadata alone."""
        settings = self._settings or load_settings()
        try:
            return self._ask(self._database or open_database(settings.database), settings, question)
        except (ConfigurationError, ServiceError) as error:
            self.problems = [f"could not ask the database, so this is only from the table's metadata: {error}"]
        scratch = Database("sqlite://")
        try:
            return self._ask(scratch, settings, question)
        finally:
            scratch.close()

    def _ask(self, database: Database, settings: Settings, question: _Question[T]) -> T:
        with database.read() as connection:
            log = WatermarkLog(connection)
            read_before, known = log.files_read(self.id.uuid), log.known(self.id.uuid)
        keep_days = settings.database.history_days
        now_ms = times.now_ms()
        current = self._current()
        commits = self._commits(current, settings)
        earlier = self._read_states(read_before, commits, since_ms=now_ms - keep_days * DAY_MS)
        facts = self._facts(current, earlier, known, settings)
        if commits is not None:
            line = reversed(list(lineage(commits.values(), self.table.metadata.current_snapshot_id)))
            found = facts_of_commits(self.id, line, settings.watermark.summary_keys)
            there = {(entry.writer, entry.watermark_ms) for entry in known}
            facts += [
                fact for fact in found if (fact.writer, fact.watermark_ms) not in there and _is_believed(fact, settings)
            ]
        new = thinned(facts, now_ms=now_ms, keep_days=keep_days)
        names = [current.file_name, *(state.file_name for state in earlier)]
        if new or not read_before.issuperset(names):
            listed = [file_name_of(entry.metadata_file) for entry in self.table.metadata.metadata_log]
            with database.write() as connection:
                log = WatermarkLog(connection)
                log.add(new)
                log.mark_read(self.id.uuid, names, listed=[*listed, current.file_name])
                log.thin_when_due(now_ms=now_ms, keep_days=keep_days)
        with database.read() as connection:
            return question(WatermarkLog(connection), self.id.uuid)

    def _current(self) -> MetadataState:
        metadata = self.table.metadata
        return MetadataState(
            file_name=file_name_of(self.table.metadata_location),
            updated_ms=metadata.last_updated_ms,
            properties=metadata.properties,
        )

    def _commits(self, current: MetadataState, settings: Settings) -> dict[int, SnapshotFacts] | None:
        """Return all snapshots by id; None where what they say does not count."""
        if read_properties(self.id.name, current.properties).source is not None:
            return None
        if property_mark(self.id.name, current.properties, settings.watermark.property_keys) is not None:
            return None
        return {commit.snapshot_id: commit for commit in snapshots_of(self.table.metadata)}

    def _facts(
        self, current: MetadataState, earlier: Sequence[MetadataState], known: Iterable[KnownRecord], settings: Settings
    ) -> list[LogEntry]:
        """Return what the properties of all these states say and is not known."""
        filter_ = NewFacts(known)
        facts: list[LogEntry] = []
        for state in sorted((*earlier, current), key=lambda state: state.updated_ms):
            derived = read_properties(self.id.name, state.properties).source is None
            said = facts_of_state(
                self.id,
                state,
                settings.watermark.property_keys,
                max_ahead_seconds=settings.watermark.max_ahead_seconds,
            )
            for fact in said:
                if derived and not _is_believed(fact, settings):
                    continue
                if filter_.is_new(fact, may_be_earlier=state is not current):
                    facts.append(fact)
        return facts

    def _read_states(
        self, read_before: set[str], commits: dict[int, SnapshotFacts] | None, *, since_ms: int
    ) -> list[MetadataState]:
        """Read the metadata files that are listed, young enough and not known, the newest first.

        Snapshots that have expired since are added to `commits`.
        """
        wanted = [
            entry.metadata_file
            for entry in reversed(self.table.metadata.metadata_log)
            if entry.timestamp_ms >= since_ms and file_name_of(entry.metadata_file) not in read_before
        ]
        if len(wanted) > self._most_files:
            left = len(wanted) - self._most_files
            self.problems.append(f"did not read {counted(left, 'older metadata file')} of the table this time")
        states = []
        # PyIceberg forgets the parent of a snapshot when it expires; what was written before still tells it.
        known = None if commits is None else frozenset(c.snapshot_id for c in commits.values() if c.parent_id)
        for found in read_states(self.table.io, wanted[: self._most_files], known=known):
            if isinstance(found, str):
                self.problems.append(found)
                continue
            state, expired = found
            states.append(state)
            if commits is not None:
                commits.update({commit.snapshot_id: commit for commit in expired})
        return states


def _is_believed(derived: LogEntry, settings: Settings) -> bool:
    """Say whether what others left in the metadata was not too far ahead of the time at which they did."""
    most = settings.watermark.max_ahead_seconds
    return derived.watermark_ms is None or not why_too_far_ahead(
        derived.watermark_ms, now_ms=derived.recorded_at_ms, most_seconds=most
    )
