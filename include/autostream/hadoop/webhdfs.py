"""A client of WebHDFS and HttpFS: the one place that knows their operations."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from autostream.errors import AutostreamError, ServiceError
from autostream.hadoop.answers import Call, ExistingFileError, MissingFileError, Trouble
from autostream.hadoop.settings import WebHdfsSettings
from autostream.hadoop.transport import AnswerLostError, FailedTry, Transport, excluding, redirects
from autostream.hadoop.upload import Upload
from autostream.http.wording import reason_of
from autostream.sizes import MIB


@dataclass(frozen=True)
class FileStatus:
    """What the NameNode says of a file or directory.

    Attributes:
        path: within the file system.
        size_bytes: length of a file; 0 of a directory.
        is_directory: whether it is one.
        modified_at_ms: epoch milliseconds.
        owner: account.
        group: group.
        permission: octal, such as `644`.
    """

    path: str
    size_bytes: int
    is_directory: bool
    modified_at_ms: int
    owner: str
    group: str
    permission: str


class BrokenBodyError(Exception):
    """The bytes of a file stopped coming before their end."""


class Body:
    """The bytes of a file, as they come."""

    def __init__(self, response: requests.Response) -> None:
        """Read the body of an answer."""
        self._response = response

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer only at the end.

        Raises:
            BrokenBodyError: the connection broke, or nothing came in time.
        """
        try:
            return self._response.raw.read(size, decode_content=False) or b""
        except (HTTPError, OSError, ValueError) as error:
            raise BrokenBodyError(reason_of(error)) from error

    def close(self) -> None:
        """Leave the rest unread."""
        self._response.close()


