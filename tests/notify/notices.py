"""Notices and targets for tests."""

from typing import Any

from pydantic import SecretStr

from autostream.config import NotifySettings, NotifyTarget
from autostream.findings import Severity
from autostream.notices import Notice, NoticeKind

NOW_MS = 1_795_399_200_000


def released(table: str = "lake.db.orders", **changes: Any) -> Notice:
    """A notice of a lock that was released."""
    values: dict[str, Any] = {
        "kind": NoticeKind.LOCK_RELEASED,
        "severity": Severity.WARNING,
        "subject": f"table {table}",
        "at_ms": NOW_MS,
        "fields": {"table": table, "holder": "flink@tm-1", "reason": "its job has ended"},
        "link": f"/tables/{table}",
    }
    return Notice(**(values | changes))


def target(name: str = "oncall", url: str = "json://127.0.0.1:9/", **changes: Any) -> NotifyTarget:
    """A target that gets everything."""
    return NotifyTarget(name=name, url=SecretStr(url), **changes)


def settings(*targets: NotifyTarget, **changes: Any) -> NotifySettings:
    """The section of some targets."""
    return NotifySettings(targets=targets or (target(),), **changes)
