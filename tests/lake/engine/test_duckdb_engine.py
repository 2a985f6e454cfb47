"""The engine: capped memory, spilling, what it leaves behind, how it sees the schema of a file."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import FixedType, LongType, NestedField, StringType

from autostream.demo.writer import Changes, UpsertWriter
from autostream.errors import ResourceError
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.compaction_result import CompactionResult
from autostream.lake.compaction.table_compaction import compact_table
from autostream.lake.engine.duckdb_engine import SPILL_PREFIX, Engine
from autostream.lake.engine.parquet_schema import PhysicalField
from autostream.lake.engine.sql_text import quoted, read_parquet, text
from autostream.lake.scan import scan_table
from autostream.resources import EngineResources
from tests.lake.writing import engine_in
from tests.support.rows import assert_same_rows

WIDE = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "name", StringType()),
    NestedField(3, "payload", StringType()),
)


# ------------------------------------------------------------------------------------- memory


def big_table(lake: SqlCatalog, *, rows: int, deletes: int, schema: Schema = WIDE) -> Table:
    """A table of long random-looking keys, the first of which are deleted by key, in one partition."""
    table = lake.create_table("db.big", schema, partition_spec=PartitionSpec())
    writer = UpsertWriter(table)

    def part(start: int, stop: int) -> pa.Table:
        numbers = range(start, stop)
        columns: dict[str, Any] = {
            "id": pa.array(numbers, pa.int64()),
            "name": [f"{(n * 2654435761) % 2**64:020d}-key" for n in numbers],
            "payload": [f"{(n * 40503) % 2**61:019d}" * 3 for n in numbers],
        }
        if len(schema.fields) > 3:
            columns["f"] = pa.array([n.to_bytes(8, "big") for n in numbers], pa.binary(8))
        return pa.table(columns)

    step = rows // 4
    for start in range(0, rows, step):
        writer.checkpoint(Changes((), upserts=part(start, start + step)))
    keys = part(0, deletes).select(["id", "name"])
    half = deletes // 2
    files = [writer.files.write_equality_deletes(keys.slice(i, half), ["id", "name"])[0] for i in (0, half)]
    writer.commit(deletes=files)
    table.refresh()
    return table


def compact_in(table: Table, resources: EngineResources) -> CompactionResult:
    return compact_table(table, "lake.db.big", options=CompactionOptions(rewrite_all=True), resources=resources)


def data_files(table: Table) -> set[str]:
    return {str(path) for path in Path(table.location().removeprefix("file://")).rglob("*.parquet")}


@pytest.mark.parametrize("megabytes", [60, 34])
def test_a_merge_far_larger_than_its_memory_is_right(lake: SqlCatalog, tmp_path: Path, megabytes: int) -> None:
    table = big_table(lake, rows=400_000, deletes=300_000)
    spill = tmp_path / "spill"
    spill.mkdir()
    small = EngineResources(memory_limit_bytes=megabytes * 10**6, threads=2, spill_directory=spill)
    assert scan_table(table, resources=small).count() == 100_000
    before = data_files(table)

    result = compact_in(table, small)

    assert (result.status, result.error, result.rows_deleted) == ("committed", None, 300_000)
    table.refresh()
    live = {task.file.file_path.removeprefix("file://") for task in table.scan().plan_files()}
    kept = [pq.read_table(path, columns=["id", "name"]) for path in live]
    ids = sorted(i for part in kept for i in part["id"].to_pylist())
    assert ids == list(range(300_000, 400_000))
    assert data_files(table) - before == live, "what was half written is left behind"
    assert list(spill.iterdir()) == []


def test_the_search_for_dead_rows_goes_on_in_parts(
    lake: SqlCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever part the memory runs out in, no row is found twice over or missed."""
    table = big_table(lake, rows=4_000, deletes=3_000)
    execute = Engine.execute
    left = [0]

    def starved(self: Engine, sql: str) -> duckdb.DuckDBPyConnection:
        if "SEMI JOIN" in sql and ("hash(" not in sql or left[0] < 3):
            if "hash(" in sql:
                left[0] += 1
                execute(self, sql)
            if "hash(" not in sql or left[0] == 3:
                raise duckdb.OutOfMemoryException("Out of Memory Error: by design")
        return execute(self, sql)

    monkeypatch.setattr(Engine, "execute", starved)
    with caplog.at_level(logging.INFO, "autostream"):
        assert scan_table(table).count() == 1_000
    assert [r.getMessage() for r in caplog.records if "do not fit" in r.getMessage()] == [
        "The deletes do not fit into memory in 1 part(s). Continuing with more parts.",
        "The deletes do not fit into memory in 8 part(s). Continuing with more parts.",
    ]


