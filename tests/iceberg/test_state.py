"""A snapshot's live files, and the tables and manifests that are refused."""

import datetime as dt
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFileContent, FileFormat, ManifestContent, clear_manifest_cache
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.table import Table
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    TruncateTransform,
    VoidTransform,
    YearTransform,
)
from pyiceberg.typedef import Record

from autostream.demo.writer import Changes, UpsertWriter
from autostream.errors import DataError, UnsupportedTableError, UsageError
from autostream.iceberg.files import Content
from autostream.iceberg.manifests import data_file
from autostream.iceberg.state import is_unpartitioned, read_state
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.table_compaction import compact_table
from tests.support.lakes import ORDERS, Orders
from tests.support.upserts import EVERYTHING, everything, some_row


@pytest.fixture
def orders(lake: SqlCatalog) -> Orders:
    made = Orders(lake, "db.t")
    made.checkpoint(3)
    return made


def contents(table: Table) -> dict[str, bytes]:
    folder = Path(table.location().removeprefix("file://"))
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_live_files_of_the_current_and_of_an_older_snapshot(orders: Orders) -> None:
    table = orders.load()
    now = read_state(table)
    assert (now.snapshot_id, now.sequence_number) == (table.metadata.current_snapshot_id, 3)
    assert sorted(f.sequence_number for f in now.data.values()) == [1, 2, 3]
    assert {f.content for f in now.deletes.values()} == {Content.EQUALITY_DELETES, Content.POSITION_DELETES}
    first = read_state(table, snapshot_id=table.metadata.snapshots[0].snapshot_id)
    assert [f.sequence_number for f in first.data.values()] == [1]
    assert set(first.data) < set(now.data)


def test_a_table_without_a_snapshot_is_empty(lake: SqlCatalog) -> None:
    state = read_state(lake.create_table("db.t", ORDERS))
    assert (state.snapshot_id, state.sequence_number, state.data, state.deletes, list(state.manifests)) == (
        None,
        0,
        {},
        {},
        [],
    )


def test_an_unknown_snapshot_is_named_with_those_there_are(orders: Orders) -> None:
    known = ", ".join(str(s.snapshot_id) for s in orders.load().metadata.snapshots)
    with pytest.raises(UsageError, match=rf"^Table lake\.db\.t has no snapshot 5\. The newest snapshots: {known}\.$"):
        read_state(orders.load(), snapshot_id=5, name="lake.db.t")


# ------------------------------------------------------------------------------------- what is refused


def test_version_3_is_refused_and_nothing_touched(orders: Orders) -> None:
    table = orders.load()
    table.metadata = table.metadata.model_copy(update={"format_version": 3})
    before = contents(table)
    with pytest.raises(UnsupportedTableError) as raised:
        compact_table(table, "lake.db.t", options=CompactionOptions(rewrite_all=True))
    assert str(raised.value).startswith("Table lake.db.t has format version 3. Only versions 1 and 2 are supported.")
    assert raised.value.exit_code == 2
    assert contents(table) == before


def test_deletion_vectors_are_refused_and_nothing_touched(orders: Orders) -> None:
    table = orders.load()
    vector = data_file(
        spec_id=0,
        referenced=next(iter(read_state(table).data)),
        content=DataFileContent.POSITION_DELETES,
        file_path=f"{table.location()}/data/vector.puffin",
        file_format=FileFormat.PUFFIN,
        partition=Record(),
        record_count=1,
        file_size_in_bytes=100,
    )
    UpsertWriter(table).commit(deletes=[vector])
    before = contents(table)
    with pytest.raises(UnsupportedTableError, match=r"has the deletion vector .*vector\.puffin.*Nothing was changed"):
        compact_table(orders.load(), "lake.db.t", options=CompactionOptions(rewrite_all=True))
    assert contents(table) == before


