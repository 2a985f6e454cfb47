"""What people are told of a run with tables that failed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from autostream.findings import Severity
from autostream.lake.compaction.table_outcomes import Row, describe, failed, worst_status
from autostream.notices import Notice, NoticeKind, page_of_table

_MOST_NAMED: Final = 10


def failure_notices(rows: Sequence[Row], *, run: str, at_ms: int) -> tuple[Notice, ...]:
    """Return the notice of a run, none where no table failed.

    Another run in which the same tables fail is a repetition of it; one in which others do is not.

    Args:
        rows: What became of the tables of the run.
        run: Whose run it was.
        at_ms: When it ended.
    """
    broken = [row for row in rows if failed(row)]
    if not broken:
        return ()
    names = sorted(row["table"] for row in broken)
    told, more = describe(broken[:_MOST_NAMED]), len(broken) - _MOST_NAMED
    failures = {"en": f"{told}\nand {more:,} more", "zh-CN": f"{told}\n另有 {more:,} 个表"} if more > 0 else told
    return (
        Notice(
            kind=NoticeKind.COMPACTION_FAILED,
            severity=Severity.WARNING if worst_status(broken) == "conflict" else Severity.ERROR,
            subject=f"table {names[0]}" if len(names) == 1 else f"{len(names)} tables",
            at_ms=at_ms,
            fields={"run": run, "failed": len(broken), "tables": len(rows), "failures": failures},
            link=page_of_table(names[0]) if len(names) == 1 else "/",
            dedupe_key=f"{NoticeKind.COMPACTION_FAILED}: {', '.join(names)}",
        ),
    )
