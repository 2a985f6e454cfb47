"""Counts and sizes that writers get wrong: rows are right all the same, swapped files are refused, rows add up."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import FileFormat
from pyiceberg.types import LongType, NestedField

from autostream.errors import DataError
from autostream.iceberg.files import Content, LiveFile
from autostream.lake.commit.replacements import Replacement
from autostream.lake.commit.snapshot_summary import summarize
from autostream.lake.compaction import group_rewriter
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.planning import plan_compaction
from autostream.lake.compaction.table_compaction import compact_table
from autostream.lake.compaction.table_report import inspect_table
from autostream.lake.engine.live_rows import most_deletable
from autostream.lake.scan import scan_table
from tests.support.foreign import ForeignTable, with_ids

ALL = CompactionOptions(rewrite_all=True)
ROWS = pa.table({"id": [1, 2, 3]})


@pytest.fixture
def table(lake: SqlCatalog) -> ForeignTable:
    return ForeignTable(lake, NestedField(1, "id", LongType(), required=True))


def avro(table: ForeignTable) -> Path:
    path = table.folder / "rows.avro"
    field = {"name": "id", "type": "long", "field-id": 1}
    with path.open("wb") as file:
        fastavro.writer(file, {"type": "record", "name": "r", "fields": [field]}, ROWS.to_pylist())
    return path


@pytest.mark.parametrize("avro_file", [False, True], ids=["parquet", "avro"])
@pytest.mark.parametrize("count", [-1, 0, 7])
def test_wrong_counts(count: int, avro_file: bool, table: ForeignTable) -> None:
    """-1 of Iceberg's import of Avro files, 0 of XTable, the sum of all files of ClickHouse."""
    wrong = (
        table.entry(avro(table), file_format=FileFormat.AVRO, record_count=count)
        if avro_file
        else table.data(ROWS, record_count=count)
    )
    table.commit(wrong)
    table.commit(table.equality_deletes(pa.table({"id": [2]}), record_count=count))
    table.commit(table.data(pa.table({"id": [4]})))
    assert table.read("id") == [1, 3, 4]
    assert scan_table(table.load()).count() == 3
    shown = inspect_table(plan_compaction(table.load(), options=ALL), "lake.db.t").to_dict()
    assert shown["counts"]["records"] == max(0, count) + 1
    assert bool([advice for advice in shown["advice"] if advice["id"] == "records-uncounted"]) is (count <= 0)
    result = table.compact()
    assert (result.status, result.rows_read, result.rows_deleted, result.after.records) == ("committed", 4, 1, 3)
    snapshot = table.load().current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    said = snapshot.summary.additional_properties
    assert {name: said[name] for name in ("total-records", "deleted-records", "added-records")} == {
        "total-records": "3",
        "deleted-records": "4",
        "added-records": "3",
    }
    assert not [value for name, value in said.items() if name.startswith("total") and int(value) < 0]
    assert table.read("id") == [1, 3, 4]


def test_a_count_without_deletes_is_of_rows(table: ForeignTable) -> None:
    table.commit(table.data(ROWS, record_count=0))
    assert scan_table(table.load()).count() == 3


def test_an_unknown_total_is_left_out(table: ForeignTable) -> None:
    table.commit(table.data(ROWS, record_count=-1))
    table.commit(table.data(ROWS))
    plan = plan_compaction(table.load(), options=ALL)
    merged = replace(plan.groups[0], files=plan.groups[0].files[1:])
    said = summarize(plan.state, [Replacement(merged, (), 3, (0, 3))], ())
    assert "total-records" not in said
    assert said["deleted-records"] == "3"


# ------------------------------------------------------------------------------------------------- swapped, or not


def test_a_file_that_was_changed_after_its_commit_is_refused(table: ForeignTable) -> None:
    file = table.data(ROWS)
    table.commit(file)
    path = Path(file.file_path.removeprefix("file://"))
    pq.write_table(with_ids(pa.table({"id": range(1000)}), id=1), path)
    for act in (lambda: table.read("id"), lambda: scan_table(table.load()).count()):
        with pytest.raises(DataError, match=r"has 1000 rows in \d+ bytes, but its manifest says 3 rows in \d+"):
            act()
    result = table.compact()
    assert result.status == "failed"
    assert "changed after its commit" in (result.error or "")


def test_a_cut_avro_file_is_refused(table: ForeignTable) -> None:
    """Cut between two blocks it is still an Avro file."""
    path = table.folder / "rows.avro"
    schema = {"type": "record", "name": "r", "fields": [{"name": "id", "type": "long", "field-id": 1}]}
    with path.open("wb") as out:
        fastavro.writer(out, schema, [{"id": i} for i in range(1000)], sync_interval=500)
    with path.open("rb") as whole:
        (second,) = (block.offset for i, block in enumerate(fastavro.block_reader(whole)) if i == 1)
    entry = table.entry(path, file_format=FileFormat.AVRO, record_count=1000)
    table.commit(entry)
    path.write_bytes(path.read_bytes()[:second])
    with pytest.raises(DataError, match="changed after its commit"):
        table.read("id")


