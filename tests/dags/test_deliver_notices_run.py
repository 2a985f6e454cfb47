"""Notices sent by a workflow of a real Airflow to a robot that checks signatures."""

from pathlib import Path

import pytest

from autostream.notify.outbox import Fate, Outbox, put
from autostream.store.database import Database
from autostream.times import Clock
from tests.dags.airflow_runs import run_dag
from tests.notify.notices import released, settings, target
from tests.notify.robots import robots

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.exhaustive]


def test_what_is_due_is_sent_once(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    now_ms = Clock().now_ms()
    with robots(Clock()) as robot:
        with database.write() as connection:
            put(connection, [released(), released("lake.db.clicks")], settings(target("oncall")), now_ms=now_ms)
        runs = run_dag(
            "deliver_notices",
            "deliver",
            tmp_path,
            {},
            {},
            AUTOSTREAM_DATABASE__URL=f"sqlite:///{tmp_path}/a.db",
            AUTOSTREAM_NOTIFY__TARGETS__ONCALL__URL=robot.target_url,
            AUTOSTREAM_NOTIFY__DINGTALK_URL=robot.url,
        )
    assert [run["state"] for run in runs] == ["success", "success"]
    assert [run["rows"]["sent"] for run in runs] == [2, 0]
    assert len(robot.taken) == 2
    with database.read() as connection:
        assert Outbox(connection).counts()[Fate.SENT] == 2


def test_without_targets_a_run_is_skipped(tmp_path: Path) -> None:
    (run,) = run_dag("deliver_notices", "deliver", tmp_path, {})
    assert [task[:3:2] for task in run["tasks"]] == [["deliver", "skipped"]]
