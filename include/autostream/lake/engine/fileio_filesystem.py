"""A table's FileIO as a file system that DuckDB can read and write through."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from fsspec import AbstractFileSystem
from pyiceberg.io import FileIO, InputFile

from autostream.errors import AutostreamError

# The engine asks for each file several times: whether it is there, how long it is, then it opens it once a thread.
FILES_REMEMBERED: Final = 10_000


class Failures:
    """The last errors of a storage, as they were raised: the engine keeps no more of them than a text."""

    def __init__(self) -> None:
        """Begin with none."""
        self._last: deque[AutostreamError] = deque(maxlen=32)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note the error that ends the block."""
        try:
            yield
        except AutostreamError as error:
            self._last.append(error)
            raise

    def behind(self, error: BaseException) -> AutostreamError | None:
        """Return the one that an engine's error tells of, if it does."""
        text = str(error)
        return next((failure for failure in reversed(self._last) if str(failure) in text), None)


class FileIOFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Opens locations of one scheme by a PyIceberg FileIO; only what a Parquet reader and writer need."""

    cachable = False

    def __init__(self, io: FileIO, scheme: str, *, failures: Failures | None = None) -> None:
        """Serve `scheme://` locations through `io`; what fails is noted in `failures`."""
        super().__init__()
        self._failures = failures or Failures()
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
            return SharedStream(self._file(location), self._failures)
        with self._lock:
            self._forget(location)
        with self._failures.noted():
            return _Sink(self._io.new_output(location).create(overwrite=True), self._failures)

    def _file(self, location: str) -> InputFile:
        """Return a file, which may remember what a store said of it."""
        with self._lock:
            if location not in self._files:
                self._files[location] = self._io.new_input(location)
                if len(self._files) > FILES_REMEMBERED:
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
            with self._failures.noted():
                exists = file.exists()
                size = len(file) if exists else 0
            if not exists:
                with self._lock:
                    self._forget(location)
                raise FileNotFoundError(location)
            self._sizes[location] = size
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


class SharedStream(io.RawIOBase):
    """A file to read that threads share, each with a stream and a position of its own.

    The engine lets several threads seek and read on one handle, and nothing keeps one's seek and read together: with
    one position, a thread would get the bytes that another one has sought.
    """

    def __init__(self, file: InputFile, failures: Failures) -> None:
        """Open the file, so that one that is missing is told now."""
        super().__init__()
        self._file, self._failures = file, failures
        self._lock = threading.Lock()
        self._own = threading.local()
        with failures.noted():
            self._own.stream = file.open(seekable=True)
        self._streams = [self._own.stream]
        # Where a thread reads that has not sought: one may go on where another one stopped.
        self._position = 0

    def readable(self) -> bool:
        """Say that the file can be read."""
        return True

    def seekable(self) -> bool:
        """Say that the file can be read from any position."""
        return True

    def tell(self) -> int:
        """Return the position of this thread's next read."""
        sought: int | None = getattr(self._own, "sought", None)
        return self._position if sought is None else sought

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position of this thread's next read."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell()}.get(whence)
        self._own.sought = len(self._file) + offset if start is None else start + offset
        return self.tell()

    def read(self, size: int | None = -1) -> bytes:
        """Return the next `size` bytes, fewer only at the end of the file; all that are left without a size."""
        position = self.tell()
        with self._failures.noted():
            stream = self._stream()
            stream.seek(position)
            data: bytes = stream.read() if size is None or size < 0 else stream.read(size)
        self._own.sought = None
        self._position = position + len(data)
        return data

    def readall(self) -> bytes:
        """All that is left."""
        return self.read(-1)

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, but for the end of the file."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the streams of all threads."""
        super().close()
        with self._lock:
            while self._streams:
                self._streams.pop().close()

    def _stream(self) -> Any:
        stream = getattr(self._own, "stream", None)
        if stream is None:
            stream = self._own.stream = self._file.open(seekable=True)
            with self._lock:
                self._streams.append(stream)
        return stream


class _Sink(io.RawIOBase):
    """A file to write, which notes what fails."""

    def __init__(self, stream: Any, failures: Failures) -> None:
        super().__init__()
        self._stream, self._failures = stream, failures

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        position: int = self._stream.tell()
        return position

    def write(self, data: Any) -> int:
        with self._failures.noted():
            written: int = self._stream.write(data)
        return written

    def close(self) -> None:
        if not self.closed:
            super().close()
            with self._failures.noted():
                self._stream.close()

    def __del__(self) -> None:
        # What the engine gives up without closing it is not to be completed here.
        pass
