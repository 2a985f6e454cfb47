"""Compaction of tables that writers go on writing to, through catalogs of any kind."""

from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform
from pyiceberg.types import LongType, NestedField, StringType

from autostream.demo.writer import Changes, UpsertWriter
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.compaction_result import CompactionResult
from autostream.lake.compaction.table_compaction import compact_table
from autostream.names import TableName

ORDERS = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "v", LongType()),
    NestedField(3, "s", StringType()),
)
UNPARTITIONED = PartitionSpec()
BUCKETED = PartitionSpec(PartitionField(1, 1000, BucketTransform(4), "id_bucket"))
KEYS = 40


class Orders:
    """An upsert table with its writer and what it must hold; each checkpoint is another one."""

    def __init__(self, catalog: Catalog, name: str, *, spec: PartitionSpec = UNPARTITIONED, **properties: str) -> None:
        self.catalog = catalog
        self.name = name
        catalog.create_table(name, ORDERS, partition_spec=spec, properties=properties)
        self.writer = UpsertWriter(self.load())
        self.rows: dict[int, dict[str, Any]] = {}
        self._next = 0

    def load(self) -> Table:
        """Return the table as the catalog has it now."""
        return self.catalog.load_table(self.name)

    def checkpoint(self, times: int = 1) -> None:
        """Commit a checkpoint of 25 upserts, some keys twice, and 3 deletes."""
        for _ in range(times):
            rows = [{"id": (n * 7) % KEYS, "v": n, "s": f"row {n}"} for n in range(self._next, self._next + 25)]
            self._next += 25
            gone = [row["id"] for row in rows[4:20:6]]
            deletes = pa.table({"id": pa.array(gone, pa.int64())})
            self.writer.checkpoint(Changes(("id",), upserts=pa.Table.from_pylist(rows), deletes=deletes))
            self.rows.update({row["id"]: row for row in rows})
            for key in gone:
                self.rows.pop(key)

    def expected(self) -> list[dict[str, Any]]:
        """Return the rows that the table must hold."""
        return list(self.rows.values())


def compact(table: Table, name: str = "lake.db.t", **options: str) -> CompactionResult:
    """Compact all of a table; option names with underscores for dashes."""
    overrides = {"rewrite-all": "true", **{key.replace("_", "-"): value for key, value in options.items()}}
    return compact_table(
        table, TableName.parse(name), options=CompactionOptions.from_properties(table.properties, overrides)
    )
