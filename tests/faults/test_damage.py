"""Broken files, broken settings, no space: a message that names table, file and remedy, and nothing changed."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.transforms import IdentityTransform

from autostream.iceberg.files import Content, LiveFile, normalize_path
from autostream.iceberg.state import read_state
from autostream.lake.engine.output_files import FILE_PREFIX
from tests.support.commands import autostream_here, finish, start
from tests.support.lakes import BUCKETED, Orders
from tests.support.reader import read_table
from tests.support.rows import assert_same_rows


@pytest.fixture
def orders(lake: SqlCatalog) -> Orders:
    made = Orders(lake, "db.t", spec=BUCKETED)
    made.checkpoint(6)
    return made


def a_file(orders: Orders, content: Content) -> LiveFile:
    state = read_state(orders.load())
    files = [f for f in (*state.data.values(), *state.deletes.values()) if f.content == content]
    # The newest: others apply to it or it applies to others, so that it is certainly read.
    return max(files, key=lambda f: (f.sequence_number if content is not Content.DATA else -f.sequence_number, f.path))


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def scramble(path: Path) -> None:
    """As long as before, but no Parquet file."""
    path.write_bytes(b"x" * path.stat().st_size)


def state_of(orders: Orders) -> tuple[int | None, set[str]]:
    table = orders.load()
    folder = Path(normalize_path(table.location()))
    return table.metadata.current_snapshot_id, {str(p) for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("content", list(Content), ids=lambda c: c.name.lower())
@pytest.mark.parametrize("damage", [remove, truncate, scramble])
def test_a_damaged_file_is_named_and_nothing_changes(
    damage: Callable[[Path], None], content: Content, orders: Orders
) -> None:
    file = a_file(orders, content)
    damage(Path(normalize_path(file.path)))
    before = state_of(orders)
    done = autostream_here("table", "compact", "lake.db.t", "--option", "rewrite-all=true", "--json")
    assert done.exit_code == 1, done.stderr
    assert done.document["status"] == "failed"
    for part in ("db.t", file.path, "Restore it"):
        assert part in done.document["error"]
        assert part in done.stderr
    assert state_of(orders) == before
    read = autostream_here("table", "scan", "lake.db.t", "--columns", "v", "--output", "/dev/null/x.parquet")
    assert read.exit_code in (1, 2)


def test_with_partial_progress_the_other_partitions_are_compacted(orders: Orders) -> None:
    file = a_file(orders, Content.DATA)
    Path(normalize_path(file.path)).unlink()
    options = ["--option", "rewrite-all=true", "--option", "partial-progress.enabled=true"]
    done = autostream_here("table", "compact", "lake.db.t", *options, "--json")
    assert done.exit_code == 1
    assert done.document["status"] == "failed"
    assert done.document["groups"] == {"planned": 4, "committed": 3, "conflicted": 0, "failed": 1}
    assert file.path in done.document["error"]


def test_a_corrupt_manifest_is_named(orders: Orders) -> None:
    table = orders.load()
    manifest = table.current_snapshot().manifests(table.io)[0].manifest_path  # type: ignore[union-attr]
    scramble(Path(normalize_path(manifest)))
    before = state_of(orders)
    for command in ("compact", "inspect", "scan"):
        done = autostream_here("table", command, "lake.db.t")
        assert done.exit_code == 1
        assert manifest in done.stderr
        assert "roll the table back" in done.stderr
    assert state_of(orders) == before


def test_a_missing_manifest_list_is_named(orders: Orders) -> None:
    table = orders.load()
    path = table.current_snapshot().manifest_list  # type: ignore[union-attr]
    Path(normalize_path(path)).unlink()
    done = autostream_here("table", "compact", "lake.db.t")
    assert done.exit_code == 1
    assert path in done.stderr
    assert "lake.db.t" in done.stderr


def test_missing_metadata_is_named(orders: Orders) -> None:
    location = orders.load().metadata_location
    Path(normalize_path(location)).unlink()
    done = autostream_here("table", "compact", "lake.db.t")
    assert done.exit_code == 1
    assert normalize_path(location) in done.stderr
    assert "lake.db.t" in done.stderr


def test_an_unreadable_catalog_is_named(lake: SqlCatalog, tmp_path: Path) -> None:
    done = autostream_here(
        "table", "compact", "lake.db.t", PYICEBERG_CATALOG__LAKE__URI=f"sqlite:///{tmp_path}/no/such/dir.db"
    )
    assert done.exit_code == 2
    assert "'lake'" in done.stderr
    assert "PYICEBERG_CATALOG__LAKE__URI" in done.stderr


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"autostream.compaction.min-input-files": "many"}, "autostream.compaction.min-input-files is 'many'"),
        ({"autostream.compaction.min-input-fils": "5"}, "Did you mean min-input-files?"),
        ({"write.parquet.compression-codec": "zip"}, "write.parquet.compression-codec is 'zip'"),
        ({"write.metadata.metrics.default": "all"}, "write.metadata.metrics.default is 'all'"),
        ({"write.parquet.row-group-limit": "big"}, "write.parquet.row-group-limit is 'big'"),
        ({"write.target-file-size-bytes": "-1"}, "write.target-file-size-bytes is '-1'"),
        ({"autostream.compaction.engine": "spark"}, "engine 'spark'"),
    ],
)
def test_a_wrong_property_is_named(properties: dict[str, str], message: str, orders: Orders) -> None:
    with orders.load().transaction() as transaction:
        transaction.set_properties(properties)
    before = state_of(orders)
    done = autostream_here("table", "compact", "lake.db.t", "--option", "rewrite-all=true")
    assert done.exit_code == 2, done.stderr
    assert message in done.stderr
    assert state_of(orders) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for next to nothing."""
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def test_no_space_for_outputs(small_disk: Path, lake: SqlCatalog, tmp_path: Path) -> None:
    orders = Orders(lake, "db.t")
    orders.checkpoint(3)
    table = orders.load()
    with table.transaction() as transaction:
        transaction.set_properties({"write.data.path": f"file://{small_disk}/data"})
    (small_disk / "filler").write_bytes(b"x" * 63_000)
    before = state_of(orders)
    done = autostream_here("table", "compact", "lake.db.t", "--option", "rewrite-all=true", "--json")
    assert done.exit_code == 1, done.stderr
    assert "space" in done.document["error"]
    assert state_of(orders) == before
    assert not [p for p in small_disk.rglob(f"{FILE_PREFIX}*") if p.is_file()]
    assert_same_rows(read_table(orders.load()), orders.expected())


