"""Documents that commands print, as CSV. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

_PLAIN: Final = {None: "", True: "true", False: "false"}


def as_csv(document: Mapping[str, Any], rows: str | None = None) -> str:
    """Return a document as CSV with a line of headings, or nothing where there are no rows.

    Objects within are columns such as `counts.bytes`, lists within are JSON.

    Args:
        document: What would be printed as JSON.
        rows: The list in it that is about one object a line; None makes one line of the document.
    """
    lines = [dict(_cells(row)) for row in ([document] if rows is None else document.get(rows, []))]
    text = io.StringIO()
    if lines:
        columns = dict.fromkeys(name for line in lines for name in line)
        writer = csv.DictWriter(text, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return text.getvalue()


def _cells(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        if isinstance(value, Mapping):
            yield from _cells(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", json.dumps(value, ensure_ascii=False)
        else:
            yield f"{prefix}{key}", _PLAIN.get(value, value) if value is None or isinstance(value, bool) else value
