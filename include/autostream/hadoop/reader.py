"""A file of HDFS to seek and read in, as readers of Parquet, ORC and Avro do: footers, column chunks, whole files.

Every request costs two round trips (NameNode, DataNode), whatever its length; bytes that are asked for and not read
cost as well. So a window is asked for: what is wanted at least, and 32 times the last window where reading goes on
where that ended. Its bytes are not kept but read as they come, so memory does not grow with it.
"""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Final

from autostream.errors import ServiceError
from autostream.hadoop.tails import TAILS, FileKey
from autostream.hadoop.webhdfs import Body, BrokenBodyError
from autostream.sizes import KIB, MIB

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from autostream.hadoop.webhdfs import WebHdfs


# A footer and the page indexes before it mostly fit; a whole small file does too.
TAIL_BYTES: Final = 256 * KIB
# The window of a first read, and up to where it grows.
FIRST_WINDOW_BYTES: Final = 256 * KIB
LARGEST_WINDOW_BYTES: Final = 1024 * MIB
# Small reads are served from a block of this size.
BLOCK_BYTES: Final = 128 * KIB
# A gap up to this size is read and thrown away rather than asked for again.
SKIP_BYTES: Final = 128 * KIB


def window_bytes(*, wanted: int, left: int, last_window: int, goes_on: bool) -> int:
    """How many bytes to ask for.

    Args:
        wanted: bytes that are read now.
        left: bytes from here to the end of the file.
        last_window: bytes that were asked for last time.
        goes_on: whether this begins where that ended.
    """
    grown = min(32 * last_window, LARGEST_WINDOW_BYTES) if goes_on else FIRST_WINDOW_BYTES
    return min(left, max(wanted, grown))


class RangeReader(io.RawIOBase):
    """A file of HDFS, opened for reading. Threads may share it, but for its one position.

    Args:
        client: of the HDFS.
        path: of the file.
        size_bytes: its length; it is taken not to change.
        modified_at_ms: when it was last changed, to know it again.
    """

    def __init__(self, client: WebHdfs, path: str, size_bytes: int, *, modified_at_ms: int) -> None:
        """Prepare; nothing is asked for before the first read."""
        super().__init__()
        self._client, self._path, self._size = client, path, size_bytes
        self._key = FileKey(client.settings, path, size_bytes, modified_at_ms)
        self._lock = threading.RLock()
        self._position = 0
        self._body: Body | None = None
        self._body_position = 0
        self._body_end = 0
        self._window = 0
        self._block, self._block_start = b"", 0
        self._tail, self._tail_start = b"", size_bytes

    # ------------------------------------------------------------------------------------------ io.RawIOBase
    def readable(self) -> bool:
        """Say that the file can be read."""
        return True

    def seekable(self) -> bool:
        """Say that the file can be read from any position."""
        return True

    @property
    def name(self) -> str:
        """The path within HDFS."""
        return self._path

    def tell(self) -> int:
        """Return the position of the next read."""
        return self._position

    def size(self) -> int:
        """Return the length of the file; pyarrow asks for it."""
        return self._size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position of the next read; costs nothing."""
        self._require_open()
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"position {start + offset} is before the start of {self._path}")
        self._position = start + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Return the next `size` bytes, fewer only at the end of the file; all that are left without a size.

        Raises:
            DataError: the file is shorter than it was.
            ServiceError: it cannot be read on.
        """
        self._require_open()
        with self._lock:
            left = max(0, self._size - self._position)
            wanted = left if size is None or size < 0 else min(size, left)
            data = self._read_at(self._position, wanted)
            self._position += len(data)
            return data

    def readall(self) -> bytes:
        """All that is left."""
        return self.read(-1)

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer, but for the end of the file."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the connection, and forget what is kept."""
        if not self.closed:
            self._drop_body()
            self._block = self._tail = b""
        super().close()

    # ------------------------------------------------------------------------------------------ reading
    def _require_open(self) -> None:
        if self.closed:
            raise ValueError(f"{self._path} is closed")

    def _read_at(self, position: int, size: int) -> bytes:
        parts = []
        while size > 0:
            part = self._piece(position, size)
            parts.append(part)
            position += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _piece(self, position: int, size: int) -> bytes:
        """Return some of the bytes from a position on: at least one, at most `size`."""
        if position >= self._tail_start:
            return _cut(self._tail, position - self._tail_start, size)
        if 0 <= position - self._block_start < len(self._block):
            return _cut(self._block, position - self._block_start, size)
        size = min(size, self._tail_start - position)
        if not self._flows_to(position):
            if self._is_tail(position):
                self._load_tail()
                return _cut(self._tail, position - self._tail_start, size)
            self._open(position, size)
        if size >= BLOCK_BYTES:
            return self._take(size)
        self._block = self._take(min(BLOCK_BYTES, self._body_end - position))
        self._block_start = position
        return _cut(self._block, 0, size)

    def _is_tail(self, position: int) -> bool:
        """Say whether a read is one of the footer (or of a small file), not the end of reading all."""
        return self._size - position <= TAIL_BYTES and (position == 0 or position != self._body_end)

    def _load_tail(self) -> None:
        start = max(0, self._size - TAIL_BYTES)
        tail = TAILS.get(self._key)
        if tail is None:
            self._open(start, self._size - start)
            tail = self._take(self._size - start)
            TAILS.keep(self._key, tail)
        self._tail, self._tail_start = tail, start

    def _flows_to(self, position: int) -> bool:
        """Bring the open body to a position, if it leads there soon."""
        gap = position - self._body_position
        if self._body is None or not 0 <= gap <= SKIP_BYTES or position >= self._body_end:
            return False
        if gap:
            self._take(gap)
        return True

    def _open(self, position: int, size: int) -> None:
        length = window_bytes(
            wanted=size,
            left=self._size - position,
            last_window=self._window,
            goes_on=position == self._body_end and position > 0,
        )
        self._drop_body()
        self._body = self._client.open(self._path, offset=position, length=length)
        self._body_position, self._body_end, self._window = position, position + length, length

    def _take(self, size: int) -> bytes:
        """Bytes of the open body, not beyond its end; a connection that breaks is made again where it broke."""
        size = min(size, self._body_end - self._body_position)
        parts: list[bytes] = []
        failures = 0
        while size > 0:
            part, reason = self._next(size)
            if not part:
                failures += 1
                self._resume(failures, reason)
                continue
            failures = 0
            parts.append(part)
            size -= len(part)
            self._body_position += len(part)
        if self._body_position == self._body_end:
            self._drop_body()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _next(self, size: int) -> tuple[bytes, str]:
        if self._body is None:
            return b"", "the connection is closed"
        try:
            return self._body.read(size), "the answer ended early"
        except BrokenBodyError as error:
            return b"", str(error)

    def _resume(self, failures: int, reason: str) -> None:
        self._drop_body()
        if failures > self._client.settings.retries:
            raise ServiceError(
                f"Reading {self._path} from HDFS stopped at byte {self._body_position} {failures} times. The last "
                f"reason: {reason}. Check the DataNodes ('hdfs fsck {self._path} -files -blocks -locations')."
            )
        if failures > 1:
            self._client.pause(failures - 1)
        length = self._body_end - self._body_position
        self._body = self._client.open(self._path, offset=self._body_position, length=length)

    def _drop_body(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None


def _cut(data: bytes, start: int, size: int) -> bytes:
    return data if start == 0 and size >= len(data) else data[start : start + size]