def test_no_room_to_spill(small_disk: Path, orders: Orders) -> None:
    shutil.rmtree(small_disk, ignore_errors=True)
    (small_disk / "file").write_bytes(b"")
    spill = {"AUTOSTREAM_ENGINE__SPILL_DIRECTORY": str(small_disk / "file")}
    before = state_of(orders)
    done = autostream_here("table", "compact", "lake.db.t", "--option", "rewrite-all=true", **spill)
    assert done.exit_code == 1
    assert "AUTOSTREAM_ENGINE__SPILL_DIRECTORY" in done.stderr
    assert str(small_disk) in done.stderr
    assert state_of(orders) == before


def test_the_spill_directory_fills_up(small_disk: Path, lake: SqlCatalog) -> None:
    """A sort of more than fits into memory, and nowhere to put it."""
    orders = Orders(lake, "db.t")
    with orders.load().update_sort_order() as update:
        update.asc("s", IdentityTransform())
    rows = pa.table(
        {"id": range(100_000), "v": range(100_000), "s": [f"{i * 7919 % 100_000:0400d}" for i in range(100_000)]}
    )
    orders.writer.commit(data=orders.writer.files.write_data(rows))
    tight = {"AUTOSTREAM_ENGINE__SPILL_DIRECTORY": str(small_disk), "AUTOSTREAM_ENGINE__MEMORY_LIMIT": "30MB"}
    before = state_of(orders)
    done = autostream_here("table", "compact", "lake.db.t", "--option", "rewrite-all=true", **tight)
    assert done.exit_code == 1, done.stderr
    assert f"ran out of space in {small_disk}" in done.stderr
    assert "engine.spill_directory" in done.stderr
    assert state_of(orders) == before
    assert not list(small_disk.iterdir())


def test_two_compactions_at_once(orders: Orders) -> None:
    runs = [start("table", "compact", "lake.db.t", "--option", "rewrite-all=true", "--json") for _ in range(2)]
    ended = [finish(run) for run in runs]
    statuses = sorted(done.document["status"] for done in ended)
    # Both may also run one after the other, each upon the result of the first.
    assert statuses in (["committed", "conflict"], ["committed", "committed"]), [done.stderr for done in ended]
    for done in ended:
        assert done.exit_code == {"committed": 0, "conflict": 3}[done.document["status"]]
    assert_same_rows(read_table(orders.load()), orders.expected())
    table = orders.load()
    kept = {str(p) for p in Path(normalize_path(table.location())).glob(f"data/**/{FILE_PREFIX}*") if p.is_file()}
    live = {
        normalize_path(path)
        for s in table.metadata.snapshots
        for path in read_state(table, snapshot_id=s.snapshot_id).data
    }
    assert kept <= live
