"""All locks and who waits for them; breaking one, with a record of who did it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from kazoo.exceptions import NodeExistsError, NoNodeError, RolledBackError

from autostream import times
from autostream.coordination.client import ZooKeeperClient
from autostream.coordination.holder import Holder, iso_time
from autostream.coordination.paths import LockKey, LockNode, Paths, unquote
from autostream.errors import ConflictError

KEPT_RECORDS: Final = 100
"""How many broken locks of a table are remembered."""


@dataclass(frozen=True)
class HeldLock:
    """A lock that somebody holds, whatever keeps it.

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
            "since": iso_time(self.since_ms),
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
            "at": iso_time(self.at_ms),
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
        return f"{self.by.user or 'somebody'}{where} at {iso_time(self.at_ms)}{why}"


def held_locks(client: ZooKeeperClient, catalog: str | None = None) -> Iterator[HeldLock]:
    """Return the locks that are held at this moment, by table.

    Args:
        client: Where to look.
        catalog: Only this catalog's; all when None.

    Raises:
        ServiceError: ZooKeeper cannot be reached.
        DeniedError: The account may not read the locks.
    """
    paths = Paths(client.root)
    catalogs = [catalog] if catalog is not None else sorted(map(unquote, client.children(paths.locks)))
    for name in catalogs:
        for table in sorted(map(unquote, client.children(paths.locks_of_catalog(name)))):
            lock = held_lock(client, LockKey(name, table))
            if lock is not None:
                yield lock


def held_lock(client: ZooKeeperClient, key: LockKey) -> HeldLock | None:
    """Return the lock on a table with its queue, or None when nobody holds it.

    Raises:
        ServiceError: ZooKeeper cannot be reached.
        DeniedError: The account may not read the lock.
    """
    queue = Paths(client.root).queue(key)
    nodes = sorted(node for node in map(LockNode.parse, client.children(queue)) if node is not None)
    places = []
    for node in nodes:
        found = client.get(f"{queue}/{node.name}")
        if found is not None:  # else it was given up just now
            places.append((node, Holder.from_bytes(found[0]), found[1]))
    if not places:
        return None
    node, holder, stat = places[0]
    return HeldLock(
        kind="zookeeper",
        key=key,
        lock_id=node.name,
        holder=holder,
        since_ms=holder.since_ms if holder.since_ms is not None else stat.ctime,
        token=stat.czxid,
        waiting=tuple(waiter for _, waiter, _ in places[1:]),
    )


def break_lock(client: ZooKeeperClient, lock: HeldLock, *, by: Holder, reason: str = "") -> BrokenLock:
    """Take a lock from its holder, who finds out when it verifies the lock, and record that.

    Args:
        client: Where the lock is kept.
        lock: The lock, as `held_lock` gave it: when another one holds the table by now, nothing is done.
        by: Who breaks it.
        reason: Why.

    Raises:
        ConflictError: That lock is no longer held.
        ServiceError: ZooKeeper gave no answer; whether the lock was broken, `held_lock` tells.
        DeniedError: The account may not remove the lock.
    """
    paths = Paths(client.root)
    record = BrokenLock(
        table=str(lock.key),
        lock_id=lock.lock_id,
        token=lock.token,
        holder=lock.holder,
        by=by,
        reason=reason,
        at_ms=times.now_ms(),
    )
    folder = paths.broken_of(lock.key)
    client.ensure_path(folder)

    def call(kazoo: Any) -> Any:
        transaction = kazoo.transaction()
        transaction.create(f"{folder}/{lock.lock_id}", record.to_bytes())
        transaction.delete(f"{paths.queue(lock.key)}/{lock.lock_id}")
        return transaction.commit_async()

    operation = f"breaking the lock on table {lock.key}"
    session = client.session()
    answers = session.request(operation, call, timeout_seconds=client.settings.connect_timeout_seconds)
    problem = next((a for a in answers if isinstance(a, Exception) and not isinstance(a, RolledBackError)), None)
    if isinstance(problem, (NoNodeError, NodeExistsError)):  # given up meanwhile, or broken already
        raise ConflictError(
            f"The lock on table {lock.key} that was to be broken ({lock.holder}) is no longer held; nothing was "
            f"broken. 'autostream lock show {lock.key}' tells who holds the table now."
        )
    if problem is not None:
        raise session.explain(operation, problem) from problem
    _forget_oldest(client, lock.key)
    return record


def broken_record(client: ZooKeeperClient, key: LockKey, lock_id: str) -> BrokenLock | None:
    """Who broke a certain lock, or None when nobody did, or it is forgotten.

    Raises:
        ServiceError: ZooKeeper cannot be reached.
    """
    found = client.get(f"{Paths(client.root).broken_of(key)}/{lock_id}")
    return BrokenLock.from_bytes(found[0]) if found else None


def broken_locks(client: ZooKeeperClient, key: LockKey) -> list[BrokenLock]:
    """Return the locks of a table that were broken, the last one first.

    Raises:
        ServiceError: ZooKeeper cannot be reached.
    """
    names = client.children(Paths(client.root).broken_of(key))
    records = [record for name in names if (record := broken_record(client, key, name)) is not None]
    return sorted(records, key=lambda record: record.at_ms, reverse=True)


def _forget_oldest(client: ZooKeeperClient, key: LockKey) -> None:
    """Keep what is remembered of a table bounded."""
    folder = Paths(client.root).broken_of(key)
    if len(client.children(folder)) <= KEPT_RECORDS:
        return
    for record in broken_locks(client, key)[KEPT_RECORDS:]:
        client.delete(f"{folder}/{record.lock_id}")
