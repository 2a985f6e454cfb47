"""The kinds of catalog that commits are broken in: real servers, with a proxy before each for faults."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from autostream.catalogs.hive import HiveCatalog
from autostream.catalogs.hive_lock import release_hive_lock, show_hive_locks
from autostream.catalogs.locking import zookeeper_settings
from autostream.catalogs.opening import open_catalog
from autostream.coordination.client import close_all, shared_client
from autostream.coordination.lock_holder import Holder
from autostream.coordination.lock_registry import break_lock, held_lock
from autostream.coordination.paths import LockKey
from autostream.iceberg.files import normalize_path
from autostream.locks.janitor import LockJanitor
from tests.support.catalogs import IDS, append, ids
from tests.support.faultproxy import FaultProxy

# Waits are real here, as services are: no longer than they must be. One retry shows that a failure can be repeated.
QUICK = {
    "commit.retry.num-retries": "3",
    "commit.retry.min-wait-ms": "10",
    "commit.retry.max-wait-ms": "50",
    "commit.status-check.num-retries": "4",
    "commit.status-check.min-wait-ms": "10",
    "commit.status-check.max-wait-ms": "200",
}
SESSION_SECONDS = 1.5


@dataclass
class World:
    """A catalog of one kind, with a table ``t`` that holds the rows 1 and 2.

    Attributes:
        name: its kind, as test ids have it.
        properties: of the catalog, straight to its servers.
        store: the proxy before the catalog's server.
        zookeeper: the proxy before ZooKeeper, where its locks are used.
    """

    name: str
    properties: dict[str, str]
    store: FaultProxy
    zookeeper: FaultProxy | None = None
    compares: bool = True
    namespace: str = field(default_factory=lambda: f"f_{uuid.uuid4().hex[:12]}")

    def __post_init__(self) -> None:
        self.direct = open_catalog("w", self.properties)
        self.direct.create_namespace(self.namespace)
        self.direct.create_table(self.table_name, IDS, properties=QUICK)
        append(self.load(), 1, 2)

    @property
    def table_name(self) -> str:
        return f"{self.namespace}.t"

    def through_proxies(self) -> dict[str, str]:
        """Properties of the same catalog behind the proxies."""
        uri = urlparse(self.properties["uri"])
        user = f"{uri.username}@" if uri.username else ""
        known = {"autostream.hive.compare-and-swap": str(self.compares).lower()} if "hive+" in self.name else {}
        found = {**self.properties, **known, "uri": uri._replace(netloc=f"{user}127.0.0.1:{self.store.port}").geturl()}
        if self.zookeeper is not None:
            found["zookeeper.hosts"] = f"127.0.0.1:{self.zookeeper.port}"
        return found

    def broken(self) -> Catalog:
        """Open the catalog behind the proxies."""
        return open_catalog("w", self.through_proxies())

    def load(self) -> Table:
        """Load the table as it is, past all proxies."""
        return self.direct.load_table(self.table_name)

    def metadata_files(self) -> set[str]:
        """Names of the metadata files that exist."""
        directory = Path(normalize_path(self.load().location()), "metadata")
        return {path.name for path in directory.glob("*.metadata.json")}

    def check(self, *allowed: list[int], left_over: int = 0) -> None:
        """See that the table is whole, holds one of the allowed contents, and takes the next commit.

        Args:
            allowed: contents.
            left_over: how many metadata files may lie about that nothing refers to, as a killed writer leaves them.
        """
        table = self.load()
        assert ids(table) in allowed
        reachable = {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
        names = {location.rsplit("/", 1)[-1] for location in reachable}
        files = self.metadata_files()
        assert names <= files, "metadata that was committed is gone"
        assert len(files - names) <= left_over, files - names
        for snapshot in table.metadata.snapshots:
            for manifest in snapshot.manifests(table.io):
                manifest.fetch_manifest_entry(table.io)
        before = ids(table)
        append(self.load(), 99)
        assert ids(self.load()) == [*before, 99]
        assert self.locks() == []

    def locks(self) -> list[object]:
        """What is still locked."""
        found: list[object] = []
        if isinstance(self.direct, HiveCatalog):
            found += show_hive_locks(self.direct.metastore, self.namespace)
        if self.zookeeper is not None:
            client = shared_client(zookeeper_settings(self.properties))
            held = held_lock(client, LockKey("w", self.table_name))
            found += [held] if held else []
        return found

    def break_zookeeper_lock(self, *, reason: str = "") -> None:
        """Take the table's ZooKeeper lock from its holder."""
        client = shared_client(zookeeper_settings(self.properties))
        held = held_lock(client, LockKey("w", self.table_name))
        assert held is not None
        break_lock(client, held, by=Holder.of_this_process("test"), reason=reason)

    def release_hive_locks(self) -> None:
        """Release the table's Hive locks, as the metastore does when they expire."""
        if isinstance(self.direct, HiveCatalog):
            for lock in show_hive_locks(self.direct.metastore, self.namespace):
                release_hive_lock(self.direct.metastore, lock.lock_id)

    def release_dead_locks(self) -> None:
        """Let the janitor release what a dead process left."""
        if isinstance(self.direct, HiveCatalog):
            janitor = LockJanitor(self.direct.metastore, lambda *_: [], stale_after_seconds=0)
            for decision in janitor.examine():
                if decision.lock.database == self.namespace:
                    janitor.release(decision)


