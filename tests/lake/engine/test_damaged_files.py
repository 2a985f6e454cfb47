"""Damaged, not supported, not reachable: "restore it" is said of what is proven to be damaged, and of nothing else."""

import base64
import io as memory
import json
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc
from pyarrow.parquet.encryption import CryptoFactory, EncryptionConfiguration, KmsClient, KmsConnectionConfig
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import FileFormat
from pyiceberg.types import LongType, NestedField

from autostream.errors import AutostreamError, DataError, ServiceError, UnsupportedFileError
from autostream.iceberg.files import Content, LiveFile
from autostream.iceberg.metadata_files import explain_unreadable
from autostream.iceberg.state import read_state
from autostream.lake.engine.damaged_files import explain_engine_failure, unreadable_error
from autostream.lake.engine.duckdb_engine import Engine
from autostream.lake.scan import scan_table
from autostream.resources import EngineResources
from tests.support.footers import ROW_GROUPS, Struct, change_footer
from tests.support.foreign import ForeignTable

ROWS = pa.table({"id": [1, 2, 3]})


@pytest.fixture
def table(lake: SqlCatalog) -> ForeignTable:
    return ForeignTable(lake, NestedField(1, "id", LongType(), required=True))


def committed(table: ForeignTable, change: Callable[[Path], Any], **written: Any) -> Path:
    """Commit a data file that was changed before, so that its size is as its manifest says."""
    path = Path(table.data(ROWS, written=written).file_path.removeprefix("file://"))
    change(path)
    table.commit(table.entry(path, record_count=3))
    return path


def of_codec(number: int) -> Callable[[Path], None]:
    """Say that pages are compressed by another codec: 3 is LZO, which nobody here reads."""

    def change(footer: Struct) -> None:
        for group in footer[ROW_GROUPS][1][1]:
            chunk = group[1][1][1][0][3][1]
            chunk[4] = (chunk[4][0], number)

    return lambda path: change_footer(path, change)


