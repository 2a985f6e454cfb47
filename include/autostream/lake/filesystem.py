"""A table's FileIO as a file system that DuckDB can read and write through."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any, Final

from fsspec import AbstractFileSystem
from pyiceberg.io import FileIO, InputFile

# The engine asks for each file several times: whether it is there, how long it is, then it opens it once a thread.
_FILES_REMEMBERED: Final = 10_000


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
        self._files: OrderedDict[str, InputFile] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._lock = threading.Lock()

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
            return self._file(location).open(seekable=True)
        with self._lock:
            self._forget(location)
        return self._io.new_output(location).create(overwrite=True)

    def _file(self, location: str) -> InputFile:
        """A file, which may remember what a store said of it."""
        with self._lock:
            if location not in self._files:
                self._files[location] = self._io.new_input(location)
                if len(self._files) > _FILES_REMEMBERED:
                    self._forget(next(iter(self._files)))
            self._files.move_to_end(location)
            return self._files[location]

    def _forget(self, location: str) -> None:
        self._files.pop(location, None)
        self._sizes.pop(location, None)

    def open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        """Open a location for reading or writing bytes."""
        return self._open(path, mode)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return the size of a file; FileNotFoundError where there is none."""
        location = self._location(path)
        file = self._file(location)
        if location not in self._sizes:
            if not file.exists():
                with self._lock:
                    self._forget(location)
                raise FileNotFoundError(location)
            self._sizes[location] = len(file)
        return {"name": location, "size": self._sizes[location], "type": "file"}

    def exists(self, path: str, **_: Any) -> bool:
        """Say whether there is such a file; a directory to be written to is none, whatever a store says of it."""
        if path.rstrip("/") in self.directories:
            return False
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

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
