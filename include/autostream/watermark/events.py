"""What happens to watermarks: one event each, for the history and for logs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from autostream.times import describe_instant


class EventKind(StrEnum):
    """What happened to a watermark."""

    ADVANCE = "advance"
    JOIN = "join"
    RETIRE = "retire"
    RESET = "reset"


@dataclass(frozen=True)
class WatermarkEvent:
    """One thing that happened to a watermark, for the history.

    Attributes:
        kind: what happened.
        writer: whose watermark; None: the table's.
        watermark_ms: what it is now; None where it is not known.
        at_ms: when, by the recorder's clock.
        job_id, checkpoint_id, snapshot_id: what proves it, where it was Flink.
        by: who did it; empty for what a writer reported.
        note: why.
    """

    kind: EventKind
    writer: str | None
    watermark_ms: int | None
    at_ms: int
    job_id: str = ""
    checkpoint_id: int | None = None
    snapshot_id: int | None = None
    by: str = ""
    note: str = ""


def describe_event(event: WatermarkEvent) -> str:
    """Return an event in a few words, for logs."""
    whose = f"writer {event.writer}" if event.writer else "table"
    there = "not known yet" if event.watermark_ms is None else describe_instant(event.watermark_ms) + " UTC"
    note = f" ({event.note})" if event.note else ""
    return f"{whose}: {event.kind.value}, {there}{note}"
