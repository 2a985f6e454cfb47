"""A small lakehouse of upsert tables, written by a writer that commits as Flink does.

It is the same each time: a SQLite catalog and Parquet files below one directory, and random rows from a fixed seed.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform, DayTransform, MonthTransform
from pyiceberg.types import DecimalType, IntegerType, LongType, NestedField, StringType, TimestamptzType

from autostream.catalogs.opening import open_catalog
from autostream.demo.writer import Changes, UpsertWriter
from autostream.errors import UsageError
from autostream.names import TableName
from autostream.spelling import counted

CATALOG = "lake"
NAMESPACE = "shop"
EVOLVES_AT = 16

_MARKER = ".autostream-demo"
_START = datetime(2026, 11, 17, tzinfo=UTC)
PROPERTIES = {"format-version": "2", "autostream.compaction.enabled": "true", "write.upsert.enabled": "true"}
_STATUSES = ("created", "paid", "packed", "shipped", "delivered", "returned")
_COUNTRIES = ("AT", "BR", "DE", "ES", "FR", "IN", "JP", "US")

Rows = list[dict[str, Any]]
RowMaker = Callable[[random.Random, int], tuple[Rows, Rows]]
"""Makes the rows that one checkpoint, counted from 0, upserts, and the keys that it deletes."""


@dataclass(frozen=True)
class Stream:
    """What one Flink job does to one table.

    Attributes:
        table: Name within the namespace.
        schema: The table's schema.
        partition: Its partition spec.
        key: The equality fields.
        rows: Makes the rows of a checkpoint.
        checkpoints: How many checkpoints there are at first.
        evolve: Changes the table before checkpoint `EVOLVES_AT`, as its owner might.
        columns: What someone asks about.
        question: What they ask, in SQL with `rows` for the table.
    """

    table: str
    schema: Schema
    partition: PartitionSpec
    key: tuple[str, ...]
    rows: RowMaker
    checkpoints: int
    columns: tuple[str, ...]
    question: str
    evolve: Callable[[Table], None] | None = None

    @property
    def name(self) -> TableName:
        """The table's full name."""
        return TableName(CATALOG, NAMESPACE, self.table)


def catalog_properties(directory: Path) -> dict[str, str]:
    """PyIceberg's properties of the demo's catalog."""
    root = directory.resolve()
    return {"type": "sql", "uri": f"sqlite:///{root}/catalog.db", "warehouse": f"file://{root}/warehouse"}


def open_demo_catalog(directory: Path) -> Catalog:
    """Open the catalog below a directory, and make an empty one where there is none."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / ".pyiceberg.yaml").write_text(_pyiceberg_yaml(directory), encoding="utf-8")
    return open_catalog(CATALOG, catalog_properties(directory))


def is_seeded(directory: Path) -> bool:
    """Whether there is a lakehouse that was made in this directory: a copy's tables are those of the original."""
    try:
        made_here = (directory / ".pyiceberg.yaml").read_text(encoding="utf-8") == _pyiceberg_yaml(directory)
    except FileNotFoundError:
        return False
    return made_here and (directory / "catalog.db").exists()


def clear(directory: Path) -> None:
    """Remove the lakehouse from the directory; Airflow's home in it stays.

    Raises:
        UsageError: It holds files that are not the demo's.
    """
    marker = directory / _MARKER
    if directory.exists() and any(directory.iterdir()) and not marker.exists():
        raise UsageError(
            f"{directory} is not empty, and the demo did not create it. The demo would overwrite it: name another "
            "directory."
        )
    directory.mkdir(parents=True, exist_ok=True)
    marker.touch()
    (directory / "catalog.db").unlink(missing_ok=True)
    shutil.rmtree(directory / "warehouse", ignore_errors=True)


