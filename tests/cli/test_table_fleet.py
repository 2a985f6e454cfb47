"""`autostream table compact` of many tables, and which tables the workflow compacts."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table
from pyiceberg.utils.config import Config

from autostream.lake.compaction import fleet
from tests.support.commands import InProcess
from tests.support.lakes import Orders
from tests.support.reader import read_table

ENABLED = "autostream.compaction.enabled"


@pytest.fixture(autouse=True)
def _only_the_lake(lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
    monkeypatch.delenv("AUTOSTREAM_COMPACTION__CATALOGS", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def orders(lake: SqlCatalog) -> Orders:
    made = Orders(lake, "db.orders", **{ENABLED: "true"})
    made.checkpoint(2)
    return made


@pytest.fixture
def users(lake: SqlCatalog) -> Orders:
    made = Orders(lake, "db.users")
    made.checkpoint(2)
    return made


def by_id(row: dict[str, Any]) -> int:
    return int(row["id"])


def statuses(document: Any) -> dict[str, str]:
    return {row["table"]: row["status"] for row in document["tables"]}


ALL = ("--option", "rewrite-all=true")


# ------------------------------------------------------------------------------------- compact


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["lake.db.*"], {"lake.db.orders", "lake.db.users"}),
        (["lake.*"], {"lake.db.orders", "lake.db.users"}),
        (["*.users"], {"lake.db.users"}),
        (["lake.db.users", "lake.db.orders"], {"lake.db.orders", "lake.db.users"}),
        (["--enabled"], {"lake.db.orders"}),
        (["lake.*", "--enabled"], {"lake.db.orders"}),
        (["lake.db.users", "--enabled"], {"lake.db.users"}),
        (["lake.db.u*", "--enabled"], set()),
    ],
)
def test_which_tables_are_compacted(
    autostream: InProcess, orders: Orders, users: Orders, words: list[str], expected: set[str]
) -> None:
    document = autostream.document("table", "compact", *words, "--dry-run", *ALL)
    assert statuses(document) == dict.fromkeys(expected, "planned")
    assert document["dry_run"] is True
    assert all(len(row["plan"]["groups"]) == 1 for row in document["tables"])


def test_many_tables_are_compacted_and_each_says_what_became_of_it(
    autostream: InProcess, orders: Orders, users: Orders
) -> None:
    document = autostream.document("table", "compact", "lake.*", *ALL)
    assert statuses(document) == {"lake.db.orders": "committed", "lake.db.users": "committed"}
    assert document["counts"] == {"committed": 2}
    for made, row in zip((orders, users), document["tables"], strict=True):
        assert row["after"]["data_files"] == 1
        assert sorted(read_table(made.load()), key=by_id) == sorted(made.expected(), key=by_id)


def test_people_see_a_line_for_each_table(autostream: InProcess, orders: Orders, users: Orders) -> None:
    code, out, err = autostream("table", "compact", "lake.*", *ALL)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][:2] == ["table", "status"]
    assert [line[:2] for line in lines[1:]] == [["lake.db.orders", "committed"], ["lake.db.users", "committed"]]
    assert "->" in out
    assert "compacting: 1 of 2: lake.db." in err
    assert "lake.db.users: committed" in err


@pytest.mark.parametrize("as_json", [True, False])
def test_one_that_fails_stops_no_other_and_is_named_at_the_end(
    autostream: InProcess, orders: Orders, users: Orders, as_json: bool
) -> None:
    with orders.load().transaction() as change:
        change.set_properties({"autostream.compaction.min-input-files": "few"})
    code, out, err = autostream("table", "compact", "lake.*", *ALL, *(["--json"] if as_json else []))
    assert code == 1
    assert "error: 1 of 2 tables failed:\nlake.db.orders: failed: Table lake.db.orders: " in err
    assert len(users.load().metadata.snapshots) == 3
    if as_json:
        assert statuses(json.loads(out)) == {"lake.db.orders": "failed", "lake.db.users": "committed"}


@pytest.mark.parametrize(("status", "code"), [("conflict", 3), ("unknown", 4), ("failed", 1)])
def test_it_ends_as_the_worst_outcome_does(
    autostream: InProcess,
    orders: Orders,
    users: Orders,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    code: int,
) -> None:
    outcomes = ({"table": "a", "status": "committed"}, {"table": "b", "status": status, "error": "It was overtaken."})
    monkeypatch.setattr(fleet, "compact_fleet", lambda *_, **__: outcomes)
    assert autostream("table", "compact", "lake.*")[0] == code


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Name a table or a pattern, such as 'lake.shop.*', or add --enabled"),
        (["lake.db.odr*"], "Pattern 'lake.db.odr*' matches no table. No table in lake matches. There are"),
        (["lakes.*"], "Unknown catalog 'lakes'. Catalogs: lake. Did you mean lake?"),
        (["lake.*", "lake.none.*"], "Pattern 'lake.none.*' matches no table."),
        (["lake.*", "lake.orders"], "Invalid table name 'lake.orders'"),
        (["lake.*", "--partition", "spec=0"], "--partition needs exactly one table"),
        (["lake.*", "--option", "enabled=true"], "not an option of a run"),
        (["lake.*", "--engine", "spark"], "Engine 'spark' is not available"),
        (["lake.*", "--where", "id >"], "A value is expected here"),
        (["lake.*", "--option", "rewrite-al=true"], "Did you mean rewrite-all"),
    ],
)
def test_what_is_refused_changes_no_table(
    autostream: InProcess, orders: Orders, arguments: list[str], says: str
) -> None:
    before = orders.load().metadata_location
    assert says in autostream.refused("table", "compact", *arguments)
    assert orders.load().metadata_location == before


def test_a_catalog_that_cannot_be_listed_stops_no_other(
    autostream: InProcess, orders: Orders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__AWAY__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__AWAY__URI", f"sqlite:///{tmp_path}/no/such/place.db")
    document = autostream.document("table", "compact", "--enabled", *ALL, code=1)
    assert statuses(document) == {"away": "failed", "lake.db.orders": "committed"}


def test_only_the_catalogs_of_the_workflow_are_looked_through_but_for_those_that_are_named(
    autostream: InProcess, orders: Orders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = {"uri": f"sqlite:///{tmp_path}/other.db", "warehouse": f"file://{tmp_path}/other"}
    monkeypatch.setenv("PYICEBERG_CATALOG__OTHER__TYPE", "sql")
    for key, value in other.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__OTHER__{key.upper()}", value)
    monkeypatch.setenv("AUTOSTREAM_COMPACTION__CATALOGS", "other")
    SqlCatalog("other", **other).create_namespace("db")
    assert autostream("table", "compact", "--enabled")[:2] == (
        0,
        "No matching table is enabled. 'autostream table enable TABLE' enables one.\n",
    )
    assert statuses(autostream.document("table", "compact", "lake.*", *ALL)) == {"lake.db.orders": "committed"}


def test_an_interruption_ends_it_and_says_what_stays(
    autostream: InProcess, orders: Orders, users: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite = "autostream.lake.compaction.group_rewriter.GroupRewriter.rewrite"

    def interrupted(*_: Any, **__: Any) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise OSError("the library made this of it") from None

    monkeypatch.setattr(rewrite, interrupted)
    before = orders.load().metadata_location, users.load().metadata_location
    code, out, err = autostream("table", "compact", "lake.*", *ALL)
    assert (code, out) == (130, "")
    assert "error: Interrupted. Nothing was changed." in err
    assert (orders.load().metadata_location, users.load().metadata_location) == before


# ------------------------------------------------------------------------------------- enable, disable


def enabled(made: Orders) -> str | None:
    return made.load().properties.get(ENABLED)


def test_tables_are_enabled_and_disabled(autostream: InProcess, orders: Orders, users: Orders) -> None:
    assert autostream("table", "enable", "lake.*")[:2] == (
        0,
        "lake.db.orders: already enabled\nlake.db.users: enabled\n",
    )
    assert (enabled(orders), enabled(users)) == ("true", "true")
    assert autostream.document("table", "disable", "lake.db.users") == {
        "tables": [{"table": "lake.db.users", "status": "changed", "enabled": False}]
    }
    assert (enabled(orders), enabled(users)) == ("true", "false")
    assert statuses(autostream.document("table", "disable", "lake.db.users")) == {"lake.db.users": "unchanged"}


def test_nothing_is_written_where_nothing_is_to_be_changed(autostream: InProcess, users: Orders) -> None:
    before = users.load().metadata_location
    assert autostream("table", "disable", "lake.db.users")[:2] == (0, "lake.db.users: already disabled\n")
    assert users.load().metadata_location == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lake.db.none"], "lake.db.none does not exist"),
        (["lake.none.*"], "Pattern 'lake.none.*' matches no table. No table in lake matches."),
        (["lake"], "Invalid table name 'lake'"),
    ],
)
def test_what_cannot_be_enabled(autostream: InProcess, orders: Orders, arguments: list[str], says: str) -> None:
    assert says in autostream.refused("table", "enable", *arguments)


def test_one_that_cannot_be_enabled_stops_no_other(
    autostream: InProcess, orders: Orders, users: Orders, make_unreadable: Callable[[Table], None]
) -> None:
    make_unreadable(orders.load())
    code, out, err = autostream("table", "enable", "lake.*")
    assert (code, out) == (1, "lake.db.users: enabled\n")
    assert "error: Could not change 1 of 2 tables:\nlake.db.orders: failed: " in err


@pytest.fixture
def make_unreadable() -> Callable[[Table], None]:
    def break_it(table: Table) -> None:
        Path(table.metadata_location.removeprefix("file://")).write_text("{")

    return break_it
