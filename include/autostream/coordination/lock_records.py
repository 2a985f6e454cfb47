"""What is known of locks: those that are held, those that were broken, and who is elected. Values, without a client."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from autostream.coordination.lock_holder import Holder
from autostream.coordination.paths import LockKey
from autostream.times import iso


@dataclass(frozen=True)
class HeldLock:
    """A lock that someone holds, whatever keeps it.

    Attributes:
        kind: What keeps it: `zookeeper`, or `hive` for a lock of the Hive Metastore.
        key: The table.
        lock_id: Name of the lock where it is kept: the lock node, or Hive's lock id.
        holder: Who holds it.
        since_ms: Since when, epoch milliseconds; None where that is not known.
        token: The fencing token, where there is one.
        waiting: Who waits for it, the next one first.
        state: `held`; a lock of Hive may also be `stale`: its holder is gone.
    """

    kind: Literal["zookeeper", "hive"]
    key: LockKey
    lock_id: str
    holder: Holder
    since_ms: int | None
    token: int | None = None
    waiting: tuple[Holder, ...] = ()
    state: str = "held"

    def to_dict(self) -> dict[str, Any]:
        """All of it as a JSON document."""
        return {
            "table": str(self.key),
            "kind": self.kind,
            "state": self.state,
            "lock_id": self.lock_id,
            "token": self.token,
            "since": iso(self.since_ms),
            "since_ms": self.since_ms,
            "holder": self.holder.to_dict(),
            "waiting": [waiter.to_dict() for waiter in self.waiting],
        }


@dataclass(frozen=True)
class BrokenLock:
    """Record of a lock that was taken from its holder.

    Attributes:
        table: The table, in full.
        lock_id: Name of the lock where it was kept.
        token: Its fencing token.
        holder: From whom it was taken.
        by: Who did it.
        reason: Why, in that one's words; may be empty.
        at_ms: When, epoch milliseconds.
    """

    table: str
    lock_id: str
    token: int | None
    holder: Holder
    by: Holder
    reason: str
    at_ms: int

    def to_dict(self) -> dict[str, Any]:
        """All of it as a JSON document."""
        return asdict(self) | {
            "holder": self.holder.to_dict(),
            "by": self.by.to_dict(),
            "at": iso(self.at_ms),
        }

    def to_bytes(self) -> bytes:
        """Return what is written into the record's node."""
        document = asdict(self) | {"holder": asdict(self.holder), "by": asdict(self.by)}
        return json.dumps(document, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> BrokenLock | None:
        """Return what a record says, or None where it cannot be understood."""
        try:
            document = json.loads(data)
            return cls(
                table=str(document["table"]),
                lock_id=str(document["lock_id"]),
                token=document.get("token"),
                holder=Holder.from_bytes(json.dumps(document["holder"]).encode()),
                by=Holder.from_bytes(json.dumps(document["by"]).encode()),
                reason=str(document["reason"]),
                at_ms=int(document["at_ms"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def __str__(self) -> str:
        """Who broke it, when and why: `alice on host-7, process 4711 at 2026-11-23T02:00:00Z: it hung`."""
        where = f" on {self.by.host}" if self.by.host else ""
        why = f": {self.reason}" if self.reason else ""
        return f"{self.by.user or 'unknown user'}{where} at {iso(self.at_ms)}{why}"


@dataclass(frozen=True)
class HeldElection:
    """Which process is elected for a job.

    Attributes:
        name: The job.
        elected: The process.
        since_ms: Since when, epoch milliseconds.
        candidates: Those that take over, the next one first.
    """

    name: str
    elected: Holder
    since_ms: int
    candidates: tuple[Holder, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as a JSON document."""
        return {
            "election": self.name,
            "since": iso(self.since_ms),
            "since_ms": self.since_ms,
            "elected": self.elected.to_dict(),
            "candidates": [candidate.to_dict() for candidate in self.candidates],
        }
