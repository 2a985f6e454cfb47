from typing import Any

import pytest

from autostream.findings import Severity
from autostream.locks.lock_notices import notice_of_lock
from autostream.notices import NoticeKind

LOCK = {
    "table": "hive.db.orders",
    "user": "flink",
    "host": "tm-1",
    "agent": "Iceberg-7",
    "reason": "its job has ended",
    "stale": True,
    "released": False,
    "error": None,
}


@pytest.mark.parametrize("kept", [{"stale": False}, {}])  # the latter: another process was faster
def test_a_lock_that_was_not_released_is_not_told_of(kept: dict[str, Any]) -> None:
    assert notice_of_lock(LOCK | kept, at_ms=1) is None


def test_a_released_lock() -> None:
    found = notice_of_lock(LOCK | {"released": True}, at_ms=1)
    assert found
    assert (found.kind, found.severity, found.subject) == (
        NoticeKind.LOCK_RELEASED,
        Severity.WARNING,
        "table hive.db.orders",
    )
    assert found.fields["holder"] == {"en": "flink on tm-1 (Iceberg-7)", "zh-CN": "tm-1 上的 flink（Iceberg-7）"}
    assert found.link == "/tables/hive.db.orders"


def test_a_lock_that_could_not_be_released() -> None:
    found = notice_of_lock(LOCK | {"error": "The metastore is down.", "table": "hive.db.*", "agent": ""}, at_ms=1)
    assert found
    assert (found.kind, found.severity, found.link) == (NoticeKind.LOCK_NOT_RELEASED, Severity.ERROR, "")
    assert found.fields["error"] == "The metastore is down."
    assert found.fields["holder"] == {"en": "flink on tm-1", "zh-CN": "tm-1 上的 flink"}
