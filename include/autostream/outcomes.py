"""What became of work that ended by an error, as a row, and whether the same work may succeed later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from autostream.errors import (
    AutostreamError,
    CommitRefusedError,
    ConflictError,
    DataError,
    DeniedError,
    OutcomeUnknownError,
    UnsupportedFileError,
    UnsupportedTableError,
    UsageError,
)
from autostream.masking import mask

_STAYS = (CommitRefusedError, DataError, DeniedError, UnsupportedFileError, UnsupportedTableError, UsageError)


def outcome_of_error(table: str, error: BaseException) -> dict[str, Any]:
    """Return the outcome of work on a table, or on a catalog, that ended by an error.

    `repeat` says whether the kind of error passes by itself; `worth_repeating` looks at it.
    """
    status = "failed"
    if isinstance(error, ConflictError):
        status = "conflict"
    elif isinstance(error, OutcomeUnknownError):
        status = "unknown"
    return {
        "table": table,
        "status": status,
        "error": mask(str(error)) or type(error).__name__,
        "error_type": type(error).__name__,
        "repeat": _passes_by_itself(error),
    }


def _passes_by_itself(error: BaseException) -> bool:
    """Say whether an error, or what it was raised from, is of a kind that passes by itself."""
    if isinstance(error, AutostreamError):
        if error.passes_by_itself:
            return True
        if isinstance(error, _STAYS):  # whatever happened before it
            return False
    elif isinstance(error, OSError):
        return not isinstance(error, FileNotFoundError | PermissionError)
    return any(isinstance(cause, MemoryError) or _is_away(cause) for cause in _causes(error))


def _is_away(error: BaseException) -> bool:
    from autostream.catalogs.failures import explained  # loads the libraries of all types of catalogs

    found = explained(error)
    return found is not None and found.passes_by_itself


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def worth_repeating(row: Mapping[str, Any]) -> bool:
    """Whether the same work, done again a little later, may well succeed.

    That is so after a conflict, when the outcome is unknown (the next plan sees what is there), and when a service or a
    resource was lacking (`passes_by_itself` of the error, the one place that says so). A wrong property, a missing file
    or a table that took too long stays what it is.
    """
    return row["status"] in ("conflict", "unknown") or bool(row.get("repeat"))
