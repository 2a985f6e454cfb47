"""Which lock protects the commits of a table: ZooKeeper's, Hive's, or none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from pydantic import ValidationError

from autostream.config import ZooKeeperSettings, load_settings
from autostream.coordination.paths import LockKey
from autostream.errors import ConfigurationError
from autostream.names import TableName
from autostream.properties import Properties, of_catalog, of_table

if TYPE_CHECKING:
    from autostream.coordination.queued_lock import QueuedLock

LOCK_TYPE: Final = "autostream.lock.type"
LOCK_TIMEOUT: Final = "autostream.lock.timeout-ms"
LOCK_CATALOG: Final = "autostream.lock.catalog"
ENGINE_HIVE_LOCK: Final = "engine.hive.lock-enabled"
"""Iceberg's own table property: `false` makes its writers (1.3 and later) swap by comparison instead of locking."""
_ZOOKEEPER: Final = "zookeeper."
_DEFAULT_TIMEOUT_MS: Final = 180_000


class CommitLock(Protocol):
    """What protects a commit from others; entered before the table is read, left after the swap."""

    def verify(self) -> None:
        """Make sure that the lock is still held.

        Raises:
            LockLostError: it is not, or nobody can tell.
        """


class LockType(StrEnum):
    """What a commit is protected by, besides the catalog's own compare-and-swap."""

    ZOOKEEPER = "zookeeper"
    HIVE = "hive"
    NONE = "none"


def lock_properties(name: TableName, table: Mapping[str, str], catalog: Mapping[str, str]) -> Properties:
    """Return what says how a table is locked: its own properties, then its catalog's; what is empty says nothing."""
    return of_table(name, table).without_blanks().or_else(of_catalog(name.catalog, catalog))


def lock_type(said: Properties, *, default: LockType, allowed: Sequence[LockType]) -> LockType:
    """Return the lock type of a table: its own property's, else its catalog's, else the default.

    Raises:
        ConfigurationError: the value is none of the allowed ones; the message says whose it is.
    """
    return said.choice(LOCK_TYPE, default, allowed)


def hive_lock_wanted(chosen: LockType, said: Properties) -> bool:
    """Say whether a commit takes the Hive lock: where it is chosen, or where others may rely on it alone.

    An unchanged Java writer that locks by Hive does not compare when it swaps: were only the ZooKeeper lock taken here,
    it would overwrite what was committed since it looked. It does compare where `engine.hive.lock-enabled` is false.
    """
    if chosen is not LockType.ZOOKEEPER:
        return chosen is LockType.HIVE
    return said.text(ENGINE_HIVE_LOCK, "true").lower() != "false"


def zookeeper_settings(catalog: Mapping[str, str]) -> ZooKeeperSettings:
    """Return how the ZooKeeper of a catalog is reached.

    Raises:
        ConfigurationError: no ensemble is configured, or a value is not allowed.
    """
    settings = merged_settings(catalog)
    if not settings.hosts:
        raise ConfigurationError(
            f"{LOCK_TYPE} is zookeeper, but no ZooKeeper is configured. Set zookeeper.hosts in autostream.toml, "
            "AUTOSTREAM_ZOOKEEPER__HOSTS, or the catalog property zookeeper.hosts."
        )
    return settings


def merged_settings(catalog: Mapping[str, str]) -> ZooKeeperSettings:
    """Return section `zookeeper` of the settings with a catalog's `zookeeper.*` on top; hosts may be empty.

    Raises:
        ConfigurationError: a value is not allowed.
    """
    settings = load_settings().zookeeper
    own = {
        key.removeprefix(_ZOOKEEPER).replace("-", "_"): value
        for key, value in catalog.items()
        if key.startswith(_ZOOKEEPER)
    }
    if own:
        try:
            settings = ZooKeeperSettings.model_validate({**settings.model_dump(exclude_unset=True), **own})
        except ValidationError as error:
            problems = "; ".join(f"{_ZOOKEEPER}{p['loc'][0]}: {p['msg']}" for p in error.errors())
            raise ConfigurationError(f"Invalid catalog properties: {problems}.") from error
    return settings


def lock_key(name: TableName, catalog: Mapping[str, str], *, ignores_case: bool) -> LockKey:
    """Return what a table's ZooKeeper lock is called by.

    Args:
        name: the table's name here; the property `autostream.lock.catalog` goes before the catalog's, where its users
            do not all call it the same.
        catalog: the catalog's properties.
        ignores_case: whether the catalog takes `DB.T` for `db.t`, as Hive does.
    """
    name = name.lower() if ignores_case else name
    return LockKey(catalog.get(LOCK_CATALOG) or name.catalog, name.within_catalog)


def timeout_seconds(said: Properties) -> float:
    """Return how long a lock is waited for.

    Raises:
        ConfigurationError: the value is not a whole number above 0.
    """
    return said.whole(LOCK_TIMEOUT, _DEFAULT_TIMEOUT_MS, minimum=1) / 1000


def zookeeper_lock(key: LockKey, said: Properties, *, catalog: Mapping[str, str]) -> QueuedLock:
    """Return the ZooKeeper lock of a table, not yet taken.

    Args:
        key: what it is called by.
        said: how the table is locked.
        catalog: the catalog's properties, which say where ZooKeeper is.

    Raises:
        ConfigurationError: no ensemble is configured.
        ServiceError: it cannot be reached.
    """
    from autostream.coordination.client import shared_client
    from autostream.coordination.queued_lock import QueuedLock

    client = shared_client(zookeeper_settings(catalog))
    return QueuedLock(client, key, what="commit", timeout_seconds=timeout_seconds(said))


def optional_lock(name: TableName, *, table: Mapping[str, str], catalog: Mapping[str, str]) -> Sequence[CommitLock]:
    """Return the locks of a table's commits in a catalog that compares, and has none of its own: ZooKeeper's, or none.

    Raises:
        ConfigurationError: the lock type is another one, or no ensemble is configured.
    """
    said = lock_properties(name, table, catalog)
    chosen = lock_type(said, default=LockType.NONE, allowed=(LockType.ZOOKEEPER, LockType.NONE))
    if chosen is LockType.NONE:
        return ()
    key = lock_key(name, catalog, ignores_case=False)
    return (zookeeper_lock(key, said, catalog=catalog),)


class AllOf:
    """Several locks as one; of none, nothing has to be verified."""

    def __init__(self, locks: Sequence[CommitLock]) -> None:
        self._locks = locks

    def verify(self) -> None:
        """Verify each."""
        for lock in self._locks:
            lock.verify()


@contextmanager
def holding(locks: Sequence[CommitLock]) -> Iterator[CommitLock]:
    """Take the locks, in this order, and leave them in the other."""
    with ExitStack() as stack:
        for lock in locks:
            stack.enter_context(lock)  # type: ignore[arg-type]
        yield AllOf(locks)