def seed(directory: Path, *, report_progress: Callable[[str], None] = lambda message: None) -> None:
    """Make all tables and write the checkpoints of their streams."""
    catalog = open_demo_catalog(directory)
    catalog.create_namespace_if_not_exists(NAMESPACE)
    for stream in STREAMS:
        table = catalog.create_table(
            (NAMESPACE, stream.table), stream.schema, partition_spec=stream.partition, properties=PROPERTIES
        )
        report_progress(f"{stream.name}: {counted(stream.checkpoints, 'checkpoint')}")
        _write(table, stream, range(stream.checkpoints))


def write_more(directory: Path, *, checkpoints: int) -> None:
    """Lets every stream go on for some checkpoints, so that there is something to compact again."""
    catalog = open_demo_catalog(directory)
    for stream in STREAMS:
        table = catalog.load_table((NAMESPACE, stream.table))
        first = len(table.metadata.snapshots)
        _write(table, stream, range(first, first + checkpoints))


def _write(table: Table, stream: Stream, checkpoints: range) -> None:
    writer = UpsertWriter(table, job_id=f"demo-{stream.table}", first_checkpoint_id=checkpoints.start + 1)
    for checkpoint in checkpoints:
        if stream.evolve and checkpoint == EVOLVES_AT:
            stream.evolve(table)
            table.refresh()
        upserts, deletes = stream.rows(random.Random(f"{stream.table} {checkpoint}"), checkpoint)
        schema = schema_to_pyarrow(table.schema())
        writer.checkpoint(
            Changes(
                stream.key,
                upserts=_arrow(upserts, schema),
                deletes=_arrow(deletes, schema).select(list(stream.key)) if deletes else None,
            )
        )


def _arrow(rows: Rows, schema: pa.Schema) -> pa.Table:
    names = [name for name in schema.names if rows and name in rows[0]]
    return pa.Table.from_pylist(rows, schema=pa.schema([schema.field(name) for name in names]))


def _orders(chance: random.Random, checkpoint: int) -> tuple[Rows, Rows]:
    now = _START + timedelta(minutes=5 * checkpoint)
    rows = [
        {
            "order_id": chance.randrange(20_000),
            "customer_id": chance.randrange(5_000),
            "status": chance.choice(_STATUSES),
            "amount": Decimal(chance.randrange(100, 99_999)) / 100,
            "updated_at": now + timedelta(milliseconds=chance.randrange(300_000)),
        }
        for _ in range(4_000)
    ]
    return rows, [{"order_id": chance.randrange(20_000)} for _ in range(40)]


def _users(chance: random.Random, checkpoint: int) -> tuple[Rows, Rows]:
    now = _START + timedelta(minutes=5 * checkpoint)
    rows = [
        {
            "user_id": (user := chance.randrange(30_000)),
            "name": f"user {user}",
            "country": chance.choice(_COUNTRIES),
            "visits": chance.randrange(1_000),
            "updated_at": now,
        }
        for _ in range(3_000)
    ]
    return rows, [{"user_id": chance.randrange(30_000)} for _ in range(30)]


def _events(chance: random.Random, checkpoint: int) -> tuple[Rows, Rows]:
    # Three days, and now and then an event of an earlier day that comes late or is corrected.
    rows = []
    for _ in range(3_000):
        day = checkpoint // 12 if chance.random() < 0.9 else chance.randrange(checkpoint // 12 + 1)
        number = chance.randrange(10_000)
        rows.append(
            {
                "event_id": day * 10_000 + number,
                "event_time": _START + timedelta(days=day, seconds=8 * number),
                "kind": chance.choice(("view", "click", "buy")),
                "user_id": chance.randrange(30_000),
                "payload": f"{chance.getrandbits(128):032x}",
            }
        )
    return rows, [{name: row[name] for name in ("event_id", "event_time")} for row in chance.sample(rows, 20)]


