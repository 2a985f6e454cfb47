"""`python -m benchmarks.commits`: what a commit takes with each lock, on a Hive Metastore and in a SQLite catalog."""

import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, run

import pyarrow as pa
from pyiceberg.catalog import Catalog

from autostream.catalogs.opening import open_catalog
from benchmarks.locks import zookeeper

SCHEMA = pa.schema([("id", pa.int64())])
SCRIPT = Path(__file__).parents[1] / "scripts" / "services" / "hadoop" / "hive.sh"


@contextmanager
def hive() -> Iterator[str]:
    """Run a Hive Metastore 4.0.0 on PostgreSQL and give its address."""
    with tempfile.TemporaryDirectory(prefix="autostream-hive-") as directory:
        Path(directory).chmod(0o755)
        options = {**os.environ, "POSTGRES": "1"}
        printed = run([SCRIPT, "start", directory], check=True, stdout=PIPE, text=True, env=options).stdout
        try:
            yield dict(line.split("=", 1) for line in printed.split())["HIVE_URI"]
        finally:
            run([SCRIPT, "stop", directory], check=True)


def _committer(catalog: Catalog) -> Callable[[], float]:
    """Return what commits a property to a new table of the catalog, and gives the seconds that this took."""
    namespace = f"bench_{uuid.uuid4().hex[:8]}"
    catalog.create_namespace(namespace)
    table = catalog.create_table(f"{namespace}.t", SCHEMA)
    count = 0

    def commit() -> float:
        nonlocal count
        count += 1
        begin = time.perf_counter()
        table.transaction().set_properties({"n": str(count)}).commit_transaction()
        return time.perf_counter() - begin

    return commit


def measure(catalogs: dict[str, Catalog], *, runs: int) -> None:
    """Measure commits, each catalog in turn, so that a machine that slows down does so for all."""
    committers = {name: _committer(catalog) for name, catalog in catalogs.items()}
    times: dict[str, list[float]] = {name: [] for name in committers}
    for number in range(runs + 5):
        for name, commit in committers.items():
            seconds = commit()
            if number >= 5:  # the first ones warm up
                times[name].append(1000 * seconds)
    base = next(iter(times))
    for name, values in times.items():
        more = statistics.median(a - b for a, b in zip(values, times[base], strict=True))
        worst = sorted(values)[round(0.95 * (len(values) - 1))]
        print(f"| {name} | {statistics.median(values):.1f} | {worst:.1f} | {more:+.1f} |", flush=True)


def main(runs: int = 100) -> None:
    """Measure all."""
    print(f"\n### Commits of one property, {runs} of each in turn\n")
    print("| catalog, lock | p50 ms | p95 ms | more than unlocked, p50 ms |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="autostream-sqlite-") as directory, zookeeper() as hosts:
        locked = {"autostream.lock.type": "zookeeper", "zookeeper.hosts": hosts, "engine.hive.lock-enabled": "false"}
        sql = {"type": "sql", "uri": f"sqlite:///{directory}/lake.db", "warehouse": f"file://{directory}"}
        measure(
            {
                "SQLite, none": open_catalog("sqlite", sql),
                "SQLite, ZooKeeper": open_catalog("sqlite", {**sql, **locked}),
            },
            runs=runs,
        )
        with hive() as uri:
            metastore = {"type": "hive", "uri": uri}
            measure(
                {
                    "Hive Metastore, none": open_catalog("hive", {**metastore, "autostream.lock.type": "none"}),
                    "Hive Metastore, ZooKeeper": open_catalog("hive", {**metastore, **locked}),
                    "Hive Metastore, Hive": open_catalog("hive", metastore),
                    "Hive Metastore, ZooKeeper and Hive": open_catalog(
                        "hive", {**metastore, **locked, "engine.hive.lock-enabled": "true"}
                    ),
                },
                runs=runs,
            )


if __name__ == "__main__":
    main()
