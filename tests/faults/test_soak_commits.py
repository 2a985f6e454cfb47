"""Four writers of ours and a real Flink job commit to one Hive table, and are killed: no update is lost, none stuck.

``make soak`` does it for SOAK_SECONDS, with and without Hive locks, and prints what happened; ``make test`` for some.
"""

import os
import random
import subprocess
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path

import pytest

from autostream.catalogs.hive import HiveCatalog
from autostream.catalogs.hive_lock import show_hive_locks
from autostream.catalogs.locking import zookeeper_settings
from autostream.coordination.client import close_all, shared_client
from autostream.coordination.lock_registry import held_locks
from autostream.locks.janitor import LockJanitor
from tests.support.appenders import FlinkWriter, OurWriter, Target, Writer, assert_nothing_lost, end_all
from tests.support.catalogs import IDS, append, hive_catalog, ids, new_namespace
from tests.support.hadoop import HiveMetastore, ZooKeeper
from tests.support.java import need_java

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("hadoop")]

SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
OURS = 4
FLINK = OURS  # its place among the writers
ROWS_OF_ONE_LIFE = 1_000_000
LIVES = 10_000
KILL_EVERY_SECONDS = (2.0, 6.0)
COMMITS_BEFORE_FLINK_DIES = 10  # it takes its time to start
# Who waits for a Hive lock or holds one is heard of every second: longer silence is death.
HEARTBEATS = {
    "iceberg.hive.lock-heartbeat-interval-ms": "1000",
    "iceberg.hive.lock-check-min-wait-ms": "20",
    "iceberg.hive.lock-check-max-wait-ms": "200",
}
SILENT_SECONDS = 10
PATIENT = {
    "commit.retry.num-retries": "200",
    "commit.retry.min-wait-ms": "20",
    "commit.retry.max-wait-ms": "500",
    "commit.manifest-merge.enabled": "true",
}