def _payments(chance: random.Random, checkpoint: int) -> tuple[Rows, Rows]:
    # Once the table is partitioned by month, only payments of that time are changed: deletes of a partitioned spec do
    # not reach what was written before it.
    evolved = checkpoint >= EVOLVES_AT
    rows = []
    for _ in range(2_000):
        payment = chance.randrange(8_000)
        row: dict[str, Any] = {
            "payment_id": payment + (8_000 if evolved else 0),
            "paid_at": _START + timedelta(days=30 if evolved else 0, minutes=payment),
            "cents": chance.randrange(100, 1_000_000),
        }
        if evolved:
            row["currency"] = chance.choice(("BRL", "EUR", "INR", "USD"))
        rows.append(row)
    return rows, [{name: row[name] for name in ("payment_id", "paid_at")} for row in chance.sample(rows, 20)]


def _evolve_payments(table: Table) -> None:
    with table.update_schema() as schema:
        schema.add_column("currency", StringType())
        schema.update_column("cents", LongType())
    with table.update_spec() as spec:
        spec.add_field("paid_at", MonthTransform(), "paid_month")


def _required(field_id: int, name: str, kind: Any) -> NestedField:
    return NestedField(field_id, name, kind, required=True)


STREAMS = (
    Stream(
        table="orders",
        schema=Schema(
            _required(1, "order_id", LongType()),
            NestedField(2, "customer_id", LongType()),
            NestedField(3, "status", StringType()),
            NestedField(4, "amount", DecimalType(12, 2)),
            NestedField(5, "updated_at", TimestamptzType()),
            identifier_field_ids=[1],
        ),
        partition=PartitionSpec(),
        key=("order_id",),
        rows=_orders,
        checkpoints=60,
        columns=("status", "amount"),
        question="SELECT status, count(*), sum(amount) FROM rows GROUP BY ALL",
    ),
    Stream(
        table="users",
        schema=Schema(
            _required(1, "user_id", LongType()),
            NestedField(2, "name", StringType()),
            NestedField(3, "country", StringType()),
            NestedField(4, "visits", IntegerType()),
            NestedField(5, "updated_at", TimestamptzType()),
            identifier_field_ids=[1],
        ),
        partition=PartitionSpec(PartitionField(1, 1000, BucketTransform(4), "user_bucket")),
        key=("user_id",),
        rows=_users,
        checkpoints=40,
        columns=("country", "visits"),
        question="SELECT country, count(*), sum(visits) FROM rows GROUP BY ALL",
    ),
    Stream(
        table="events",
        schema=Schema(
            _required(1, "event_id", LongType()),
            _required(2, "event_time", TimestamptzType()),
            NestedField(3, "kind", StringType()),
            NestedField(4, "user_id", LongType()),
            NestedField(5, "payload", StringType()),
            identifier_field_ids=[1, 2],
        ),
        partition=PartitionSpec(PartitionField(2, 1000, DayTransform(), "event_day")),
        key=("event_id", "event_time"),
        rows=_events,
        checkpoints=36,
        columns=("kind", "user_id"),
        question="SELECT kind, count(*), count(DISTINCT user_id) FROM rows GROUP BY ALL",
    ),
    Stream(
        table="payments",
        schema=Schema(
            _required(1, "payment_id", LongType()),
            _required(2, "paid_at", TimestamptzType()),
            NestedField(3, "cents", IntegerType()),
            identifier_field_ids=[1, 2],
        ),
        partition=PartitionSpec(),
        key=("payment_id", "paid_at"),
        rows=_payments,
        checkpoints=32,
        columns=("payment_id", "cents"),
        question="SELECT payment_id // 1000, count(*), sum(cents) FROM rows GROUP BY ALL",
        evolve=_evolve_payments,
    ),
)


def _pyiceberg_yaml(directory: Path) -> str:
    """PyIceberg's configuration, by which `autostream` commands find the demo's catalog."""
    return "\n".join(_yaml({"catalog": {CATALOG: catalog_properties(directory)}})) + "\n"


def _yaml(document: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}:"
            yield from _yaml(value, indent + "  ")
        else:
            yield f'{indent}{key}: "{value}"'
