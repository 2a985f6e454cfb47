from collections.abc import Sequence
from typing import Any

import pytest

from autostream.findings import Severity
from autostream.lake.compaction.failure_notices import failure_notices
from autostream.notices import Notice
from autostream.notify.wording import write_letter


def rows(**statuses: str) -> list[dict[str, Any]]:
    return [{"table": f"lake.db.{name}", "status": status, "error": "so it is"} for name, status in statuses.items()]


def notice(of: Sequence[dict[str, Any]]) -> Notice:
    (found,) = failure_notices(of, run="lake_compaction manual__1", at_ms=1)
    return found


def test_a_run_without_failures_is_not_told_of() -> None:
    assert failure_notices(rows(a="committed", b="nothing-to-do"), run="r", at_ms=1) == ()
    assert failure_notices([], run="r", at_ms=1) == ()


def test_a_run_with_failures_names_them() -> None:
    found = notice(rows(a="committed", b="failed", c="conflict"))
    assert found.fields == {
        "run": "lake_compaction manual__1",
        "failed": 2,
        "tables": 3,
        "failures": "lake.db.b: failed: so it is\nlake.db.c: conflict: so it is",
    }
    assert (found.subject, found.link, found.severity) == ("2 tables", "/", Severity.ERROR)


@pytest.mark.parametrize(
    ("status", "severity"),
    [("conflict", Severity.WARNING), ("unknown", Severity.ERROR), ("failed", Severity.ERROR), ("?", Severity.ERROR)],
)
def test_one_table_is_named_and_linked(status: str, severity: Severity) -> None:
    found = notice(rows(a=status, b="committed"))
    assert (found.subject, found.link, found.severity) == ("table lake.db.a", "/tables/lake.db.a", severity)


def test_only_another_set_of_tables_is_news() -> None:
    keys = [
        notice(rows(**of)).key
        for of in ({"a": "failed", "b": "failed"}, {"b": "unknown", "a": "failed"}, {"a": "failed"})
    ]
    assert keys[0] == keys[1] != keys[2]


def test_of_many_tables_some_are_named() -> None:
    found = notice(rows(**{f"t{number:03}": "failed" for number in range(25)}))
    assert "lake.db.t009" in write_letter(found).body
    assert "and 15 more" in write_letter(found).body
    assert "另有 15 个表" in write_letter(found, language="zh-CN").body
    assert "t010" not in write_letter(found).body
