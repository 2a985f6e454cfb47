"""A table's FileIO as a file system that DuckDB can read and write through."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fsspec import AbstractFileSystem
from pyiceberg.io import FileIO


class FileIOFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Opens locations of one scheme by a PyIceberg FileIO; only what a Parquet reader and writer need."""

    cachable = False

    def __init__(self, io: FileIO, scheme: str) -> None:
        """Serve ``scheme://`` locations through ``io``."""
        super().__init__()
        self._io = io
        self._scheme = scheme
        self.protocol = scheme
        self.directories: set[str] = set()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path

    def unstrip_protocol(self, name: str) -> str:
        """Return the full location: paths are never stripped here."""
        return name

    def _location(self, path: str) -> str:
        return path if "://" in path else f"{self._scheme}://{path.lstrip('/')}"

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        location = self._location(path)
        if "r" in mode:
            return self._io.new_input(location).open(seekable=True)
        return self._io.new_output(location).create(overwrite=True)

    def open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        """Open a location for reading or writing bytes."""
        return self._open(path, mode)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return the size of a file; FileNotFoundError where there is none."""
        location = self._location(path)
        file = self._io.new_input(location)
        if not file.exists():
            raise FileNotFoundError(location)
        return {"name": location, "size": len(file), "type": "file"}

    def exists(self, path: str, **_: Any) -> bool:
        """Say whether there is such a file; a directory to be written to is none, whatever a store says of it."""
        return path.rstrip("/") not in self.directories and self._io.new_input(self._location(path)).exists()

    def isfile(self, path: str) -> bool:
        """Say whether there is such a file."""
        return self.exists(path)

    def isdir(self, path: str) -> bool:
        """Say whether this is one of the directories to be written to."""
        return path.rstrip("/") in self.directories

    def modified(self, path: str) -> datetime:
        """Return when a file was written: any constant will do, as the files of a table never change."""
        return datetime.fromtimestamp(0, UTC)

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Do nothing: writing a file makes what it needs."""

    def glob(self, path: str, **_: Any) -> list[str]:
        """Return the path itself: locations of a table are exact."""
        return [path]

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """Return the file itself."""
        return [self.info(path)] if detail else [path]
