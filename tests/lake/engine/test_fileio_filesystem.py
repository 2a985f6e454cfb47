"""Tables on storage that the engine reaches only through the table's FileIO."""

import io
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

from autostream.errors import DataError, DeniedError
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.table_compaction import compact_table
from autostream.lake.engine.duckdb_engine import Engine
from autostream.lake.engine.fileio_filesystem import FileIOFileSystem
from autostream.lake.engine.sql_text import read_parquet
from autostream.lake.scan import scan_table
from autostream.resources import EngineResources
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


class _DiskFileIO(PyArrowFileIO):
    """Gives each opening of a file a position of its own, as real storage does and ``mem://`` does not."""

    def new_input(self, location: str) -> PyArrowFile:
        return super().new_input(location.replace("disk:/", "file:"))

    def new_output(self, location: str) -> PyArrowFile:
        return super().new_output(location.replace("disk:/", "file:"))


def test_threads_share_a_handle_but_not_its_position(tmp_path: Path) -> None:
    files = FileIOFileSystem(_DiskFileIO({}), "disk")
    location = f"disk:/{tmp_path}/x"
    Path(tmp_path, "x").write_bytes(bytes(range(256)))
    with files.open(location) as stream, ThreadPoolExecutor(1) as other:
        stream.seek(10)
        other.submit(stream.seek, 100).result()
        assert stream.read(2) == bytes([10, 11])
        assert other.submit(stream.read, 2).result() == bytes([100, 101])
        # Who has not sought goes on where the last one stopped.
        assert stream.read(2) == bytes([102, 103])
        assert stream.seek(-1, os.SEEK_END) == 255
        assert stream.seek(-1, os.SEEK_CUR) == 254
        assert stream.tell() == 254
        buffer = bytearray(4)
        assert stream.readinto(buffer) == 2
        assert bytes(buffer) == bytes([254, 255, 0, 0])
        assert stream.readable()
        assert stream.seekable()
        stream.seek(250)
        assert stream.readall() == bytes(range(250, 256))


def test_a_file_is_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autostream.lake.engine.fileio_filesystem.FILES_REMEMBERED", 2)
    asked: list[str] = []

    class Counting(_DiskFileIO):
        def new_input(self, location: str) -> PyArrowFile:
            asked.append(location[-1])
            return super().new_input(location)

    files = FileIOFileSystem(Counting({}), "disk")
    for name in "abc":
        Path(tmp_path, name).write_bytes(b"xyz")
        for _ in range(2):
            assert files.info(f"disk:/{tmp_path}/{name}")["size"] == 3
            files.open(f"disk:/{tmp_path}/{name}").close()
    assert asked == ["a", "b", "c"]
    files.info(f"disk:/{tmp_path}/a")  # forgotten for the others
    assert asked == ["a", "b", "c", "a"]


def test_row_groups_are_read_by_several_threads(tmp_path: Path) -> None:
    """Engine threads seek and read on one handle; here another one always gets its turn in between."""
    local = tmp_path / "large.parquet"
    query = "SELECT range AS id, hash(range) AS h FROM range(2000000)"
    duckdb.execute(f"COPY ({query}) TO '{local}' (FORMAT parquet, COMPRESSION uncompressed, ROW_GROUP_SIZE 122880)")

    class Stream(io.FileIO):
        def seek(self, offset: int, whence: int = 0) -> int:
            position = super().seek(offset, whence)
            turn.wait(0.001)
            return position

    class File(PyArrowFile):
        def open(self, seekable: bool = True) -> Any:
            return Stream(local)

    class Patient(_DiskFileIO):
        def new_input(self, location: str) -> PyArrowFile:
            file = super().new_input(location)
            return File(file.location, file._path, file._filesystem)

    turn = threading.Event()
    with Engine(Patient({}), EngineResources(threads=4)) as engine:
        path = engine.path(f"disk:/{local}")
        assert engine.rows(f"SELECT count(*), bool_and(h = hash(id)) FROM {read_parquet([path])}") == [(2000000, True)]


class _RefusingFileIO(MemoryFileIO):
    """Refuses what it is told to, in the way of our own storage."""

    refused = ""

    def new_input(self, location: str) -> Any:
        file = super().new_input(location)
        if self.refused == "read" and location.endswith(".parquet"):
            file.open = refuse  # type: ignore[method-assign]
        return file

    def new_output(self, location: str) -> Any:
        file = super().new_output(location)
        if self.refused == "write" and location.endswith(".parquet"):
            file.create = Refusing  # type: ignore[assignment]
        return file


def refuse(*_: Any, **__: Any) -> Any:
    raise DeniedError("The storage says: not you.")


class Refusing(io.BytesIO):
    def __init__(self, overwrite: bool) -> None:
        super().__init__()

    def write(self, data: Any) -> int:
        return int(refuse(data))


@pytest.mark.parametrize("what", ["read", "write"])
def test_what_the_storage_says_is_no_damage(remote: SqlCatalog, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    orders = Orders(remote, "db.t")
    orders.checkpoint(3)
    table = orders.load()
    table.io = _RefusingFileIO(table.io.properties)
    monkeypatch.setattr(_RefusingFileIO, "refused", what)
    result = compact_table(table, "lake.db.t", options=CompactionOptions(rewrite_all=True))
    assert (result.status, result.error) == ("failed", "Table lake.db.t: The storage says: not you.")
    if what == "read":
        with pytest.raises(DeniedError, match=r"Table lake\.db\.t: The storage says: not you"):
            scan_table(table).to_arrow()
