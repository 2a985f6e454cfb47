"""The DuckDB connection that merges: capped memory, spilling, no network, files through the table's FileIO."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
from pyiceberg.io import FileIO

from autostream.errors import ResourceError
from autostream.iceberg.files import normalize_path
from autostream.lake.engine.fileio_filesystem import Failures, FileIOFileSystem
from autostream.lake.engine.parquet_schema import FIXED, PhysicalField, field_tree
from autostream.lake.engine.sql_text import PATTERN, file_list, is_local, text
from autostream.resources import EngineResources, is_disk_full
from autostream.sizes import format_size

SPILL_PREFIX = "autostream-spill-"
# The engine's words, which may stand in JSON.
_FILE = re.compile(r'file \\?"([^"\\]+)')

# Names under which the engine offers what it knows of a file; a column of the same name would hide it.
VIRTUAL_COLUMNS = frozenset({"file_index", "file_row_number", "filename"})

# What the engine would do by itself on seeing a name, or what a file says of itself: values stay as they are.
_NO_CONVENIENCES = (
    # A column called a geometry by metadata of the file is bytes to the table.
    "SET enable_geoparquet_conversion = false",
    # A name in SQL is never a Python variable.
    "SET python_enable_replacements = false",
    # Instants are numbers; no zone and no calendar of this machine takes part.
    "SET TimeZone = 'UTC'",
    "SET Calendar = 'gregorian'",
    # Footers are not believed: old writers ordered strings, decimals, UUIDs and INT96 otherwise, and what these
    # optimizers make of wrong statistics is missing rows, or in a sort other values.
    "SET disabled_optimizers = 'statistics_propagation,join_filter_pushdown,row_group_pruner'",
    # It would draw on stdout, between the lines of a report.
    "SET enable_progress_bar = false",
    # Into Arrow as what it is, not as text.
    "SET arrow_lossless_conversion = true",
)


class Engine:
    """A DuckDB session for one piece of work on one table.

    Args:
        io: the table's FileIO, by which files that are not on a local path are read and written.
        resources: memory, threads and spill space.
    """

    def __init__(self, io: FileIO, resources: EngineResources) -> None:
        """Prepare a session; nothing is opened before the `with`."""
        self.io = io
        self.resources = resources
        self.spill_directory = resources.spill_directory / f"{SPILL_PREFIX}{uuid.uuid4().hex[:12]}"
        self._names = 0
        self.storage_failures = Failures()
        self._file_systems: dict[str, FileIOFileSystem] = {}

    def __enter__(self) -> Engine:
        """Open the session and make its spill directory.

        Raises:
            ResourceError: the spill directory cannot be made.
        """
        try:
            # What is spilled is what the tables hold: it is for this account alone.
            self.resources.spill_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.spill_directory.mkdir(mode=0o700)
        except OSError as error:
            raise ResourceError(
                f"Cannot create spill directory {self.spill_directory}: {error.strerror or error}. Set "
                "engine.spill_directory in autostream.toml, or AUTOSTREAM_ENGINE__SPILL_DIRECTORY, to a directory "
                "with free space that this account may write to."
            ) from error
        self.connection = duckdb.connect(
            config={
                "threads": self.resources.threads,
                "memory_limit": f"{self.resources.memory_limit_bytes}B",
                "temp_directory": str(self.spill_directory),
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                # Files come through the table's FileIO, with its credentials and no others.
                "allow_persistent_secrets": False,
                # Files are read once or twice: caching them would only take memory from the joins.
                "enable_external_file_cache": False,
            }
        )
        for setting in _NO_CONVENIENCES:
            self.connection.execute(setting)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session and remove what it spilled."""
        self.connection.close()
        shutil.rmtree(self.spill_directory, ignore_errors=True)

    def path(self, location: str) -> str:
        """Return how the engine names a file of the table, and answers for it."""
        if is_local(location):
            path = normalize_path(location)
            return os.path.normpath(path) if PATTERN.search(path) else path  # as the engine does with patterns
        self._file_system(location)
        return location

    def directory(self, location: str) -> str:
        """Return how the engine names a directory that files are written to; a local one is made."""
        if is_local(location):
            Path(normalize_path(location)).mkdir(parents=True, exist_ok=True)
            return normalize_path(location)
        self._file_system(location).directories.add(location.rstrip("/"))
        return location

    def _file_system(self, location: str) -> FileIOFileSystem:
        scheme = location.split("://", 1)[0]
        if scheme not in self._file_systems:
            self._file_systems[scheme] = FileIOFileSystem(self.io, scheme, failures=self.storage_failures)
            self.connection.register_filesystem(self._file_systems[scheme])
        return self._file_systems[scheme]

    def scratch(self, suffix: str) -> Path:
        """Return a new path in the spill directory."""
        self._names += 1
        return self.spill_directory / f"{self._names}{suffix}"

    def execute(self, sql: str) -> duckdb.DuckDBPyConnection:
        """Run a statement."""
        return self.connection.execute(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        return self.connection.execute(sql).fetchall()

    def schemas(self, paths: list[str]) -> list[tuple[tuple[PhysicalField, ...], list[str]]]:
        """Return the distinct schemas of Parquet files, each with the files that have it."""
        found = self.rows(
            "SELECT elements, list(file_name) FROM (SELECT file_name, list(struct_pack(name := name, children := "
            "num_children, converted := converted_type, logical := logical_type, id := field_id, type := duckdb_type, "
            "physical := type, length := type_length, repetition := repetition_type) "
            f"ORDER BY column_id) AS elements FROM parquet_schema({file_list(paths)}) GROUP BY file_name) "
            "GROUP BY elements"
        )
        return [(field_tree(elements), names) for elements, names in found]

    def measures(self, paths: list[str]) -> dict[str, tuple[int, int]]:
        """Return the number of rows of Parquet files, as their footers say, and their sizes in bytes, by path."""
        found = self.rows(f"SELECT file_name, num_rows, file_size_bytes FROM parquet_file_metadata({file_list(paths)})")
        return {path: (rows, size) for path, rows, size in found}

    def split_bytes(self, paths: list[str]) -> set[str]:
        """Return the files whose columns of fixed length are stored byte by byte: the engine cannot decode that."""
        found = self.rows(
            f"SELECT DISTINCT file_name FROM parquet_metadata({file_list(paths)}) "
            f"WHERE type = {text(FIXED)} AND encodings LIKE '%BYTE_STREAM_SPLIT%'"
        )
        return {name for (name,) in found}

    def explain_exhaustion(self, error: Exception) -> ResourceError | None:
        """Return what to tell a user if an error means that memory or spill space has run out; else None."""
        message = str(error)
        if is_disk_full(error):
            named = _FILE.search(message)
            if named and not named[1].startswith(str(self.resources.spill_directory)):
                return ResourceError(f"No space left for {named[1]}. Free some space there, and run it again.")
            free = shutil.disk_usage(self.resources.spill_directory).free
            return ResourceError(
                f"The merge ran out of space in {self.resources.spill_directory} ({format_size(free)} free): "
                f"{_first_line(message)} Free some space, or set engine.spill_directory to a larger disk."
            )
        if is_out_of_memory(error):
            return ResourceError(
                f"The merge did not fit into {format_size(self.resources.memory_limit_bytes)} of memory, even in "
                f"small pieces: {_first_line(message)} Raise engine.memory_limit, or lower "
                "autostream.compaction.max-file-group-size-bytes."
            )
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that the memory limit was reached; Arrow readers pass it on as an OSError."""
    return isinstance(error, duckdb.OutOfMemoryException | MemoryError) or "Out of Memory Error" in str(error)


def _first_line(message: str) -> str:
    return message.strip().split("\n", 1)[0].rstrip(".") + "."
