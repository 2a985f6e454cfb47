"""The columns of the tables on pages, each with its heading in the reader's language. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from autostream.console.language import Translate

_NUMBER: Final = "number"

COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    "tables": {
        "table": "name",
        "data_files": _NUMBER,
        "delete_files": _NUMBER,
        "small_files": _NUMBER,
        "size": _NUMBER,
        "compacted": "",
        "lag": _NUMBER,
        "complete_up_to": "time",
        "slowest": "details",
    },
    "jobs": {
        "job": "name",
        "state": "",
        "score": _NUMBER,
        "cpu": _NUMBER,
        "memory": _NUMBER,
        "lag": _NUMBER,
        "findings": "details",
    },
    "teams": {
        "team": "name",
        "score": _NUMBER,
        "jobs": _NUMBER,
        "unwell": _NUMBER,
        "cpu": _NUMBER,
        "memory": _NUMBER,
        "slots": _NUMBER,
    },
    "vertices": {
        "operators": "name",
        "parallelism": _NUMBER,
        "busy": _NUMBER,
        "back_pressured": _NUMBER,
        "records_in": _NUMBER,
        "records_out": _NUMBER,
        "watermark_lag": _NUMBER,
    },
    "partitions": {
        "partition": "name",
        "data_files": _NUMBER,
        "delete_files": _NUMBER,
        "size": _NUMBER,
        "deleted": _NUMBER,
        "why": "details",
    },
    "locks": {"holder": "details", "since": "time", "waiting": "details"},
    "runs": {
        "ended": "time",
        "status": "",
        "data_files": _NUMBER,
        "delete_files": _NUMBER,
        "size": _NUMBER,
        "rows": _NUMBER,
        "seconds": _NUMBER,
        "memory": _NUMBER,
        "by": "details",
    },
    "writers": {"writer": "name", "status": "", "complete_up_to": "time", "recorded": "time", "details": "details"},
    "entries": {"recorded": "time", "what": "", "whose": "name", "complete_up_to": "time", "details": "details"},
    "snapshots": {
        "made": "time",
        "operation": "",
        "added": _NUMBER,
        "removed": _NUMBER,
        "total": _NUMBER,
        "snapshot": "code",
    },
}
"""The columns of each table by their keys, and how style sheets call what is in them."""
_NAMES: Final = ("table", "job", "team", "operators", "partition", "writer")


@dataclass(frozen=True)
class PageColumn:
    """One column.

    Attributes:
        key: Under which its cells are in rows.
        heading: What stands above it.
        look: The classes of its cells.
        names_row: Whether its cells name their rows.
        sort: What sorts by it, in another way than now; empty where nothing does.
        order: `ascending` or `descending` where rows are sorted by it.
    """

    key: str
    heading: str
    look: str
    names_row: bool
    sort: str = ""
    order: str = ""


def columns_of(table: str, *, t: Translate) -> list[PageColumn]:
    """Return the columns of a table of `COLUMNS`."""
    return [PageColumn(key, t(f"column.{key}"), look, key in _NAMES) for key, look in COLUMNS[table].items()]
