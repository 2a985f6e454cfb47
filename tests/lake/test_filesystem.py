"""Tables on storage that the engine reaches only through the table's FileIO."""

import re
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pyiceberg.catalog.sql import SqlCatalog

from autostream.errors import DataError
from autostream.lake.compact import compact_table
from autostream.lake.filesystem import FileIOFileSystem
from autostream.lake.options import CompactionOptions
from autostream.lake.scan import scan_table
from tests.lake.remote import MemoryFileIO, remote_catalog, stored_paths
from tests.support.lakes import BUCKETED, UNPARTITIONED, Orders, compact
from tests.support.rows import assert_same_rows


@pytest.fixture
def remote(tmp_path: Path) -> SqlCatalog:
    return remote_catalog(tmp_path)


@pytest.mark.parametrize("spec", [UNPARTITIONED, BUCKETED], ids=["unpartitioned", "bucketed"])
def test_a_table_is_read_and_compacted(remote: SqlCatalog, spec: object) -> None:
    orders = Orders(remote, "db.t", spec=spec)  # type: ignore[arg-type]
    orders.checkpoint(5)
    table = orders.load()
    assert table.location().startswith("mem://")
    assert_same_rows(scan_table(table).to_batches(), orders.expected())
    assert scan_table(table, where="id < 10").count() == sum(row["id"] < 10 for row in orders.expected())
    before = stored_paths()

    result = compact(table)

    assert result.error is None
    table.refresh()
    assert_same_rows(scan_table(table).to_batches(), orders.expected())
    assert_same_rows(table.scan().to_arrow(), orders.expected())
    live = {task.file.file_path for task in table.scan().plan_files()}
    written = {path for path in stored_paths() - before if path.endswith(".parquet")}
    assert live == written
    assert all(path.startswith("mem://warehouse/") for path in live)


def test_several_outputs(remote: SqlCatalog) -> None:
    orders = Orders(remote, "db.t")
    orders.checkpoint(40)
    table = orders.load()
    result = compact(table, target_file_size_bytes="2000")
    assert result.error is None
    table.refresh()
    assert_same_rows(scan_table(table).to_batches(), orders.expected())
    live = {task.file.file_path for task in table.scan().plan_files()}
    assert live <= stored_paths()
    assert all(re.fullmatch(r"mem://warehouse/db/t/data/autostream-compact-[^/]+\.parquet", path) for path in live)


def test_a_failed_compaction_leaves_no_outputs(remote: SqlCatalog) -> None:
    orders = Orders(remote, "db.t")
    orders.checkpoint(3)
    table = orders.load()
    snapshot = table.current_snapshot()
    assert snapshot is not None
    lost = next(e.data_file.file_path for m in snapshot.manifests(table.io) for e in m.fetch_manifest_entry(table.io))
    MemoryFileSystem().rm(lost)
    before = stored_paths()
    options = CompactionOptions(rewrite_all=True)
    result = compact_table(table, "lake.db.t", options=options)
    assert result.status == "failed"
    assert result.error is not None
    assert f"{lost} is missing" in result.error
    assert stored_paths() == before
    with pytest.raises(DataError, match="is missing"):
        scan_table(table).to_arrow()


def test_what_the_engine_asks_of_a_file_system() -> None:
    MemoryFileSystem.store.clear()
    files = FileIOFileSystem(MemoryFileIO({}), "mem")
    with files.open("mem://b/x", "wb") as stream:
        stream.write(b"hello")
    assert files.exists("mem://b/x")
    assert not files.exists("mem://b/y")
    assert files.info("mem://b/x") == {"name": "mem://b/x", "size": 5, "type": "file"}
    assert files.info("b/x")["name"] == "mem://b/x"  # the engine strips a scheme now and then
    assert files.ls("mem://b/x", detail=False) == ["mem://b/x"]
    assert files.ls("mem://b/x") == [files.info("mem://b/x")]
    assert files.glob("mem://b/[x]*") == ["mem://b/[x]*"]
    assert files.unstrip_protocol("mem://b/x") == "mem://b/x"
    with files.open("mem://b/x") as stream:
        stream.seek(1)
        assert stream.read() == b"ello"
    with files.open("mem://b/x", "wb") as stream:
        stream.write(b"again")
    assert files.info("mem://b/x")["size"] == 5
    with pytest.raises(FileNotFoundError, match="mem://b/y"):
        files.info("mem://b/y")
