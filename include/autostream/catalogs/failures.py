"""What an error of a catalog means: away for now, not allowed, or set up wrongly. One place for every kind of catalog.

Away (`ServiceError`, exit code 1) is what no server answered, or what a server says of itself: it starts, it is
overloaded, it failed. Workflows try it again, and commands that wait go on waiting. An unknown host counts as away:
name servers fail, too. What a server answered about us stays: a wrong password or a missing right (`DeniedError`, 5), a
database that is not there (`ConfigurationError`, 2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from pydantic import ValidationError
from pyiceberg.exceptions import (
    AuthorizationExpiredError,
    ForbiddenError,
    OAuthError,
    RESTError,
    ServerError,
    ServiceUnavailableError,
    TooManyRequestsError,
    UnauthorizedError,
)

from autostream.errors import AutostreamError, ConfigurationError, DeniedError, ServiceError
from autostream.hadoop.answers import first_line
from autostream.masking import mask

_DENIED: Final = (ForbiddenError, UnauthorizedError, AuthorizationExpiredError, OAuthError)
_AWAY: Final = (ServerError, ServiceUnavailableError, TooManyRequestsError)
_NO_ERROR_OF_ICEBERG: Final = "RESTError "
"""How PyIceberg begins where the body of an answer is not what the protocol says."""
_REMEDY: Final = (
    "Check that it is up and reachable from this machine. Sensors, the recorder and scheduled runs try again "
    "automatically."
)

# What PostgreSQL says of us when it lets nobody in, in its own words or by the number of the error.
_WRONG_ACCOUNT: Final = re.compile(
    r"password authentication failed|no password supplied|no pg_hba\.conf entry|role .* does not exist"
    r"|permission denied|authentication failed|not permitted to log in",
    re.I,
)
_WRONG_DATABASE: Final = re.compile(
    r"database .* does not exist|unable to open database file|no such table|not a database|relation .* does not exist"
    r"|invalid (dsn|connection option)|could not translate service|no such file or directory",
    re.I,
)
_ABOUT_FILES: Final = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
_NO_ACCESS: Final = re.compile(r"ACCESS.?DENIED|Forbidden|InvalidAccessKeyId|SignatureDoesNotMatch|\b40[13]\b", re.I)
_NO_BUCKET: Final = re.compile(r"NO.?SUCH.?BUCKET", re.I)
_BUSY: Final = re.compile(r"database (table )?is locked|deadlock|could not serialize|lock timeout", re.I)
_ACCOUNT_STATES: Final = ("28000", "28P01", "42501")
_BUSY_STATES: Final = ("40001", "40P01", "55P03")


def explained(error: BaseException) -> AutostreamError | None:
    """Return what an error means, as this project's own; None where it is no failure of a service.

    Args:
        error: of any catalog's library; what it was raised from is looked at as well.
    """
    for cause in _causes(error):
        if isinstance(cause, AutostreamError):
            return cause
        found = _of_rest(cause) or _of_database(cause) or _of_metastore(cause) or _of_files(cause)
        if found is not None:
            return found
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _of_rest(error: BaseException) -> AutostreamError | None:
    if isinstance(error, _DENIED):
        return DeniedError(
            f"The REST catalog denied this: {first_line(str(error))}. Correct the catalog's credential or token, or "
            "grant the account the permission."
        )
    if isinstance(error, _AWAY):
        return ServiceError(f"The REST catalog cannot do this now: {first_line(str(error))}. {_REMEDY}")
    if isinstance(error, RESTError) and str(error).startswith(_NO_ERROR_OF_ICEBERG):
        return ServiceError(
            f"The server at {_address(error.__cause__)} is not a REST catalog (HTTP {http_status(error)}): "
            f"{first_line(str(error))}. Check the catalog's uri, and any gateway or proxy in between."
        )
    if isinstance(error, ValidationError) and error.title.endswith("Response"):  # PyIceberg's classes of answers
        return ServiceError(
            "The server at the catalog's uri is not a REST catalog: its answer does not follow the protocol. Check "
            "the uri, and any gateway or proxy in between."
        )
    import requests  # here, for most commands see no error

    if isinstance(error, requests.RequestException) and not isinstance(error, requests.HTTPError | ValueError):
        from autostream.http.wording import reason_of

        return ServiceError(f"The REST catalog at {_address(error)} did not answer: {reason_of(error)}. {_REMEDY}")
    return None


def _address(error: BaseException | None) -> str:
    """Return what an error of the HTTP library was about, without the parts of an address that may hold secrets."""
    asked = urlsplit(getattr(getattr(error, "request", None), "url", None) or "")
    return f"{asked.scheme}://{asked.hostname}:{asked.port or ''}".rstrip(":") if asked.hostname else "its uri"


def http_status(error: BaseException) -> int | None:
    """Return the status of the HTTP answer that an error of a REST catalog was raised from."""
    response = getattr(error.__cause__, "response", None)
    return getattr(response, "status_code", None)


def _of_database(error: BaseException) -> AutostreamError | None:
    from sqlalchemy.exc import DBAPIError, TimeoutError

    if isinstance(error, TimeoutError):
        return ServiceError(f"No connection to the catalog's database became free: {error}. {_REMEDY}")
    if not isinstance(error, DBAPIError):
        return None
    words, state = database_words(error), str(getattr(error.orig, "pgcode", None) or "")
    if state in _ACCOUNT_STATES or _WRONG_ACCOUNT.search(words):
        return DeniedError(
            f"The catalog's database denied this: {words}. Correct the user and password in the catalog's uri, or "
            "grant the account the permission."
        )
    if _WRONG_DATABASE.search(words):
        return ConfigurationError(f"The catalog's database does not exist: {words}. Correct the catalog's uri.")
    if is_away(error) or is_busy(error):
        return ServiceError(f"The catalog's database did not answer, or cannot do this now: {words}. {_REMEDY}")
    return None


def database_words(error: BaseException) -> str:
    """Return a database's own words on one line, without statements, parameters and passwords."""
    return mask(" ".join(str(getattr(error, "orig", None) or error).split())).rstrip(".")


