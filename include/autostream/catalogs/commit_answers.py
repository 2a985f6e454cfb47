"""What a catalog's answer to a commit means for the sender, for every kind of catalog.

A commit that was overtaken is decided again upon the newest state; one whose answer was lost is looked for there; any
other failure stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeGuard, TypeVar

from pyiceberg.exceptions import (
    AuthorizationExpiredError,
    BadRequestError,
    CommitFailedException,
    ForbiddenError,
    NoSuchTableError,
    UnauthorizedError,
)

from autostream.catalogs.failures import explained
from autostream.errors import AutostreamError, ConflictError, DeniedError, OutcomeUnknownError, ServiceError

_T = TypeVar("_T")

# What a catalog answers only without having done anything.
_REFUSALS = (ForbiddenError, UnauthorizedError, AuthorizationExpiredError, BadRequestError)


class OvertakenError(ConflictError):
    """Nothing was changed, and another attempt may fare better: another commit was faster, or a service away."""


class CommitAnswerLostError(OutcomeUnknownError):
    """The catalog may have taken the commit, or may still do."""


@contextmanager
def judged(what: str) -> Iterator[None]:
    """Tell what an error means that a catalog ends a commit by.

    Args:
        what: What was refused, if it was, for a message: `the compaction of lake.db.orders`.

    Raises:
        OvertakenError: Nothing was changed, and another attempt may fare better.
        DeniedError: The catalog refused it.
        AutostreamError: Nothing was changed, and another attempt would end the same way.
        CommitAnswerLostError: Whether it was applied is not known.
    """
    try:
        yield
    except CommitFailedException as error:
        cause = root_cause(error)
        if is_permanent(cause):
            raise cause from error
        raise OvertakenError(str(error)) from error
    except _REFUSALS as error:
        raise DeniedError(
            f"The catalog refused {what}: {error}. Nothing was changed. Give this account the right to write to the "
            "table."
        ) from error
    except Exception as error:  # it may have been raised after the catalog took the commit
        raise CommitAnswerLostError(str(error) or type(error).__name__) from error


def reread(load: Callable[[], _T], *, table: str, purpose: str) -> _T:
    """Return a table as it is now, to decide upon it.

    Args:
        load: Loads it.
        table: Its name, for messages.
        purpose: What for: `to record watermarks`.

    Raises:
        NoSuchTableError: It is gone.
        AutostreamError: It cannot be read.
    """
    try:
        return load()
    except NoSuchTableError:
        raise
    except Exception as error:  # each catalog fails in its own way
        failure = explained(error) or AutostreamError(f"{error or type(error).__name__}.")
        raise type(failure)(
            f"Cannot read table {table} again {purpose}: {failure} This attempt changed nothing. Check the catalog, "
            "then try again."
        ) from error


def root_cause(error: BaseException) -> AutostreamError | None:
    """Return autostream's own error that a catalog's exception was raised from, if there is one."""
    while (cause := error.__cause__) is not None:
        if isinstance(cause, AutostreamError):
            return cause
        error = cause
    return None


def is_permanent(cause: AutostreamError | None) -> TypeGuard[AutostreamError]:
    """Say whether a commit that failed for this cause would fail again: nobody was faster, and no service is away."""
    return cause is not None and not isinstance(cause, ConflictError | ServiceError)
