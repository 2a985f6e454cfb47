"""What a WebHDFS server's answer means: which error it is, and whether asking again can help. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from autostream.errors import AutostreamError, DataError, DeniedError, ResourceError, ServiceError
from autostream.hadoop.accounts import refused_impersonation


class MissingFileError(DataError, FileNotFoundError):
    """There is no such file or directory."""


class ExistingFileError(AutostreamError, FileExistsError):
    """There is such a file already, and it was not to be replaced."""


class RefusedError(DeniedError, PermissionError):
    """The account may not do this, or the service may not act as the account."""


class NoSpaceError(ResourceError, OSError):
    """A quota is used up, or no DataNode has room."""


class Trouble(Enum):
    """Why a request did not get its answer, as far as asking again is concerned.

    Attributes:
        UNREACHABLE: no connection; the server knows nothing of the request.
        STANDBY: the server answered that another one is active; it did nothing.
        BUSY: the server answered that it cannot now; it did nothing.
        LOST: the connection broke, or nothing came in time; whether the server did it is not known.
        FOREIGN: what answered is no WebHDFS, or does not know us; it did nothing, and will not when asked again.
    """

    UNREACHABLE = "unreachable"
    STANDBY = "standby"
    BUSY = "busy"
    LOST = "lost"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class Call:
    """One operation, as messages name it.

    Attributes:
        operation: WebHDFS's name, such as `GETFILESTATUS`.
        path: of the file or directory.
        url: base URL of the server that was asked.
        account: account or principal that logged in.
        proxy: account that it acts as, None: as itself.
    """

    operation: str
    path: str
    url: str
    account: str
    proxy: str | None = None

    def __str__(self) -> str:
        """Describe it: operation, path, server, accounts."""
        acting = f"{self.account} acting as {self.proxy}" if self.proxy else self.account
        return f"{self.operation} {self.path} at {self.url} as {acting}"


@dataclass(frozen=True)
class Refusal:
    """An answer that is not what was asked for.

    Attributes:
        status: HTTP status.
        exception: simple name of the Java exception; empty where the server named none.
        message: first line of its message, or of the answer.
    """

    status: int
    exception: str
    message: str


_TOKEN: Final = re.compile(r"(delegation|token|signature|hadoop\.auth)=[^&\s\"']+", re.I)
_MESSAGE_LIMIT: Final = 400

_MISSING: Final = frozenset({"FileNotFoundException", "PathNotFoundException", "NoSuchFileException"})
_EXISTING: Final = frozenset({"FileAlreadyExistsException", "AlreadyBeingCreatedException"})
_DENIED: Final = frozenset({"AccessControlException", "AuthorizationException", "SecurityException"})
_QUOTA: Final = frozenset(
    {"DSQuotaExceededException", "NSQuotaExceededException", "QuotaByStorageTypeExceededException"}
)
_BUSY: Final = frozenset({"RetriableException", "SafeModeException", "ServerTooBusyException"})
# The server's words where no DataNode takes a block.
_FULL: Final = re.compile(
    r"could only be written to 0 of|replicated to 0 nodes|No space left on device|out of space", re.I
)
_STARTING: Final = re.compile(r"Namenode is in startup mode|still not started|in safe mode", re.I)


def parse_refusal(status: int, body: bytes) -> Refusal:
    """Read the RemoteException of an answer, or what else it says."""
    try:
        remote = json.loads(body)["RemoteException"]
        return Refusal(status, str(remote.get("exception") or ""), first_line(str(remote.get("message") or "")))
    except (ValueError, KeyError, TypeError, AttributeError):
        text = body[:4096].decode(errors="replace")
        title = re.search(r"<title>(.*?)</title>", text, re.S | re.I)
        return Refusal(status, "", first_line(title[1] if title else re.sub(r"<[^>]*>", " ", text)))


def first_line(text: str) -> str:
    """Return the first line of a message, not too long, without tokens and without its full stop."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return without_tokens(line)[:_MESSAGE_LIMIT].rstrip(".")


def without_tokens(text: str) -> str:
    """Return the text with the values of delegation tokens and cookies hidden."""
    return _TOKEN.sub(r"\1=********", text)


def trouble_of(refusal: Refusal) -> Trouble | None:
    """Whether the same request can fare better, later or at another server; None: it cannot."""
    if refusal.exception == "StandbyException":
        return Trouble.STANDBY
    if refusal.exception in _BUSY or _STARTING.search(refusal.message):
        return Trouble.BUSY
    if refusal.exception:
        return None
    # Words of a gateway or of a server that is starting, not of HDFS.
    if refusal.status in (429, 503):
        return Trouble.BUSY
    return Trouble.LOST if refusal.status in (502, 504) else None


