"""Why reading files failed: the storage, damage with its proof, or what this version does not support.

"Restore it" is said of damage only: of a sound file it would make people throw good data away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import fastavro
import pyarrow.parquet as pq
from pyiceberg.io import FileIO

from autostream.errors import AutostreamError, DataError, ServiceError, UnsupportedFileError
from autostream.iceberg.files import LiveFile
from autostream.lake.engine.duckdb_engine import Engine
from autostream.lake.engine.sql_text import read_parquet
from autostream.lake.engine.unreadable_values import describe_limit

_RESTORE = "Restore it, or roll the table back to a snapshot without it."
_ANOTHER_ENGINE = (
    "Keep the file. Compact the table with another engine, such as Spark, or rewrite the file with that engine."
)

# What readers say of bytes that are not what was written.
_CORRUPT = ("checksum", "crc", "corrupt", "decompress", "inflate", "sync marker")


@dataclass(frozen=True)
class Diagnosis:
    """What is the matter with a file.

    Attributes:
        damaged: whether that is proven.
        words: the end of a sentence that begins with the file.
        read_by_another: whether the second reader reads it, so that a copy by that one helps.
    """

    damaged: bool
    words: str
    read_by_another: bool = False

    def error(self, named: str) -> AutostreamError:
        """Return what to tell a user of the file `named`."""
        if self.damaged:
            return DataError(f"{named} {self.words}. {_RESTORE}")
        return UnsupportedFileError(f"{named} {self.words}. Nothing was changed. {_ANOTHER_ENGINE}")


_ENCRYPTED = Diagnosis(False, "is encrypted (Parquet modular encryption), which this version cannot read")


def explain_engine_failure(
    engine: Engine, files: Sequence[LiveFile], error: Exception, *, io: FileIO, table: str
) -> AutostreamError:
    """Return what to tell a user about an engine's error: what the storage said, what ran out, or about which file."""
    said = error if isinstance(error, AutostreamError) else engine.storage_failures.behind(error)
    if said is not None and not isinstance(said, DataError):
        # Denied, unreachable, full: the files may be sound.
        return type(said)(f"Table {table}: {said}")
    if exhausted := engine.explain_exhaustion(error):
        return exhausted
    for file in files:
        named = f"Table {table}: {file.content.label} file {file.path}"
        try:
            verdict = examine(engine, file, io)
        except AutostreamError as unreachable:
            return type(unreachable)(f"{named}: {unreachable}")
        if verdict is not None:
            return verdict.error(named)
    return UnsupportedFileError(
        f"This version cannot read table {table}: {words(error)}. It can read each of the files alone, so no file is "
        "damaged. Nothing was changed. Use another engine, such as Spark, for this table, and report what the log "
        "says about the failed step."
    )


def examine(engine: Engine, file: LiveFile, io: FileIO) -> Diagnosis | None:
    """Return what is the matter with a file, None if nothing is found.

    Raises:
        AutostreamError: the storage cannot be asked.
    """
    if file.file_format != "parquet":
        return find_damage(file, io)
    try:
        # A hash needs every value: counts would be answered from the footer.
        engine.rows(f"SELECT max(hash(COLUMNS(*))) FROM {read_parquet([engine.path(file.path)])}")
    except Exception as error:  # whatever the reader says is the answer
        return find_damage(file, io) or _second_opinion(engine, file, io, error)
    return None


def unreadable_error(file: LiveFile, io: FileIO, error: Exception) -> AutostreamError:
    """Return what to tell of an ORC or Avro file that its only reader failed at, or of Parquet that the second did."""
    named = f"{file.file_format.upper()} file {file.path}"
    try:
        found = find_damage(file, io)
    except AutostreamError as unreachable:
        return type(unreachable)(f"{named}: {unreachable}")
    if found is None:
        twice = file.file_format == "parquet" and not _is_not_known(error)
        corrupt = twice or any(sign in str(error).lower() for sign in _CORRUPT)
        found = Diagnosis(corrupt, f"cannot be read ({type(error).__name__}: {words(error)})")
        if not corrupt:
            found = Diagnosis(False, f"{found.words}; its length, start and end are as expected")
    return found.error(named)