def is_away(error: BaseException) -> bool:
    """Say whether a database did not answer: nothing in its words is about the statement."""
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

    if not isinstance(error, DBAPIError) or _WRONG_DATABASE.search(database_words(error)):
        return False
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return True
    state = str(getattr(error.orig, "pgcode", None) or "")
    # Of SQLite, which needs no server, an OperationalError is about the file or the statement. Of PostgreSQL it has a
    # number where a server said it; classes 08, 53, 57 and 58 are about the server itself.
    is_server = not type(error.orig).__module__.startswith("sqlite3")
    return isinstance(error, OperationalError) and is_server and (not state or state[:2] in ("08", "53", "57", "58"))


def is_busy(error: BaseException) -> bool:
    """Say whether a database undid a statement because of others at the same time."""
    state = str(getattr(getattr(error, "orig", None), "pgcode", None) or "")
    return state in _BUSY_STATES or bool(_BUSY.search(database_words(error)))


def _of_metastore(error: BaseException) -> AutostreamError | None:
    # Not loaded by those who have no metastore: Thrift's classes take a moment of every command.
    from hive_metastore.ttypes import MetaException

    from autostream.catalogs.hive_answers import MetastoreAnswer, answer_of

    if isinstance(error, MetaException) and answer_of(error) is MetastoreAnswer.FORBIDDEN:
        return DeniedError(
            f"The metastore denied this: {error.message}. Grant the account the permission, or set another account "
            "(autostream.proxy-user)."
        )
    return None


def _of_files(error: BaseException) -> AutostreamError | None:
    """Object stores and disks: PyArrow raises an `OSError` for whatever a store says, or does not say."""
    if not isinstance(error, OSError) or isinstance(error, _ABOUT_FILES):
        return None
    words = first_line(str(error)) or type(error).__name__
    if isinstance(error, PermissionError) or _NO_ACCESS.search(words):
        return DeniedError(
            f"No permission to read or write a file: {words}. Correct the credentials or the permissions."
        )
    if _NO_BUCKET.search(words):
        return ConfigurationError(
            f"The storage of the files does not exist: {words}. Correct the location or the endpoint."
        )
    return ServiceError(f"A service or a disk did not answer: {words}. {_REMEDY}")