@pytest.mark.parametrize(
    "said",
    [
        {"file_size_in_bytes": 100_000},  # Iceberg Java up to 0.10 said too much
        {"file_size_in_bytes": 0, "record_count": 0},
        {"file_size_in_bytes": -1, "record_count": -1},
    ],
)
def test_sound_files_of_wrong_sizes_are_read(said: dict[str, int], table: ForeignTable) -> None:
    table.commit(table.data(ROWS, **said))
    assert table.read("id") == [1, 2, 3]
    assert table.compact().status == "committed"


def test_sums_of_all_files_of_a_commit_are_read(table: ForeignTable) -> None:
    """ClickHouse before 26.5 says of each file what all files of its INSERT have together."""
    files = [table.data(pa.table({"id": [n, n + 1]})) for n in (1, 3)]
    total = {"record_count": 4, "file_size_in_bytes": sum(f.file_size_in_bytes for f in files)}
    table.commit(*(table.entry(Path(f.file_path.removeprefix("file://")), **total) for f in files))
    assert table.read("id") == [1, 2, 3, 4]
    assert scan_table(table.load()).count() == 4
    assert table.compact().rows_read == 4
    assert table.read("id") == [1, 2, 3, 4]


# ------------------------------------------------------------------------------------------------- what must add up


def losing(rows: str) -> str:
    return f"(SELECT * FROM {rows} WHERE c1 <> 1)"


def doubling(rows: str) -> str:
    return f"(SELECT * FROM {rows} UNION ALL SELECT * FROM {rows})"


@pytest.mark.parametrize(
    ("defect", "passes", "deletes"),
    [
        (losing, 1, "none"),
        (losing, 2, "none"),
        (losing, 2, "position"),  # in one pass three named positions may be three rows
        (doubling, 1, "none"),
        (doubling, 1, "position"),
        (doubling, 2, "position"),
    ],
)
def test_rows_that_do_not_add_up_are_not_committed(
    defect: Callable[[str], str], passes: int, deletes: str, table: ForeignTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = table.data(ROWS)
    table.commit(data)
    if deletes == "position":
        # One row that there is, named twice, and one that there is not.
        table.commit(table.position_deletes((data.file_path, 1), (data.file_path, 1), (data.file_path, 99)))
    before = table.load().metadata.current_snapshot_id
    name = "live_rows_at_once" if passes == 1 else "live_rows"
    real = getattr(group_rewriter, name)
    monkeypatch.setattr(group_rewriter, "fits_at_once", lambda *_: passes == 1)
    monkeypatch.setattr(group_rewriter, name, lambda *a, **k: defect(real(*a, **k)))
    result = compact_table(table.load(), "lake.db.t", options=ALL)
    assert result.status == "failed"
    for part in ("The check of the compaction", "Please report", "group 0", str(before)):
        assert part in (result.error or "")
    assert table.load().metadata.current_snapshot_id == before
    assert not list(table.folder.glob("autostream-compact-*"))
    monkeypatch.undo()
    assert table.compact().status == "committed"


@pytest.mark.parametrize("passes", [1, 2])
def test_rows_that_add_up_are_committed(passes: int, table: ForeignTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that several deletes remove, positions named twice or out of the file: each row counts once."""
    data = table.data(ROWS)
    table.commit(data, table.data(pa.table({"id": [5, 6]})))
    table.commit(table.position_deletes((data.file_path, 1), (data.file_path, 1), (data.file_path, 2**40 + 1)))
    table.commit(table.equality_deletes(pa.table({"id": [2, 3, 77]})))
    monkeypatch.setattr(group_rewriter, "fits_at_once", lambda *_: passes == 1)
    result = table.compact()
    assert (result.status, result.rows_read, result.rows_deleted) == ("committed", 5, 2)
    assert table.read("id") == [1, 5, 6]


def file(path: str, content: Content = Content.DATA) -> LiveFile:
    return LiveFile(content, path, "parquet", (0, ()), 0, 0, 1)


@pytest.mark.parametrize(
    ("applied", "most"),
    [
        ({}, 0),
        ({"a": ["p"]}, 3),
        ({"a": ["p"], "b": ["p"]}, 3),  # three positions in both files together
        ({"a": ["big"], "b": []}, 10),  # no more than the file has
        ({"a": ["e"]}, 10),
        ({"a": ["empty"]}, 0),
        ({"a": ["e", "p"], "b": ["p"]}, 13),
    ],
)
def test_what_deletes_can_delete_at_most(applied: dict[str, list[str]], most: int) -> None:
    kinds = {"p": Content.POSITION_DELETES, "big": Content.POSITION_DELETES}
    rows = {"a": 10, "b": 20, "p": 3, "big": 1000, "e": 1, "empty": 0}

    def deletes_of(data: LiveFile) -> list[LiveFile]:
        return [file(path, kinds.get(path, Content.EQUALITY_DELETES)) for path in applied.get(data.path, [])]

    assert most_deletable([file("a"), file("b")], deletes_of, rows) == most
