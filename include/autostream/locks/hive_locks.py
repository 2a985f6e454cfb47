"""Hive's locks for `autostream lock`: found in the metastores of the configured Hive catalogs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from autostream import times
from autostream.config import is_hive_catalog, load_settings, pyiceberg_catalogs
from autostream.errors import AutostreamError, ConfigurationError
from autostream.names import TableName
from autostream.spelling import one_of

if TYPE_CHECKING:
    from autostream.catalogs.hive import HiveCatalog
    from autostream.catalogs.hive_lock import HiveLockEntry
    from autostream.coordination.lock_holder import Holder
    from autostream.coordination.lock_records import BrokenLock, HeldLock

_logger = logging.getLogger(__name__)


def hive_catalog_names() -> list[str]:
    """Names of the Hive catalogs of PyIceberg's configuration."""
    return [name for name, properties in pyiceberg_catalogs().items() if is_hive_catalog(properties)]


def hive_catalogs(names: Sequence[str] | None = None) -> list[HiveCatalog]:
    """Return the configured catalogs that are Hive's, of these names where given; nothing is connected yet."""
    from autostream.catalogs import open_catalog
    from autostream.catalogs.hive import HiveCatalog

    wanted = [name for name in hive_catalog_names() if names is None or name in names]
    return [opened for name in wanted if isinstance(opened := open_catalog(name), HiveCatalog)]


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

    (catalog,) = hive_catalogs((lock.key.catalog,))
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


def sweep(names: Sequence[str] | None, *, dry_run: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """Let the janitor through the Hive catalogs; a metastore that fails holds up no other.

    Returns:
        One row a lock, and what went wrong.

    Raises:
        ConfigurationError: there is no such Hive catalog.
    """
    from autostream.locks.janitor import sweep_locks

    settings = load_settings().janitor
    known = hive_catalog_names()
    chosen = tuple(names or settings.catalogs or known)
    if missing := [name for name in chosen if name not in known]:
        raise ConfigurationError(f"There is no Hive catalog {missing[0]!r}. {one_of(missing[0], known, 'Configured')}")
    if not chosen:
        raise ConfigurationError(
            "No Hive catalog is configured, so there are no Hive locks. Name one in .pyiceberg.yaml (type: hive), or "
            "by PYICEBERG_CATALOG__NAME__TYPE=hive and PYICEBERG_CATALOG__NAME__URI=thrift://HOST:9083."
        )
    rows: list[dict[str, Any]] = []
    errors: list[str] = []
    for catalog in hive_catalogs(chosen):
        try:
            rows += sweep_locks(catalog, settings, dry_run=dry_run)
        except AutostreamError as error:
            errors.append(f"catalog {catalog.name}: {error}")
            continue
    return rows, errors
