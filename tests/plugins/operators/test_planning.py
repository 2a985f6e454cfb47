"""Which tables are planned, in which items, and what becomes of those that cannot be."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from autostream_airflow.operators.planning import PlanCompactionOperator
from tests.support.away import away


def plan(context: dict[str, Any]) -> list[str]:
    """Labels of the items."""
    return [item["label"] for item in PlanCompactionOperator(task_id="plan").execute(context)]


def statuses(context: dict[str, Any]) -> dict[str, str]:
    return {row["table"]: row["status"] for row in context["ti"].pushed["rows"]}


@pytest.fixture(autouse=True)
def _an_item_for_each_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_COMPACTION__BATCH_SIZE_BYTES", "1")


@pytest.fixture
def tables(make_table: Callable[..., Table]) -> dict[str, Table]:
    return {
        "orders": make_table("orders"),
        "users": make_table("users", checkpoints=14),
        "off": make_table("off", **{"autostream.compaction.enabled": "false"}),
    }


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([], ["lake.db.users", "lake.db.orders"]),
        (None, ["lake.db.users", "lake.db.orders"]),
        (["lake.db.o*"], ["lake.db.orders"]),
        (["lake.db.off"], ["lake.db.off"]),
        (["lake.db.off", "lake.db.u*", "lake.db.off"], ["lake.db.users", "lake.db.off"]),
        (["lake.db.orders", "lake.*"], ["lake.db.users", "lake.db.orders"]),
    ],
)
def test_which_tables_are_planned(context: dict[str, Any], wanted: list[str], expected: list[str]) -> None:
    context["params"]["tables"] = wanted
    assert plan(context) == expected
    assert statuses(context) == {}


def test_a_table_with_nothing_to_do_is_a_row(context: dict[str, Any], make_table: Callable[..., Table]) -> None:
    make_table("quiet", key=(), checkpoints=1)
    assert plan(context) == []
    assert statuses(context) == {"lake.db.quiet": "nothing-to-do"}


def test_deletes_that_nothing_needs_any_more_are_work(
    context: dict[str, Any], make_table: Callable[..., Table]
) -> None:
    make_table("first", checkpoints=1)  # it deletes keys that were never there
    assert plan(context) == ["lake.db.first"]
    assert statuses(context) == {}


def test_what_cannot_be_planned_is_a_row_and_stops_no_other(
    context: dict[str, Any],
    tables: dict[str, Table],
    make_table: Callable[..., Table],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_table("wrong", **{"autostream.compaction.min-input-files": "many"})
    Path(tables["users"].metadata_location.removeprefix("file://")).unlink()
    monkeypatch.setenv("AUTOSTREAM_COMPACTION__CATALOGS", "nowhere, lake")
    context["params"]["tables"] = ["*.*", "lake.db.gone"]
    assert plan(context) == ["lake.db.orders"]
    assert statuses(context) == {
        "lake.db.gone": "failed",
        "lake.db.users": "failed",
        "lake.db.wrong": "failed",
        "nowhere": "failed",
    }
    errors = {row["table"]: row["error"] for row in context["ti"].pushed["rows"]}
    assert "autostream.compaction.min-input-files is 'many'" in errors["lake.db.wrong"]
    assert "Unknown catalog 'nowhere'" in errors["nowhere"]


@pytest.mark.usefixtures("tables")
def test_a_catalog_that_is_away_is_waited_for_while_there_are_tries(
    context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__GONE__TYPE", "rest")
    with away("refuses") as port:
        monkeypatch.setenv("PYICEBERG_CATALOG__GONE__URI", f"http://127.0.0.1:{port}")
        context["params"]["tables"] = ["lake.db.orders", "gone.db.t"]
        with pytest.raises(AirflowException, match=r"try these again:\ngone.db.t: failed: .* did not answer"):
            plan(context)
        context["ti"].try_number = 3
        assert plan(context) == ["lake.db.orders"]
    assert statuses(context) == {"gone.db.t": "failed"}


@pytest.mark.usefixtures("tables")
def test_a_pattern_that_matches_no_table_is_a_failed_row(context: dict[str, Any]) -> None:
    context["params"]["tables"] = ["lake.db.o*", "lake.db.odrers*", "lake.db.of*", "othr.*"]
    assert plan(context) == ["lake.db.orders"]
    assert statuses(context) == {"lake.db.odrers*": "failed", "othr.*": "failed"}


@pytest.mark.usefixtures("tables")
def test_a_where_that_fits_some_tables_is_a_row_of_the_others(context: dict[str, Any]) -> None:
    context["params"]["where"] = "day = 'x'"
    assert plan(context) == []
    assert statuses(context) == {"lake.db.orders": "failed", "lake.db.users": "failed"}


@pytest.mark.parametrize(
    ("param", "value", "message"),
    [
        ("options", {"rewrite-al": True}, "Did you mean rewrite-all"),
        ("options", {"min-input-files": 0}, "min-input-files is '0'"),
        ("options", {"min-input-files": 2.5}, "min-input-files is '2.5'"),
        ("options", {"rewrite-all": 1}, "rewrite-all is '1'"),
        ("options", {"target-file-size-bytes": "many"}, "target-file-size-bytes is 'many'"),
        ("options", {"delete-ratio-threshold": "nan"}, "delete-ratio-threshold is 'nan'"),
        ("options", {"engine": "spark"}, "Engine 'spark' is not available"),
        ("options", {"enabled": True}, "name it in full in the param `tables`"),
        ("where", "day >=", "A value is expected here"),
        ("where", " ", ""),
        ("tables", ["lake.*", "lake.orders"], "Invalid table name 'lake.orders'"),
        ("tables", ["lake..orders"], "Invalid table name 'lake..orders'"),
    ],
)
def test_what_no_table_takes_is_refused_before_any_is_looked_at(
    context: dict[str, Any], monkeypatch: pytest.MonkeyPatch, param: str, value: Any, message: str
) -> None:
    monkeypatch.setattr(PlanCompactionOperator, "open_worker", lambda self: pytest.fail("it was looked"))
    context["params"][param] = value
    with pytest.raises(AirflowFailException, match=rf"(?s)Invalid param `{param}`\..*{re.escape(message)}"):
        plan(context)


def test_no_catalog_at_all_is_refused(context: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from autostream import config

    monkeypatch.setattr(config, "pyiceberg_catalogs", dict)
    with pytest.raises(AirflowFailException, match=r"No catalog is configured.*AUTOSTREAM_COMPACTION__CATALOGS"):
        plan(context)


def test_a_table_larger_than_the_split_size_is_split(
    context: dict[str, Any], lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import IdentityTransform

    from autostream.demo.writer import Changes, UpsertWriter
    from tests.plugins.conftest import SCHEMA

    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "value"))
    table = lake.create_table(
        ("db", "days"), SCHEMA, partition_spec=spec, properties={"autostream.compaction.enabled": "true"}
    )
    writer = UpsertWriter(table)
    for _ in range(6):
        rows = [{"id": key, "value": f"day {key}"} for key in range(3)]
        writer.checkpoint(Changes((), upserts=pa.Table.from_pylist(rows)))
    monkeypatch.setenv("AUTOSTREAM_COMPACTION__SPLIT_SIZE_BYTES", "1")
    assert sorted(plan(context)) == [f"lake.db.days value=day+{key}" for key in range(3)]
