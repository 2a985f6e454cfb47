"""What happened to watermarks, as the log keeps it, and which of it is missed by nobody as it ages. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from autostream.times import DAY_MS, iso
from autostream.watermark.events import EventKind

ADVANCE: Final = EventKind.ADVANCE.value
JOIN: Final = EventKind.JOIN.value
RESET: Final = EventKind.RESET.value
RETIRE: Final = EventKind.RETIRE.value

WHOLE_MS: Final = 2 * DAY_MS
"""For how long every record is kept."""
STEP_MS: Final = 900_000
"""After that, the first record of each such step of a watermark is kept. Windows start and end at quarters of an hour
in every time zone, and the first record at or past such an instant is exact all the same."""


@dataclass(frozen=True)
class LogEntry:
    """One thing that happened to a watermark.

    Attributes:
        table_name: the table's full name at that time.
        table_uuid: which table it is, whatever its name.
        writer: whose watermark; None: the table's.
        kind: `advance`, `join`, `retire` or `reset`.
        watermark_ms: what it was then; None where it was not known.
        recorded_at_ms: when.
        generation_ms: when the table had last been set back; 0: never.
        job_id, checkpoint_id, snapshot_id: what proves it.
        by: who did it.
        note: why.
    """

    table_name: str
    table_uuid: str
    writer: str | None
    kind: str
    watermark_ms: int | None
    recorded_at_ms: int
    generation_ms: int = 0
    job_id: str = ""
    checkpoint_id: int | None = None
    snapshot_id: int | None = None
    by: str = ""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON: times in ISO 8601 and as `_ms`."""
        return {
            "recorded_at": iso(self.recorded_at_ms),
            "recorded_at_ms": self.recorded_at_ms,
            "kind": self.kind,
            "writer": self.writer,
            "watermark": iso(self.watermark_ms),
            "watermark_ms": self.watermark_ms,
            "job_id": self.job_id or None,
            "checkpoint_id": self.checkpoint_id,
            "snapshot_id": self.snapshot_id,
            "by": self.by or None,
            "note": self.note or None,
        }

    @property
    def fact(self) -> str:
        """What makes it the same fact as another entry of the same table and writer."""
        if self.kind == RESET:
            return f"{RESET}:{self.recorded_at_ms}"
        # A writer may join again without having moved; everything else happens to a watermark once.
        since = self.recorded_at_ms if self.kind == JOIN else self.generation_ms
        return f"{self.kind}:{self.watermark_ms}:{since}"


class KnownRecord(NamedTuple):
    """A record in short; its fields are those of `LogEntry`."""

    kind: str
    writer: str | None
    watermark_ms: int | None
    recorded_at_ms: int
    generation_ms: int


def thinned(entries: Iterable[LogEntry], *, now_ms: int, keep_days: int) -> list[LogEntry]:
    """Return, oldest first, what `WatermarkLog.thin` would leave of entries."""
    kept: list[LogEntry] = []
    seen: set[tuple[object, ...]] = set()
    for entry in sorted(entries, key=lambda e: e.recorded_at_ms):
        if entry.recorded_at_ms < now_ms - keep_days * DAY_MS:
            continue
        if entry.kind == ADVANCE and entry.watermark_ms is not None:
            step = (entry.table_uuid, entry.writer, entry.generation_ms, entry.watermark_ms // STEP_MS)
            if step in seen and entry.recorded_at_ms < now_ms - WHOLE_MS:
                continue
            seen.add(step)
        kept.append(entry)
    return kept
