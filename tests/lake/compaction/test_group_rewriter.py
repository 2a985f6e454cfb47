"""Groups merged: the rows, whichever way the memory allows; what other readers make of the outputs."""

import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform, TruncateTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    FixedType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from autostream.demo.writer import Changes, UpsertWriter
from autostream.errors import DataError
from autostream.iceberg.state import read_state
from autostream.lake.compaction import group_rewriter
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.group_rewriter import GroupRewriter
from autostream.lake.compaction.planning import plan_compaction
from autostream.lake.engine.duckdb_engine import Engine
from autostream.lake.engine.file_relations import Relations
from autostream.lake.engine.live_rows import find_dead_rows, fits_at_once, live_rows, live_rows_at_once
from autostream.lake.engine.output_files import delete_files
from autostream.lake.scan import scan_table
from tests.lake.files import equality
from tests.lake.writing import engine_in
from tests.support.flink_tables import FlinkTable
from tests.support.lakes import ORDERS, Orders, compact
from tests.support.reader import read_table
from tests.support.rows import assert_same_rows
from tests.support.upserts import SHAPES, random_upserts


@pytest.fixture(params=["one pass", "two passes"])
def passes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to merge, whatever the size of the deletes."""
    monkeypatch.setattr(group_rewriter, "fits_at_once", lambda *_: request.param == "one pass")


def refreshed(table: Table) -> Table:
    return table.refresh()


# ------------------------------------------------------------------------------------- rows


@pytest.mark.usefixtures("passes")
@pytest.mark.parametrize("name", ["null_keys", "changed_key", "evolved_partition_trap", "evolved_schema", "all_types"])
def test_tables_of_a_flink_job(flink_table: Callable[[str], FlinkTable], name: str) -> None:
    flink = flink_table(name)
    assert compact(flink.table, f"lab.db.{name}").error is None
    assert_same_rows(read_table(refreshed(flink.table)), flink.expected)


@pytest.mark.usefixtures("untraced")
@pytest.mark.usefixtures("passes")
@pytest.mark.parametrize("shape", SHAPES)
def test_every_type_as_value_key_and_partition(lake: SqlCatalog, shape: str) -> None:
    table, expected = random_upserts(lake, "db.t", SHAPES[shape])
    result = compact(table)
    assert (result.error, result.after.equality_delete_files, result.after.position_delete_files) == (None, 0, 0)
    assert_same_rows(read_table(refreshed(table)), expected)
    assert_same_rows(scan_table(table).to_batches(), expected)


KEYED = Schema(NestedField(1, "a", LongType()), NestedField(2, "b", StringType()), NestedField(3, "n", LongType()))
CELLS = st.tuples(st.sampled_from([None, 1, 2, 3]), st.sampled_from([None, "x", "y"]))
STEPS = st.lists(
    st.tuples(
        st.lists(CELLS, max_size=4),
        st.lists(CELLS, max_size=2),
        st.sampled_from([("a",), ("b",), ("a", "b"), ("b", "a")]),
        st.lists(st.integers(0, 30), max_size=2),
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> tuple[SqlCatalog, Path]:
    folder = tmp_path_factory.mktemp("merge")
    catalog = SqlCatalog("lake", uri=f"sqlite:///{folder}/lake.db", warehouse=f"file://{folder}/warehouse")
    catalog.create_namespace("db")
    return catalog, folder


@pytest.mark.usefixtures("untraced")
@settings(max_examples=40)
@given(steps=STEPS)
def test_both_ways_to_merge_find_the_same_rows_as_the_naive_reader(
    scratch: tuple[SqlCatalog, Path], steps: list[Any]
) -> None:
    """Data, equality deletes by several keys and position deletes in the same and in later commits."""
    catalog, folder = scratch
    table = catalog.create_table(f"db.t{uuid.uuid4().hex}", KEYED)
    writer, numbers, data = UpsertWriter(table), iter(range(1000)), []
    for inserted, deleted, key, positions in steps:
        files, deletes = [], []
        if inserted:
            rows = [{"a": a, "b": b, "n": next(numbers)} for a, b in inserted]
            files = writer.files.write_data(pa.Table.from_pylist(rows, table.schema().as_arrow()))
            data += files
        if deleted:
            keys = pa.table({"a": pa.array([a for a, _ in deleted], pa.int64()), "b": [b for _, b in deleted]})
            keys = keys.set_column(1, "b", keys["b"].cast(pa.string()))
            deletes += writer.files.write_equality_deletes(keys.select(sorted(key)), list(key))
        if positions and data:
            named = [(file, [p % file.record_count]) for file, p in zip(data, positions, strict=False)]
            deletes.append(writer.files.write_position_deletes(named))
        if files or deletes:
            writer.commit(files, deletes)
    table.refresh()
    state = read_state(table)
    columns = table.schema().fields
    expected = read_table(table)
    with engine_in(folder) as engine:
        relations = Relations(engine, table.metadata, table.io)
        ordered = sorted(state.data.values(), key=lambda f: f.path)
        dead = find_dead_rows(engine, relations, ordered, state.index.deletes)
        merged = {
            "one pass": live_rows_at_once(relations, ordered, state.index.deletes, columns=columns) if ordered else "",
            "two passes": live_rows(relations, ordered, dead, columns=columns, chosen=range(len(ordered)))
            if ordered
            else "",
        }
        for way, relation in merged.items():
            found = engine.rows(f"SELECT c1, c2, c3 FROM {relation}") if relation else []
            assert_same_rows([{"a": a, "b": b, "n": n} for a, b, n in found], expected, context=way)


@pytest.mark.parametrize(
    ("deletes", "limit", "fits"),
    [
        ([], 0, True),
        ([equality(record_count=10, size_bytes=100)], 719, False),
        ([equality(record_count=10, size_bytes=100)], 720, True),
        ([equality(record_count=10, size_bytes=100)] * 2, 1439, False),
    ],
)
def test_how_much_fits_at_once(deletes: list[Any], limit: int, fits: bool) -> None:
    assert fits_at_once(deletes, limit) is fits


def test_running_out_of_memory_in_one_pass_goes_on_in_two(lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = Orders(lake, "db.t")
    orders.checkpoint(3)
    write_rows, relations = group_rewriter.write_rows, []

    def starved(engine: Engine, rows: str, schema: Schema, target: Any, *args: Any, **more: Any) -> Any:
        relations.append(rows)
        if len(relations) == 1:
            folder = Path(target.directory.removeprefix("file://"))
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{target.prefix}half.parquet").write_text("half written")
            raise duckdb.OutOfMemoryException("Out of Memory Error: by design")
        return write_rows(engine, rows, schema, target, *args, **more)

    monkeypatch.setattr(group_rewriter, "write_rows", starved)
    table = orders.load()
    assert compact(table).status == "committed"
    assert "max(_seq)" in relations[0]
    assert "dead_" in relations[1]
    assert_same_rows(read_table(refreshed(table)), orders.expected())
    assert not list(Path(table.location().removeprefix("file://")).rglob("*half*"))


# ------------------------------------------------------------------------------------- what others read


def test_folders_like_partitions_change_no_type(lake: SqlCatalog) -> None:
    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "day", StringType()),
        NestedField(3, "n", StringType()),
        NestedField(4, "flag", BooleanType()),
        NestedField(5, "d", DateType()),
    )
    spec = PartitionSpec(
        *(PartitionField(i, 998 + i, IdentityTransform(), schema.find_column_name(i) or "") for i in (2, 3, 4, 5))
    )
    table = lake.create_table("db.t", schema, partition_spec=spec)
    writer = UpsertWriter(table)
    key = ("id", "day", "n", "flag", "d")
    rows = [
        {"id": i, "day": day, "n": n, "flag": flag, "d": d}
        for day, n, flag, d in [
            ("2024-03-01", "007", True, dt.date(2024, 3, 1)),
            ("x=1/y", "1e3", False, None),
            (None, None, None, None),
        ]
        for i in range(5)
    ]
    for part in (rows[:8], rows[8:]):
        writer.checkpoint(Changes(key, upserts=pa.Table.from_pylist(part, table.schema().as_arrow())))
    writer.checkpoint(Changes(key, deletes=pa.Table.from_pylist(rows[:2], table.schema().as_arrow())))
    for _ in range(2):  # the second time inputs are our own outputs
        assert compact(table).error is None
        table.refresh()
        assert_same_rows(table.scan().to_arrow(), rows[2:])
        assert_same_rows(scan_table(table).to_batches(), rows[2:])
    for task in table.scan().plan_files():
        written = pq.read_schema(task.file.file_path.removeprefix("file://"))
        assert written.names == ["id", "day", "n", "flag", "d"]
        assert written.field("n").type in (pa.string(), pa.large_string())
    assert {task.file.file_path.split("/data/")[1].rsplit("/", 1)[0] for task in table.scan().plan_files()} == {
        "day=2024-03-01/n=007/flag=true/d=2024-03-01",
        "day=x%3D1%2Fy/n=1e3/flag=false/d=null",
        "day=null/n=null/flag=null/d=null",
    }


@pytest.mark.parametrize("wide", [False, True], ids=["engine", "arrow"])
def test_pyiceberg_prunes_outputs_by_their_metrics_and_finds_the_same_rows(lake: SqlCatalog, wide: bool) -> None:
    extra = [NestedField(6, "f", FixedType(2))] if wide else []
    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "s", StringType()),
        NestedField(3, "x", IntegerType()),
        NestedField(4, "amount", DecimalType(12, 2)),
        NestedField(5, "at", TimestamptzType()),
        *extra,
    )
    spec = PartitionSpec(
        PartitionField(1, 1000, BucketTransform(3), "b"), PartitionField(5, 1001, DayTransform(), "day")
    )
    table = lake.create_table("db.t", schema, partition_spec=spec)
    writer = UpsertWriter(table)
    start = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)
    rows: list[dict[str, Any]] = [
        {
            "id": i,
            "s": None if i % 7 == 0 else f"a fairly long name, number {i:04d}",
            "x": None if i % 5 == 0 else -i,
            "amount": Decimal(i - 50) / 4,
            "at": start + dt.timedelta(minutes=10 * i),
            **({"f": i.to_bytes(2, "big")} if wide else {}),
        }
        for i in range(100)
    ]
    arrow = pa.Table.from_pylist(rows, table.schema().as_arrow())
    for i in range(0, 100, 25):
        writer.checkpoint(Changes(("id", "at"), upserts=arrow.slice(i, 25)))
    writer.checkpoint(Changes(("id", "at"), deletes=arrow.slice(0, 10)))
    assert compact(table).error is None
    table.refresh()
    left = arrow.slice(10).to_pylist()
    tests: dict[str, Callable[[dict[str, Any]], bool]] = {
        "id >= 90": lambda r: r["id"] >= 90,
        "s > 'a fairly long name, number 0042'": lambda r: r["s"] is not None and r["s"] > rows[43]["s"][:-1] + "2",
        "s IS NULL": lambda r: r["s"] is None,
        "x < -80": lambda r: r["x"] is not None and r["x"] < -80,
        "amount < -5.25": lambda r: r["amount"] < Decimal("-5.25"),
        "at >= '2026-11-23T10:00:00+00:00'": lambda r: r["at"] >= dt.datetime(2026, 11, 23, 10, tzinfo=dt.UTC),
        "id = 57": lambda r: r["id"] == 57,
    }
    for where, matches in tests.items():
        expected = [r for r in left if matches(r)]
        assert expected
        assert_same_rows(table.scan(row_filter=where).to_arrow(), expected, context=where)
        assert_same_rows(scan_table(table, where=where).to_batches(), expected, context=where)


def test_outputs_have_todays_columns_and_their_inputs_partition(lake: SqlCatalog) -> None:
    spec = PartitionSpec(PartitionField(3, 1000, TruncateTransform(2), "start"))
    table = lake.create_table("db.t", ORDERS, partition_spec=spec)
    writer = UpsertWriter(table)
    rows = pa.table({"id": [1, 2, 3], "v": [1, 2, 3], "s": ["abc", "abd", None]})
    for i in range(3):
        writer.checkpoint(Changes(("id", "s"), upserts=rows.slice(i, 1)))
    with table.update_schema() as update:
        update.rename_column("v", "w")
        update.add_column("new", StringType())
    with table.update_spec() as respec:
        respec.remove_field("start")
        respec.add_identity("w")
    UpsertWriter(table).checkpoint(Changes((), upserts=pa.table({"id": [4], "w": [4], "s": ["abz"], "new": ["n"]})))
    assert compact(table).error is None
    table.refresh()
    expected = [
        {"id": 1, "w": 1, "s": "abc", "new": None},
        {"id": 2, "w": 2, "s": "abd", "new": None},
        {"id": 3, "w": 3, "s": None, "new": None},
        {"id": 4, "w": 4, "s": "abz", "new": "n"},
    ]
    assert_same_rows(table.scan().to_arrow(), expected)
    files = [task.file for task in table.scan().plan_files()]
    assert {(f.spec_id, f.partition[0], f.record_count) for f in files} == {
        (0, "ab", 2),
        (0, None, 1),
        (1, 4, 1),
    }
    for file in files:
        assert pq.read_schema(file.file_path.removeprefix("file://")).names == ["id", "w", "s", "new"]


def test_a_partition_of_a_dropped_column_is_merged(lake: SqlCatalog) -> None:
    spec = PartitionSpec(PartitionField(3, 1000, IdentityTransform(), "s"))
    table = lake.create_table("db.t", ORDERS, partition_spec=spec)
    writer = UpsertWriter(table)
    for i in range(3):
        writer.checkpoint(Changes(("id", "s"), upserts=pa.table({"id": [i], "v": [i], "s": ["x"]})))
    writer.checkpoint(Changes(("id", "s"), deletes=pa.table({"id": [1], "s": ["x"]})))
    with table.update_spec() as respec:
        respec.remove_field("s")
    with table.update_schema() as update:
        update.delete_column("s")
    assert compact(table).error is None
    table.refresh()
    assert_same_rows(scan_table(table).to_batches(), [{"id": 0, "v": 0}, {"id": 2, "v": 2}])
    assert scan_table(table).count() == 2


# ------------------------------------------------------------------------------------- one group


def test_what_a_rewritten_group_says_of_itself(lake: SqlCatalog, tmp_path: Path) -> None:
    orders = Orders(lake, "db.t")
    orders.checkpoint(3)
    table = orders.load()
    plan = plan_compaction(table, options=CompactionOptions(rewrite_all=True))
    (group,) = plan.groups
    with engine_in(tmp_path) as engine:
        done = GroupRewriter(engine, table, plan, "run").rewrite(group)
    (output,) = done.outputs
    assert (done.rows_written, done.rows_deleted) == (len(orders.rows), 75 - len(orders.rows))
    assert done.bytes_written == output.file_size_in_bytes
    assert done.bytes_read == group.input_bytes + sum(d.size_bytes for d in group.deletes)
    assert output.file_path.rsplit("/", 1)[1].startswith("autostream-compact-run-00000-")
    assert (output.spec_id, output.sort_order_id, output.equality_ids) == (0, 0, None)
    assert output.file_path.startswith(f"{table.location()}/data/")


def test_the_tables_own_place_for_data_is_used(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t", **{"write.data.path": f"{lake.properties['warehouse']}/elsewhere"})
    orders.checkpoint(2)
    table = orders.load()
    assert compact(table).error is None
    (task,) = refreshed(table).scan().plan_files()
    assert task.file.file_path.startswith(f"{lake.properties['warehouse']}/elsewhere/")


def test_object_storage_layout(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t", **{"write.object-storage.enabled": "true"})
    orders.checkpoint(2)
    table = orders.load()
    assert compact(table).error is None
    assert_same_rows(scan_table(refreshed(table)).to_batches(), orders.expected())


def test_position_deletes_without_their_columns_are_named(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t")
    orders.checkpoint(1)
    table = orders.load()
    writer = UpsertWriter(table)
    data = next(f.entry for f in read_state(table).data.values())
    assert data is not None
    delete = writer.files.write_position_deletes([(data, [0])])
    path = Path(delete.file_path.removeprefix("file://"))
    pq.write_table(pa.table({"path": ["x"], "pos": [0]}), path)
    size = next(i for i, v in enumerate(delete._data) if v == delete.file_size_in_bytes)
    delete._data[size] = path.stat().st_size
    writer.commit(deletes=[delete])
    with pytest.raises(
        DataError, match=rf"Position-delete file .*{path.name} does not have the columns file_path and pos"
    ):
        scan_table(orders.load()).count()


def test_files_that_cannot_be_deleted_are_told() -> None:
    class Stubborn:
        def delete(self, location: str) -> None:
            if location == "gone":
                raise FileNotFoundError(location)
            if location == "kept":
                raise PermissionError(location)

    assert delete_files(Stubborn(), ["gone", "kept", "fine"]) == ["kept"]  # type: ignore[arg-type]
