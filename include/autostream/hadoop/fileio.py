"""PyIceberg's FileIO for HDFS over WebHDFS or HttpFS: `py-io-impl: autostream.hadoop.fileio.WebHdfsFileIO`.

Locations of other file systems go to PyIceberg's own, so that one catalog can have tables here and there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile, OutputStream
from pyiceberg.typedef import EMPTY_DICT, Properties

from autostream.errors import ConfigurationError
from autostream.hadoop.answers import MissingFileError
from autostream.hadoop.reader import RangeReader
from autostream.hadoop.settings import Location, WebHdfsSettings, parse_location, served, settings_for
from autostream.hadoop.webhdfs import FileStatus, WebHdfs, client_for
from autostream.hadoop.writer import StagedWriter


class WebHdfsInputFile(InputFile):
    """A file to read. What the NameNode says of it is asked once: files of a table never change."""

    def __init__(self, location: str, path: str, settings: WebHdfsSettings) -> None:
        """Name the file; nothing is asked yet."""
        super().__init__(location)
        self._path, self._settings = path, settings
        self._known: FileStatus | None = None

    def _status(self) -> FileStatus:
        if self._known is None:
            self._known = client_for(self._settings).status(self._path)
        return self._known

    def __len__(self) -> int:
        """Return the length in bytes.

        Raises:
            FileNotFoundError: there is no such file.
        """
        return self._status().size_bytes

    def exists(self) -> bool:
        """Say whether there is such a file or directory."""
        try:
            self._status()
        except FileNotFoundError:
            return False
        return True

    def open(self, seekable: bool = True) -> InputStream:
        """Open it; one way of reading serves both kinds.

        Raises:
            FileNotFoundError: there is no such file.
        """
        status = self._status()
        if status.is_directory:
            raise MissingFileError(f"{self.location} is a directory in HDFS, not a file.")
        reader: Any = RangeReader(
            client_for(self._settings), self._path, status.size_bytes, modified_at_ms=status.modified_at_ms
        )
        return reader  # type: ignore[no-any-return]


class WebHdfsOutputFile(OutputFile):
    """A file to write."""

    def __init__(self, location: str, path: str, settings: WebHdfsSettings) -> None:
        """Name the file; nothing is asked yet."""
        super().__init__(location)
        self._path, self._settings = path, settings

    def __len__(self) -> int:
        """Return the length in bytes.

        Raises:
            FileNotFoundError: there is no such file.
        """
        return len(self.to_input_file())

    def exists(self) -> bool:
        """Say whether there is such a file or directory."""
        return self.to_input_file().exists()

    def to_input_file(self) -> WebHdfsInputFile:
        """Return the same file, to read."""
        return WebHdfsInputFile(self.location, self._path, self._settings)

    def create(self, overwrite: bool = False) -> OutputStream:
        """Begin to write it; it appears when the stream is closed.

        Raises:
            FileExistsError: there is one, and it is not to be replaced. Closing raises it where another was faster.
        """
        writer: Any = StagedWriter(client_for(self._settings), self._path, overwrite=overwrite)
        return writer  # type: ignore[no-any-return]


class WebHdfsFileIO(FileIO):
    """Files of HDFS by the properties `webhdfs.*` and `autostream.proxy-user`; see docs/hdfs.md."""

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        """Keep the properties; a wrong one shows at the first file."""
        super().__init__(properties)
        self._settings: dict[tuple[str, str], WebHdfsSettings] = {}
        self._others: FileIO | None = None

    def new_input(self, location: str) -> InputFile:
        """Return a file to read.

        Raises:
            ConfigurationError: a property is missing or wrong.
        """
        place = parse_location(location)
        if not served(place, self.properties):
            return self._other().new_input(location)
        return WebHdfsInputFile(location, place.path, self._settings_for(place))

    def new_output(self, location: str) -> OutputFile:
        """Return a file to write.

        Raises:
            ConfigurationError: a property is missing or wrong.
        """
        place = parse_location(location)
        if not served(place, self.properties):
            return self._other().new_output(location)
        return WebHdfsOutputFile(location, place.path, self._settings_for(place))

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Delete a file.

        Raises:
            FileNotFoundError: there is no such file.
        """
        location = location.location if isinstance(location, InputFile | OutputFile) else location
        place = parse_location(location)
        if not served(place, self.properties):
            self._other().delete(location)
        elif self._client(place).delete(place.path) is False:
            raise MissingFileError(f"Cannot delete {location}: it does not exist.")

    def walk(self, location: str) -> Iterator[tuple[str, FileStatus]]:
        """All files below a directory of HDFS: location and what the NameNode says of it.

        Raises:
            FileNotFoundError: there is no such directory.
            ConfigurationError: it is none of HDFS.
        """
        place = self._own(location)
        prefix = f"{place.scheme}://{place.authority}" if place.scheme else ""
        for status in self._client(place).walk(place.path):
            yield f"{prefix}{status.path}", status

    def rename(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Rename a file within one HDFS.

        Raises:
            FileNotFoundError: there is no such file.
            FileExistsError: there is a target, and it is not to be replaced.
            ConfigurationError: they are not of one HDFS.
        """
        place, goal = self._own(source), self._own(target)
        if self._settings_for(place).urls != self._settings_for(goal).urls:
            raise ConfigurationError(f"Cannot rename {source} to {target}: they are not in the same HDFS.")
        self._client(place).rename(place.path, goal.path, overwrite=overwrite)

    def client(self, location: str) -> WebHdfs:
        """Return the client that serves a location of HDFS.

        Raises:
            ConfigurationError: it is none, or a property is wrong.
        """
        return self._client(self._own(location))

    def _client(self, place: Location) -> WebHdfs:
        return client_for(self._settings_for(place))

    def _own(self, location: str) -> Location:
        place = parse_location(location)
        if not served(place, self.properties):
            raise ConfigurationError(f"{location} is not in HDFS. Write hdfs://HOST_OR_NAMESERVICE/PATH.")
        return place

    def _settings_for(self, place: Location) -> WebHdfsSettings:
        key = (place.scheme, place.authority)
        if key not in self._settings:
            self._settings[key] = settings_for(self.properties, place)
        return self._settings[key]

    def _other(self) -> FileIO:
        if self._others is None:
            from pyiceberg.io.pyarrow import PyArrowFileIO  # here, for most tables are in HDFS as a whole

            self._others = PyArrowFileIO(self.properties)
        return self._others

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the properties only."""
        return {"properties": self.properties}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin again with the properties."""
        self.__init__(state["properties"])  # type: ignore[misc]