def find_damage(file: LiveFile, io: FileIO) -> Diagnosis | None:
    """Look at what any reader would: is it there, as long as it was, and does it begin and end as its format says?

    Raises:
        ServiceError: the storage cannot be asked.
    """
    source = io.new_input(file.path)
    try:
        if not source.exists():
            return Diagnosis(True, "is missing")
        size = len(source)
        with source.open(seekable=True) as stream:
            head = stream.read(8)
            stream.seek(max(0, size - 256))
            tail = stream.read(256)
            broken = _ends_early(stream) if file.file_format == "avro" and head.startswith(b"Obj\x01") else ""
    except FileNotFoundError:
        return Diagnosis(True, "is missing")
    except OSError as error:
        raise ServiceError(f"cannot read it from the storage: {error}. Check the storage, then try again.") from error
    if file.file_format == "parquet" and (head.startswith(b"PARE") or tail.endswith(b"PARE")):
        return _ENCRYPTED
    well_formed = {
        "parquet": head.startswith(b"PAR1") and tail.endswith(b"PAR1"),
        "orc": head.startswith(b"ORC") and tail[-4:-1] == b"ORC",
        "avro": head.startswith(b"Obj\x01") and not broken,
    }
    if well_formed.get(file.file_format, True):
        return None
    if other := next((name for name, sound in well_formed.items() if sound), None):
        return Diagnosis(False, f"is a file in {other.upper()}, but its manifest says {file.file_format.upper()}")
    if size != file.size_bytes > 0:
        return Diagnosis(True, f"is {size} bytes long, but its manifest says {file.size_bytes}")
    return Diagnosis(
        True, f"cannot be read: {broken or f'it does not start and end like a file in {file.file_format.upper()}'}"
    )


def _ends_early(stream: object) -> str:
    """Return why the blocks of an Avro file are not whole; empty if they are, or are compressed in an unknown way."""
    stream.seek(0)  # type: ignore[attr-defined]
    try:
        for _ in fastavro.block_reader(stream):  # type: ignore[arg-type]
            pass
    except (EOFError, ValueError, IndexError) as error:
        return "" if "codec" in str(error).lower() else words(error)
    return ""


def _second_opinion(engine: Engine, file: LiveFile, io: FileIO, first: Exception) -> Diagnosis:
    """Return what a reader that has nothing in common with the engine makes of a Parquet file."""
    both = f"DuckDB {duckdb.__version__} ({words(first)})"
    try:
        with io.new_input(file.path).open(seekable=True) as stream:
            source = pq.ParquetFile(stream, page_checksum_verification=True)
            for batch in source.iter_batches():
                batch.validate()
            names = source.schema_arrow.names
    except Exception as error:  # whatever the reader says is the answer
        if "file is encrypted" in str(first).lower():  # its columns are, its footer is not
            return _ENCRYPTED
        both += f" and PyArrow ({words(error)})"
        if _is_not_known(first) or _is_not_known(error):
            return Diagnosis(False, f"has data that this version cannot read: {both}")
        return Diagnosis(True, f"cannot be read: {both}")
    limit = describe_limit(engine, file, names, str(first))
    return Diagnosis(False, f"has {limit}; PyArrow can read it, so it is not damaged", read_by_another=True)


def _is_not_known(error: Exception) -> bool:
    """Say whether a reader understood a file well enough to know what it cannot do."""
    if isinstance(error, NotImplementedError | duckdb.NotImplementedException):  # PyArrow's is one of the first
        return True
    return any(sign in str(error).lower() for sign in ("not supported", "unsupported", "not implemented"))


def words(error: Exception) -> str:
    """Return the line that says it: the first, or the last where the engine quotes a traceback of the storage's."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return (lines[-1] if "Traceback" in lines[0] else lines[0]).strip().rstrip(".")