def test_what_does_not_fit_in_any_way_says_what_to_raise(lake: SqlCatalog, tmp_path: Path) -> None:
    table = big_table(lake, rows=200_000, deletes=100_000)
    before = data_files(table)
    tiny = EngineResources(memory_limit_bytes=1_000_000, threads=2, spill_directory=tmp_path)
    result = compact_in(table, tiny)
    assert result.status == "failed"
    assert result.error is not None
    assert "did not fit into 976.6 KiB of memory" in result.error
    assert "Raise engine.memory_limit" in result.error
    assert data_files(table) == before
    with pytest.raises(ResourceError, match=r"Raise engine\.memory_limit"):
        scan_table(table, resources=tiny).to_arrow()
    assert not list(tmp_path.glob(f"{SPILL_PREFIX}*"))


@pytest.mark.parametrize(
    "schema", [WIDE, Schema(*WIDE.fields, NestedField(4, "f", FixedType(8)))], ids=["copy", "arrow"]
)
def test_outputs_that_do_not_fit_are_written_in_halves(
    lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch, schema: Schema
) -> None:
    table = big_table(lake, rows=8_000, deletes=1_000, schema=schema)

    from autostream.lake.compaction import group_rewriter

    write_rows, sizes = group_rewriter.write_rows, []

    def starved(engine: Engine, rows: str, *args: Any, **more: Any) -> Any:
        sizes.append(rows.count(".parquet'"))
        if sizes[-1] > 1:
            raise duckdb.OutOfMemoryException("Out of Memory Error: by design")
        return write_rows(engine, rows, *args, **more)

    monkeypatch.setattr(group_rewriter, "write_rows", starved)
    result = compact_in(table, EngineResources())
    assert (result.status, result.after.data_files) == ("committed", 4)
    assert {4, 2, 1} <= set(sizes)
    table.refresh()
    assert sorted(scan_table(table).to_arrow()["id"].to_pylist()) == list(range(1_000, 8_000))


# ------------------------------------------------------------------------------------- spill directory


def test_an_impossible_spill_directory_is_named(lake: SqlCatalog, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    table = big_table(lake, rows=40, deletes=10)
    for wanted in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ResourceError) as raised:
            scan_table(table, resources=EngineResources(spill_directory=wanted)).to_arrow()
        assert str(raised.value).startswith(f"Cannot create spill directory {wanted}/{SPILL_PREFIX}")
        assert "AUTOSTREAM_ENGINE__SPILL_DIRECTORY" in str(raised.value)


def test_the_spill_directory_is_made_and_removed_also_after_a_failure(tmp_path: Path) -> None:
    spill = tmp_path / "not" / "yet"
    resources = EngineResources(spill_directory=spill)
    from pyiceberg.io.pyarrow import PyArrowFileIO

    with Engine(PyArrowFileIO(), resources) as engine:
        assert engine.spill_directory.parent == spill
        assert engine.spill_directory.is_dir()
        # Rows of tables are for nobody else on the machine.
        assert [path.stat().st_mode & 0o777 for path in (spill, engine.spill_directory)] == [0o700, 0o700]
        assert engine.scratch(".x") != engine.scratch(".x")
    assert list(spill.iterdir()) == []
    with pytest.raises(duckdb.Error), Engine(PyArrowFileIO(), resources) as engine:
        engine.execute(f"COPY (SELECT 1) TO '{engine.scratch('.csv')}'; SELECT error('failed')")
    assert list(spill.iterdir()) == []


def test_the_engine_is_held_to_its_resources_and_fetches_nothing(tmp_path: Path) -> None:
    with engine_in(tmp_path, memory_limit_bytes=123_000_000, threads=1) as engine:
        settings = dict(
            engine.rows(
                "SELECT name, value FROM duckdb_settings() WHERE name IN ('memory_limit', 'threads', 'temp_directory', "
                "'TimeZone', 'autoinstall_known_extensions', 'autoload_known_extensions')"
            )
        )
        assert settings == {
            "memory_limit": "117.3 MiB",
            "threads": "1",
            "temp_directory": str(engine.spill_directory),
            "TimeZone": "UTC",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate\nmore"), "did not fit into 100.0 MiB"),
        (MemoryError("realloc"), "did not fit into 100.0 MiB"),
        (OSError("Out of Memory Error: while streaming"), "did not fit into 100.0 MiB"),
        (OSError(28, "No space left on device"), "ran out of space in "),
        (duckdb.IOException('IO Error: Could not write file "x": No space left on device'), "No space left for x."),
        (duckdb.OutOfMemoryException("failed to offload: max_temp_directory_size is 1 GiB"), "ran out of space in "),
        (OSError(122, "Disk quota exceeded"), "ran out of space in "),
        (duckdb.InvalidInputException("Invalid Input Error: no Parquet"), None),
        (OSError("Input/output error"), None),
    ],
)
def test_what_ran_out_is_told(tmp_path: Path, error: Exception, says: str | None) -> None:
    with engine_in(tmp_path, memory_limit_bytes=100 << 20) as engine:
        explained = engine.explain_exhaustion(error)
    if says is None:
        assert explained is None
    else:
        assert says in str(explained)
        assert "engine." in str(explained) or says.startswith("No space left for")
        assert "\n" not in str(explained)