KINDS = [
    "sql",
    "sql+zookeeper",
    "rest",
    "rest+zookeeper",
    "hive+hive",
    "hive+zookeeper",
    "hive+both",
    "hive+none",
    "newer-hive+zookeeper",
    "older-hive+hive",
    "older-hive+zookeeper",
]
LOCKED_BY_ZOOKEEPER = [kind for kind in KINDS if "zookeeper" in kind or "both" in kind]
HIVE = [kind for kind in KINDS if "hive+" in kind]


@contextmanager
def world(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Make a world of a kind; its servers are those of the session."""
    store, lock = kind.split("+") if "+" in kind else (kind, "none")
    properties = _store(store, request, tmp_path)
    with ExitStack() as stack:
        zookeeper = None
        if lock in ("zookeeper", "both"):
            hosts = request.getfixturevalue("zookeeper").hosts
            zookeeper = stack.enter_context(_proxy(hosts))
            properties |= {
                "autostream.lock.type": "zookeeper",
                "zookeeper.hosts": hosts,
                "zookeeper.root": f"/{uuid.uuid4().hex}",
                "zookeeper.session-timeout-seconds": str(SESSION_SECONDS),
                "engine.hive.lock-enabled": str(lock == "both").lower(),
            }
        elif "hive" in store:
            properties["autostream.lock.type"] = lock
        proxy = stack.enter_context(_proxy(properties["uri"]))
        stack.callback(close_all)
        yield World(kind, properties, proxy, zookeeper, compares=store != "older-hive")


def _store(store: str, request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    if store == "sql":
        url = request.getfixturevalue("postgres_url")
        return {"type": "sql", "uri": url, "warehouse": f"file://{tmp_path}/warehouse"}
    if store == "rest":
        url, warehouse = request.getfixturevalue("rest_server")
        return {"type": "rest", "uri": url, "warehouse": warehouse}
    fixture = {"hive": "hive_metastore", "newer-hive": "newer_hive_metastore", "older-hive": "older_hive_metastore"}
    return {
        "type": "hive",
        "uri": request.getfixturevalue(fixture[store]).uri,
        "hive.client-timeout-seconds": "10",
        "iceberg.hive.lock-check-min-wait-ms": "20",
        "iceberg.hive.lock-check-max-wait-ms": "200",
    }


def _proxy(address: str) -> FaultProxy:
    parts = urlparse(address if "://" in address else f"//{address}")
    return FaultProxy(parts.hostname or "", parts.port or 0)


def in_background(action: Callable[[], object]) -> "threading.Thread":
    """Run something beside the test."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread
