"""Tables whose metadata contradicts itself: shown by inspect, refused by everything that reads or changes rows."""

import json
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFile, DataFileContent
from pyiceberg.partitioning import PartitionField
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import LongType, NestedField
from typer.testing import CliRunner

from autostream.cli.main import app
from autostream.errors import InconsistentTableError
from autostream.iceberg.files import FILE_PATH_FIELD_ID, Content, LiveFile
from autostream.iceberg.manifest_lists import listed_manifests
from autostream.iceberg.manifests import data_file
from autostream.iceberg.state import find_contradictions, read_state
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.planning import plan_compaction
from autostream.lake.compaction.table_compaction import compact_table
from autostream.lake.compaction.table_report import inspect_table
from autostream.lake.scan import scan_table
from tests.support.foreign import NO_METRICS, ForeignTable, change_list

ALL = CompactionOptions(rewrite_all=True)
ROWS = pa.table({"id": [1, 2, 3]})


@pytest.fixture
def table(lake: SqlCatalog) -> ForeignTable:
    return ForeignTable(lake, NestedField(1, "id", LongType(), required=True))


def again(file: DataFile, **changed: Any) -> DataFile:
    """Return another entry of the same file."""
    names = ("content", "file_path", "file_format", "partition", "record_count", "file_size_in_bytes", "equality_ids")
    return data_file(spec_id=0, **{**NO_METRICS, **{name: getattr(file, name) for name in names}, **changed})


def twice(kind: str, table: ForeignTable) -> tuple[DataFile, list[int]]:
    """Make a path live twice and return it with the snapshots that it was added by."""
    data = table.data(ROWS)
    if kind == "in one snapshot":
        return data, [table.commit(data, again(data))] * 2
    first = table.commit(data)
    if kind == "data":
        return data, [first, table.commit(again(data))]
    if kind == "another form":
        bare = data.file_path.removeprefix("file://")
        return data, [first, table.commit(again(data, file_path=f"file:{bare}"))]
    if kind == "data as deletes":
        said = {"content": DataFileContent.EQUALITY_DELETES, "equality_ids": [1]}
        return data, [first, table.commit(again(data, **said))]
    if kind == "position deletes":
        deletes = table.position_deletes((data.file_path, 0))
    else:
        deletes = table.equality_deletes(pa.table({"id": [2]}))
    return deletes, [table.commit(deletes), table.commit(again(deletes))]


