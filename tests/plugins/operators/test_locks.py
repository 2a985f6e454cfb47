"""Stale Hive locks as an operator finds them: through a real child, in a real metastore where one is needed."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException
from pyiceberg.catalog.sql import SqlCatalog

from autostream_airflow.assets import RELEASED_LOCKS
from autostream_airflow.hooks.catalog import CatalogHook
from autostream_airflow.hooks.metastore import MetastoreHook
from autostream_airflow.operators.locks import JudgeLocksOperator, SweepLocksOperator, status
from tests.plugins.operators.events import FakeEvents
from tests.support.locks import dead_lock, locks_of

if TYPE_CHECKING:
    from tests.support.hadoop import HiveMetastore

LOCK = {
    "table": "lake.db.orders",
    "lock_id": 7,
    "user": "svc",
    "host": "host-7",
    "agent": "Iceberg-1",
    "stale": True,
    "reason": "no heartbeat of its holder for 700 s; nothing else shows whether its holder is alive",
    "released": True,
    "error": None,
}


@pytest.fixture
def events(context: dict[str, Any]) -> FakeEvents:
    events = FakeEvents()
    context["outlet_events"] = {RELEASED_LOCKS: events}
    context["params"] = {"catalogs": [], "dry_run": False}
    return events


@pytest.fixture(autouse=True)
def _nothing_else_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTOSTREAM_JANITOR__CATALOGS", raising=False)
    monkeypatch.delenv("AUTOSTREAM_COMPACTION__CATALOGS", raising=False)
    monkeypatch.setattr("autostream.config.pyiceberg_catalogs", dict)


def sweep(context: dict[str, Any], **kwargs: Any) -> list[dict[str, Any]]:
    return SweepLocksOperator(task_id="sweep", **kwargs).execute(context)


@pytest.mark.usefixtures("events")
def test_without_a_hive_catalog_there_is_nothing_to_do(
    context: dict[str, Any], lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUTOSTREAM_COMPACTION__CATALOGS", "lake")
    rows = sweep(context)
    assert rows == []
    assert "No Hive catalog is configured" in capsys.readouterr().out
    JudgeLocksOperator(task_id="report", rows=rows).execute(context)


@pytest.mark.usefixtures("events")
def test_one_that_is_named_must_be_hives(context: dict[str, Any], lake: SqlCatalog) -> None:
    context["params"]["catalogs"] = ["lake"]
    (row,) = sweep(context)
    assert (row["table"], row["status"]) == ("lake", "failed")
    assert "Catalog 'lake' is not a Hive catalog but a SqlCatalog" in row["error"]


def test_a_broken_configuration_fails_at_once(
    context: dict[str, Any], events: FakeEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSTREAM_JANITOR__STALE_AFTER_SECONDS", "soon")
    with pytest.raises(AirflowFailException, match=r"janitor\.stale_after_seconds"):
        sweep(context)
    assert events.added == []


def sweep_until_stale(context: dict[str, Any], table: str) -> list[dict[str, Any]]:
    """The janitor judges by the metastore's clock, which tells seconds of silence once they have passed.

    While it has released nothing, a metastore that is away has the task tried again, as Airflow does.
    """
    rows: list[dict[str, Any]] = []
    for _ in range(100):
        try:
            rows = sweep(context)
        except AirflowException as error:
            if "Airflow will try these again" not in str(error):
                raise
            continue
        if any(row.get("stale") for row in rows if row["table"] == f"lake.{table}"):
            break
    return rows


@pytest.mark.integration
@pytest.mark.xdist_group("hadoop")
class TestARealMetastore:
    @pytest.fixture
    def connections(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        """Sets which connections there are: metastores by URI."""
        from airflow.sdk import Connection

        def set_them(**uris: str) -> None:
            def get(conn_id: str) -> Connection:
                if conn_id not in uris:
                    raise AirflowNotFoundException(conn_id)
                return Connection(conn_id=conn_id, conn_type="hive_metastore", host=uris[conn_id])

            for hook in (CatalogHook, MetastoreHook):
                monkeypatch.setattr(hook, "get_connection", staticmethod(get))

        return set_them

    @pytest.fixture
    def table(self, hive_metastore: "HiveMetastore") -> Iterator[str]:
        with dead_lock(hive_metastore.uri) as table:
            yield table

    def test_a_catalog_that_fails_holds_up_no_other(
        self,
        context: dict[str, Any],
        events: FakeEvents,
        connections: Callable[..., None],
        hive_metastore: "HiveMetastore",
        table: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("AUTOSTREAM_JANITOR__STALE_AFTER_SECONDS", "1")
        connections(gone="thrift://localhost:1", lake=hive_metastore.uri)
        context["params"]["catalogs"] = ["gone", "lake"]
        rows = sweep_until_stale(context, table)
        found = {row["table"]: row for row in rows}
        assert found["gone"]["status"] == "failed"
        assert "No metastore answered" in found["gone"]["error"]
        released = found[f"lake.{table}"]
        assert (released["status"], released["agent"]) == ("released", "Iceberg-of-the-dead")
        assert events.added == [(f"released-lock:lake.{table}", released)]
        warnings = [line for line in capsys.readouterr().out.splitlines() if "[warning" in line]
        assert [line for line in warnings if f"lake.{table}, held by flink on host-that-died" in line]
        assert locks_of(hive_metastore.uri, table) == []
        with pytest.raises(AirflowFailException, match=r"Not all locks were checked:\ngone: failed: No metastore"):
            JudgeLocksOperator(task_id="report", rows=rows).execute(context)

    def test_a_dry_run_releases_and_announces_nothing(
        self,
        context: dict[str, Any],
        events: FakeEvents,
        connections: Callable[..., None],
        hive_metastore: "HiveMetastore",
        table: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("AUTOSTREAM_JANITOR__STALE_AFTER_SECONDS", "1")
        monkeypatch.setenv("AUTOSTREAM_JANITOR__CATALOGS", "lake")
        connections(lake=hive_metastore.uri)
        context["params"]["dry_run"] = True
        rows = sweep_until_stale(context, table)
        assert {row["table"]: row["status"] for row in rows}[f"lake.{table}"] == "stale"
        assert events.added == []
        assert len(locks_of(hive_metastore.uri, table)) == 1
        JudgeLocksOperator(task_id="report", rows=rows).execute(context)

    def test_one_that_hangs_is_given_up(
        self, context: dict[str, Any], events: FakeEvents, connections: Callable[..., None]
    ) -> None:
        import socket

        with socket.create_server(("127.0.0.1", 0)) as silent:
            connections(lake=f"thrift://127.0.0.1:{silent.getsockname()[1]}")
            context["params"]["catalogs"] = ["lake"]
            (row,) = sweep(context, catalog_timeout_seconds=4)
        assert row["status"] == "failed"
        assert "Checking the locks of catalog lake took longer than 4 seconds" in row["error"]
        assert events.added == []


@pytest.mark.parametrize(
    ("lock", "word"),
    [
        (LOCK, "released"),
        ({**LOCK, "released": False}, "stale"),
        ({**LOCK, "released": False, "stale": False}, "kept"),
        ({**LOCK, "released": False, "error": "no answer"}, "failed"),
    ],
)
def test_what_became_of_a_lock_in_a_word(lock: dict[str, Any], word: str) -> None:
    assert status(lock) == word


def test_a_release_that_failed_fails_the_run(context: dict[str, Any]) -> None:
    rows = [{**LOCK, "status": "failed", "released": False, "error": "No answer."}]
    with pytest.raises(AirflowFailException, match=r"lake\.db\.orders: failed: No answer\."):
        JudgeLocksOperator(task_id="report", rows=rows).execute(context)


def test_a_sweep_that_left_nothing_fails_the_run(context: dict[str, Any]) -> None:
    with pytest.raises(AirflowFailException, match="were not checked"):
        JudgeLocksOperator(task_id="report", rows=None).execute(context)


def test_rows_as_a_table_of_text() -> None:
    kept = {**LOCK, "table": "lake.db.b", "lock_id": 12, "agent": "", "status": "kept", "reason": "it lives"}
    broken = {"table": "archive", "status": "failed", "error": "No metastore."}
    assert list(
        JudgeLocksOperator(
            task_id="judge", rows=[{**LOCK, "status": "released", "reason": "silent"}, kept, broken]
        ).lines()
    ) == [
        "table           status    lock  holder                         reason",
        "lake.db.orders  released  7     svc on host-7 (Iceberg-1)      silent",
        "lake.db.b       kept      12    svc on host-7 (no agent info)  it lives",
        "archive         failed                                         No metastore.",
    ]
    assert list(JudgeLocksOperator(task_id="judge", rows=[]).lines()) == ["There are no locks."]
