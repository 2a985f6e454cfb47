"""Requests for work: registered, carried as JSON, done, and what becomes of those that fail."""

import json
from typing import Any, ClassVar

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from autostream.actions import (
    ACTIONS,
    Action,
    ActionFailed,
    CatalogAction,
    TableAction,
    Workbench,
    action_of,
    perform,
)
from autostream.config import load_settings
from autostream.errors import ConflictError, DefectError
from autostream.lake.compaction.compaction_actions import CompactTable, ListTables, PlanTable
from autostream.locks.lock_actions import SweepLocks

REQUESTS = {
    "list-tables": ListTables(catalog="lake"),
    "plan-compaction": PlanTable(table="lake.db.t", options={"rewrite-all": "true"}, enabled_only=True),
    "compact": CompactTable(table="lake.db.t", partitions=("spec=0",), where="day = 1", dry_run=True),
    "sweep-locks": SweepLocks(catalog="hive", properties={"uri": "thrift://hive"}, dry_run=True),
}


@pytest.mark.parametrize("kind", ACTIONS)
def test_each_registered_kind_comes_back_from_json_as_it_was(kind: str) -> None:
    request = REQUESTS[kind]
    assert request.kind == kind
    assert action_of(json.loads(json.dumps(request.to_document()))) == request


@pytest.mark.parametrize("document", [{"action": "dance", "catalog": "lake"}, {"catalog": "lake"}])
def test_an_unregistered_action_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(DefectError, match=r"Unknown action .* Registered: list-tables"):
        action_of(document)


def test_a_request_with_a_key_that_means_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="dry"):
        action_of({"action": "compact", "table": "lake.db.t", "dry": True})


def test_what_a_request_is_about() -> None:
    table, catalog = PlanTable(table="lake.db.t"), ListTables(catalog="lake")
    assert (table.catalog_name, table.subject, table.description) == ("lake", "lake.db.t", "table lake.db.t")
    assert (catalog.catalog_name, catalog.subject, catalog.description) == ("lake", "lake", "catalog lake")
    assert "compaction.table_timeout_seconds" in str(table.too_slow(5))
    assert "autostream lock janitor --catalog hive" in str(SweepLocks(catalog="hive").too_slow(5))


def test_properties_of_a_catalog_are_not_shown() -> None:
    request = ListTables(catalog="lake").with_properties({"password": "s3cret"})
    assert "s3cret" not in repr(request)
    assert request.to_document()["properties"] == {"password": "s3cret"}


class Fail(TableAction[None]):
    """Fails."""

    kind: ClassVar[str] = "fail"

    def perform(self, bench: Workbench) -> None:
        raise ConflictError("Another writer was faster.") if self.table.endswith("busy") else KeyError("a bug")


@pytest.mark.parametrize(("table", "status"), [("lake.db.busy", "conflict"), ("lake.db.t", "failed")])
def test_a_failure_of_any_kind_is_a_row(table: str, status: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ActionFailed) as raised:
        perform(Fail(table=table), Workbench(load_settings()))
    assert (raised.value.row["table"], raised.value.row["status"]) == (table, status)
    assert ("Traceback" in caplog.text) is (status == "failed"), "nobody wrote the message of a defect for a reader"


class Open(CatalogAction[int]):
    """Opens the catalog."""

    kind: ClassVar[str] = "open"

    def perform(self, bench: Workbench) -> int:
        return id(bench.open(self.catalog, self.properties))


def test_a_catalog_is_opened_once(lake: SqlCatalog) -> None:
    bench = Workbench(load_settings())
    request: Action[int] = Open(catalog="lake")
    assert perform(request, bench) == perform(request, bench)
