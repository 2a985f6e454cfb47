"""The tables that are measured on, generated once and kept."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFile, DataFileContent
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
)

from autostream.demo.writer import Changes, UpsertWriter

CATALOG = "bench"
SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "customer", StringType()),
    NestedField(3, "status", StringType()),
    NestedField(4, "quantity", IntegerType()),
    NestedField(5, "amount", DecimalType(12, 2)),
    NestedField(6, "rate", DoubleType()),
    NestedField(7, "paid", BooleanType()),
    NestedField(8, "day", DateType()),
    NestedField(9, "created", TimestampType()),
    NestedField(10, "updated", TimestamptzType()),
    NestedField(11, "note", StringType()),
    NestedField(12, "version", LongType()),
)
_BUCKETS = 8
_WRITERS = 2
_SMALL_ROWS = 200
# Changed whenever the same arguments would no longer give the same tables.
_GENERATION = 1


@dataclass(frozen=True)
class Lake:
    """Generated tables in a catalog of their own, and the state that each run begins with."""

    directory: Path

    @property
    def properties(self) -> dict[str, str]:
        """What PyIceberg needs to open the catalog."""
        return {
            "type": "sql",
            "uri": f"sqlite:///{self.directory}/catalog.db",
            "warehouse": f"file://{self.directory}/warehouse",
        }

    def catalog(self) -> SqlCatalog:
        """Open the catalog."""
        return SqlCatalog(CATALOG, **self.properties)

    def facts(self) -> dict[str, Any]:
        """Return what was written down of the tables when they were generated."""
        known: dict[str, Any] = json.loads((self.directory / "facts.json").read_text())
        return known

    def restore(self) -> None:
        """Undo all commits since the tables were generated, and delete the files that they left."""
        shutil.copy(self.directory / "catalog.db.pristine", self.directory / "catalog.db")
        for suffix in ("-wal", "-shm"):
            (self.directory / f"catalog.db{suffix}").unlink(missing_ok=True)
        pristine = set((self.directory / "files.txt").read_text().splitlines())
        for path in (self.directory / "warehouse").rglob("*"):
            if path.is_file() and str(path.relative_to(self.directory)) not in pristine:
                path.unlink()


def generate(directory: Path, *, name: str, rows: int, report: Callable[[str], None]) -> Lake:
    """Return the lake `M`, `MB` or `S200`, generated below `directory` where it is not there yet."""
    lake = Lake(directory / f"{name}-{rows}-{_GENERATION}")
    if (lake.directory / "facts.json").exists():
        return lake
    shutil.rmtree(lake.directory, ignore_errors=True)
    lake.directory.mkdir(parents=True)
    started = time.monotonic()
    catalog = lake.catalog()
    catalog.create_namespace("db")
    if name == "S200":
        facts = _small_tables(catalog, report=report)
    else:
        facts = _large_table(catalog, rows=rows, bucketed=name == "MB", report=report)
    catalog.engine.dispose()
    shutil.copy(lake.directory / "catalog.db", lake.directory / "catalog.db.pristine")
    files = [str(p.relative_to(lake.directory)) for p in (lake.directory / "warehouse").rglob("*") if p.is_file()]
    (lake.directory / "files.txt").write_text("\n".join(files))
    (lake.directory / "facts.json").write_text(json.dumps(facts, indent=1))
    report(f"{name}: generated in {time.monotonic() - started:.0f} s")
    return lake


def _large_table(catalog: SqlCatalog, *, rows: int, bucketed: bool, report: Callable[[str], None]) -> dict[str, Any]:
    """Write 50 commits of upserts over half as many keys as rows: about 43 % of the rows stay live."""
    buckets = PartitionField(1, 1000, BucketTransform(_BUCKETS), "id_bucket")
    spec = PartitionSpec(buckets) if bucketed else PartitionSpec()
    properties = {"write.parquet.compression-codec": "zstd", "write.parquet.compression-level": "3"}
    table = catalog.create_table("db.t", SCHEMA, partition_spec=spec, properties=properties)
    writer = UpsertWriter(table)
    keys, commits = rows // 2, 50
    connection = duckdb.connect(config={"threads": 2})
    bucket_of = BucketTransform(_BUCKETS).transform(LongType())
    place = pa.array((bucket_of(key) if bucketed else key % _WRITERS for key in range(keys)), pa.int32())
    connection.register("placed", pa.table({"id": pa.array(range(keys), pa.int64()), "place": place}))
    connection.execute("CREATE TABLE places AS SELECT * FROM placed")
    for commit in range(commits):
        first, last = commit * (rows // commits), (commit + 1) * (rows // commits)
        connection.execute(
            f"CREATE OR REPLACE TABLE written AS SELECT o.*, p.place, "
            f"row_number() OVER (PARTITION BY p.place ORDER BY version) - 1 AS position, "
            f"version < max(version) OVER (PARTITION BY o.id) AS outdated "
            f"FROM ({_orders(first, last, keys=keys)}) o JOIN places p USING (id)"
        )
        data, deletes = [], []
        for place in range(_BUCKETS if bucketed else _WRITERS):
            partition = (place,) if bucketed else ()
            own = f"FROM written WHERE place = {place}"
            upserts = connection.sql(f"SELECT * EXCLUDE (place, position, outdated) {own} ORDER BY position")
            data += writer.files.write_data(upserts.to_arrow_table(), partition=partition)
            unique = connection.sql(f"SELECT DISTINCT id {own}").to_arrow_table()
            deletes += writer.files.write_equality_deletes(unique, ["id"], partition=partition)
            outdated = [row[0] for row in connection.sql(f"SELECT position {own} AND outdated").fetchall()]
            if outdated:
                deletes.append(writer.files.write_position_deletes([(data[-1], outdated)]))
        writer.commit(data, deletes)
        if commit % 10 == 9:
            report(f"{commit + 1} of {commits} commits")
    live, total = connection.execute(
        f"SELECT count(*), sum(version)::BIGINT FROM "
        f"(SELECT max(version) AS version FROM ({_orders(0, rows, keys=keys)}) GROUP BY id)"
    ).fetchone() or (0, 0)
    return {"tables": ["db.t"], "live_rows": live, "sum_of_versions": total, **_counts(table)}


def _small_tables(catalog: SqlCatalog, *, report: Callable[[str], None]) -> dict[str, Any]:
    connection = duckdb.connect()
    names = []
    for number in range(200):
        table = catalog.create_table(f"db.t{number:03d}", SCHEMA)
        names.append(f"db.t{number:03d}")
        writer = UpsertWriter(table)
        for commit in range(20):
            first = (number * 20 + commit) * _SMALL_ROWS
            rows = connection.sql(_orders(first, first + _SMALL_ROWS, keys=2000)).to_arrow_table()
            writer.checkpoint(Changes(("id",), upserts=rows))
        if number % 50 == 49:
            report(f"{number + 1} of 200 tables")
    return {"tables": names, **_counts(table)}


def _orders(first: int, last: int, *, keys: int) -> str:
    """Return a query for rows of given versions: the same rows each time, keys as if drawn at random."""
    return f"""
        SELECT (hash(version) % {keys})::BIGINT AS id,
            'customer-' || (hash(version, 2) % 100000) AS customer,
            ['new', 'paid', 'packed', 'shipped', 'returned'][1 + (hash(version, 3) % 5)::INTEGER] AS status,
            (1 + hash(version, 4) % 99)::INTEGER AS quantity,
            ((hash(version, 5) % 10000000)::DECIMAL(10, 0) / 100)::DECIMAL(12, 2) AS amount,
            hash(version, 6) / 18446744073709551616.0 AS rate,
            hash(version, 7) % 10 < 7 AS paid,
            DATE '2026-01-01' + (version // 100000)::INTEGER AS day,
            make_timestamp(1767225600000000 + version * 1000 - (hash(version, 8) % 1000000000)::BIGINT) AS created,
            make_timestamp(1767225600000000 + version * 1000)::TIMESTAMPTZ AS updated,
            'note ' || (hash(version, 9) % 1099511627776) AS note,
            version
        FROM (SELECT range AS version FROM range({first}, {last}))"""


def _counts(table: Table) -> dict[str, int]:
    files = list(_live(table))
    return {
        "data_files": sum(f.content == DataFileContent.DATA for f in files),
        "files": len(files),
        "rows": sum(f.record_count for f in files if f.content == DataFileContent.DATA),
        "equality_delete_rows": sum(f.record_count for f in files if f.content == DataFileContent.EQUALITY_DELETES),
        "data_bytes": sum(f.file_size_in_bytes for f in files if f.content == DataFileContent.DATA),
    }


def data_paths(table: Table) -> list[str]:
    """Return the local paths of a table's live data files."""
    return [f.file_path.removeprefix("file://") for f in _live(table) if f.content == DataFileContent.DATA]


def _live(table: Table) -> Iterator[DataFile]:
    snapshot = table.current_snapshot()
    for manifest in snapshot.manifests(table.io) if snapshot else ():
        for entry in manifest.fetch_manifest_entry(table.io):
            yield entry.data_file
