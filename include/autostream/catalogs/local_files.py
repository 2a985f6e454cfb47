"""Local files of tables, read without PyArrow: loading it takes longer than reading a table's metadata."""

from __future__ import annotations

import os
from typing import BinaryIO

from pyiceberg.io import FileIO, InputFile, OutputFile, load_file_io
from pyiceberg.typedef import EMPTY_DICT, Properties


class LocalFileIO(FileIO):
    """Read local files as Python does; for all else take the FileIO that PyIceberg would take."""

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        """Open nothing yet."""
        super().__init__(properties)
        self._others: FileIO | None = None

    def new_input(self, location: str) -> InputFile:
        """Return a file to be read."""
        path = local_path(location)
        return self._other(location).new_input(location) if path is None else LocalFile(location, path)

    def new_output(self, location: str) -> OutputFile:
        """Return a file to be written."""
        return self._other(location).new_output(location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Delete a file."""
        text = location if isinstance(location, str) else location.location
        self._other(text).delete(text)

    def _other(self, location: str) -> FileIO:
        if self._others is None:
            self._others = load_file_io(self.properties, location)
        return self._others


class LocalFile(InputFile):
    """One local file to be read."""

    def __init__(self, location: str, path: str) -> None:
        """Name a file; whether there is one is seen later."""
        super().__init__(location)
        self._path = path

    def __len__(self) -> int:
        """Return its size in bytes."""
        return os.stat(self._path).st_size

    def exists(self) -> bool:
        """Say whether it is there."""
        return os.path.exists(self._path)

    def open(self, seekable: bool = True) -> BinaryIO:
        """Open it.

        Raises:
            FileNotFoundError: It is not there.
            PermissionError: This account may not read it.
        """
        return open(self._path, "rb")


def local_path(location: str | None) -> str | None:
    """Return where a location is on this machine; None where it is elsewhere, or PyIceberg might see another there."""
    if location is None or any(sign in location for sign in "?#;\n\r\t"):
        return None
    path = location.removeprefix("file://" if location.startswith("file://") else "file:")
    return path if path.startswith("/") and not path.startswith("//") else None
