"""Every kind of commit between each two steps of a compaction: the table always holds what its writers wrote."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType
from sqlalchemy import text

from autostream.demo.writer import UpsertWriter
from autostream.iceberg.files import normalize_path
from autostream.iceberg.state import read_state
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.compaction_result import CompactionResult
from autostream.lake.compaction.compaction_steps import CompactionStep
from autostream.lake.compaction.table_compaction import compact_table
from autostream.lake.engine.output_files import FILE_PREFIX
from autostream.lake.scan import scan_table
from tests.support.lakes import BUCKETED, UNPARTITIONED, Orders, compact
from tests.support.reader import read_table
from tests.support.rows import assert_same_rows

STEPS = [step for step in CompactionStep if step is not CompactionStep.SWAPPED]


def upsert(orders: Orders) -> None:
    """Deletes, by equality, keys that are being merged, and appends them again."""
    orders.checkpoint()


def append(orders: Orders) -> None:
    row = {"id": 1000 + len(orders.rows), "v": -1, "s": "appended"}
    orders.writer.commit(data=orders.writer.files.write_data(pa.Table.from_pylist([row])))
    orders.rows[row["id"]] = row


def _first_file(table: Table) -> DataFile:
    files = sorted(read_state(table).data.values(), key=lambda f: (f.sequence_number, f.path))
    assert files[0].entry is not None
    return files[0].entry


def _delete_position(orders: Orders, *, named: bool) -> None:
    file = _first_file(orders.load())
    writer = UpsertWriter(orders.load())
    before = {row["id"]: row for row in read_table(orders.load())}
    delete = writer.files.write_position_deletes([(file, list(range(file.record_count)))])
    if not named:
        delete.lower_bounds.clear()
        delete.upper_bounds.clear()
    writer.commit(deletes=[delete])
    left = {row["id"] for row in read_table(orders.load())}
    for key in before.keys() - left:
        orders.rows.pop(key)


def delete_by_position(orders: Orders) -> None:
    _delete_position(orders, named=True)


def delete_by_position_without_bounds(orders: Orders) -> None:
    _delete_position(orders, named=False)


def compact_too(orders: Orders) -> None:
    assert compact(orders.load()).status == "committed"


def change_schema(orders: Orders) -> None:
    with orders.load().update_schema() as update:
        update.add_column("extra", LongType())
        update.rename_column("s", "label")
    for row in orders.rows.values():
        row["label"] = row.pop("s")
        row["extra"] = None


def change_spec(orders: Orders) -> None:
    with orders.load().update_spec() as update:
        update.add_field("s", IdentityTransform(), "s_part")


def change_property(orders: Orders) -> None:
    with orders.load().transaction() as transaction:
        transaction.set_properties({"comment": "changed"})


def expire_snapshots(orders: Orders) -> None:
    table = orders.load()
    current = table.metadata.current_snapshot_id
    expiry = table.maintenance.expire_snapshots()
    expiry.by_ids([s.snapshot_id for s in table.metadata.snapshots if s.snapshot_id != current]).commit()


def commit_then_expire(orders: Orders) -> None:
    """The planned snapshot itself is gone at the commit."""
    upsert(orders)
    expire_snapshots(orders)


def roll_back(orders: Orders) -> None:
    """Deletes that were applied vanish again, so their rows have to come back."""
    table = orders.load()
    first = table.metadata.snapshots[0].snapshot_id
    with table.manage_snapshots() as snapshots:
        snapshots.rollback_to_snapshot(first)
    orders.rows = {row["id"]: row for row in read_table(orders.load())}


KINDS: dict[Callable[[Orders], None], set[str]] = {
    upsert: {"committed"},
    append: {"committed"},
    delete_by_position: {"conflict", "committed"},  # of a bucketed table the other groups are committed
    delete_by_position_without_bounds: {"conflict", "committed"},
    compact_too: {"conflict"},
    change_schema: {"committed"},
    change_spec: {"committed"},
    change_property: {"committed"},
    expire_snapshots: {"committed"},
    commit_then_expire: {"committed"},
    roll_back: {"conflict"},
}


def run(orders: Orders, step: CompactionStep, act: Callable[[], None]) -> CompactionResult:
    """Compact everything; at the first time that the step is reached, another one acts."""
    table = orders.load()
    pending = [act]

    def on_step(reached: CompactionStep) -> None:
        if reached == step and pending:
            pending.pop()()

    result = compact_table(
        table,
        "lake.db.t",
        options=CompactionOptions.from_properties(table.properties, {"rewrite-all": "true"}),
        on_step=on_step,
    )
    assert not pending, f"{step} was never reached"
    return result


# Several groups differ from one in what a conflict leaves over, which the first and the last step show.
CASES = [
    *((step, UNPARTITIONED) for step in STEPS),
    *((step, BUCKETED) for step in (CompactionStep.PLANNED, CompactionStep.SWAP_PREPARED)),
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    ("step", "spec"), CASES, ids=lambda v: v.value if isinstance(v, CompactionStep) else f"spec{len(v.fields)}"
)
def test_another_writer_commits(
    step: CompactionStep, kind: Callable[[Orders], None], spec: object, lake: SqlCatalog
) -> None:
    orders = Orders(lake, "db.t", spec=spec, **{"commit.retry.min-wait-ms": "0"})  # type: ignore[arg-type]
    orders.checkpoint(3)
    result = run(orders, step, lambda: kind(orders))
    assert result.status in KINDS[kind], result.to_dict()
    assert result.exit_code == {"committed": 0, "conflict": 3}[result.status]
    context = f"{kind.__name__} at {step}: {result.status}"
    assert_same_rows(scan_table(orders.load()).to_arrow(), orders.expected(), context=context)
    assert_same_rows(read_table(orders.load()), orders.expected(), context=context)
    # The table goes on as ever.
    orders.writer = UpsertWriter(orders.load())
    if kind not in (change_schema, change_spec):
        orders.checkpoint()
    assert compact(orders.load()).status in ("committed", "nothing-to-do")
    assert_same_rows(read_table(orders.load()), orders.expected(), context=f"compacted again after {context}")


def test_a_new_position_delete_that_cannot_be_read_is_named(lake: SqlCatalog) -> None:
    """Whether it deletes rows of an input cannot be told, so nothing is committed and nothing left behind."""
    orders = Orders(lake, "db.t")
    orders.checkpoint(3)
    named: list[str] = []

    def delete_and_lose_the_file() -> None:
        delete_by_position_without_bounds(orders)
        (new,) = [f for f in read_state(orders.load()).deletes.values() if not f.referenced_path and not f.equality_ids]
        named.append(new.path)
        Path(normalize_path(new.path)).unlink()

    result = run(orders, CompactionStep.REWRITTEN, delete_and_lose_the_file)
    assert (result.status, result.exit_code) == ("failed", 1)
    assert f"position-delete file {named[0]} is missing" in str(result.error)
    assert not list(Path(normalize_path(orders.load().location())).rglob(f"{FILE_PREFIX}*"))


@pytest.mark.parametrize("step", STEPS)
def test_a_dropped_table_is_a_conflict(step: CompactionStep, lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t")
    orders.checkpoint(3)
    result = run(orders, step, lambda: lake.drop_table("db.t"))
    assert (result.status, result.exit_code) == ("conflict", 3)
    assert "lake.db.t was dropped" in str(result.error)


@pytest.mark.parametrize("step", [s for s in STEPS if s is not CompactionStep.PLANNED])
def test_a_table_that_was_created_again_is_a_conflict(step: CompactionStep, lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t")
    orders.checkpoint(3)
    made: list[Orders] = []

    def make_anew() -> None:
        lake.drop_table("db.t")
        made.append(Orders(lake, "db.t"))
        made[0].checkpoint(2)

    result = run(orders, step, make_anew)
    assert (result.status, result.exit_code) == ("conflict", 3)
    assert_same_rows(read_table(made[0].load()), made[0].expected())


def test_a_table_that_becomes_version_3_is_refused_at_the_commit(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t")
    orders.checkpoint(3)

    def upgrade() -> None:  # by hand: PyIceberg cannot
        table = orders.load()
        metadata = json.loads(Path(table.metadata_location.removeprefix("file://")).read_text())
        metadata |= {"format-version": 3, "next-row-id": 0}
        location = table.metadata_location.replace(".metadata.json", "-v3.metadata.json")
        Path(location.removeprefix("file://")).write_text(json.dumps(metadata))
        with lake.engine.begin() as connection:
            connection.execute(text("UPDATE iceberg_tables SET metadata_location = :new"), {"new": location})

    result = run(orders, CompactionStep.REWRITTEN, upgrade)
    assert (result.status, result.exit_code) == ("failed", 2)
    assert "format version 3" in str(result.error)