def damage(orders: Orders, kind: str, how: str) -> Path:
    table = orders.load()
    snapshot = table.current_snapshot()
    assert snapshot is not None
    manifests = snapshot.manifests(table.io)
    if kind == "list":
        location = snapshot.manifest_list
    else:
        wanted = ManifestContent.DATA if kind == "data" else ManifestContent.DELETES
        location = next(m.manifest_path for m in manifests if m.content == wanted)
    path = Path(location.removeprefix("file://"))
    raw = path.read_bytes()
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": raw[: len(raw) // 2], "garbage": b"\1" * len(raw)}[how])
    clear_manifest_cache()
    return path


@pytest.mark.parametrize("how", ["missing", "empty", "cut", "garbage"])
@pytest.mark.parametrize("kind", ["list", "data", "deletes"])
def test_damaged_metadata_is_named_and_nothing_touched(orders: Orders, kind: str, how: str) -> None:
    path = damage(orders, kind, how)
    before = contents(orders.load())
    with pytest.raises(DataError) as raised:
        compact_table(orders.load(), "lake.db.t", options=CompactionOptions(rewrite_all=True))
    message = str(raised.value)
    assert path.name in message
    assert message.startswith("The manifest list " if kind == "list" else "Manifest ")
    assert "estore the file" in message
    assert contents(orders.load()) == before


# ------------------------------------------------------------------------------------- partitions by name


def partition(*fields: tuple[int, Any]) -> PartitionSpec:
    return PartitionSpec(*(PartitionField(i, 1000 + n, t, f"p{n}") for n, (i, t) in enumerate(fields)))


@pytest.mark.parametrize(
    ("spec", "unpartitioned"),
    [
        (partition(), True),
        (partition((1, VoidTransform())), True),
        (partition((1, VoidTransform()), (2, VoidTransform())), True),
        (partition((1, VoidTransform()), (2, IdentityTransform())), False),
        (partition((1, BucketTransform(2))), False),
    ],
)
def test_what_is_unpartitioned(spec: PartitionSpec, unpartitioned: bool) -> None:
    assert is_unpartitioned(spec) is unpartitioned


def test_partitions_have_the_names_that_iceberg_gives_their_folders(lake: SqlCatalog) -> None:
    spec = partition(
        (10, IdentityTransform()),
        (1, BucketTransform(4)),
        (4, YearTransform()),
        (6, MonthTransform()),
        (7, DayTransform()),
        (7, HourTransform()),
        (15, TruncateTransform(10)),
        (8, IdentityTransform()),
        (12, IdentityTransform()),
        (11, IdentityTransform()),
        (15, VoidTransform()),
    )
    table = lake.create_table("db.t", EVERYTHING, partition_spec=spec)
    row = some_row(random.Random(1), 1) | {
        "s": "a b/ž",
        "d": dt.date(2026, 11, 23),
        "ts": dt.datetime(2026, 11, 23, 1),
        "tz": dt.datetime(1969, 12, 31, 23, tzinfo=dt.UTC),
        "i": -7,
        "small": Decimal("1.50"),
        "yes": True,
        "b": b"\xff\x00",
    }
    UpsertWriter(table).checkpoint(Changes((), upserts=everything([row])))
    state = read_state(lake.load_table("db.t"))
    (file,) = state.data.values()
    assert state.partition_name(file.partition) == (
        "spec=0/p0=a+b%2F%C5%BE/p1=0/p2=2026/p3=2026-11/p4=1969-12-31/p5=1969-12-31-23/p6=-10/p7=1.50/p8=true/"
        "p9=%2FwA%3D/p10=null"
    )


def test_a_partition_keeps_its_name_when_its_column_is_dropped(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", ORDERS, partition_spec=partition((3, TruncateTransform(1))))
    rows = pa.table({"id": [1], "v": [1], "s": ["xyz"]})
    UpsertWriter(table).checkpoint(Changes((), upserts=rows))
    with table.update_spec() as update:
        update.remove_field("p0")
    with table.update_schema() as change:
        change.delete_column("s")
    state = read_state(lake.load_table("db.t"))
    (file,) = state.data.values()
    assert state.partition_name(file.partition) == "spec=0/p0=x"
