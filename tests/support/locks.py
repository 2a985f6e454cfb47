"""Hive locks of writers that are no more."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from hive_metastore.ttypes import LockComponent, LockLevel, LockRequest, LockType

from autostream.catalogs.hive_lock import HiveLockEntry, release_hive_lock, show_hive_locks
from autostream.hadoop.metastore import Metastore, MetastoreSettings

AGENT = "Iceberg-of-the-dead"


def metastore_at(uri: str) -> Metastore:
    """Return a client of the metastore at a URI."""
    return Metastore(MetastoreSettings((uri,)))


@contextmanager
def dead_lock(uri: str) -> Iterator[str]:
    """Lock a table of a database that no other test has, as a Java writer that dies at once; its `database.table`."""
    metastore = metastore_at(uri)
    database = f"ns_{uuid.uuid4().hex[:12]}"
    component = LockComponent(
        level=LockLevel.TABLE, type=LockType.EXCLUSIVE, dbname=database, tablename="orders", isTransactional=True
    )
    request = LockRequest(component=[component], user="flink", hostname="host-that-died", agentInfo=AGENT)
    with metastore.session() as client:
        lock_id = client.lock(request).lockid
    try:
        yield f"{database}.orders"
    finally:
        release_hive_lock(metastore, lock_id)


def locks_of(uri: str, table: str) -> list[HiveLockEntry]:
    """Return the locks that a metastore has on `database.table`."""
    return show_hive_locks(metastore_at(uri), *table.split("."))