def stale_token(refusal: Refusal) -> bool:
    """Say whether a DataNode refused the NameNode's delegation token; a new redirection brings a new one."""
    return "InvalidToken" in refusal.message or refusal.exception == "InvalidToken"


def error_of(refusal: Refusal, call: Call) -> AutostreamError:
    """Return the error that a user sees for an answer."""
    if refusal.exception in _MISSING:
        return MissingFileError(f"{call.path} does not exist in HDFS ({call}): {refusal.message}")
    if refusal.exception in _EXISTING:
        return ExistingFileError(f"{call.path} already exists in HDFS and was not replaced ({call}): {refusal.message}")
    if _impersonation(refusal):
        return RefusedError(
            refused_impersonation(
                service=call.account,
                proxy=call.proxy or "another account",
                server=f"HDFS at {call.url}",
                operation=f"{call.operation} {call.path}",
                answer=refusal.message,
            )
        )
    if refusal.exception in _QUOTA:
        return NoSpaceError(
            f"An HDFS quota is used up ({call}): {refusal.message}. 'hdfs dfs -count -q -h -v DIRECTORY' shows the "
            "quota. Delete files that are not needed, or ask for a larger quota."
        )
    if _FULL.search(refusal.message):
        return NoSpaceError(
            f"No DataNode that the NameNode can reach has free space ({call}): {refusal.message}. 'hdfs dfsadmin "
            "-report' shows the DataNodes and their free space."
        )
    return _other_error(refusal, call)


def _other_error(refusal: Refusal, call: Call) -> AutostreamError:
    if refusal.exception in _DENIED:
        owner = call.proxy or call.account
        return RefusedError(
            f"HDFS denied access to {owner} ({call}): {refusal.message}. Ask the owner of the directory for "
            "permission, or use another account."
        )
    if "out of the range" in refusal.message:
        return DataError(
            f"{call.path} has become shorter since it was opened ({call}): {refusal.message}. Another program has "
            "replaced it. Files of a table must never change."
        )
    if "Hadoop IPC port" in refusal.message:
        return ServiceError(
            f"{call.url} is a port of Hadoop's RPC, not of WebHDFS ({call}). Set webhdfs.urls to the NameNode's HTTP "
            "address (dfs.namenode.http-address, port 9870 by default)."
        )
    if refusal.status == 401:
        return RefusedError(
            f"HDFS did not accept the login ({call}): {refusal.message or 'HTTP 401'}. For a cluster with Kerberos, "
            "set webhdfs.authentication to kerberos. If it is set, check principal, keytab and clock. If "
            "webhdfs.urls names another service than HDFS, that service asks for a login."
        )
    what = (
        f"{refusal.exception}: {refusal.message}" if refusal.exception else f"HTTP {refusal.status} {refusal.message}"
    )
    if refusal.exception:
        return ServiceError(f"HDFS failed ({call}): {what}. The log of the NameNode has more details.")
    return ServiceError(f"The server is not a WebHDFS ({call}): {what.strip()}. Check webhdfs.urls.")


def _impersonation(refusal: Refusal) -> bool:
    return (
        "not allowed to impersonate" in refusal.message or "Unauthorized connection for super-user" in refusal.message
    )


def unreachable_error(call: Call, urls: tuple[str, ...], trouble: Trouble, reason: str) -> ServiceError:
    """Return the error after the last try, where no server gave an answer."""
    asked = " and ".join(urls)
    if trouble is Trouble.STANDBY:
        return ServiceError(
            f"Every NameNode is in standby ({call}; asked: {asked}). Check that webhdfs.urls names all NameNodes, "
            "and check their state with 'hdfs haadmin -getAllServiceState'."
        )
    if trouble is Trouble.BUSY:
        return ServiceError(f"HDFS cannot do this now ({call}; asked: {asked}): {reason}. Try again later.")
    if trouble is Trouble.LOST:
        return ServiceError(
            f"HDFS did not answer ({call}; asked: {asked}): {reason}. Check the network and the log of the server, "
            "or raise webhdfs.read-timeout-seconds."
        )
    return ServiceError(
        f"Cannot reach HDFS ({call}; asked: {asked}): {reason}. Check webhdfs.urls, and check that this machine can "
        "reach the HTTP port of the NameNode."
    )
