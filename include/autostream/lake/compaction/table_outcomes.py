"""What became of the tables of a run: one outcome a table, and which of them someone should look at. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from autostream.errors import AutostreamError, ConflictError, OutcomeUnknownError

Row = dict[str, Any]
"""What became of a table, as `autostream table compact --json` prints it."""

SUCCESSES = ("nothing-to-do", "planned", "committed")
"""Statuses of a table about which nobody needs to do anything, the best first."""

FAILURES = ("conflict", "unknown", "failed")
"""Statuses of a table that someone should look at, the worst last."""

_SEVERITY = {status: rank for rank, status in enumerate((*SUCCESSES, *FAILURES))}
_EXIT_CODES: Final = {"conflict": ConflictError.exit_code, "unknown": OutcomeUnknownError.exit_code}
_TOTALS = ("rows_read", "rows_deleted", "bytes_read", "bytes_written")


def failed(row: Mapping[str, Any]) -> bool:
    """Whether an outcome is one of `FAILURES`; a status that nobody knows is one."""
    return row["status"] not in SUCCESSES


def summary(row: Mapping[str, Any]) -> str:
    """Say what became of one table."""
    return f"{row['status']}: {row['error']}" if row.get("error") else str(row["status"])


def describe(rows: Iterable[Mapping[str, Any]]) -> str:
    """Say what became of tables, one line each."""
    return "\n".join(f"{row['table']}: {summary(row)}" for row in rows)


HEADINGS = ("table", "status", "data files", "delete files", "bytes", "seconds", "error")
"""What `cells` has of each row."""


def cells(row: Mapping[str, Any], *, size: Callable[[int], str] = "{:,}".format, arrow: str = " → ") -> tuple[str, ...]:
    """Return a row as a line of a table of text: before and after, where something changed.

    Args:
        row: What became of a table.
        size: Writes a number of bytes.
        arrow: Stands between before and after.
    """
    before, after = row.get("before") or {}, row.get("after") or {}

    def change(of: Callable[[Mapping[str, int]], int | None], write: Callable[[int], str] = "{:,}".format) -> str:
        old, new = of(before), of(after)
        if old is None:
            return ""
        return write(old) if new is None or new == old else f"{write(old)}{arrow}{write(new)}"

    return (
        row["table"],
        row["status"],
        change(lambda counts: counts.get("data_files")),
        change(_deletes),
        change(lambda counts: counts.get("bytes"), size),
        f"{sum(row['seconds'].values()):.1f}" if row.get("seconds") else "",
        row.get("error") or "",
    )


def _deletes(counts: Mapping[str, int]) -> int | None:
    if not counts:
        return None
    return counts.get("equality_delete_files", 0) + counts.get("position_delete_files", 0)


def worst_status(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the worst status of some rows; the best of all where there are none."""
    return max((row["status"] for row in rows), key=_severity, default=SUCCESSES[0])


def _severity(status: str) -> int:
    return _SEVERITY.get(status, len(_SEVERITY))


@dataclass(frozen=True)
class FleetResult:
    """What a compaction of many tables came to.

    Attributes:
        rows: One outcome a table, by name; those of catalogs that could not be listed are among them.
        dry_run: Whether it was only planned.
    """

    rows: tuple[Row, ...]
    dry_run: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """How many tables there are of each status."""
        return dict(Counter(row["status"] for row in self.rows))

    @property
    def failures(self) -> tuple[Row, ...]:
        """The outcomes that someone should look at."""
        return tuple(row for row in self.rows if failed(row))

    @property
    def exit_code(self) -> int:
        """That of the worst outcome, as of a command that ends by it; 0 where nothing went wrong."""
        return _exit_code(self.failures)

    def to_dict(self) -> dict[str, Any]:
        """Return it as `autostream table compact --json` prints it for many tables."""
        return {"dry_run": self.dry_run, "counts": self.counts, "tables": list(self.rows)}


@dataclass(frozen=True)
class EnablingResult:
    """What became of tables whose compaction was enabled or disabled.

    Attributes:
        rows: One a table, with `status` `changed` or `unchanged`, or an `error`.
    """

    rows: tuple[Row, ...]

    @property
    def failures(self) -> tuple[Row, ...]:
        """Those that could not be changed."""
        return tuple(row for row in self.rows if "error" in row)

    @property
    def exit_code(self) -> int:
        """That of the worst failure, as of a command that ends by it; 0 where there is none."""
        return _exit_code(self.failures)

    def to_dict(self) -> dict[str, Any]:
        """Return it as `autostream table enable --json` prints it."""
        return {"tables": list(self.rows)}


def _exit_code(failures: Sequence[Row]) -> int:
    return _EXIT_CODES.get(worst_status(failures), AutostreamError.exit_code) if failures else 0


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
    worst = max(rows, key=lambda row: _severity(row["status"]))
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
