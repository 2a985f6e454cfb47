"""When which watermark was reached: from the database, and from the metadata that a table keeps of its past.

What the recorder writes into the database may have gaps: it was down, or others published. Each question therefore
first reads the metadata files that the table still lists and that were not read before, and puts into the database what
is missing there. Where the database cannot be used, the metadata alone answers, with a warning.
"""

from __future__ import annotations

import gzip
import json
import logging
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from pyiceberg.io import FileIO
from pyiceberg.table import Table

from autostream import times
from autostream.catalogs import open_table
from autostream.config import Settings, load_settings
from autostream.errors import AutostreamError, ConfigurationError, ServiceError
from autostream.iceberg.snapshots import SnapshotFacts, lineage, snapshots_of
from autostream.iceberg.tables import full_name
from autostream.store.database import Database, open_database
from autostream.times import describe_instant, iso, why_too_far_ahead
from autostream.watermark.codec import read_properties
from autostream.watermark.events import WatermarkEvent
from autostream.watermark.history.facts import NewFacts, State, TableId, facts_of_commits, facts_of_state, generation
from autostream.watermark.history.log import DAY_MS, Known, LogEntry, WatermarkLog, thinned
from autostream.watermark.reading.derived_marks import property_mark

MOST_FILES: Final = 100
"""So many metadata files are read for one question, the newest ones; Iceberg's tables list no more by default."""

# Metadata of a table with many snapshots takes tens of megabytes while it is parsed.
_READERS: Final = 4

T = TypeVar("T")
_Question = Callable[[WatermarkLog, str], T]

_GZIP: Final = b"\x1f\x8b"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class History:
    """What happened to a table's watermarks.

    Attributes:
        table: its full name.
        entries: what happened, oldest first.
        problems: why something may be missing.
    """

    table: str
    entries: tuple[LogEntry, ...]
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON: times in ISO 8601 and as ``_ms``."""
        return {
            "table": self.table,
            "entries": [entry_to_dict(entry) for entry in self.entries],
            "problems": list(self.problems),
        }


@dataclass(frozen=True)
class Withdrawal:
    """A time for which a table was said to be complete, until it was set back.

    Attributes:
        reached_at_ms: since when it was said.
        reset: what took it back.
    """

    reached_at_ms: int
    reset: LogEntry


@dataclass(frozen=True)
class Completion:
    """When a table became complete up to some instant.

    Attributes:
        table: its full name.
        until_ms: that instant.
        reached: the first record that has it, after the last time that it was taken back; None where there is none.
        not_yet_at_ms: when it was last known not to have it before; None where nothing is known from before, so that
            it may have been complete earlier than ``reached`` says.
        withdrawn: earlier times that it was said, and taken back.
        problems: why something may be missing.
    """

    table: str
    until_ms: int
    reached: LogEntry | None
    not_yet_at_ms: int | None = None
    withdrawn: tuple[Withdrawal, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def reached_at_ms(self) -> int | None:
        """Since when the table is complete up to ``until_ms``; None where it is not, or nobody knows."""
        return self.reached.recorded_at_ms if self.reached else None

    @property
    def explanation(self) -> str:
        """All of that in a sentence."""
        until = describe_instant(self.until_ms)
        text = f"{self.table} is not known to be complete up to {until} UTC"
        if self.reached:
            at = _second(self.reached.recorded_at_ms)
            text = f"{self.table} is complete up to {until} UTC since {at} UTC"
            if self.not_yet_at_ms is None:
                text += ", or longer: nothing is known from before"
        for earlier in self.withdrawn:
            by = f" by {earlier.reset.by}" if earlier.reset.by else ""
            why = f" ({earlier.reset.note})" if earlier.reset.note else ""
            text += (
                f"; it had been since {_second(earlier.reached_at_ms)}, until it was set back at "
                f"{_second(earlier.reset.recorded_at_ms)}{by}{why}"
            )
        return text

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON: times in ISO 8601 and as ``_ms``."""
        return {
            "table": self.table,
            "until": iso(self.until_ms),
            "until_ms": self.until_ms,
            "complete": self.reached is not None,
            "reached_at": iso(self.reached_at_ms),
            "reached_at_ms": self.reached_at_ms,
            "not_yet_at": iso(self.not_yet_at_ms),
            "not_yet_at_ms": self.not_yet_at_ms,
            "entry": entry_to_dict(self.reached) if self.reached else None,
            "withdrawn": [
                {
                    "reached_at": iso(earlier.reached_at_ms),
                    "reached_at_ms": earlier.reached_at_ms,
                    "reset": entry_to_dict(earlier.reset),
                }
                for earlier in self.withdrawn
            ],
            "explanation": self.explanation,
            "problems": list(self.problems),
        }


def record(table: Table, events: Iterable[WatermarkEvent], *, database: Database | None = None) -> bool:
    """Put what was just published into the database; what is there already is not doubled.

    Never fails: the table's metadata has it too, from which the next question fills the gap.

    Args:
        table: as it is after the publication.
        events: what happened.
        database: the configured one where None.

    Returns:
        Whether it is in the database; where not, a warning was logged.
    """
    name, metadata = full_name(table), table.metadata
    since = generation(metadata.properties)
    entries = [
        LogEntry(
            table_name=name,
            table_uuid=str(metadata.table_uuid),
            writer=event.writer,
            kind=event.kind.value,
            watermark_ms=event.watermark_ms,
            recorded_at_ms=event.at_ms,
            generation_ms=since,
            job_id=event.job_id,
            checkpoint_id=event.checkpoint_id,
            snapshot_id=event.snapshot_id,
            by=event.by,
            note=event.note,
        )
        for event in events
    ]
    if not entries:
        return True
    try:
        settings = load_settings().database
        with (database or open_database(settings)).write() as connection:
            log = WatermarkLog(connection)
            log.add(entries)
            log.thin_when_due(now_ms=times.now_ms(), keep_days=settings.history_days)
    except (ConfigurationError, ServiceError) as error:
        _logger.warning("The history of %s has a gap until its metadata is read: %s", name, error)
        return False
    return True


def entries(
    table: Table | str,
    *,
    since_ms: int | None = None,
    until_ms: int | None = None,
    writer: str | None = None,
    newest: int | None = None,
    database: Database | None = None,
    most_files: int = MOST_FILES,
) -> History:
    """Return what happened to a table's watermarks from ``since_ms`` to before ``until_ms``, by time of record.

    Args:
        table: the table, or its full name.
        since_ms: epoch ms; from the first record where None.
        until_ms: epoch ms; to the last record where None.
        writer: only what happened to this writer.
        newest: the most entries; the newest ones.
        database: the configured one where None.
        most_files: so many metadata files are read for what the database does not know.

    Raises:
        AutostreamError: the table cannot be loaded.
    """
    past = _Past(table, database, most_files)
    found = past.ask(
        lambda log, uuid: log.entries(uuid, since_ms=since_ms, until_ms=until_ms, writer=writer, newest=newest)
    )
    return History(past.id.name, tuple(found), tuple(past.problems))


def completed_at(
    table: Table | str, until_ms: int, *, database: Database | None = None, most_files: int = MOST_FILES
) -> Completion:
    """Return when a table became complete up to an instant, and what was said of it before it was set back, if it was.

    Args:
        table: the table, or its full name.
        until_ms: the instant, epoch ms.
        database: the configured one where None.
        most_files: so many metadata files are read for what the database does not know.

    Raises:
        AutostreamError: the table cannot be loaded.
    """
    past = _Past(table, database, most_files)
    completion = past.ask(lambda log, _: _completion(log, past.id, until_ms))
    return replace(completion, problems=tuple(past.problems))


def _completion(log: WatermarkLog, table: TableId, until_ms: int) -> Completion:
    since, withdrawn = 0, []
    for reset in log.resets(table.uuid):
        if reset.watermark_ms is not None and reset.watermark_ms >= until_ms:
            continue  # it stayed complete up to there
        said = log.first_reaching(table.uuid, until_ms, generation_ms=since)
        if said is not None and said.generation_ms < reset.recorded_at_ms:
            withdrawn.append(Withdrawal(said.recorded_at_ms, reset))
        since = reset.recorded_at_ms
    reached = log.first_reaching(table.uuid, until_ms, generation_ms=since)
    before = log.last_before(table.uuid, reached.recorded_at_ms) if reached else None
    return Completion(table.name, until_ms, reached, before.recorded_at_ms if before else None, tuple(withdrawn))


