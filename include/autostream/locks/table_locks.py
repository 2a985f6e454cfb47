"""The locks on tables of the configured catalogs, in ZooKeeper and in Hive's metastores: listed, shown and broken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from autostream.config import load_settings, pyiceberg_catalogs
from autostream.coordination.lock_holder import Holder
from autostream.coordination.lock_records import BrokenLock, HeldElection, HeldLock
from autostream.errors import AutostreamError, ConfigurationError
from autostream.locks.hive_locks import break_hive_lock, hive_catalog_names, hive_locks, open_hive_catalog
from autostream.names import TableName

if TYPE_CHECKING:
    from autostream.config import ZooKeeperSettings
    from autostream.coordination.client import ZooKeeperClient
    from autostream.coordination.paths import LockKey


class NoLocksError(ConfigurationError):
    """Nothing that locks tables is configured."""


@dataclass(frozen=True)
class LockListing:
    """The locks that are held at this moment.

    Attributes:
        locks: Those of tables, by the service that keeps them and then by table.
        problems: Which catalogs could not be asked, and why.
    """

    locks: tuple[HeldLock, ...]
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {"locks": [lock.to_dict() for lock in self.locks], "errors": list(self.problems)}


@dataclass(frozen=True)
class ElectionListing:
    """Which processes are elected at this moment.

    Attributes:
        elections: Who is elected for what.
        problems: Which ensembles could not be asked, and why.
    """

    elections: tuple[HeldElection, ...]
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {"elections": [election.to_dict() for election in self.elections], "errors": list(self.problems)}


@dataclass(frozen=True)
class LocksOfTable:
    """What is known of one table's locks.

    Attributes:
        table: The table.
        locks: Those that are held; one is ZooKeeper's, others are Hive's.
        broken: Those that were broken, the last one first. Of Hive's locks the log and the janitor's file tell.
    """

    table: TableName
    locks: tuple[HeldLock, ...]
    broken: tuple[BrokenLock, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {
            "table": str(self.table),
            "locks": [lock.to_dict() for lock in self.locks],
            "broken": [record.to_dict() for record in self.broken],
        }


def list_locks(catalog: str | None = None) -> LockListing:
    """Return the locks on tables that are held, of all configured catalogs or of one.

    A catalog or a service that cannot be asked does not hide the locks of the others: it is a problem of the listing.

    Raises:
        ConfigurationError: There is no such catalog, or nothing that locks tables is configured.
    """
    if catalog:
        _require_known(catalog)
    attempt = _Attempts()
    locks: list[HeldLock] = []
    ensembles = _ensembles(attempt, catalog)
    alias = _properties(catalog).get("autostream.lock.catalog", catalog) if catalog else None
    for client in ensembles:
        attempt.add_to(locks, f"ZooKeeper at {client.settings.hosts}", partial(_zookeeper_locks, client, alias))
    hive = [name for name in hive_catalog_names() if catalog in (None, name)]
    for name in hive:
        attempt.add_to(locks, f"catalog {name}", partial(_hive_locks, name))
    if not attempt.problems:
        _require_any(ensembles, hive)
    return LockListing(tuple(locks), tuple(dict.fromkeys(attempt.problems)))


def list_elections() -> ElectionListing:
    """Return who is elected for what in all configured ensembles; one that cannot be asked is a problem of it.

    Raises:
        ConfigurationError: ZooKeeper is not configured.
    """
    attempt = _Attempts()
    found: list[HeldElection] = []
    ensembles = _ensembles(attempt, None)
    for client in ensembles:
        attempt.add_to(found, f"ZooKeeper at {client.settings.hosts}", partial(_elections, client))
    if not attempt.problems:
        _require_any(ensembles, ())
    return ElectionListing(tuple(found), tuple(attempt.problems))


def locks_of_table(name: TableName) -> LocksOfTable:
    """Return who holds a table, who waits for it, and whose locks on it were broken.

    Raises:
        ConfigurationError: There is no such catalog, or nothing that locks its tables is configured.
        ServiceError: ZooKeeper or the metastore cannot be asked.
        DeniedError: The account may not read the locks.
    """
    _require_known(name.catalog)
    ensembles = _ensembles_of(name.catalog)
    hive = [name.catalog] if name.catalog in hive_catalog_names() else []
    _require_any(ensembles, hive)
    locks: list[HeldLock] = []
    broken: list[BrokenLock] = []
    for client in ensembles:
        from autostream.coordination.lock_registry import broken_locks, held_lock  # loads kazoo

        key = _key_of(name)
        held = held_lock(client, key)
        locks += [held] if held else []
        broken = broken_locks(client, key)
    if hive:
        locks += _hive_locks(name.catalog, name)
    return LocksOfTable(name, tuple(locks), tuple(broken))


def break_locks(found: LocksOfTable, *, reason: str = "", by: Holder | None = None) -> list[BrokenLock]:
    """Take the locks of a table from their holders, who find out when they verify them, and record that.

    Args:
        found: What `locks_of_table` gave: a lock that has passed on since then is not broken.
        reason: Why; kept in the record.
        by: Who does it; this process where None.

    Raises:
        ConflictError: A lock is no longer held by the one that was found; it was not broken.
        ServiceError: ZooKeeper or the metastore gave no answer; `locks_of_table` tells whether it was broken.
        DeniedError: The account may not remove the lock.
    """
    from autostream.coordination.lock_registry import break_lock

    doer = by or Holder.of_this_process("lock break")
    client = _ensemble_of(found.table.catalog)
    return [
        break_hive_lock(lock, by=doer, reason=reason)
        if lock.kind == "hive" or client is None
        else break_lock(client, lock, by=doer, reason=reason)
        for lock in found.locks
    ]


class _Attempts:
    """Asks several services; what fails is a problem and does not stop the others."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def add_to(self, found: list[Any], subject: str, ask: Callable[[], Iterable[Any]]) -> None:
        """Add to what was found what a service answers, whole or not at all."""
        try:
            found += list(ask())
        except AutostreamError as error:
            self.problems.append(f"{subject}: {error}")


