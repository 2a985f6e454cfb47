"""Readings of real tables: what is wrong with a table is told from what is wrong with its catalog."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from autostream.errors import ServiceError, UsageError
from autostream.watermark.conditions import Condition
from autostream.watermark.marks import TableMark
from autostream_airflow.hooks.catalog import CatalogHook
from autostream_airflow.marks import MarkReader, Reading, describe, judge_readings


@pytest.fixture(autouse=True)
def _no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(conn_id: str) -> None:
        raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")

    monkeypatch.setattr(CatalogHook, "get_connection", staticmethod(nothing))


@pytest.fixture
def table(make_table: Callable[..., Table]) -> Table:
    return make_table("t", checkpoints=1, **{"autostream.watermark": "1000"})


def test_a_mark_is_read_anew_each_time_in_a_catalog_opened_once(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    get_conn = CatalogHook.get_conn
    monkeypatch.setattr(CatalogHook, "get_conn", lambda hook: opened.append(hook.catalog) or get_conn(hook))
    reader = MarkReader()
    first = reader.read("lake.db.t")
    table.transaction().set_properties({"autostream.watermark": "2000"}).commit_transaction()
    marks = [reading.mark.watermark_ms for reading in (first, reader.read("lake.db.t")) if reading.mark]
    assert marks == [1000, 2000]
    assert opened == ["lake"]


def test_each_thread_has_a_catalog_of_its_own(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    get_conn = CatalogHook.get_conn
    monkeypatch.setattr(CatalogHook, "get_conn", lambda hook: opened.append(threading.get_ident()) or get_conn(hook))
    reader = MarkReader()
    reader.read("lake.db.t")
    thread = threading.Thread(target=reader.read, args=("lake.db.t",))
    thread.start()
    thread.join()
    assert len(set(opened)) == len(opened) == 2


@pytest.mark.parametrize(
    ("name", "message"), [("lake.db.none", "lake.db.none does not exist"), ("t", "does not name a table")]
)
def test_what_does_not_exist_is_hopeless(table: Table, name: str, message: str) -> None:
    reading = MarkReader().read(name)
    assert reading.mark is None
    assert reading.hopeless
    assert message in reading.problem


def test_a_catalog_that_is_down_is_opened_anew_until_it_is_up(
    table: Table, lake: SqlCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = lake.properties["uri"]
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", f"sqlite:///{tmp_path}/no/such/directory.db")
    reader = MarkReader()
    down = reader.read("lake.db.t")
    assert down == reader.read("lake.db.t")  # the same words, so that nobody is told twice
    assert not down.hopeless
    assert "Catalog 'lake' cannot be opened" in down.problem
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", uri)
    assert reader.read("lake.db.t").mark is not None


def test_after_a_failure_no_thread_goes_on_with_the_old_catalog(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    get_conn = CatalogHook.get_conn
    monkeypatch.setattr(CatalogHook, "get_conn", lambda hook: opened.append(hook.catalog) or get_conn(hook))
    reader = MarkReader()
    reader.read("lake.db.t")
    location = Path(table.metadata_location.removeprefix("file://"))
    location.rename(location.with_suffix(".away"))
    other = threading.Thread(target=reader.read, args=("lake.db.t",))  # its failure is everybody's
    other.start()
    other.join()
    location.with_suffix(".away").rename(location)
    assert reader.read("lake.db.t").mark is not None
    assert opened == ["lake"] * 3


def test_an_error_is_described_in_one_line_without_what_changes_each_time() -> None:
    told = describe(ServiceError("no answer from <Connection object at 0x7f12ab>\n  host down"))
    assert told == "no answer from <Connection object> host down"
    assert describe(KeyError("a")) == "KeyError: 'a'"
    assert len(describe(ServiceError("x" * 10_000))) <= 501


def test_a_condition_is_judged_by_what_could_be_read_with_the_reasons_for_the_rest() -> None:
    condition = Condition(tables=("lake.db.a", "lake.db.b"), until_ms=3_600_000)
    readings = {"lake.db.a": Reading(TableMark("lake.db.a", None, 3_600_000)), "lake.db.b": Reading(None, "it is down")}
    answer, explanation = judge_readings(condition, readings)
    assert not answer.met
    assert explanation.endswith("(it is down)")
    assert "lake.db.b: its watermark could not be read" in explanation
    with pytest.raises(UsageError, match=r"there is no lake\.db\.b"):
        judge_readings(condition, readings | {"lake.db.b": Reading(None, "there is no lake.db.b", hopeless=True)})
