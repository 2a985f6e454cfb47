"""What people are told of stale Hive locks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autostream.findings import Severity
from autostream.notices import Notice, NoticeKind, page_of_table


def notice_of_lock(row: Mapping[str, Any], *, at_ms: int) -> Notice | None:
    """Return the notice of a lock that the janitor released, or could not release; None of any other.

    Args:
        row: What became of the lock, as `sweep_locks` has it.
        at_ms: When.
    """
    if not (row["released"] or row["error"]):
        return None
    agent = row["agent"]
    holder = {
        "en": f"{row['user']} on {row['host']}" + (f" ({agent})" if agent else ""),
        "zh-CN": f"{row['host']} 上的 {row['user']}" + (f"（{agent}）" if agent else ""),
    }
    fields = {"table": row["table"], "holder": holder, "reason": row["reason"]}
    return Notice(
        kind=NoticeKind.LOCK_RELEASED if row["released"] else NoticeKind.LOCK_NOT_RELEASED,
        severity=Severity.WARNING if row["released"] else Severity.ERROR,
        subject=f"table {row['table']}",
        at_ms=at_ms,
        fields=fields if row["released"] else fields | {"error": row["error"]},
        link="" if row["table"].endswith(".*") else page_of_table(row["table"]),  # of a whole database
    )
