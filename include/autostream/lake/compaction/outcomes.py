"""What became of the tables of a run: one outcome a table, and which of them somebody should look at. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

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

SUCCESSES = ("nothing-to-do", "planned", "committed")
"""Statuses of a table about which nobody needs to do anything, the best first."""

FAILURES = ("conflict", "unknown", "failed")
"""Statuses of a table that somebody should look at, the worst last."""

_STAYS = (CommitRefusedError, DataError, DeniedError, UnsupportedFileError, UnsupportedTableError, UsageError)
_SEVERITY = {status: rank for rank, status in enumerate((*SUCCESSES, *FAILURES))}
_TOTALS = ("rows_read", "rows_deleted", "bytes_read", "bytes_written")


def failed(row: Mapping[str, Any]) -> bool:
    """Whether an outcome is one of `FAILURES`; a status that nobody knows is one."""
    return row["status"] not in SUCCESSES


def outcome_of_error(table: str, error: BaseException) -> dict[str, Any]:
    """Return the outcome of a table whose compaction ended by an error.

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


def outcomes_by_table(rows: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """One outcome a table, by name, where a table that was split has several.

    The worst status counts, counts and seconds are summed, `before` is the earliest commit's and `after` the latest's,
    and the errors stand together.

    Args:
        rows: Outcomes as `CompactionResult.to_dict` gives them, with `error` where there is one.
    """
    tables: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        tables.setdefault(row["table"], []).append(row)
    return tuple(_together(table, tables[table]) for table in sorted(tables))


def _together(table: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if len(rows) == 1:
        return dict(rows[0])
    worst = max(rows, key=lambda row: _SEVERITY.get(row["status"], len(_SEVERITY)))
    merged: dict[str, Any] = {"table": table, "status": worst["status"], "items": len(rows)}
    for name in ("groups", "seconds"):
        if found := [row[name] for row in rows if row.get(name)]:
            merged[name] = _summed(found)
    for name in _TOTALS:
        if values := [row[name] for row in rows if _is_number(row.get(name))]:
            merged[name] = sum(values)
    # Items of one table commit one after the other, in any order: the most files were there before the first, and the
    # fewest after the last.
    before: list[Mapping[str, int]] = [row["before"] for row in rows if row.get("before")]
    if before:
        merged["before"] = max(before, key=_files)
    after: list[Mapping[str, int]] = [row["after"] for row in rows if row.get("after")]
    if after:
        merged["after"] = min(after, key=_files)
    if errors := sorted({str(row["error"]) for row in rows if row.get("error")}):
        merged["error"] = " ".join(errors)
    return merged


def _summed(documents: Sequence[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for document in documents:
        for key, value in document.items():
            total[key] = total.get(key, 0) + value
    return total


def _files(counts: Mapping[str, int]) -> int:
    return sum(value for key, value in counts.items() if key.endswith("_files"))


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