KINDS = ["data", "in one snapshot", "another form", "data as deletes", "equality deletes", "position deletes"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_that_is_live_twice_is_refused_and_shown(kind: str, table: ForeignTable) -> None:
    file, snapshots = twice(kind, table)
    before = table.load().metadata_location
    for act in (
        lambda: scan_table(table.load()),
        lambda: plan_compaction(table.load(), options=ALL),
        lambda: compact_table(table.load(), "lake.db.t", options=ALL),
    ):
        with pytest.raises(InconsistentTableError) as refused:
            act()
        for part in ("lake.db.t", file.file_path, *map(str, snapshots), "docs/compaction.md"):
            assert part in str(refused.value)
    assert table.load().metadata_location == before
    shown = inspect_table(plan_compaction(table.load(), options=ALL, only_to_show=True), "lake.db.t").to_dict()
    assert shown["compaction"] is None
    (found,) = shown["contradictions"]
    assert [entry["snapshot_id"] for entry in found["entries"]] == snapshots
    assert found["path"] == file.file_path


def test_the_way_back_is_a_way_back(table: ForeignTable) -> None:
    """What the message advises works: back to the snapshot before the second entry, which may still be there."""
    data = table.data(ROWS)
    first = table.commit(data)
    table.commit(again(data))
    with table.load().manage_snapshots() as snapshots:
        snapshots.set_current_snapshot(snapshot_id=first)
    assert table.read("id") == [1, 2, 3]
    assert table.compact().status == "committed"


def test_inspect_shows_what_the_others_refuse(table: ForeignTable) -> None:
    file, snapshots = twice("data", table)

    def run(*arguments: str) -> str:
        return CliRunner().invoke(app, ["table", *arguments], catch_exceptions=False).stdout

    shown = run("inspect", "lake.db.t").replace("\n", "")
    for part in (file.file_path, *map(str, snapshots), "refuse this table"):
        assert part in shown
    document = json.loads(run("inspect", "lake.db.t", "--json"))
    assert document["counts"]["data_files"] == 1
    assert len(document["contradictions"][0]["entries"]) == 2
    assert "lake.db.t" in run("list", "lake")


def test_a_twin_that_comes_between_plan_and_commit_is_refused(table: ForeignTable) -> None:
    data = table.data(ROWS)
    table.commit(data)
    done: list[int] = []

    def add(_: Any) -> None:
        if not done:
            done.append(table.commit(again(data)))

    result = compact_table(table.load(), "lake.db.t", options=ALL, on_step=add)
    assert result.status == "failed"
    assert result.error is not None
    assert data.file_path in result.error
    assert table.load().metadata.current_snapshot_id == done[0]
    assert not list(table.folder.glob("autostream-compact-*"))


def test_a_manifest_that_is_listed_twice_is_refused(table: ForeignTable, monkeypatch: pytest.MonkeyPatch) -> None:
    data = table.data(ROWS)
    table.commit(data)
    loaded = table.load()
    snapshot = loaded.current_snapshot()
    assert snapshot is not None
    listed = listed_manifests(loaded.io, snapshot)
    monkeypatch.setattr("autostream.iceberg.state.listed_manifests", lambda *_: [*listed, *listed])
    with pytest.raises(InconsistentTableError, match="is live 2 times"):
        read_state(loaded)


def test_a_manifest_whose_list_says_that_it_is_empty_is_refused(table: ForeignTable) -> None:
    """Java skips it, others do not: a delete file in it would be lost, or a data file come back."""
    table.commit(table.data(ROWS))
    change_list(table, lambda row: row.update(added_files_count=0))
    with pytest.raises(InconsistentTableError, match=r"has 1 live file, but its manifest list says that it has none"):
        table.read("id")
    with pytest.raises(InconsistentTableError):
        table.compact()
    assert inspect_table(plan_compaction(table.load(), options=ALL, only_to_show=True), "lake.db.t").to_dict()[
        "contradictions"
    ]


@pytest.mark.parametrize("by", ["name", "bounds"])
def test_position_deletes_of_a_file_in_another_partition_are_refused(by: str, lake: SqlCatalog) -> None:
    """The spec does not apply them, Java does: they would leave the table, and the rows be back for good."""
    spec = PartitionField(1, 1000, IdentityTransform(), "id")
    table = ForeignTable(lake, NestedField(1, "id", LongType(), required=True), by=[spec])
    data = table.data(pa.table({"id": [1, 1]}), partition=Record(1))
    table.commit(data)
    path = data.file_path.encode()
    said: dict[str, Any] = {"referenced": data.file_path}
    if by == "bounds":
        said = {"lower_bounds": {FILE_PATH_FIELD_ID: path}, "upper_bounds": {FILE_PATH_FIELD_ID: path}}
    deletes = table.position_deletes((data.file_path, 0), partition=Record(2), **said)
    table.commit(deletes)
    with pytest.raises(InconsistentTableError, match="but is in another partition") as refused:
        table.read("id")
    assert deletes.file_path in str(refused.value)
    with pytest.raises(InconsistentTableError):
        table.compact()


@pytest.mark.parametrize("ids", [None, []])
def test_equality_deletes_without_ids_are_refused(ids: list[int] | None, table: ForeignTable) -> None:
    table.commit(table.data(ROWS))
    bad = table.equality_deletes(pa.table({"id": [2]}), equality_ids=ids)
    table.commit(bad)

    def scan(loaded: Table) -> Any:
        return scan_table(loaded)

    for act in (scan, lambda loaded: compact_table(loaded, "lake.db.t", options=ALL)):
        with pytest.raises(InconsistentTableError) as refused:
            act(table.load())
        assert bad.file_path in str(refused.value)
        assert "without equality ids" in str(refused.value)


def live(path: str, content: Content = Content.DATA, ids: tuple[int, ...] = (1,)) -> LiveFile:
    return LiveFile(content, path, "parquet", (0, ()), 1, 1, 1, snapshot_id=5, equality_ids=ids)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ([live("/a"), live("/b")], []),
        ([live("/a"), live("file:/a"), live("file:///a")], ["/a"]),
        ([live("/a"), live("s3://a"), live("hdfs://a")], []),
        ([live("s3://b/a"), live("s3a://b/a"), live("s3n://b/c")], ["s3://b/a"]),
        ([live("/a"), live("/b"), live("/a"), live("/b")], ["/a", "/b"]),
        ([live("/a"), live("/a", Content.POSITION_DELETES)], ["/a"]),
        ([live("/a", Content.EQUALITY_DELETES, ())], ["/a"]),
        ([live("/a", Content.POSITION_DELETES, ())], []),
    ],
)
def test_contradictions(files: list[LiveFile], found: list[str]) -> None:
    assert [c.path for c in find_contradictions(files)] == found
