"""What is known of a table's completeness: the watermark of each of its writers, and what follows for the table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from autostream.times import FOREVER_MS, iso


class MarkSource(StrEnum):
    """Where a table's watermark comes from."""

    WRITERS = "writers"
    """Reported by its writers, or by the recorder for them."""
    PROPERTY = "property"
    """A table property that another tool keeps."""
    SUMMARY = "snapshot-summary"
    """A key in the summaries of its snapshots, such as Kafka Connect's."""
    COLUMN = "column"
    """The bounds of a column less the allowed lateness: an estimate, for nobody promised it."""


class WriterStatus(StrEnum):
    """What a writer is to its table."""

    ACTIVE = "active"
    """The table waits for it."""
    CATCHING_UP = "catching-up"
    """It came, or came back, when the table was already complete beyond it; it counts once it has caught up."""
    RETIRED = "retired"
    """The table waits for it no longer."""


@dataclass(frozen=True)
class WriterMark:
    """One writer and how far it has got.

    Attributes:
        name: its name, unique within the table.
        watermark_ms: all its rows with event times up to this are in the table; None where it has not reported.
        recorded_at_ms: when this value was recorded, by the recorder's clock; None where nobody says.
        status: whether the table waits for it.
        job_id: the Flink job that it was, when the value was recorded; empty where it is none.
        note: why it does not advance, or why it was retired; empty where nobody says.
        before_end_ms: the watermark that it had before it ended, to which a new run takes it back.
        forced_ms: the latest time that someone insisted on by `--force`; None where nobody did.
    """

    name: str
    watermark_ms: int | None
    recorded_at_ms: int | None = None
    status: WriterStatus = WriterStatus.ACTIVE
    job_id: str = ""
    note: str = ""
    before_end_ms: int | None = None
    forced_ms: int | None = None

    @property
    def active(self) -> bool:
        """Whether the table waits for it."""
        return self.status is WriterStatus.ACTIVE

    @property
    def ended(self) -> bool:
        """Whether nothing of it will ever come any more."""
        return self.watermark_ms is not None and self.watermark_ms >= FOREVER_MS

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON: times in ISO 8601 and as `_ms`."""
        return {
            "watermark": iso(self.watermark_ms),
            "watermark_ms": self.watermark_ms,
            "recorded_at": iso(self.recorded_at_ms),
            "recorded_at_ms": self.recorded_at_ms,
            "active": self.active,
            "status": self.status.value,
            "job_id": self.job_id or None,
            "note": self.note or None,
        }


@dataclass(frozen=True)
class TableMark:
    """How complete a table is.

    Attributes:
        table: its full name.
        source: where the watermark comes from; None where nothing says anything.
        watermark_ms: the table has all rows with event times up to this; None where that is not known.
        writers: what is known of each writer.
        problems: what in the table's metadata could not be understood, and so does not count.
    """

    table: str
    source: MarkSource | None
    watermark_ms: int | None
    writers: tuple[WriterMark, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether all writers have ended, so that the table is complete for ever."""
        return self.watermark_ms is not None and self.watermark_ms >= FOREVER_MS

    def writer(self, name: str) -> WriterMark | None:
        """Return a writer by its name."""
        return next((writer for writer in self.writers if writer.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Return it as `autostream watermark get --json` prints it."""
        return {
            "table": self.table,
            "watermark": iso(self.watermark_ms),
            "watermark_ms": self.watermark_ms,
            "source": self.source.value if self.source else None,
            "writers": {writer.name: writer.to_dict() for writer in self.writers},
            "problems": list(self.problems),
        }


def slowest(writers: Iterable[WriterMark]) -> WriterMark | None:
    """Return the active writer that holds its table back: one that has not reported, else the lowest; None of none."""
    active = [writer for writer in writers if writer.active]
    return min(
        active, key=lambda w: (w.watermark_ms is not None, w.watermark_ms or 0, w.recorded_at_ms or 0), default=None
    )


def minimum(writers: Iterable[WriterMark]) -> int | None:
    """Return the lowest watermark of the active writers; None where there is none, or one is not known."""
    values = [writer.watermark_ms for writer in writers if writer.active]
    known = [value for value in values if value is not None]
    return min(known) if known and len(known) == len(values) else None


def at_least(one: int | None, other: int | None) -> int | None:
    """Return the later of two watermarks, of which None is not known."""
    known = [value for value in (one, other) if value is not None]
    return max(known, default=None)