class WebHdfs:
    """One HDFS, as one account. Threads may share it.

    Args:
        settings: where and as whom.
    """

    def __init__(self, settings: WebHdfsSettings) -> None:
        """Prepare; nothing is connected before the first request."""
        self.settings = settings
        self._transport = Transport(settings)

    @property
    def account(self) -> str:
        """Who logs in: an account, or a Kerberos principal."""
        return self._transport.account

    @property
    def active_url(self) -> str:
        """The server that answered last, and is asked first."""
        return self._transport.active_url

    # ------------------------------------------------------------------------------------------ looking
    def status(self, path: str) -> FileStatus:
        """Return what is at a path.

        Raises:
            FileNotFoundError: nothing is.
            AutostreamError: it cannot be found out.
        """
        document = self._transport.json("GET", "GETFILESTATUS", path)
        return _file_status(path, self._field(document, "FileStatus", "GETFILESTATUS", path))

    def exists(self, path: str) -> bool:
        """Say whether there is anything at a path."""
        try:
            self.status(path)
        except FileNotFoundError:
            return False
        return True

    def list_directory(self, path: str) -> Iterator[FileStatus]:
        """Return what is in a directory, in the order of names; of a file: the file itself.

        Raises:
            FileNotFoundError: there is no such directory.
        """
        after: dict[str, str] = {}
        while True:
            document = self._transport.json("GET", "LISTSTATUS_BATCH", path, after)
            listing = self._field(document, "DirectoryListing", "LISTSTATUS_BATCH", path)
            entries = listing["partialListing"]["FileStatuses"]["FileStatus"]
            for entry in entries:
                name = entry["pathSuffix"]
                yield _file_status(f"{path.rstrip('/')}/{name}" if name else path, entry)
            if not entries or not listing["remainingEntries"]:
                return
            after = {"startAfter": entries[-1]["pathSuffix"]}

    def walk(self, path: str) -> Iterator[FileStatus]:
        """All files below a directory; what disappears meanwhile is left out."""
        pending = [path]
        while pending:
            directory = pending.pop()
            try:
                for entry in self.list_directory(directory):
                    if entry.is_directory:
                        pending.append(entry.path)
                    else:
                        yield entry
            except FileNotFoundError:
                if directory == path:
                    raise

    # ------------------------------------------------------------------------------------------ changing
    def make_directory(self, path: str, *, permission: str | None = None) -> None:
        """Make a directory and those above it; one that exists is left as it is."""
        document = self._transport.json("PUT", "MKDIRS", path, {"permission": permission} if permission else {})
        if not document.get("boolean"):
            raise self._error(f"HDFS did not create directory {path}, and gave no reason.")

    def delete(self, path: str, *, recursive: bool = False) -> bool | None:
        """Delete a file or directory, for good: not into the trash.

        Returns:
            whether there was one; None: there is none now, but an answer was lost, and the request may have found one.
        """
        troubles: list[Trouble] = []
        params = {"recursive": "true" if recursive else "false"}
        existed = bool(self._transport.json("DELETE", "DELETE", path, params, troubles=troubles).get("boolean"))
        return None if not existed and Trouble.LOST in troubles else existed

    def rename(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Rename a file or directory, in one step; it never lands inside a directory that is called `target`.

        A lost answer is settled by looking: if the source is gone and the target there, it was done.

        Raises:
            FileNotFoundError: there is no source, or no directory for the target.
            FileExistsError: there is a target, and it is not to be replaced.
            AutostreamError: it was not done.
        """
        for failures in range(1, self.settings.retries + 2):
            try:
                self._rename(source, target, overwrite=overwrite)
                return
            except AnswerLostError as error:
                lost: AutostreamError = error
            except MissingFileError:
                if failures > 1 and not self.exists(source) and self.exists(target):
                    return
                raise
            if not self.exists(source):
                if self.exists(target):
                    return
                raise lost
            self.pause(failures)
        raise lost

    def _rename(self, source: str, target: str, *, overwrite: bool) -> None:
        options = {"destination": target, "renameoptions": "OVERWRITE" if overwrite else "NONE"}
        document = self._transport.json("PUT", "RENAME", source, options, repeatable=False)
        # A NameNode answers by an exception or by nothing; HttpFS does not know the option, and answers yes or no.
        if "boolean" not in document:
            return
        if document["boolean"]:
            self._require_not_inside(source, target)
            return
        self.status(source)
        if not self.exists(target):
            raise self._error(f"HDFS did not rename {source} to {target}, and gave no reason.")
        if not overwrite:
            raise ExistingFileError(f"{target} already exists in HDFS: {source} was not renamed to it.")
        self.delete(target)
        self._rename(source, target, overwrite=False)

    def _require_not_inside(self, source: str, target: str) -> None:
        """Undo a rename that went into a directory called `target`, as it does without the option."""
        inside = f"{target.rstrip('/')}/{source.rsplit('/', 1)[1]}"
        if self.status(target).is_directory and self.exists(inside):  # below a file HDFS denies to look
            self._transport.json("PUT", "RENAME", inside, {"destination": source}, repeatable=False)
            raise ExistingFileError(f"{target} is a directory in HDFS: {source} was not renamed to it.")

    def set_permission(self, path: str, permission: str) -> None:
        """Set the permission, octal: `755`."""
        self._transport.json("PUT", "SETPERMISSION", path, {"permission": permission})

    def set_owner(self, path: str, *, owner: str = "", group: str = "") -> None:
        """Set owner, group or both; only HDFS's superuser may give files away."""
        self._transport.json("PUT", "SETOWNER", path, {k: v for k, v in (("owner", owner), ("group", group)) if v})

    # ------------------------------------------------------------------------------------------ contents
    def open(self, path: str, *, offset: int = 0, length: int | None = None) -> Body:
        """Return the bytes of a file from an offset on, all or `length` of them.

        The caller closes it. The offset must be within the file: an empty file cannot be opened.
        """
        params = {"offset": str(offset)} | ({"length": str(length)} if length is not None else {})

        def read(base: str, call: Call, excluded: list[str]) -> Body:
            response = self._transport.ask("GET", base, call, {**params, **excluding(excluded)}, stream=True)
            if redirects(response):
                response = self._transport.fetch(self._transport.target(response, base, call), base)
            return Body(response)

        return self._transport.run("OPEN", path, read)

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Return the bytes of a part of a file, in one piece."""
        body = self.open(path, offset=offset, length=length)
        try:
            parts = []
            while part := body.read(MIB):
                parts.append(part)
            return b"".join(parts)
        except BrokenBodyError as error:
            raise self._error(f"Reading {path} from HDFS stopped in the middle: {error}.") from error
        finally:
            body.close()

    def put(self, path: str, data: bytes, *, overwrite: bool = False) -> None:
        """Write a small file in one request. Others see it, not complete, while it is written.

        Raises:
            FileExistsError: there is one, and it is not to be replaced.
            AnswerLostError: it may have been written, whole or in part.
        """

        def write(base: str, call: Call, excluded: list[str]) -> None:
            target = self._transport.creation_target(base, call, excluded, overwrite=overwrite)
            self._transport.send(target, base, data)

        self._transport.run("CREATE", path, write, repeatable=False)

    def upload(self, path: str, *, overwrite: bool = False) -> Upload:
        """Begin a file that is written as its bytes come."""

        def begin(base: str, call: Call, excluded: list[str]) -> Upload:
            target = self._transport.creation_target(base, call, excluded, overwrite=overwrite)
            try:
                return Upload(target, call, headers=self._transport.headers_for(target, base), settings=self.settings)
            except OSError as error:
                raise FailedTry(Trouble.UNREACHABLE, reason_of(error), node=urlsplit(target).netloc) from error

        return self._transport.run("CREATE", path, begin)

    def pause(self, failures: int) -> None:
        """Wait before something is tried again."""
        self._transport.pause(failures)

    def _error(self, text: str) -> ServiceError:
        acting = f" acting as {self.settings.proxy_user}" if self.settings.proxy_user else ""
        return ServiceError(f"{text} (As {self._transport.account}{acting}, at {' and '.join(self.settings.urls)}.)")

    def _field(self, document: dict[str, Any], name: str, operation: str, path: str) -> Any:
        if name not in document:
            raise self._error(
                f"The answer to {operation} {path} has no {name}: the server is not a WebHDFS. Check webhdfs.urls."
            )
        return document[name]


_clients: dict[WebHdfsSettings, WebHdfs] = {}
_clients_lock = threading.Lock()


def client_for(settings: WebHdfsSettings) -> WebHdfs:
    """Return the client of this process for one HDFS and account; all share its connections."""
    with _clients_lock:
        if settings not in _clients:
            _clients[settings] = WebHdfs(settings)
        return _clients[settings]


def _forget_clients() -> None:
    """Forget the connections: a child process shares its parent's sockets, and two would talk at once over one."""
    global _clients_lock
    _clients_lock = threading.Lock()
    _clients.clear()


os.register_at_fork(after_in_child=_forget_clients)


def _file_status(path: str, entry: Mapping[str, Any]) -> FileStatus:
    return FileStatus(
        path=path,
        size_bytes=int(entry["length"]),
        is_directory=entry["type"] == "DIRECTORY",
        modified_at_ms=int(entry["modificationTime"]),
        owner=str(entry["owner"]),
        group=str(entry["group"]),
        permission=str(entry["permission"]),
    )