def test_a_full_disk_is_told_with_the_directory(
    lake: SqlCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = big_table(lake, rows=400, deletes=100)

    def full(*_: Any) -> Any:
        raise duckdb.IOException("IO Error: Could not write all bytes: No space left on device")

    monkeypatch.setattr("autostream.lake.compaction.group_rewriter.write_rows", lambda *_, **more: full())
    result = compact_in(table, EngineResources(spill_directory=tmp_path))
    assert result.status == "failed"
    assert result.error is not None
    assert result.error.startswith(f"The merge ran out of space in {tmp_path} (")


# ------------------------------------------------------------------------------------- what it sees of files


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with engine_in(tmp_path) as opened:
        yield opened


def test_names_and_text_are_quoted(engine: Engine) -> None:
    for nasty in ('a"b', "a'b", "a\\b", "a;b--", "%_"):
        assert engine.rows(f"SELECT {text(nasty)} AS {quoted(nasty)}") == [(nasty,)]
        assert engine.execute(f"SELECT 1 AS {quoted(nasty)}").description[0][0] == nasty


def test_paths(engine: Engine) -> None:
    assert engine.path("file:/t/x") == engine.path("file:///t/x") == engine.path("/t/x") == "/t/x"
    assert engine.path("mem://b/x") == engine.path("mem://b/x") == "mem://b/x"


@pytest.mark.parametrize("name", ["it's.parquet", "a*b[c]?.parquet", "sp ace.parquet", "x=1"])
def test_paths_with_signs_in_them(engine: Engine, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "day=2024-03-01" / "b*"
    folder.mkdir(parents=True)
    path = folder / name
    pq.write_table(pa.table({"x": [1, 2]}), path)
    pq.write_table(pa.table({"x": [3]}), folder / "aXb[c]X.parquet")
    assert engine.rows(f"SELECT * FROM {read_parquet([str(path)])} ORDER BY x") == [(1,), (2,)]
    assert engine.measures([str(path)]) == {str(path): (2, path.stat().st_size)}
    (((field,), paths),) = engine.schemas([str(path)])
    assert (field.name, paths) == ("x", [str(path)])


def test_files_of_one_schema_are_one_class(engine: Engine, tmp_path: Path) -> None:
    tables = {
        "a": pa.table({"x": pa.array([1], pa.int32())}),
        "b": pa.table({"x": pa.array([2, 3], pa.int32())}),
        "long": pa.table({"x": pa.array([1], pa.int64())}),
        "other": pa.table({"y": pa.array([1], pa.int32())}),
    }
    for name, table in tables.items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
    paths = [str(tmp_path / f"{name}.parquet") for name in tables]
    classes = {tuple(sorted(Path(p).stem for p in files)): fields for fields, files in engine.schemas(paths)}
    assert classes == {
        ("a", "b"): (PhysicalField("x", None, "INTEGER", "primitive"),),
        ("long",): (PhysicalField("x", None, "BIGINT", "primitive"),),
        ("other",): (PhysicalField("y", None, "INTEGER", "primitive"),),
    }
    assert engine.measures(paths) == {
        path: (tables[Path(path).stem].num_rows, Path(path).stat().st_size) for path in paths
    }


def test_lists_of_old_writers_are_read(engine: Engine, tmp_path: Path) -> None:
    pq.write_table(pa.table({"l": [[1, 2], None]}), tmp_path / "x.parquet", use_compliant_nested_type=False)
    ((fields, _),) = engine.schemas([str(tmp_path / "x.parquet")])
    assert fields == (
        PhysicalField("l", None, "BIGINT[]", "list", (PhysicalField("item", None, "BIGINT", "primitive"),)),
    )


def test_scan_rows_are_right_in_one_thread_and_in_several(lake: SqlCatalog) -> None:
    table = big_table(lake, rows=20_000, deletes=5_000)
    one, many = (scan_table(table, resources=EngineResources(threads=n)).to_arrow() for n in (1, 4))
    assert_same_rows(one, many)
    assert one.num_rows == 15_000
