"""The DuckDB connection that merges: capped memory, spilling, no network, files through the table's FileIO."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
from pyiceberg.io import FileIO

from autostream.errors import ResourceError
from autostream.lake.files import normalize_path
from autostream.lake.filesystem import Failures, FileIOFileSystem
from autostream.resources import EngineResources, format_size

SPILL_PREFIX = "autostream-spill-"


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a string as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def sql_list(values: Iterable[str]) -> str:
    """Return SQL values as an SQL list."""
    return "[" + ", ".join(values) + "]"


def read_parquet(paths: Iterable[str]) -> str:
    """Return the SQL that reads Parquet files as they are: folders called ``day=...`` add or change no column."""
    return f"read_parquet({sql_list(map(text, paths))}, hive_partitioning = false)"


def is_local(path: str) -> bool:
    """Say whether a path is on this machine's file system."""
    return path.startswith(("/", "file:"))


@dataclass(frozen=True)
class PhysicalField:
    """One field of a Parquet file's schema.

    Attributes:
        name: name in the file.
        field_id: Iceberg field id, None where the file has none.
        type: the type DuckDB reads it as.
        kind: ``struct``, ``list``, ``map`` or ``primitive``.
        children: fields of a struct; the element of a list; key and value of a map.
    """

    name: str
    field_id: int | None
    type: str
    kind: str
    children: tuple[PhysicalField, ...] = ()


class Engine:
    """A DuckDB session for one piece of work on one table.

    Args:
        io: the table's FileIO, by which files that are not on a local path are read and written.
        resources: memory, threads and spill space.
    """

    def __init__(self, io: FileIO, resources: EngineResources) -> None:
        """Prepare a session; nothing is opened before the ``with``."""
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
                f"Spill directory {self.spill_directory} cannot be made: {error.strerror or error}. Set "
                "engine.spill_directory in autostream.toml, or AUTOSTREAM_ENGINE__SPILL_DIRECTORY, to a directory "
                "with free space that this account may write."
            ) from error
        self.connection = duckdb.connect(
            config={
                "threads": self.resources.threads,
                "memory_limit": f"{self.resources.memory_limit_bytes}B",
                "temp_directory": str(self.spill_directory),
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                # Files are read once or twice: caching them would only take memory from the joins.
                "enable_external_file_cache": False,
            }
        )
        self.connection.execute("SET TimeZone = 'UTC'")
        # Footers are not believed: old writers ordered strings, decimals, UUIDs and INT96 otherwise, and what these
        # optimizers make of wrong statistics is missing rows, or in a sort other values.
        self.connection.execute(
            "SET disabled_optimizers = 'statistics_propagation,join_filter_pushdown,row_group_pruner'"
        )
        # It would draw on stdout, between the lines of a report.
        self.connection.execute("SET enable_progress_bar = false")
        # Into Arrow as what it is, not as text.
        self.connection.execute("SET arrow_lossless_conversion = true")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session and remove what it spilled."""
        self.connection.close()
        shutil.rmtree(self.spill_directory, ignore_errors=True)

    def path(self, location: str) -> str:
        """Return how the engine names a file of the table."""
        if is_local(location):
            return normalize_path(location)
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
            "num_children, converted := converted_type, logical := logical_type, id := field_id, type := duckdb_type) "
            f"ORDER BY column_id) AS elements FROM parquet_schema({sql_list(map(text, paths))}) GROUP BY file_name) "
            "GROUP BY elements"
        )
        return [(_tree(elements), names) for elements, names in found]

    def measures(self, paths: list[str]) -> dict[str, tuple[int, int]]:
        """Return the number of rows of Parquet files, as their footers say, and their sizes in bytes, by path."""
        found = self.rows(
            f"SELECT file_name, num_rows, file_size_bytes FROM parquet_file_metadata({sql_list(map(text, paths))})"
        )
        return {path: (rows, size) for path, rows, size in found}

    def explain_exhaustion(self, error: Exception) -> ResourceError | None:
        """Return what to tell a user if an error means that memory or spill space has run out; else None."""
        message = str(error)
        disk = any(
            sign in message for sign in ("No space left", "max_temp_directory_size", "Disk quota", "File too large")
        )
        if disk:
            free = shutil.disk_usage(self.resources.spill_directory).free
            return ResourceError(
                f"The merge ran out of space in {self.resources.spill_directory} ({format_size(free)} free): "
                f"{_first_line(message)} Free some space, or set engine.spill_directory to a larger disk."
            )
        if is_out_of_memory(error):
            return ResourceError(
                f"The merge did not fit into {format_size(self.resources.memory_limit_bytes)} of memory, even in "
                f"pieces: {_first_line(message)} Raise engine.memory_limit, or lower "
                "autostream.compaction.max-file-group-size-bytes."
            )
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that the memory limit was reached; Arrow readers pass it on as an OSError."""
    return isinstance(error, duckdb.OutOfMemoryException | MemoryError) or "Out of Memory Error" in str(error)


def _first_line(message: str) -> str:
    return message.strip().split("\n", 1)[0].rstrip(".") + "."


def _tree(elements: list[dict[str, Any]]) -> tuple[PhysicalField, ...]:
    """Return the fields of a schema that is given as Parquet does: depth first, each with its number of children."""
    position = 0

    def group(converted: str | None, logical: str | None) -> str:
        for kind in ("list", "map"):
            if (converted or "").startswith(kind.upper()) or (logical or "").lower().startswith(kind):
                return kind
        return "struct"

    def field(*, plain: bool = False) -> PhysicalField:
        nonlocal position
        element = elements[position]
        position += 1
        count = element["children"] or 0
        kind = ("struct" if plain else group(element["converted"], element["logical"])) if count else "primitive"
        # What repeats in a map is key and value, though old writers annotate it as if it were a map itself.
        children = tuple(field(plain=kind == "map") for _ in range(count))
        if kind == "list":
            children = (_list_element(element["name"], children[0]),)
        elif kind == "map":
            children = children[0].children
        return PhysicalField(element["name"], element["id"], element["type"] or "", kind, children)

    return field().children


def _list_element(list_name: str, repeated: PhysicalField) -> PhysicalField:
    """Return the element of a list by Parquet's backward-compatibility rules."""
    wrapped = repeated.kind == "struct" and len(repeated.children) == 1
    if wrapped and repeated.name not in ("array", f"{list_name}_tuple"):
        return repeated.children[0]
    return repeated
