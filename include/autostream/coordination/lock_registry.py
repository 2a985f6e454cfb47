"""All locks and elections, and who waits; breaking a lock, with a record of who did it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from kazoo.exceptions import NodeExistsError, NoNodeError, RolledBackError

from autostream import times
from autostream.coordination.client import ZooKeeperClient
from autostream.coordination.lock_holder import Holder
from autostream.coordination.lock_records import BrokenLock, HeldElection, HeldLock
from autostream.coordination.paths import ElectionKey, LockKey, LockNode, Paths, QueueKey, unquote
from autostream.errors import ConflictError

KEPT_RECORDS: Final = 100
"""How many broken locks of a table are remembered."""


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
    places = _places(client, key)
    if not places:
        return None
    first = places[0]
    return HeldLock(
        kind="zookeeper",
        key=key,
        lock_id=first.node.name,
        holder=first.holder,
        since_ms=first.since_ms,
        token=first.token,
        waiting=tuple(place.holder for place in places[1:]),
    )


def held_elections(client: ZooKeeperClient) -> list[HeldElection]:
    """Return who is elected at this moment, by the name of the job.

    Raises:
        ServiceError: ZooKeeper cannot be reached.
        DeniedError: The account may not read the elections.
    """
    found = []
    for name in sorted(map(unquote, client.children(Paths(client.root).elections))):
        if places := _places(client, ElectionKey(name)):
            candidates = tuple(place.holder for place in places[1:])
            found.append(HeldElection(name, places[0].holder, places[0].since_ms, candidates))
    return found


@dataclass(frozen=True)
class _FoundPlace:
    node: LockNode
    holder: Holder
    since_ms: int
    token: int


def _places(client: ZooKeeperClient, key: QueueKey) -> list[_FoundPlace]:
    """Return the places in a queue, the one that holds the lock first."""
    queue = Paths(client.root).queue(key)
    places = []
    for node in sorted(node for node in map(LockNode.parse, client.children(queue)) if node is not None):
        found = client.get(f"{queue}/{node.name}")
        if found is not None:  # else it was given up just now
            holder, stat = Holder.from_bytes(found[0]), found[1]
            since_ms = stat.ctime if holder.since_ms is None else holder.since_ms
            places.append(_FoundPlace(node, holder, since_ms, stat.czxid))
    return places


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
            f"The lock on table {lock.key} of {lock.holder} is no longer held. Nothing was broken. 'autostream lock "
            f"show {lock.key}' shows who holds the table now."
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
