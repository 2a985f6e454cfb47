"""`autostream table ...`: text, documents, exit codes and messages."""

import errno
import json
import re
import signal
import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType
from pyiceberg.utils.config import Config

from autostream.cli.arguments import complete_table
from autostream.demo.writer import Changes, UpsertWriter
from autostream.errors import DataError
from autostream.lake.compaction.compaction_steps import CompactionStep
from tests.support.commands import InProcess
from tests.support.lakes import BUCKETED, Orders
from tests.support.reader import read_table
from tests.support.upserts import EVERYTHING, SHAPES, random_upserts

# DESIGN 3.3: what other programs rely on.
COMPACT_KEYS = [
    "table",
    "status",
    "planned_snapshot_id",
    "snapshot_id",
    "groups",
    "before",
    "after",
    "rows_read",
    "rows_deleted",
    "bytes_read",
    "bytes_written",
    "seconds",
    "peak_memory_bytes",
]
COUNT_KEYS = ["data_files", "equality_delete_files", "position_delete_files", "bytes", "records"]


@pytest.fixture(autouse=True)
def _only_the_lake(lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyIceberg reads the environment when it is imported."""
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())


@pytest.fixture
def orders(lake: SqlCatalog) -> Orders:
    made = Orders(lake, "db.orders", spec=BUCKETED, **{"autostream.compaction.enabled": "true"})
    made.checkpoint(3)
    return made


# ------------------------------------------------------------------------------------- list


def test_list(autostream: InProcess, lake: SqlCatalog, orders: Orders) -> None:
    lake.create_table("db.empty", Schema(NestedField(1, "id", LongType())))
    lake.create_namespace(("db", "deep"))
    lake.create_table(("db", "deep", "t"), Schema(NestedField(1, "id", LongType())))
    document = autostream.document("table", "list", "lake")
    by_name = {row["table"]: row for row in document["tables"]}
    assert (document["catalog"], sorted(by_name)) == ("lake", ["lake.db.deep.t", "lake.db.empty", "lake.db.orders"])
    assert by_name["lake.db.empty"] == {
        "table": "lake.db.empty",
        "format_version": 2,
        "compaction_enabled": False,
        "data_files": 0,
        "delete_files": 0,
        "bytes": 0,
        "records": 0,
    }
    full = by_name["lake.db.orders"]
    assert (full["compaction_enabled"], full["records"]) == (True, 75)
    assert full["data_files"] > 3
    assert full["bytes"] > 1000
    code, out, _ = autostream("table", "list", "lake")
    assert code == 0
    (row,) = [line.split() for line in out.splitlines() if "lake.db.orders" in line]
    assert row[:4] == ["lake.db.orders", "2", "enabled", str(full["data_files"])]
    assert row[-1] == "75"
    assert "lake.db.empty" in out


def test_list_shows_broken_tables_beside_the_others(autostream: InProcess, lake: SqlCatalog, orders: Orders) -> None:
    broken = lake.create_table("db.broken", Schema(NestedField(1, "id", LongType())))
    Path(broken.metadata_location.removeprefix("file://")).unlink()
    rows = {row["table"]: row for row in autostream.document("table", "list", "lake")["tables"]}
    assert "Cannot read" in rows["lake.db.broken"]["error"]
    assert rows["lake.db.orders"]["records"] == 75
    code, out, _ = autostream("table", "list", "lake")
    assert code == 0
    assert "lake.db.broken" in out
    assert "lake.db.orders" in out


def test_list_of_an_unknown_catalog(autostream: InProcess) -> None:
    message = autostream.refused("table", "list", "lke")
    assert message == "error: Unknown catalog 'lke'. Configured: lake. Did you mean lake?"


def test_list_by_patterns_and_namespace(
    autostream: InProcess, lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    schema = Schema(NestedField(1, "id", LongType()))
    lake.create_namespace(("db", "deep"))
    lake.create_namespace("other")
    for name in ("db.a", "db.deep.b", "other.a"):
        lake.create_table(name, schema)
    monkeypatch.setenv("PYICEBERG_CATALOG__EMPTY__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__EMPTY__URI", f"sqlite:///{tmp_path}/empty.db")

    def names(*arguments: str) -> list[str]:
        return [row["table"] for row in autostream.document("table", "list", *arguments)["tables"]]

    assert names() == ["lake.db.a", "lake.other.a", "lake.db.deep.b"]
    assert names("lake.*.a") == ["lake.db.a", "lake.other.a"]
    assert names("lake.db.*") == ["lake.db.a", "lake.db.deep.b"]
    assert names("--namespace", "db") == ["lake.db.a", "lake.db.deep.b"]
    assert names("empty", "l?ke.other.a") == ["lake.other.a"]
    assert names("lake.db.deep.b") == ["lake.db.deep.b"]
    assert autostream("table", "list", "lake.db.a", "--output", "csv")[1].splitlines() == [
        "table,format_version,compaction_enabled,data_files,delete_files,bytes,records",
        "lake.db.a,2,false,0,0,0,0",
    ]
    assert "Unknown catalog 'lek'" in autostream.refused("table", "list", "lek.db.*")


def test_list_goes_on_after_a_catalog_that_cannot_be_listed(
    autostream: InProcess, lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.create_table("db.a", Schema(NestedField(1, "id", LongType())))
    monkeypatch.setenv("PYICEBERG_CATALOG__GONE__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__GONE__URI", "sqlite:////missing/catalog.db")
    document = autostream.document("table", "list", code=1)
    assert [row["table"] for row in document["tables"]] == ["lake.db.a"]
    assert [error["catalog"] for error in document["errors"]] == ["gone"]
    assert "Cannot open catalog 'gone'" in autostream("table", "list")[2]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", ["lake."]),
        ("x", []),
        ("lake.d", ["lake.db."]),
        ("lake.db.", ["lake.db.a", "lake.db.deep."]),
        ("lake.db.deep.", ["lake.db.deep.b"]),
        ("nowhere.db.", []),
    ],
)
def test_names_are_completed(lake: SqlCatalog, typed: str, offered: list[str]) -> None:
    schema = Schema(NestedField(1, "id", LongType()))
    lake.create_namespace(("db", "deep"))
    lake.create_table("db.a", schema)
    lake.create_table("db.deep.b", schema)
    assert complete_table(typed) == offered


# ------------------------------------------------------------------------------------- inspect


def test_inspect(autostream: InProcess, orders: Orders) -> None:
    table = orders.load()
    report = autostream.document("table", "inspect", "lake.db.orders")
    assert (report["table"], report["format_version"], report["sequence_number"]) == ("lake.db.orders", 2, 3)
    assert int(report["snapshot_id"]) == table.metadata.current_snapshot_id
    assert report["snapshots"] == 3
    assert set(report["counts"]) == set(COUNT_KEYS)
    assert sum(row["data_files"] for row in report["partitions"]) == report["counts"]["data_files"]
    assert sum(row["records"] for row in report["partitions"]) == report["counts"]["records"] == 75
    assert {row["partition"] for row in report["partitions"]} == {f"spec=0/id_bucket={i}" for i in range(4)}
    assert {row["groups"] for row in report["partitions"]} == {len(report["compaction"]["groups"]) // 4}
    assert not {"files", "deletes"} & set(report)
    code, out, _ = autostream("table", "inspect", "lake.db.orders")
    assert code == 0
    for said in (
        "lake.db.orders  format version 2",
        f"snapshot {report['snapshot_id']} (sequence number 3), 3 snapshots",
        f"{report['counts']['data_files']} data files",
        "spec=0/id_bucket=0",
        "Compaction would merge",
    ):
        assert said in out


def test_inspect_lists_files_and_what_applies_to_them(autostream: InProcess, orders: Orders) -> None:
    report = autostream.document("table", "inspect", "lake.db.orders", "--files")
    assert len(report["files"]) == report["counts"]["data_files"]
    applied = {path for file in report["files"] for path in file["deletes"]}
    reach = {delete["path"]: delete["applies_to_data_files"] for delete in report["deletes"]}
    assert {path for path, count in reach.items() if count} == applied
    assert report["dangling_delete_files"] == sum(count == 0 for count in reach.values()) > 0
    assert {d["content"] for d in report["deletes"]} == {"equality-deletes", "position-deletes"}
    for delete in report["deletes"]:
        assert delete["equality_ids"] == ([1] if delete["content"] == "equality-deletes" else [])
    code, out, _ = autostream("table", "inspect", "lake.db.orders", "--files")
    assert code == 0
    assert report["files"][0]["path"] in out
    assert report["deletes"][0]["path"] in out


@pytest.fixture
def appended(lake: SqlCatalog) -> None:
    """Three small files without deletes."""
    writer = UpsertWriter(lake.create_table("db.appended", Schema(NestedField(1, "id", LongType()))))
    for i in range(3):
        writer.checkpoint(Changes((), upserts=pa.table({"id": [i]})))


@pytest.mark.usefixtures("appended")
def test_inspect_judges_by_the_options_given(autostream: InProcess) -> None:
    (row,) = autostream.document("table", "inspect", "lake.db.appended")["partitions"]
    assert (row["groups"], row["compaction"]) == (0, "3 of 3 files could be merged, fewer than min-input-files 5")
    (row,) = autostream.document("table", "inspect", "lake.db.appended", "--option", "min-input-files=3")["partitions"]
    assert (row["groups"], row["compaction"]) == (1, "3 files to merge")
    code, out, _ = autostream("table", "inspect", "lake.db.appended")
    assert code == 0
    assert "keep: 3 of 3 files could be merged" in out
    code, out, _ = autostream("table", "inspect", "lake.db.appended", "--option", "min-input-files=2")
    assert "merge: 3 files to merge" in out


def test_inspect_advises_more_snapshots_where_flink_writes(autostream: InProcess, orders: Orders) -> None:
    (advice,) = autostream.document("table", "inspect", "lake.db.orders")["advice"]
    assert (advice["id"], advice["severity"]) == ("empty-commits-rare", "info")
    assert "flink.max-continuous-empty-commits=1" in advice["remedy"]
    assert f"Advice: {advice['reason']} {advice['remedy']}" in autostream("table", "inspect", "lake.db.orders")[1]
    with orders.load().transaction() as transaction:
        transaction.set_properties({"flink.max-continuous-empty-commits": "1"})
    assert autostream.document("table", "inspect", "lake.db.orders")["advice"] == []


@pytest.mark.usefixtures("appended")
def test_inspect_says_why_a_watermark_does_not_advance(autostream: InProcess, lake: SqlCatalog) -> None:
    states = {
        "a": '{"note":"its checkpoints may be unaligned"}',
        "b": '{"note":"retired by me: gone","status":"retired"}',
        "c": "no JSON",
        "d": '{"job-id":"1"}',
    }
    properties = {f"autostream.watermark.writer-state.{name}": text for name, text in states.items()}
    with lake.load_table("db.appended").transaction() as transaction:
        transaction.set_properties({"flink.max-continuous-empty-commits": "1", **properties})
    advice = autostream.document("table", "inspect", "lake.db.appended")["advice"]
    assert advice == [
        {
            "subject": "table lake.db.appended",
            "severity": "warning",
            "reason": "Watermark of writer a: its checkpoints may be unaligned.",
            "id": "watermark-stalled",
        }
    ]


def test_what_holds_for_the_partition_above_is_no_blank(autostream: InProcess, orders: Orders) -> None:
    _, out, _ = autostream("table", "inspect", "lake.db.orders")
    assert re.findall(r"(?:keep|merge).*|as above", out)[1:4] == ["as above"] * 3


def test_list_of_a_catalog_without_tables(autostream: InProcess, lake: SqlCatalog) -> None:
    assert autostream("table", "list", "lake")[:2] == (0, "No matching tables.\n")


def test_inspect_of_a_table_without_a_snapshot(autostream: InProcess, lake: SqlCatalog) -> None:
    lake.create_table("db.empty", Schema(NestedField(1, "id", LongType())))
    report = autostream.document("table", "inspect", "lake.db.empty", "--files")
    assert (report["snapshot_id"], report["partitions"], report["files"], report["deletes"]) == (None, [], [], [])
    assert report["advice"] == []
    code, out, _ = autostream("table", "inspect", "lake.db.empty")
    assert (code, "no snapshot yet" in out, "None" in out) == (0, True, False)


# ------------------------------------------------------------------------------------- scan


def test_scan_shows_the_first_rows(autostream: InProcess, orders: Orders) -> None:
    document = autostream.document("table", "scan", "lake.db.orders", "--limit", "3")
    assert (document["table"], document["columns"], len(document["first_rows"])) == (
        "lake.db.orders",
        ["id", "v", "s"],
        3,
    )
    assert int(document["snapshot_id"]) == orders.load().metadata.current_snapshot_id
    assert all(row in orders.expected() for row in document["first_rows"])
    some = max(orders.rows)
    code, out, _ = autostream("table", "scan", "lake.db.orders", "--columns", "s, id", "--where", f"id = {some}")
    assert code == 0
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert lines == [["s", "id"], [*orders.rows[some]["s"].split(), str(some)]]


def test_scan_counts(autostream: InProcess, orders: Orders) -> None:
    assert autostream("table", "scan", "lake.db.orders", "--count")[:2] == (0, f"{len(orders.rows)}\n")
    document = autostream.document("table", "scan", "lake.db.orders", "--count", "--where", "id < 10")
    assert document["rows"] == sum(key < 10 for key in orders.rows)
    first = orders.load().metadata.snapshots[0].snapshot_id
    older = autostream.document("table", "scan", "lake.db.orders", "--count", "--snapshot", str(first))
    assert (int(older["snapshot_id"]), older["rows"]) == (first, len(read_table(orders.load(), snapshot_id=first)))


def test_scan_writes_a_parquet_file(autostream: InProcess, orders: Orders, tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    document = autostream.document(
        "table", "scan", "lake.db.orders", "--columns", "id,v", "--output", str(target), "--where", "id >= 10"
    )
    wanted = [{"id": r["id"], "v": r["v"]} for r in orders.expected() if r["id"] >= 10]
    assert document["rows"] == len(wanted)
    assert document["output"] == str(target)
    rows = pq.read_table(target).to_pylist()
    assert sorted(rows, key=lambda r: r["id"]) == sorted(wanted, key=lambda r: r["id"])
    before = target.read_bytes()
    assert (
        "out.parquet already exists and was not replaced. Name another file, or replace it with --overwrite."
        in autostream.refused("table", "scan", "lake.db.orders", "--output", str(target))
    )
    assert target.read_bytes() == before
    code, out, _ = autostream("table", "scan", "lake.db.orders", "--output", str(target), "--overwrite")
    assert (code, out) == (0, f"{len(orders.rows)} rows in {target}\n")


def test_scan_prints_every_type(autostream: InProcess, lake: SqlCatalog) -> None:
    random_upserts(lake, "db.all", SHAPES["unpartitioned"])
    document = autostream.document("table", "scan", "lake.db.all", "--limit", "100")
    assert [f.name for f in EVERYTHING.fields] == document["columns"]
    cells = {name: [row[name] for row in document["first_rows"]] for name in document["columns"]}
    assert "00000000-0000-0000-0000-000000000000" in cells["u"]
    assert "0101010101" in cells["f"]
    assert "nan" in cells["double"]
    assert "1969-12-31" in cells["d"]
    assert any(isinstance(cell, dict) for cell in cells["st"])
    code, out, _ = autostream("table", "scan", "lake.db.all")
    assert code == 0
    assert "NULL" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--where", "nothing = 1"], "does not fit the table"),
        (["--where", "id ="], "Invalid filter (--where). A value is expected here"),
        (["--columns", "id,nothing"], "has no column nothing. Columns: id, v, s."),
        (["--snapshot", "17"], "orders has no snapshot 17"),
        (["--count", "--output", "x.parquet"], "--count and --output exclude each other"),
        (["--output", "no/where.parquet"], "Cannot write no/where.parquet"),
        (["--limit", "-1"], "--limit"),
        (["--snapshot", "newest"], "--snapshot"),
    ],
)
def test_scan_refuses(autostream: InProcess, orders: Orders, arguments: list[str], says: str) -> None:
    assert says in autostream.refused("table", "scan", "lake.db.orders", *arguments)


# ------------------------------------------------------------------------------------- compact


def test_compact_prints_the_promised_document(autostream: InProcess, orders: Orders) -> None:
    planned = orders.load().metadata.current_snapshot_id
    document = autostream.document("table", "compact", "lake.db.orders", "--option", "rewrite-all=true")
    assert list(document) == COMPACT_KEYS
    assert list(document["groups"]) == ["planned", "committed", "conflicted", "failed"]
    assert list(document["before"]) == list(document["after"]) == COUNT_KEYS
    assert list(document["seconds"]) == ["plan", "rewrite", "commit"]
    table = orders.load()
    assert (document["table"], document["status"]) == ("lake.db.orders", "committed")
    assert int(document["planned_snapshot_id"]) == planned
    assert int(document["snapshot_id"]) == table.metadata.current_snapshot_id
    assert document["groups"] == {"planned": 4, "committed": 4, "conflicted": 0, "failed": 0}
    assert (document["before"]["records"], document["after"]["records"]) == (75, len(orders.rows))
    assert document["after"]["data_files"] == 4
    assert (document["after"]["equality_delete_files"], document["after"]["position_delete_files"]) == (0, 0)
    assert (document["rows_read"], document["rows_deleted"]) == (75, 75 - len(orders.rows))
    assert document["bytes_written"] == document["after"]["bytes"]
    assert document["peak_memory_bytes"] > 10**7


def test_compact_tells_people_what_changed(autostream: InProcess, orders: Orders) -> None:
    code, out, err = autostream("table", "compact", "lake.db.orders", "--option", "rewrite-all=true")
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "lake.db.orders: committed"
    assert any(line.startswith("data files ") and line.endswith("-> 4") for line in lines)
    assert any(line.startswith("equality-delete files ") and line.endswith("-> 0") for line in lines)
    assert any(line.startswith(f"4 of 4 groups, 75 rows read, {75 - len(orders.rows)} deleted") for line in lines)
    assert "merging" in err


def test_nothing_to_do(autostream: InProcess, orders: Orders) -> None:
    autostream("table", "compact", "lake.db.orders", "--option", "rewrite-all=true")
    document = autostream.document("table", "compact", "lake.db.orders")
    assert list(document) == COMPACT_KEYS
    assert (document["status"], document["snapshot_id"]) == ("nothing-to-do", None)
    assert document["before"] == document["after"]
    assert autostream("table", "compact", "lake.db.orders")[:2] == (0, "lake.db.orders: nothing-to-do\n")


def test_a_dry_run_shows_the_plan_and_changes_nothing(autostream: InProcess, orders: Orders) -> None:
    before = orders.load().metadata_location
    arguments = ("table", "compact", "lake.db.orders", "--dry-run", "--option", "rewrite-all=true")
    document = autostream.document(*arguments)
    assert (document["status"], len(document["plan"]["groups"])) == ("planned", 4)
    code, out, _ = autostream(*arguments)
    assert code == 0
    for said in ("nothing was changed", "spec=0/id_bucket=3", "rewrite-all", "This would apply"):
        assert said in out
    assert orders.load().metadata_location == before


def test_compact_limits_itself_to_partitions(autostream: InProcess, orders: Orders) -> None:
    one = ("--partition", "spec=0/id_bucket=1")
    document = autostream.document(
        "table", "compact", "lake.db.orders", *one, "--partition", "spec=0/id_bucket=2", "--option", "rewrite-all=true"
    )
    assert document["groups"]["committed"] == 2
    planned = autostream.document(
        "table", "compact", "lake.db.orders", "--where", "id = 1", "--dry-run", "--option", "rewrite-all=true"
    )
    assert len(planned["plan"]["groups"]) == 1


@pytest.mark.usefixtures("appended")
def test_the_tables_own_properties_count_and_a_run_overrides_them(autostream: InProcess, lake: SqlCatalog) -> None:
    dry = ("table", "compact", "lake.db.appended", "--dry-run")
    assert autostream.document(*dry)["plan"]["groups"] == []
    with lake.load_table("db.appended").transaction() as transaction:
        transaction.set_properties({"autostream.compaction.min-input-files": "2"})
    assert len(autostream.document(*dry)["plan"]["groups"]) == 1
    assert autostream.document(*dry, "--option", "min-input-files=9")["plan"]["groups"] == []
    code, out, _ = autostream(*dry, "--option", "min-input-files = 9")
    assert code == 0
    assert "keep spec=0: 3 of 3 files could be merged, fewer than min-input-files 9" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--option", "rewrite-all"],
            "Invalid --option 'rewrite-all'. Write KEY=VALUE, for",
        ),
        (["--option", "=true"], "Write KEY=VALUE"),
        (["--option", "rewrite-all=true", "--option", "rewrite-all=false"], "rewrite-all is given more than once"),
        (
            ["--option", "rewrite-al=true"],
            "Option rewrite-al is unknown. Known: enabled, engine, ",
        ),
        (["--option", "min-input-files=few"], "Option min-input-files is 'few'"),
        (["--engine", "trino"], "Option engine is 'trino'. It must be duckdb."),
        (["--option", "enabled=false"], "`enabled` is a property of a table, not an option of a run"),
        (
            ["--option", "target-file-size-bytes=x"],
            "It must be a size, at least 1 B: a number of bytes, or a number with a unit, such as 512MB",
        ),
        (["--engine", "spark"], "engine 'spark' is not available, this version has only duckdb."),
        (["--where", "v = 1"], "--where names v, which is not a partition column"),
        (["--where", "id >"], "Invalid filter (--where). A value is expected here"),
        (["--where", "nothing = 1"], "nothing"),
    ],
)
def test_compact_refuses(autostream: InProcess, orders: Orders, arguments: list[str], says: str) -> None:
    before = orders.load().metadata_location
    assert says in autostream.refused("table", "compact", "lake.db.orders", *arguments)
    assert orders.load().metadata_location == before


def test_a_wrong_property_of_the_table_is_named(autostream: InProcess, orders: Orders) -> None:
    with orders.load().transaction() as transaction:
        transaction.set_properties({"autostream.compaction.min-input-files": "few"})
    message = autostream.refused("table", "compact", "lake.db.orders")
    assert "Table lake.db.orders: property autostream.compaction.min-input-files is 'few'" in message


def test_a_conflict_is_exit_code_3_and_changes_nothing(
    autostream: InProcess, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autostream.lake.compaction import group_rewriter

    rewrite = group_rewriter.GroupRewriter.rewrite

    def overtaken(self: Any, group: Any) -> Any:
        done = rewrite(self, group)
        if group.number == 3:
            orders.writer.commit(remove=[f.entry for f in self._plan.state.data.values() if f.entry])
        return done

    monkeypatch.setattr(group_rewriter.GroupRewriter, "rewrite", overtaken)
    files = set(Path(orders.load().location().removeprefix("file://")).rglob("*.parquet"))
    code, out, err = autostream("table", "compact", "lake.db.orders", "--option", "rewrite-all=true", "--json")
    document = json.loads(out)
    assert code == 3, err
    assert (document["status"], document["groups"]["conflicted"]) == ("conflict", 4)
    assert "another commit replaced or removed" in document["problems"][0]["reason"]
    assert "error:" in err
    assert set(Path(orders.load().location().removeprefix("file://")).rglob("*.parquet")) == files


def test_a_damaged_file_is_exit_code_1_with_its_name(autostream: InProcess, orders: Orders) -> None:
    snapshot = orders.load().current_snapshot()
    assert snapshot is not None
    lost = Path(
        next(
            e.data_file.file_path
            for m in snapshot.manifests(orders.load().io)
            for e in m.fetch_manifest_entry(orders.load().io)
        ).removeprefix("file://")
    )
    lost.unlink()
    code, out, err = autostream("table", "compact", "lake.db.orders", "--option", "rewrite-all=true", "--json")
    assert code == 1
    document = json.loads(out)
    assert (document["status"], document["groups"]["committed"]) == ("failed", 0)
    assert f"{lost.name} is missing" in document["error"]
    assert f"{lost.name} is missing" in err
    code, out, err = autostream("table", "scan", "lake.db.orders", "--json")
    assert (code, out) == (1, "")
    assert f"{lost.name} is missing" in err


# ------------------------------------------------------------------------------------- all


@pytest.mark.parametrize("verb", ["inspect", "scan", "compact"])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("orders", "Invalid table name 'orders'. Write CATALOG.NAMESPACE.TABLE"),
        ("lke.db.orders", "Unknown catalog 'lke'. Configured: lake. Did you mean lake?"),
        ("lake.db.order", "lake.db.order does not exist in catalog 'lake'. Did you mean lake.db.orders? 'autostream"),
        (
            "lake.bd.orders",
            "Namespace bd does not exist. Namespaces: db. Did you mean db? 'autostream table list",
        ),
        ("nowhere.db.orders", "Unknown catalog 'nowhere'. Configured: lake."),
        ("lake.db.nothing", "Table lake.db.nothing does not exist in catalog 'lake'. 'autostream table list lake'"),
    ],
)
def test_tables_that_cannot_be_had(autostream: InProcess, orders: Orders, verb: str, name: str, says: str) -> None:
    assert says in autostream.refused("table", verb, name)


@pytest.mark.parametrize("verb", ["inspect", "scan", "compact"])
def test_version_3_is_refused(autostream: InProcess, lake: SqlCatalog, orders: Orders, verb: str) -> None:
    path = Path(orders.load().metadata_location.removeprefix("file://"))
    metadata = json.loads(path.read_text())
    path.write_text(json.dumps(metadata | {"format-version": 3, "next-row-id": 0}))
    assert "has format version 3. Only versions 1 and 2 are supported" in autostream.refused(
        "table", verb, "lake.db.orders"
    )


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ([], ["list", "inspect", "scan", "compact", "enable", "disable"]),
        (["list"], ["PATTERN...", "--namespace", "--json", "--output", "--verbose"]),
        (["inspect"], ["TABLE", "--files", "--option", "--json", "what compaction would do and why"]),
        (["scan"], ["--where", "--columns", "--snapshot", "--output", "--count", "--limit", "--json"]),
        (["compact"], ["TABLE|PATTERN...", "--enabled", "--where", "--dry-run", "--option"]),
        (["compact"], ["--engine", "--partition", "--json", "one that fails does not stop the others"]),
    ],
)
def test_help(autostream: InProcess, verb: list[str], words: list[str]) -> None:
    code, out, _ = autostream("table", *verb, "--help")
    text = " ".join(out.replace("│", " ").split())
    assert code == 0
    assert [word for word in words if word not in text] == []


def test_the_engine_is_given_what_is_configured(
    autostream: InProcess, orders: Orders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUTOSTREAM_ENGINE__SPILL_DIRECTORY", str(tmp_path / "spill"))
    monkeypatch.setenv("AUTOSTREAM_ENGINE__MEMORY_LIMIT", "123MB")
    monkeypatch.setenv("AUTOSTREAM_ENGINE__THREADS", "1")
    from autostream.api import Lakehouse

    given = Lakehouse().engine_resources
    assert (given.memory_limit_bytes, given.threads, given.spill_directory) == (123 * 10**6, 1, tmp_path / "spill")
    assert autostream("table", "scan", "lake.db.orders", "--count")[0] == 0
    assert (tmp_path / "spill").is_dir()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AUTOSTREAM_ENGINE__SPILL_DIRECTORY", str(tmp_path / "file"))
    code, _, err = autostream("table", "scan", "lake.db.orders")
    assert code == 1
    assert f"Cannot create spill directory {tmp_path}/file/" in err


def test_long_reports_are_cut_for_people_only(autostream: InProcess, lake: SqlCatalog) -> None:
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import IdentityTransform

    spec = PartitionSpec(PartitionField(1, 1000, IdentityTransform(), "id"))
    table = lake.create_table("db.wide", Schema(NestedField(1, "id", LongType())), partition_spec=spec)
    UpsertWriter(table).checkpoint(Changes((), upserts=pa.table({"id": range(50)})))
    code, out, _ = autostream("table", "inspect", "lake.db.wide")
    assert code == 0
    assert "… and 10 more; --json has them all." in out
    assert len(autostream.document("table", "inspect", "lake.db.wide")["partitions"]) == 50
    code, out, _ = autostream("table", "compact", "lake.db.wide", "--dry-run", "--option", "rewrite-all=true")
    assert "… and 10 more" in out


# ------------------------------------------------------------------------------------- names and values of anybody

HOSTILE = "[/x] [red]a[/red] :smile: \x1b[31m\x07"


@pytest.fixture
def hostile(lake: SqlCatalog) -> str:
    """A table in whose name, column, partition and values there is what terminals and markup readers obey."""
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import IdentityTransform

    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, HOSTILE, StringType()))
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), HOSTILE))
    table = lake.create_table(
        ("db", HOSTILE), schema, partition_spec=spec, location=f"{lake.properties['warehouse']}/h"
    )
    for n in range(2):
        rows = pa.table({"id": [n], HOSTILE: [HOSTILE + "\n"]})
        UpsertWriter(table).checkpoint(Changes(("id", HOSTILE), upserts=rows))
    return f"lake.db.{HOSTILE}"


@pytest.mark.parametrize("width", ["80", "300"])
def test_names_and_values_of_anybody_are_shown_as_they_are(
    autostream: InProcess, hostile: str, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    seen = "[/x] [red]a[/red] :smile: \\x1b[31m\\x07"
    for *arguments, code in (
        ["list", "lake", 0],
        ["inspect", hostile, "--files", 0],
        ["scan", hostile, 0],
        ["scan", hostile, "--columns", HOSTILE, 0],
        ["scan", hostile, "--columns", f"x{HOSTILE}", 2],
        ["scan", hostile, "--where", f'"{HOSTILE}" = 1', 2],
        ["scan", f"{hostile}x", 2],
        ["compact", hostile, "--dry-run", "--option", "rewrite-all=true", 0],
        ["compact", hostile, "--dry-run", "--option", HOSTILE, 2],
        ["compact", hostile, "--dry-run", "--partition", HOSTILE, 2],
        ["compact", hostile, "--dry-run", "--engine", HOSTILE, 2],
        ["compact", hostile, "--option", "rewrite-all=true", 0],
        ["list", HOSTILE, 2],
        ["list", "lake", HOSTILE, 2],
        [HOSTILE, 2],
    ):
        found, out, err = autostream("table", *map(str, arguments))
        said = " ".join((out + err).split())
        assert found == code, (arguments, err)
        assert [word for word in ("\x1b", "\x07", "defect") if word in said] == []
        assert "".join(seen.split()) in "".join(said.split()), (arguments, said)


@pytest.mark.parametrize("width", [60, 80])
def test_nothing_is_cut_at_any_width(
    autostream: InProcess, lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import IdentityTransform

    monkeypatch.setenv("COLUMNS", str(width))
    long, value = "a_table_with_quite_a_long_name_indeed", "v" * 70
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "kind_of_the_row"))
    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "kind_of_the_row", StringType()))
    writer = UpsertWriter(lake.create_table(f"db.{long}", schema, partition_spec=spec))
    writer.checkpoint(Changes((), upserts=pa.table({"id": [1, 2], "kind_of_the_row": [value, "w"]})))
    name = f"lake.db.{long}"
    partition = f"spec=0/kind_of_the_row={value}"
    for arguments, wanted in (
        (["list", "lake"], [name]),
        (["inspect", name], [partition, "spec=0/kind_of_the_row=w", name]),
        (["compact", name, "--dry-run", "--option", "rewrite-all=true"], [partition, name]),
        (["compact", name, "--dry-run"], [partition]),
        (["scan", name], ["kind_of_the_row", value]),
    ):
        code, out, _ = autostream("table", *arguments)
        assert code == 0
        assert [text for text in wanted if text not in out] == []
        assert "…" not in out
        too_long = [line for line in out.splitlines() if len(line) > width]
        assert [
            line for line in too_long if value not in line and "/warehouse" not in line and str(lake.name) not in line
        ] == []


# ------------------------------------------------------------------------------------- interruptions, full disks


NOTHING_CHANGED = "error: Interrupted. Nothing was changed.\n"


@pytest.mark.parametrize(
    ("step", "failure", "says"),
    [
        (CompactionStep.GROUP_REWRITTEN, KeyboardInterrupt(), NOTHING_CHANGED),
        (CompactionStep.GROUP_REWRITTEN, RuntimeError("Query interrupted"), NOTHING_CHANGED),
        (CompactionStep.GROUP_REWRITTEN, DataError("a file is damaged"), NOTHING_CHANGED),
        (CompactionStep.GROUP_REWRITTEN, OSError(errno.EIO, "?"), NOTHING_CHANGED),
        (
            CompactionStep.SWAP_PREPARED,
            KeyboardInterrupt(),
            "It is not known whether the commit succeeded: 'autostream table inspect lake.db.orders' shows",
        ),
        (
            CompactionStep.SWAPPED,
            KeyboardInterrupt(),
            "Interrupted. Commits that were already made stay. The table is correct.",
        ),
    ],
)
def test_ctrl_c_is_no_failure_whatever_becomes_of_it(
    autostream: InProcess,
    orders: Orders,
    monkeypatch: pytest.MonkeyPatch,
    step: CompactionStep,
    failure: BaseException,
    says: str,
) -> None:
    from autostream.cli import table

    tell = table.tell_state

    def interrupt(name: str, reached: CompactionStep) -> None:
        tell(name, reached)
        if reached is step:
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise type(failure)(*failure.args) from None

    monkeypatch.setattr(table, "tell_state", interrupt)
    before = orders.load().metadata_location
    code, _, err = autostream("table", "compact", "lake.db.orders", "--option", "rewrite-all=true")
    assert code == 130
    assert says in err
    assert [word for word in ("Traceback", "defect", "damaged") if word in err] == []
    assert (orders.load().metadata_location == before) == (step is not CompactionStep.SWAPPED)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("step", "failure"),
    [
        (CompactionStep.PLANNED, FULL),
        (CompactionStep.PLANNED, OSError(errno.EDQUOT, "Disk quota exceeded")),
        (CompactionStep.PLANNED, sqlite3.OperationalError("database or disk is full")),
        (CompactionStep.PLANNED, duckdb.IOException('Could not write file "x": No space left on device')),
        (CompactionStep.GROUP_REWRITTEN, FULL),
        (CompactionStep.REWRITTEN, FULL),
        (CompactionStep.MANIFESTS_WRITTEN, FULL),
    ],
)
def test_a_full_disk_is_told_as_one(
    autostream: InProcess, orders: Orders, monkeypatch: pytest.MonkeyPatch, step: CompactionStep, failure: Exception
) -> None:
    from autostream.cli import table

    def fail(name: str, reached: CompactionStep) -> None:
        if reached is step:
            raise type(failure)(*failure.args)

    monkeypatch.setattr(table, "tell_state", fail)
    code, _, err = autostream("table", "compact", "lake.db.orders", "--option", "rewrite-all=true")
    assert code == 1
    assert [word for word in ("Traceback", "defect", "damaged", "Restore") if word in err] == []
    assert "No space left" in err or "full" in err


def test_an_output_that_does_not_fit_on_its_disk(
    autostream: InProcess, orders: Orders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(self: Any, batch: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_batch", full)
    code, out, err = autostream("table", "scan", "lake.db.orders", "--output", "x.parquet")
    assert (code, out) == (1, "")
    assert f"x.parquet was not written: no space left in {tmp_path}." in err
    assert list(tmp_path.glob("*x.parquet*")) == []


def test_an_output_is_limited(autostream: InProcess, orders: Orders, tmp_path: Path) -> None:
    for limit in (0, 1, 7, 10_000):
        document = autostream.document(
            "table", "scan", "lake.db.orders", "--output", f"{limit}.parquet", "--limit", str(limit)
        )
        assert document["rows"] == pq.read_metadata(f"{limit}.parquet").num_rows == min(limit, len(orders.rows))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--count", "--limit", "1"], "--count and --limit exclude each other"),
        (["--count", "--columns", "nothing"], "has no column nothing"),
        (["--overwrite"], "--overwrite needs --output FILE"),
        (["--output", "/dev/null", "--overwrite"], "Cannot write /dev/null: it is not a plain file"),
        (["--output", "."], "Cannot write .: it is not a plain file"),
    ],
)
def test_a_scan_that_contradicts_itself_is_refused(
    autostream: InProcess, orders: Orders, arguments: list[str], says: str
) -> None:
    assert says in autostream.refused("table", "scan", "lake.db.orders", *arguments)


def test_partitions_that_the_table_does_not_have_are_refused_with_those_it_has(
    autostream: InProcess, orders: Orders
) -> None:
    before = orders.load().metadata_location
    known = ("--partition", "spec=0/id_bucket=1")
    message = autostream.refused("table", "compact", "lake.db.orders", *known, "--partition", "spec=0/id_buket=2")
    assert message == (
        "error: Table lake.db.orders has no partition 'spec=0/id_buket=2'. Partitions: spec=0/id_bucket=0, "
        "spec=0/id_bucket=1, spec=0/id_bucket=2, spec=0/id_bucket=3. Did you mean spec=0/id_bucket=2?"
    )
    assert orders.load().metadata_location == before


def test_a_group_that_fails_by_ctrl_c_is_not_called_damaged(
    autostream: InProcess, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Any, group: Any) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise DataError("a file is damaged") from None

    monkeypatch.setattr("autostream.lake.compaction.group_rewriter.GroupRewriter.rewrite", interrupted)
    code, out, err = autostream("table", "compact", "lake.db.orders", "--option", "rewrite-all=true")
    assert (code, out) == (130, "")
    assert err.endswith(NOTHING_CHANGED)
    assert "damaged" not in err