@dataclass
class Soak:
    """One table, its writers of all lives, and what was done to them."""

    metastore: HiveMetastore
    zookeeper: ZooKeeper
    directory: Path
    hive_locks: bool
    seed: int
    writers: list[Writer] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    released: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        properties = {
            "type": "hive",
            "uri": self.metastore.uri,
            "autostream.lock.type": "zookeeper",
            "zookeeper.hosts": self.zookeeper.hosts,
            "zookeeper.root": f"/{uuid.uuid4().hex}",
            "zookeeper.session-timeout-seconds": "2",
            **HEARTBEATS,
        }
        catalog = hive_catalog(**properties)
        assert isinstance(catalog, HiveCatalog)
        self.catalog = catalog
        self.target = Target(f"{new_namespace(catalog)}.t", properties)
        engine = {} if self.hive_locks else {"engine.hive.lock-enabled": "false"}
        catalog.create_table(self.target.name, IDS, properties={**PATIENT, **engine})
        self.janitor = LockJanitor(catalog.metastore, lambda *_: [], stale_after_seconds=SILENT_SECONDS)
        self.lives = count()
        self.running: list[Writer] = [self.born(place) for place in range(OURS + 1)]

    def born(self, place: int) -> Writer:
        """Start a writer with rows that nobody had before."""
        life = next(self.lives)
        file = self.directory / f"writer-{place}-{life}"
        first = (place * LIVES + life) * ROWS_OF_ONE_LIFE
        writer: Writer
        if place == FLINK:
            writer = FlinkWriter(self.target, file, first, rows=ROWS_OF_ONE_LIFE, hadoop=HEARTBEATS)
        else:
            writer = OurWriter(self.target, file, first, chores=place == 0)
        self.writers.append(writer)
        return writer

    def run(self, seconds: float) -> None:
        """Kill one every few seconds, and let the janitor see to what it leaves."""
        started = time.monotonic()
        while (passed := time.monotonic() - started) < seconds:
            place = self.random.choice(self.mortal())
            victim = self.running[place]
            try:
                code = victim.process.wait(min(self.random.uniform(*KILL_EVERY_SECONDS), seconds - passed))
            except subprocess.TimeoutExpired:
                victim.process.kill()
                victim.process.wait()
            else:
                pytest.fail(f"{victim} ended by itself: {code}\n{victim.file.with_suffix('.log').read_text()[-4000:]}")
            self.kills["Flink" if place == FLINK else "ours"] += 1
            self.running[place] = self.born(place)
            self.sweep()
        self.seconds = time.monotonic() - started
        end_all(self.running)

    def mortal(self) -> list[int]:
        """Places of those that may be killed now."""
        flink = self.running[FLINK].account().commits >= COMMITS_BEFORE_FLINK_DIES
        return [*range(OURS), *([FLINK] if flink else [])]

    def sweep(self) -> None:
        """Release the Hive locks of the dead in this table."""
        decisions = [d for d in self.janitor.examine() if f"{d.lock.database}.{d.lock.table}" == self.target.name]
        self.released += sum(self.janitor.release(decision).released for decision in decisions)

    def check(self) -> None:
        """See that the table takes the next commit, that nobody holds it, and that nothing acknowledged is missing."""
        self.janitor.stale_after_seconds = 0  # all are dead
        self.sweep()
        append(self.catalog.load_table(self.target.name), 1_000_000_000_000)
        table = self.catalog.load_table(self.target.name)
        assert show_hive_locks(self.catalog.metastore, *self.target.name.split(".")) == []
        assert list(held_locks(shared_client(zookeeper_settings(self.target.properties)))) == []
        rows = ids(table)
        assert rows.pop() == 1_000_000_000_000
        assert_nothing_lost(rows, self.writers)
        for entry in table.metadata.metadata_log:
            assert table.io.new_input(entry.metadata_file).exists(), entry
        for snapshot in table.metadata.snapshots:
            for manifest in snapshot.manifests(table.io):
                manifest.fetch_manifest_entry(table.io)

    def report(self) -> str:
        """Say what happened, by figures."""
        minutes = self.seconds / 60
        ours = [w for w in self.writers if isinstance(w, OurWriter)]
        lines = [
            f"{'Hive locks' if self.hive_locks else 'no Hive locks'}, seed {self.seed}: {self.seconds:.0f} s, "
            f"killed {dict(self.kills)}, {self.released} Hive locks released"
        ]
        for who, kind in (("ours", OurWriter), ("Flink", FlinkWriter)):
            accounts = [w.account() for w in self.writers if isinstance(w, kind)]
            commits = sum(a.commits for a in accounts)
            repeated = sum(a.attempts - a.commits for a in accounts)
            lines.append(
                f"{who}: {commits} commits ({commits / minutes:.0f} a minute), repeated {repeated} times, "
                f"{sum(len(a.acknowledged) for a in accounts)} rows"
            )
        entries = [entry for w in ours for entry in w.entries()]
        ends = Counter(entry["event"] for entry in entries)
        done = sorted(entry["at_ms"] for entry in entries if entry["event"] == "done")
        pause = max((after - before for before, after in pairwise(done)), default=0)
        lines.append(
            f"ours in detail: {ends['failed']} failed, {ends['unknown']} unknown, "
            f"{sum(len(w.account().in_doubt) for w in ours)} in doubt when killed; "
            f"chores {dict(sum((w.chores_done() for w in ours), Counter()))}; longest pause {pause / 1000:.1f} s"
        )
        return "\n".join(lines)


def soak(seconds: float, *, hive_locks: bool, metastore: HiveMetastore, zookeeper: ZooKeeper, directory: Path) -> Soak:
    """Soak a table, check it, and print what happened."""
    need_java("flink")
    it = Soak(metastore, zookeeper, directory, hive_locks, seed=random.randrange(1_000_000))
    try:
        it.run(seconds)
        print(it.report())
        it.check()
    finally:
        end_all(it.writers)
        close_all()
    return it


LOCKS = pytest.mark.parametrize("hive_locks", [False, True], ids=["comparing", "hive-locks"])


@LOCKS
@pytest.mark.slow
@pytest.mark.exhaustive
def test_killed_writers_lose_nothing(
    hive_locks: bool, hive_metastore: HiveMetastore, zookeeper: ZooKeeper, tmp_path: Path
) -> None:
    it = soak(20, hive_locks=hive_locks, metastore=hive_metastore, zookeeper=zookeeper, directory=tmp_path)
    assert it.kills["ours"] > 0
    assert any(writer.account().commits for writer in it.writers)  # whose is a matter of the machine


@LOCKS
@pytest.mark.soak
def test_soak(hive_locks: bool, hive_metastore: HiveMetastore, zookeeper: ZooKeeper, tmp_path: Path) -> None:
    it = soak(SOAK_SECONDS, hive_locks=hive_locks, metastore=hive_metastore, zookeeper=zookeeper, directory=tmp_path)
    for kind in (OurWriter, FlinkWriter):
        assert any(writer.account().commits for writer in it.writers if isinstance(writer, kind))
