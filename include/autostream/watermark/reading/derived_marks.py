"""Watermarks where no writer reports to autostream: what other tools leave in a table's metadata.

In this order, and the first that says anything counts: table properties that other tools keep (by configuration), keys
in snapshot summaries (Kafka Connect's, and others by configuration), a column's bounds (by table property).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pyiceberg.table import Table

from autostream import times
from autostream.config import WatermarkSettings
from autostream.errors import UsageError
from autostream.iceberg.snapshots import SnapshotFacts, lineage_of_main
from autostream.times import FOREVER_MS, TIME_FORMS, has_offset, parse_instant, why_too_far_ahead
from autostream.watermark.marks import MarkSource, TableMark, WriterMark
from autostream.watermark.reading.column_bounds import column_mark

VALID_THROUGH: Final = "kafka.connect.valid-through-ts"
OFFSETS_PREFIX: Final = "kafka.connect.offsets."
NAMELESS_CONNECTOR: Final = "kafka-connect"

_JAVA_MIN: Final = -(2**63)
_JAVA_MAX: Final = 2**63 - 1


@dataclass(frozen=True)
class WriterStatement:
    """What one commit says of one writer.

    Attributes:
        writer: the connector, or the configured key.
        watermark_ms: its watermark; None where it does not tell.
        problem: why what it says cannot be understood; empty otherwise.
    """

    writer: str
    watermark_ms: int | None
    problem: str = ""


def derive_mark(table: Table, name: str, settings: WatermarkSettings, *, now_ms: int | None = None) -> TableMark:
    """Return how complete a table is by what others leave in its metadata; source None where that is nothing.

    Args:
        table: as it was loaded.
        name: its full name.
        settings: which keys count, and how far ahead of now a watermark may be.
        now_ms: the present, epoch ms; this machine's where None.

    Raises:
        ConfigurationError: the table property that names a column, or the one of its lateness, is wrong.
        DataError: a manifest with a column's bounds cannot be read.
    """
    metadata = table.metadata
    mark = (
        property_mark(name, metadata.properties, settings.property_keys)
        or summary_mark(name, lineage_of_main(metadata), settings.summary_keys)
        or column_mark(table, name)
        or TableMark(name, None, None)
    )
    now_ms = times.now_ms() if now_ms is None else now_ms
    return without_future(mark, now_ms=now_ms, most_seconds=settings.max_ahead_seconds)


def without_future(mark: TableMark, *, now_ms: int, most_seconds: float) -> TableMark:
    """Return a derived mark without what is too far ahead of now to be true: one wrong row must not complete a table.

    Among that is Java's greatest long, by which other tools say that a run has ended: the next may begin at any time.
    """

    def why_not(ms: int | None) -> str:
        return "" if ms is None else why_too_far_ahead(ms, now_ms=now_ms, most_seconds=most_seconds)

    if not why_not(mark.watermark_ms) and not any(why_not(writer.watermark_ms) for writer in mark.writers):
        return mark
    writers, problems = [], []
    for writer in mark.writers:
        if reason := why_not(writer.watermark_ms):
            writer = replace(writer, watermark_ms=None, note=reason)
            problems.append(f"{writer.name}: {reason}")
        writers.append(writer)
    if not mark.writers:
        problems.append(f"the largest value of the column, less the lateness: {why_not(mark.watermark_ms)}")
    watermark = lowest(writers)
    return replace(mark, watermark_ms=watermark, writers=tuple(writers), problems=(*mark.problems, *problems))


def property_mark(name: str, properties: Mapping[str, str], keys: Sequence[str]) -> TableMark | None:
    """Return what table properties of other tools say; None where the table has none of `keys`.

    A table that has one needs all of them: what a region has not reported yet cannot be complete.
    """
    if not any(key in properties for key in keys):
        return None
    writers, problems = [], []
    for key in keys:
        watermark, note = None, ""
        if key not in properties:
            note = f"the table has no property {key}"
        else:
            try:
                watermark = parse_value(properties[key])
            except ValueError as error:
                problems.append(f"table property {key}: {error}")
        writers.append(WriterMark(key, watermark, note=note))
    return TableMark(name, MarkSource.PROPERTY, lowest(writers), tuple(writers), tuple(problems))


def summary_mark(name: str, newest_first: Iterable[SnapshotFacts], keys: Sequence[str]) -> TableMark | None:
    """Return what snapshot summaries say; None where none says anything.

    Of each Kafka connector, and of each of `keys`, the newest commit that tells counts. Commits that say nothing,
    such as those of a compaction, are walked past; so are those that say what nobody can understand: a watermark that
    was true stays true. A table that has one of `keys` needs all of them.
    """
    found: dict[str, WriterMark] = {}
    problems: dict[str, str] = {}
    for commit in newest_first:
        for said in statements_of(commit, keys):
            if said.problem:
                problems.setdefault(said.writer, said.problem)
            known = found.get(said.writer)
            if known is None or known.watermark_ms is None:
                recorded = None if said.watermark_ms is None else commit.timestamp_ms
                found[said.writer] = WriterMark(said.writer, said.watermark_ms, recorded)
    if not found:
        return None
    writers = complete(found, keys)
    return TableMark(name, MarkSource.SUMMARY, lowest(writers), writers, tuple(problems.values()))


def complete(found: Mapping[str, WriterMark], keys: Sequence[str]) -> tuple[WriterMark, ...]:
    """Return the writers of a table by name, with those of `keys` that have not reported, where any has."""
    silent = [key for key in keys if key not in found] if any(key in found for key in keys) else []
    missing = [WriterMark(key, None, note=f"no snapshot has {key}") for key in silent]
    return tuple(sorted([*found.values(), *missing], key=lambda writer: writer.name))


def statements_of(commit: SnapshotFacts, keys: Sequence[str]) -> Iterator[WriterStatement]:
    """Yield what a commit says: of the connector that made it, and by configured keys."""
    summary = commit.summary
    connectors = [key.removeprefix(OFFSETS_PREFIX) for key in summary if key.startswith(OFFSETS_PREFIX)]
    if VALID_THROUGH in summary or connectors:
        # A commit that did not hear of all partitions in time has offsets, and no instant.
        for connector in connectors or [NAMELESS_CONNECTOR]:
            yield _read(commit, connector, VALID_THROUGH)
    for key in keys:
        if key in summary:
            yield _read(commit, key, key)


def _read(commit: SnapshotFacts, writer: str, key: str) -> WriterStatement:
    text = commit.summary.get(key)
    if text is None:
        return WriterStatement(writer, None)
    try:
        return WriterStatement(writer, parse_value(text))
    except ValueError as error:
        return WriterStatement(writer, None, f"snapshot {commit.snapshot_id}, {key}: {error}")


def lowest(writers: Sequence[WriterMark]) -> int | None:
    """Return the lowest watermark; None where there is no writer, or one has not reported."""
    known = [writer.watermark_ms for writer in writers if writer.watermark_ms is not None]
    return min(known) if known and len(known) == len(writers) else None


def parse_value(text: str) -> int | None:
    """Return the epoch milliseconds of what another tool wrote; None for Java's least long, Flink's "not yet".

    What `parse_instant` reads, where it means the same instant in each time zone; or Java's greatest long, for the end
    of all data.

    Raises:
        ValueError: it is none of these.
    """
    word = text.strip()
    if word == str(_JAVA_MIN):
        return None
    if word == str(_JAVA_MAX):
        return FOREVER_MS
    try:
        instant = parse_instant(word)
    except UsageError as error:
        raise ValueError(str(error)) from error
    if not has_offset(word):
        raise ValueError(f"Invalid time {text!r}: it has no offset from UTC. Write {TIME_FORMS}.")
    return instant
