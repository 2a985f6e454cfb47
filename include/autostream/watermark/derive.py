"""Watermarks where no writer reports to autostream: what other tools leave in a table's metadata.

In this order, and the first that says anything counts: table properties that other tools keep (by configuration), keys
in snapshot summaries (Kafka Connect's, and others by configuration), a column's bounds (by table property).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata

from autostream.config import WatermarkSettings
from autostream.watermark.bounds import column_mark
from autostream.watermark.marks import Source, TableMark, WriterMark
from autostream.watermark.times import FOREVER_MS, to_ms

VALID_THROUGH: Final = "kafka.connect.valid-through-ts"
OFFSETS_PREFIX: Final = "kafka.connect.offsets."
NAMELESS_CONNECTOR: Final = "kafka-connect"

_JAVA_MIN: Final = -(2**63)
_JAVA_MAX: Final = 2**63 - 1


@dataclass(frozen=True)
class Commit:
    """One snapshot, as far as it may say something about completeness.

    Attributes:
        snapshot_id: its id.
        parent_id: the snapshot that it was made upon.
        timestamp_ms: when it was made.
        summary: what it says about itself.
    """

    snapshot_id: int
    parent_id: int | None
    timestamp_ms: int
    summary: Mapping[str, str]


@dataclass(frozen=True)
class Said:
    """What one commit says of one writer.

    Attributes:
        writer: the connector, or the configured key.
        watermark_ms: its watermark; None where it does not tell.
        problem: why what it says cannot be understood; empty otherwise.
    """

    writer: str
    watermark_ms: int | None
    problem: str = ""


def derive_mark(table: Table, name: str, settings: WatermarkSettings) -> TableMark:
    """Return how complete a table is by what others leave in its metadata; source None where that is nothing.

    Raises:
        ConfigurationError: the table property that names a column, or the one of its lateness, is wrong.
        DataError: a manifest with a column's bounds cannot be read.
    """
    metadata = table.metadata
    return (
        property_mark(name, metadata.properties, settings.property_keys)
        or summary_mark(name, lineage(commits_of(metadata), metadata.current_snapshot_id), settings.summary_keys)
        or column_mark(table, name)
        or TableMark(name, None, None)
    )


def property_mark(name: str, properties: Mapping[str, str], keys: Sequence[str]) -> TableMark | None:
    """Return what table properties of other tools say; None where the table has none of ``keys``.

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
            except ValueError:
                problems.append(f"table property {key} is {properties[key]!r}, which is no time")
        writers.append(WriterMark(key, watermark, note=note))
    return TableMark(name, Source.PROPERTY, lowest(writers), tuple(writers), tuple(problems))


def summary_mark(name: str, newest_first: Iterable[Commit], keys: Sequence[str]) -> TableMark | None:
    """Return what snapshot summaries say; None where none says anything.

    Of each Kafka connector, and of each of ``keys``, the newest commit that tells counts. Commits that say nothing,
    such as those of a compaction, are walked past; so are those that say what nobody can understand: a watermark that
    was true stays true. A table that has one of ``keys`` needs all of them.
    """
    found: dict[str, WriterMark] = {}
    problems: dict[str, str] = {}
    for commit in newest_first:
        for said in what_is_said(commit, keys):
            if said.problem:
                problems.setdefault(said.writer, said.problem)
            known = found.get(said.writer)
            if known is None or known.watermark_ms is None:
                recorded = None if said.watermark_ms is None else commit.timestamp_ms
                found[said.writer] = WriterMark(said.writer, said.watermark_ms, recorded)
    if not found:
        return None
    writers = complete(found, keys)
    return TableMark(name, Source.SUMMARY, lowest(writers), writers, tuple(problems.values()))


def complete(found: Mapping[str, WriterMark], keys: Sequence[str]) -> tuple[WriterMark, ...]:
    """Return the writers of a table by name, with those of ``keys`` that have not reported, where any has."""
    silent = [key for key in keys if key not in found] if any(key in found for key in keys) else []
    missing = [WriterMark(key, None, note=f"no snapshot has {key}") for key in silent]
    return tuple(sorted([*found.values(), *missing], key=lambda writer: writer.name))


def what_is_said(commit: Commit, keys: Sequence[str]) -> Iterator[Said]:
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


def _read(commit: Commit, writer: str, key: str) -> Said:
    text = commit.summary.get(key)
    if text is None:
        return Said(writer, None)
    try:
        return Said(writer, parse_value(text))
    except ValueError:
        return Said(writer, None, f"snapshot {commit.snapshot_id} has {key} = {text!r}, which is no time")


def lowest(writers: Sequence[WriterMark]) -> int | None:
    """Return the lowest watermark; None where there is no writer, or one has not reported."""
    known = [writer.watermark_ms for writer in writers if writer.watermark_ms is not None]
    return min(known) if known and len(known) == len(writers) else None


def commits_of(metadata: TableMetadata) -> Iterator[Commit]:
    """Yield all snapshots of a table, of every branch."""
    for snapshot in metadata.snapshots:
        yield Commit(
            snapshot_id=snapshot.snapshot_id,
            parent_id=snapshot.parent_snapshot_id,
            timestamp_ms=snapshot.timestamp_ms,
            summary=snapshot.summary.additional_properties if snapshot.summary else {},
        )


def lineage(commits: Iterable[Commit], head_id: int | None) -> Iterator[Commit]:
    """Yield the commit of an id and those that it was made upon, newest first, as far as they have not expired."""
    by_id = {commit.snapshot_id: commit for commit in commits}
    while head_id is not None and (commit := by_id.pop(head_id, None)) is not None:
        yield commit
        head_id = commit.parent_id


def parse_value(text: str) -> int | None:
    """Return the epoch milliseconds of what another tool wrote; None for Java's least long, Flink's "not yet".

    Epoch seconds (9 or 10 digits), epoch milliseconds (12 to 15), Java's greatest long for the end of all data, or ISO
    8601 with an offset, as Java writes it.

    Raises:
        ValueError: it is none of these.
    """
    word = text.strip()
    if re.fullmatch(r"-?\d+", word):
        number = int(word)
        if number == _JAVA_MIN:
            return None
        if number == _JAVA_MAX:
            return FOREVER_MS
        if 10**8 <= number < 10**10:
            return number * 1000
        if 10**11 <= number <= FOREVER_MS:
            return number
        raise ValueError(text)
    moment = datetime.fromisoformat(word)
    if moment.tzinfo is None:
        raise ValueError(text)
    return to_ms(moment)
