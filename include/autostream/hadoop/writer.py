"""A file of HDFS to write: all of it appears at once, under its name, when it is closed; or never.

The bytes go to a file beside it with a name of its own, which is renamed at the end. Only the rename can meet another
writer, and the NameNode decides it: one wins. As nobody else knows the other name, it also tells afterwards what became
of a request whose answer was lost: as long as it is there, the rename was not done, and once it is deleted it never
will be.
"""

from __future__ import annotations

import io
import posixpath
import uuid
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final

from autostream.errors import AutostreamError, OutcomeUnknownError
from autostream.hadoop.answers import ExistingFileError
from autostream.hadoop.transport import AnswerLostError
from autostream.sizes import MIB

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from autostream.hadoop.upload import Upload
    from autostream.hadoop.webhdfs import WebHdfs

# Up to this size a file is kept in memory and sent in one request, which can be repeated.
BUFFER_BYTES: Final = 4 * MIB
# Bytes of one piece of a larger file.
PIECE_BYTES: Final = MIB

# A DataNode answers before it has made the file: one whose request was cut off is looked for this often (2 to 4 s).
_LOOKS: Final = 4

_MARK: Final = ".autostream-"


def staging_path(path: str) -> str:
    """Return a new name beside a file; not hidden, so `remove_orphan_files` finds what a killed process left."""
    directory, name = posixpath.split(path)
    # A name may have 255 bytes.
    return posixpath.join(directory, f"{name[:150]}{_MARK}{uuid.uuid4().hex}.part")


class StagedWriter(io.RawIOBase):
    """A file of HDFS, opened for writing.

    An exception inside its `with`, `abort` or the end of the process leaves no file of that name.

    Args:
        client: of the HDFS.
        path: of the file.
        overwrite: whether a file of that name is replaced; it stays as it is until then.

    Raises:
        FileExistsError: there is one, and it is not to be replaced.
    """

    def __init__(self, client: WebHdfs, path: str, *, overwrite: bool = False) -> None:
        """Prepare; nothing is written before there is much, or all of it."""
        super().__init__()
        self._client, self._path, self._overwrite = client, path, overwrite
        self._pending = bytearray()
        self._written = 0
        self._upload: Upload | None = None
        # What may be there and is ours to remove.
        self._staged: list[str] = []
        if not overwrite and client.exists(path):
            raise ExistingFileError(f"{path} already exists in HDFS and was not replaced. Choose another name.")

    # ------------------------------------------------------------------------------------------ io.RawIOBase
    def writable(self) -> bool:
        """Say that the file can be written."""
        return True

    @property
    def name(self) -> str:
        """The path within HDFS."""
        return self._path

    def tell(self) -> int:
        """Bytes written so far."""
        return self._written

    def write(self, data: ReadableBuffer) -> int:
        """Take all of some bytes.

        Raises:
            AutostreamError: HDFS took them not; the file will not appear.
        """
        if self.closed:
            raise ValueError(f"{self._path} is closed")
        view = memoryview(data).cast("B")
        self._written += len(view)
        if len(self._pending) + len(view) < (BUFFER_BYTES if self._upload is None else PIECE_BYTES):
            self._pending += view
        else:
            self._send_on(self._pending, view)
            self._pending = bytearray()
        return len(view)

    def close(self) -> None:
        """Let the file appear.

        Raises:
            FileExistsError: another writer was first.
            OutcomeUnknownError: whether it appeared cannot be found out.
            AutostreamError: it does not appear.
        """
        if self.closed:
            return
        super().close()
        try:
            staged = self._finish()
            self._publish(staged)
        except BaseException as error:
            self._clean_up(error)
            raise
        self._pending = bytearray()
        for left in self._staged:  # of tries whose answer was lost
            with suppress(AutostreamError):
                self._client.delete(left)

    def abort(self) -> None:
        """Let the file not appear, and remove what was sent of it.

        Raises:
            AutostreamError: that could not be removed; says what is left where.
        """
        if self.closed:
            return
        super().close()
        self._clean_up(None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it, or abort it where an exception ends the block: that one goes on, with a note if files are left."""
        if error is None:
            self.close()
        elif not self.closed:
            super().close()
            self._clean_up(error)

    def __del__(self) -> None:
        """Abort what nobody closed: `io.RawIOBase` would close it, and half a file would appear."""
        with suppress(Exception):
            self.abort()

    # ------------------------------------------------------------------------------------------ writing
    def _send_on(self, *parts: bytearray | memoryview) -> None:
        if self._upload is None:
            staged = staging_path(self._path)
            self._staged.append(staged)
            self._upload = self._client.upload(staged, overwrite=True)
        for part in parts:
            with memoryview(part) as view:
                for start in range(0, len(view), PIECE_BYTES):
                    self._upload.send(view[start : start + PIECE_BYTES])

    def _finish(self) -> str:
        """Send the rest; return the name it has until it is renamed."""
        if self._upload is None:
            return self._put()
        self._send_on(self._pending)
        self._upload.finish()
        self._upload = None
        return self._staged[-1]

    def _put(self) -> str:
        """Send a small file, each time under another name: an earlier try may still be at work."""
        data = bytes(self._pending)
        for failures in range(1, self._client.settings.retries + 2):
            self._staged.append(staging_path(self._path))
            try:
                self._client.put(self._staged[-1], data, overwrite=True)
                return self._staged[-1]
            except AnswerLostError as error:
                lost = error
            self._client.pause(failures)
        raise lost

    def _publish(self, staged: str) -> None:
        try:
            self._client.rename(staged, self._path, overwrite=self._overwrite)
        except ExistingFileError:
            raise
        except AutostreamError as error:
            if not self._was_renamed(staged, error):
                raise
        self._staged.remove(staged)

    def _was_renamed(self, staged: str, error: AutostreamError) -> bool:
        """Whether a rename that seemed to fail was done. Deleting the source decides it for good.

        Raises:
            OutcomeUnknownError: HDFS does not answer that either.
        """
        try:
            existed = self._client.delete(staged)
            appeared = not existed and self._client.exists(self._path)
        except AutostreamError:
            existed, appeared = None, True
        if existed is None and appeared:
            raise OutcomeUnknownError(
                f"It is not known whether {self._path} was written: {error} Check whether it and {staged} exist when "
                "HDFS answers again."
            ) from error
        return appeared

    def _remove(self, staged: str, *, looks: int) -> None:
        """Delete what was sent; what a DataNode may only be about to make is looked for until it is there, and goes."""
        for failures in range(1, looks + 1):
            if self._client.delete(staged) or failures == looks:
                return
            self._client.pause(failures)

    def _clean_up(self, error: BaseException | None) -> None:
        """Remove what was sent; where that fails, say so in a note to the error that led here."""
        self._pending = bytearray()
        cut_off = None
        if self._upload is not None:
            self._upload.abort()
            self._upload, cut_off = None, self._staged[-1]
        left = []
        for staged in self._staged:
            try:
                self._remove(staged, looks=_LOOKS if staged == cut_off else 1)
            except AutostreamError as problem:
                left.append(f"{staged} may remain in HDFS: {problem}")
        self._staged = []
        if left and error is not None:
            error.add_note(" ".join(left))
        elif left:
            raise AutostreamError(f"Stopped writing {self._path}, but could not remove all of it. {' '.join(left)}")