def scramble_pages(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    (footer,) = struct.unpack("<I", raw[-8:-4])
    raw[60 : len(raw) - 8 - footer] = b"\xff" * (len(raw) - 68 - footer)
    path.write_bytes(raw)


def test_a_codec_that_is_not_known_is_no_damage(table: ForeignTable) -> None:
    path = committed(table, of_codec(3), compression="NONE")
    with pytest.raises(UnsupportedFileError) as told:
        scan_table(table.load()).to_arrow()
    assert str(path) in str(told.value)
    assert "Restore" not in str(told.value)
    result = table.compact()
    assert result.status == "failed"
    assert "another engine" in (result.error or "")


def test_encrypted_columns_are_no_damage_though_the_footer_is_plain(table: ForeignTable) -> None:
    class Keys(KmsClient):
        def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
            return base64.b64encode(key_bytes)

    factory, columns = CryptoFactory(lambda _: Keys()), {"column": ["id"]}
    configured = EncryptionConfiguration(footer_key="footer", column_keys=columns, plaintext_footer=True)
    properties = factory.file_encryption_properties(KmsConnectionConfig(), configured)
    committed(table, lambda path: pq.write_table(ROWS, path, encryption_properties=properties))
    with pytest.raises(UnsupportedFileError, match="is encrypted") as told:
        scan_table(table.load()).to_arrow()
    assert "Restore" not in str(told.value)


@pytest.mark.parametrize("claimed", [FileFormat.PARQUET, FileFormat.AVRO])
def test_a_file_of_another_format_than_its_manifest_says_is_no_damage(claimed: FileFormat, table: ForeignTable) -> None:
    path = table.folder / "x"
    orc.write_table(ROWS, path)
    table.commit(table.entry(path, file_format=claimed, record_count=3))
    with pytest.raises(UnsupportedFileError, match=f"is a file in ORC, but its manifest says {claimed.value}"):
        scan_table(table.load()).to_arrow()


def test_pages_that_no_reader_reads_are_damage(table: ForeignTable) -> None:
    committed(table, scramble_pages)
    with pytest.raises(DataError, match=r"cannot be read: .*DuckDB.*PyArrow.*Restore it"):
        scan_table(table.load()).to_arrow()


def test_what_only_the_engine_cannot_read_is_sound(table: ForeignTable, tmp_path: Path) -> None:
    table.commit(table.data(ROWS))
    loaded = table.load()
    (file,) = read_state(loaded).data.values()
    with Engine(loaded.io, EngineResources(spill_directory=tmp_path)) as engine:

        def fails(_: str) -> Any:
            raise duckdb.InvalidInputException("Invalid Input Error: no such thing")

        engine.rows = fails  # type: ignore[method-assign]
        told = explain_engine_failure(
            engine, [file], duckdb.Error("Invalid Input Error: x"), io=loaded.io, table="lake.db.t"
        )
    assert isinstance(told, UnsupportedFileError)
    assert f"data file {file.path} has data that the merge engine cannot read" in str(told)
    assert "no such thing" in str(told)


def test_files_that_can_all_be_read_are_not_accused(table: ForeignTable, tmp_path: Path) -> None:
    table.commit(table.data(ROWS))
    loaded = table.load()
    files = list(read_state(loaded).data.values())
    with Engine(loaded.io, EngineResources(spill_directory=tmp_path)) as engine:
        told = explain_engine_failure(engine, files, duckdb.Error("Internal Error: x"), io=loaded.io, table="lake.db.t")
    assert isinstance(told, UnsupportedFileError)
    assert "no file is damaged" in str(told)


# ------------------------------------------------------------------------------------------------- ORC and Avro


def avro_bytes(**options: Any) -> bytes:
    out = memory.BytesIO()
    schema = {"type": "record", "name": "r", "fields": [{"name": "id", "type": "long"}]}
    fastavro.writer(out, schema, [{"id": i} for i in range(1000)], sync_interval=500, **options)
    return out.getvalue()


AVRO = avro_bytes()
ORC = b"ORC" + b"\x00" * 50 + b"ORC" + b"\x13"


@pytest.mark.parametrize(
    ("form", "content", "kind"),
    [
        ("avro", AVRO, UnsupportedFileError),
        ("avro", AVRO.replace(b"null", b"lzop"), UnsupportedFileError),
        ("avro", AVRO[:-5], DataError),
        ("avro", AVRO[:-16] + bytes(16), DataError),  # another sync marker
        ("avro", b"\x01" * 1000, DataError),
        ("avro", b"", DataError),
        ("avro", None, DataError),
        ("orc", ORC, UnsupportedFileError),
        ("orc", ORC[:-10], DataError),
        ("orc", b"\x01" * 60, DataError),
    ],
)
def test_files_of_one_reader(form: str, content: bytes | None, kind: type[AutostreamError], tmp_path: Path) -> None:
    path = tmp_path / f"file.{form}"
    if content is not None:
        path.write_bytes(content)
    file = LiveFile(Content.DATA, str(path), form, (0, ()), 3, len(content or b""), 1)
    told = unreadable_error(file, PyArrowFileIO(), ValueError("something odd"))
    assert type(told) is kind
    assert str(path) in str(told)
    assert ("Restore it" in str(told)) is (kind is DataError)


def test_a_failed_checksum_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "file.orc"
    path.write_bytes(ORC)
    file = LiveFile(Content.DATA, str(path), "orc", (0, ()), 3, len(ORC), 1)
    assert isinstance(unreadable_error(file, PyArrowFileIO(), OSError("zlib inflate failed")), DataError)


def test_a_storage_that_fails_is_no_damage() -> None:
    def refuse() -> bool:
        raise PermissionError(13, "Permission denied")

    io: Any = SimpleNamespace(new_input=lambda _: SimpleNamespace(exists=refuse))
    told = unreadable_error(LiveFile(Content.DATA, "s3://b/x", "orc", (0, ()), 1, 1, 1), io, OSError("x"))
    assert isinstance(told, ServiceError)
    assert "Restore" not in str(told)


# ------------------------------------------------------------------------------------------------- metadata


class Storage:
    """A FileIO with one file, or that says one thing."""

    def __init__(self, content: bytes | Exception) -> None:
        self.content = content

    def new_input(self, _: str) -> Any:
        return SimpleNamespace(open=self.open)

    def open(self) -> Any:
        if isinstance(self.content, Exception):
            raise self.content
        return memory.BytesIO(self.content)


@pytest.mark.parametrize(
    ("content", "said", "kind", "part"),
    [
        (AVRO, KeyError(508), UnsupportedFileError, "rewrite_manifests"),
        (AVRO.replace(b"null", b"lzop"), ValueError("no codec"), UnsupportedFileError, "lzop"),
        (AVRO[:-5], EOFError(), DataError, "Restore the file"),
        (b"\x01" * 100, ValueError("x"), DataError, "Restore the file"),
        (b"", EOFError(), DataError, "Restore the file"),
        (b"", FileNotFoundError("x"), DataError, "is missing"),
        (PermissionError("denied"), PermissionError("denied"), ServiceError, "denied"),
        (ServiceError("NameNode away"), ServiceError("NameNode away"), ServiceError, "NameNode away"),
        (OSError("AWS Error NETWORK_CONNECTION"), OSError("x"), ServiceError, "NETWORK_CONNECTION"),
    ],
)
def test_metadata_that_cannot_be_read(
    content: bytes | Exception, said: Exception, kind: type[AutostreamError], part: str
) -> None:
    storage: Any = Storage(content)
    told = explain_unreadable(storage, "s3://b/m.avro", "Manifest s3://b/m.avro", said)
    assert type(told) is kind
    assert part in str(told)
    assert ("Restore" in str(told)) is (kind is DataError)


def test_a_manifest_of_an_unknown_codec_is_not_supported(table: ForeignTable) -> None:
    table.commit(table.data(ROWS))
    loaded = table.load()
    snapshot = loaded.current_snapshot()
    assert snapshot is not None
    path = Path(snapshot.manifests(loaded.io)[0].manifest_path.removeprefix("file://"))
    with path.open("rb") as stream:
        reader = fastavro.reader(stream)
        rows, schema, meta = list(reader), reader.writer_schema, dict(reader.metadata)
    with path.open("wb") as stream:
        fastavro.writer(stream, json.loads(json.dumps(schema)), rows, codec="xz", metadata=meta)
    with pytest.raises(UnsupportedFileError, match=r"valid Avro file.*codec: xz"):
        read_state(table.load())