def _properties(catalog: str) -> dict[str, str]:
    return pyiceberg_catalogs().get(catalog, {})


def _ensemble_of(catalog: str) -> ZooKeeperClient | None:
    """Return the client of the ensemble that a catalog's locks are in; None where none is configured."""
    from autostream.catalogs.locking import merged_settings

    settings = merged_settings(_properties(catalog))
    return _client_of(settings) if settings.hosts else None


def _client_of(settings: ZooKeeperSettings) -> ZooKeeperClient:
    try:
        from autostream.coordination.client import shared_client  # loads kazoo
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"ZooKeeper needs Python packages that are not installed: {error}. Run pip install 'autostream[hadoop]'."
        ) from error
    return shared_client(settings)


def _zookeeper_locks(client: ZooKeeperClient, alias: str | None) -> Iterable[HeldLock]:
    from autostream.coordination.lock_registry import held_locks

    return held_locks(client, alias)


def _elections(client: ZooKeeperClient) -> Iterable[HeldElection]:
    from autostream.coordination.lock_registry import held_elections

    return held_elections(client)


def _ensembles(attempt: _Attempts, catalog: str | None) -> list[ZooKeeperClient]:
    """Return the clients of all ensembles that locks may be in, of one catalog where named."""
    found: list[ZooKeeperClient] = []
    for name in [catalog] if catalog else list(pyiceberg_catalogs()):
        attempt.add_to(found, f"catalog {name}", partial(_ensembles_of, name))
    own = load_settings().zookeeper
    if own.hosts:
        attempt.add_to(found, "zookeeper", lambda: [_client_of(own)])
    return list(dict.fromkeys(found))


def _ensembles_of(catalog: str) -> list[ZooKeeperClient]:
    client = _ensemble_of(catalog)
    return [client] if client else []


def _hive_locks(catalog: str, name: TableName | None = None) -> Iterator[HeldLock]:
    opened = open_hive_catalog(catalog)
    return hive_locks(opened, name) if opened else iter(())


def _require_any(ensembles: Iterable[ZooKeeperClient], hive: Iterable[str]) -> None:
    if not [*ensembles, *hive]:
        raise NoLocksError(
            "Neither ZooKeeper nor a Hive catalog is configured, so no table can be locked. Set zookeeper.hosts in "
            "autostream.toml or AUTOSTREAM_ZOOKEEPER__HOSTS, or configure a Hive catalog."
        )


def _require_known(catalog: str) -> None:
    """Refuse a catalog that is not configured where others are: that its tables are not locked says nothing then."""
    from autostream.catalogs.opening import require_catalogs

    configured = pyiceberg_catalogs()
    aliases = {properties.get("autostream.lock.catalog") for properties in configured.values()}
    if configured and catalog not in aliases:
        require_catalogs([catalog])


def _key_of(name: TableName) -> LockKey:
    """Return the key by which the commits of a table's catalog lock it."""
    from autostream.catalogs.locking import lock_key

    return lock_key(name, _properties(name.catalog), ignores_case=name.catalog in hive_catalog_names())
