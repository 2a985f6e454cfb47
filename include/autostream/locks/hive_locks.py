"""Hive's locks, in the metastores of the configured Hive catalogs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from autostream import times
from autostream.config import is_hive_catalog, pyiceberg_catalogs
from autostream.errors import ConfigurationError
from autostream.names import TableName

if TYPE_CHECKING:
    from autostream.catalogs.hive import HiveCatalog
    from autostream.catalogs.hive_lock import HiveLockEntry
    from autostream.coordination.lock_holder import Holder
    from autostream.coordination.lock_records import BrokenLock, HeldLock

_logger = logging.getLogger(__name__)


def hive_catalog_names() -> list[str]:
    """Return the names of the Hive catalogs of PyIceberg's configuration."""
    return [name for name, properties in pyiceberg_catalogs().items() if is_hive_catalog(properties)]


def open_hive_catalog(name: str) -> HiveCatalog | None:
    """Return a configured catalog where it is Hive's, else None; nothing is connected yet.

    Raises:
        ConfigurationError: The catalog cannot be opened.
    """
    from autostream.catalogs.hive import HiveCatalog
    from autostream.catalogs.opening import open_catalog

    if name not in hive_catalog_names():
        return None
    opened = open_catalog(name)
    return opened if isinstance(opened, HiveCatalog) else None


def hive_locks(catalog: HiveCatalog, name: TableName | None = None) -> Iterator[HeldLock]:
    """Return the held locks of a metastore, with those who wait for the same table; of one table where named."""
    from autostream.catalogs.hive_lock import show_hive_locks
    from autostream.coordination.lock_records import HeldLock
    from autostream.coordination.paths import LockKey

    wanted = name.lower() if name else None
    entries = show_hive_locks(catalog.metastore, wanted.namespace if wanted else None, wanted.table if wanted else None)
    waiting: dict[tuple[str, str | None], list[Holder]] = {}
    for entry in sorted(entries, key=lambda e: e.lock_id):
        if entry.state != "ACQUIRED":
            waiting.setdefault((entry.database, entry.table), []).append(_holder(entry))
    for entry in entries:
        if entry.state == "ACQUIRED":
            yield HeldLock(
                kind="hive",
                key=LockKey(catalog.name, f"{entry.database}.{entry.table or '*'}"),
                lock_id=str(entry.lock_id),
                holder=_holder(entry),
                since_ms=entry.acquired_ms,
                waiting=tuple(waiting.get((entry.database, entry.table), ())),
            )


def _holder(entry: HiveLockEntry) -> Holder:
    from autostream.coordination.lock_holder import Holder

    return Holder(
        user=entry.user, host=entry.host, agent=entry.agent, since_ms=entry.acquired_ms, queued_ms=entry.acquired_ms
    )


def break_hive_lock(lock: HeldLock, *, by: Holder, reason: str) -> BrokenLock:
    """Release a Hive lock that another one holds, with a record of it in the log."""
    from autostream.catalogs.hive_lock import release_hive_lock
    from autostream.coordination.lock_records import BrokenLock

    catalog = open_hive_catalog(lock.key.catalog)
    if catalog is None:
        raise ConfigurationError(f"Catalog {lock.key.catalog} is no longer configured as a Hive catalog.")
    release_hive_lock(catalog.metastore, int(lock.lock_id))
    record = BrokenLock(
        table=str(lock.key),
        lock_id=lock.lock_id,
        token=None,
        holder=lock.holder,
        by=by,
        reason=reason,
        at_ms=times.now_ms(),
    )
    _logger.warning("%s", record)
    return record