class _Past:
    """One table's past, put together for one question."""

    def __init__(self, table: Table | str, database: Database | None, most_files: int) -> None:
        self.table = open_table(table) if isinstance(table, str) else table
        self.id = TableId(full_name(self.table), str(self.table.metadata.table_uuid))
        self.problems: list[str] = []
        self._database = database
        self._most_files = most_files

    def ask(self, question: _Question[T]) -> T:
        """Answer from the database with what metadata adds to it, or from metadata alone."""
        settings = load_settings()
        try:
            return self._ask(self._database or open_database(settings.database), settings, question)
        except (ConfigurationError, ServiceError) as error:
            self.problems = [f"the database could not be asked, this is from the table's metadata alone: {error}"]
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
            listed = [_file_name(entry.metadata_file) for entry in self.table.metadata.metadata_log]
            with database.write() as connection:
                log = WatermarkLog(connection)
                log.add(new)
                log.mark_read(self.id.uuid, names, listed=[*listed, current.file_name])
                log.thin_when_due(now_ms=now_ms, keep_days=keep_days)
        with database.read() as connection:
            return question(WatermarkLog(connection), self.id.uuid)

    def _current(self) -> State:
        metadata = self.table.metadata
        return State(
            file_name=_file_name(self.table.metadata_location),
            updated_ms=metadata.last_updated_ms,
            properties=metadata.properties,
        )

    def _commits(self, current: State, settings: Settings) -> dict[int, SnapshotFacts] | None:
        """Return all snapshots by id; None where what they say does not count."""
        if read_properties(self.id.name, current.properties).source is not None:
            return None
        if property_mark(self.id.name, current.properties, settings.watermark.property_keys) is not None:
            return None
        return {commit.snapshot_id: commit for commit in snapshots_of(self.table.metadata)}

    def _facts(
        self, current: State, earlier: Sequence[State], known: Iterable[Known], settings: Settings
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
    ) -> list[State]:
        """Read the metadata files that are listed, young enough and not known, the newest first.

        Snapshots that have expired since are added to ``commits``.
        """
        wanted = [
            entry.metadata_file
            for entry in reversed(self.table.metadata.metadata_log)
            if entry.timestamp_ms >= since_ms and _file_name(entry.metadata_file) not in read_before
        ]
        if len(wanted) > self._most_files:
            left = len(wanted) - self._most_files
            self.problems.append(f"{left} older metadata file(s) of the table were not read this time")
        states = []
        # PyIceberg forgets the parent of a snapshot when it expires; what was written before still tells it.
        known = None if commits is None else frozenset(c.snapshot_id for c in commits.values() if c.parent_id)
        with ThreadPoolExecutor(_READERS, thread_name_prefix="metadata-history") as pool:
            for found in pool.map(lambda path: read_metadata(self.table.io, path, known), wanted[: self._most_files]):
                if isinstance(found, str):
                    self.problems.append(found)
                    continue
                state, expired = found
                states.append(state)
                if commits is not None:
                    commits.update({commit.snapshot_id: commit for commit in expired})
        return states


def read_metadata(io: FileIO, location: str, known: frozenset[int] | None) -> tuple[State, list[SnapshotFacts]] | str:
    """Return what a metadata file says, with the snapshots that are not ``known``, or why it cannot be read.

    Not by PyIceberg's classes: they take a second for a table of many snapshots, of which little is needed.
    """
    try:
        with io.new_input(location).open() as stream:
            raw = stream.read()
        document = json.loads(gzip.decompress(raw) if raw[:2] == _GZIP else raw)
        state = State(_file_name(location), int(document["last-updated-ms"]), document.get("properties") or {})
        if known is None:
            return state, []
        expired = [s for s in document.get("snapshots") or () if s["snapshot-id"] not in known]
        return state, [SnapshotFacts.from_json(snapshot) for snapshot in expired]
    except FileNotFoundError:
        return f"metadata file {location} was skipped: it is missing"
    except (AutostreamError, OSError) as error:
        return f"metadata file {location} was skipped: {error}"
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zlib.error) as error:
        return f"metadata file {location} was skipped: it is no table metadata ({type(error).__name__}: {error})"


def entry_to_dict(entry: LogEntry) -> dict[str, Any]:
    """Return an entry as JSON: times in ISO 8601 and as ``_ms``."""
    return {
        "recorded_at": iso(entry.recorded_at_ms),
        "recorded_at_ms": entry.recorded_at_ms,
        "kind": entry.kind,
        "writer": entry.writer,
        "watermark": iso(entry.watermark_ms),
        "watermark_ms": entry.watermark_ms,
        "job_id": entry.job_id or None,
        "checkpoint_id": entry.checkpoint_id,
        "snapshot_id": entry.snapshot_id,
        "by": entry.by or None,
        "note": entry.note or None,
    }


def _second(ms: int) -> str:
    return describe_instant(ms - ms % 1000)


def _is_believed(derived: LogEntry, settings: Settings) -> bool:
    """Say whether what others left in the metadata was not too far ahead of the time at which they did."""
    most = settings.watermark.max_ahead_seconds
    return derived.watermark_ms is None or not why_too_far_ahead(
        derived.watermark_ms, now_ms=derived.recorded_at_ms, most_seconds=most
    )


def _file_name(location: str) -> str:
    return location.rsplit("/", 1)[-1]
