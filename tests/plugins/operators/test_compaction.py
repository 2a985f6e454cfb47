"""One work item: tables on their own, retries only where they help, and nothing done twice."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from autostream.lake.compaction.compaction_actions import ListTables
from autostream.lake.compaction.workload import WorkItem, WorkPart
from autostream_airflow.operators.compaction import CompactionOperator


def item(*tables: str) -> dict[str, Any]:
    return WorkItem(tuple(WorkPart(table, None, 1, 1) for table in tables)).to_dict()


def run(context: dict[str, Any], *tables: str) -> list[dict[str, Any]]:
    return CompactionOperator(task_id="compact", item=item(*tables)).execute(context)


@pytest.fixture
def down(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A table whose catalog refuses connections."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening, so nobody else takes the port
        monkeypatch.setenv("PYICEBERG_CATALOG__DOWN__TYPE", "rest")
        monkeypatch.setenv("PYICEBERG_CATALOG__DOWN__URI", f"http://127.0.0.1:{unused.getsockname()[1]}")
        yield "down.db.table"


def snapshots(lake: SqlCatalog, name: str) -> int:
    return len(lake.load_table(("db", name)).metadata.snapshots)


def test_tables_are_compacted_and_their_rows_returned_and_left(
    context: dict[str, Any], make_table: Callable[..., Table], lake: SqlCatalog
) -> None:
    make_table("a")
    make_table("b")
    rows = run(context, "lake.db.a", "lake.db.b")
    assert [(row["table"], row["status"]) for row in rows] == [("lake.db.a", "committed"), ("lake.db.b", "committed")]
    assert rows[0]["before"]["data_files"] == 12
    assert rows[0]["after"]["data_files"] == 1
    assert context["ti"].pushed == {"rows": rows}
    assert context["task_state_store"] == {}
    assert snapshots(lake, "a") == 13


def test_params_reach_the_table(context: dict[str, Any], make_table: Callable[..., Table], lake: SqlCatalog) -> None:
    make_table("a")
    context["params"] |= {"dry_run": True, "options": {"min-input-files": 99, "delete-file-threshold": 99}}
    (row,) = run(context, "lake.db.a")
    assert row["status"] == "planned"
    assert snapshots(lake, "a") == 12


def test_a_table_that_is_gone_fails_without_a_repetition_and_alone(
    context: dict[str, Any], make_table: Callable[..., Table], lake: SqlCatalog
) -> None:
    make_table("a")
    with pytest.raises(AirflowFailException, match=r"^lake\.db\.gone: failed: Table lake\.db\.gone does not exist"):
        run(context, "lake.db.gone", "lake.db.a")
    assert [row["status"] for row in context["ti"].pushed["rows"]] == ["failed", "committed"]
    assert snapshots(lake, "a") == 13


def test_a_repetition_does_only_what_is_left(
    context: dict[str, Any], make_table: Callable[..., Table], lake: SqlCatalog, down: str
) -> None:
    make_table("a")
    with pytest.raises(
        AirflowException, match=r"Airflow will try these again:\ndown\.db\.table: failed: Cannot open catalog 'down'"
    ) as raised:
        run(context, "lake.db.a", down)
    assert not isinstance(raised.value, AirflowFailException)
    first = context["ti"].pushed["rows"]
    assert [row["status"] for row in first] == ["committed", "failed"]

    context["ti"].try_number = 2
    with pytest.raises(AirflowException, match="Airflow will try these again"):
        run(context, "lake.db.a", down)
    assert context["ti"].pushed["rows"][0] == first[0], "the row of the first try, not nothing-to-do of the second"

    context["ti"].try_number = 3
    with pytest.raises(AirflowFailException, match=r"^down\.db\.table: failed"):
        run(context, "lake.db.a", down)
    assert context["ti"].pushed["rows"][0] == first[0]
    assert context["task_state_store"] == {}, "who clears the task wants everything done again"


def test_wrong_settings_fail_at_once(context: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_COMPACTION__TABLE_TIMEOUT_SECONDS", "soon")
    with pytest.raises(AirflowFailException, match=r"compaction\.table_timeout_seconds"):
        run(context, "lake.db.a")


def test_killing_the_task_ends_the_child(context: dict[str, Any], lake: SqlCatalog) -> None:
    operator = CompactionOperator(task_id="compact", item=item("lake.db.a"))
    operator.on_kill()
    worker = operator.open_worker()
    worker.ask(ListTables(catalog="lake"), timeout_seconds=300)
    child = worker.process
    assert child is not None
    operator.on_kill()
    assert child.poll() is not None
