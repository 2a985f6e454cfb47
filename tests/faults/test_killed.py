"""Rule 9: a killed compaction leaves the table as it was, or compacted; run again, it succeeds."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import clear_manifest_cache
from pyiceberg.table import Table

from autostream.iceberg.files import normalize_path
from autostream.lake.compaction.compaction_steps import CompactionStep
from autostream.lake.engine.output_files import FILE_PREFIX
from autostream.lake.scan import scan_table
from tests.support.lakes import BUCKETED, Orders, compact
from tests.support.reader import read_table
from tests.support.rows import assert_same_rows

COMMITTED = {CompactionStep.SWAPPED.value, "answer-lost"}
POINTS = [*(step.value for step in CompactionStep), "metadata-written", "answer-lost"]


def referenced(table: Table) -> set[str]:
    """Return the data and delete files that any snapshot of the table reaches."""
    return {
        normalize_path(entry.data_file.file_path)
        for snapshot in table.metadata.snapshots
        for manifest in snapshot.manifests(table.io)
        for entry in manifest.fetch_manifest_entry(table.io)
    }


@pytest.mark.parametrize("point", POINTS)
def test_killed_at(point: str, lake: SqlCatalog, tmp_path: Path) -> None:
    orders = Orders(lake, "db.t", spec=BUCKETED)
    orders.checkpoint(4)
    before = orders.load().current_snapshot()
    root = Path(__file__).parents[2]
    killed = subprocess.run(
        [sys.executable, "-m", "tests.faults.killed", "lake.db.t", point],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    clear_manifest_cache()
    after = orders.load()
    assert (after.current_snapshot() != before) == (point in COMMITTED)
    assert_same_rows(scan_table(after).to_arrow(), orders.expected(), context=f"killed at {point}")
    assert_same_rows(read_table(after), orders.expected(), context=f"killed at {point}")

    orders.checkpoint()
    assert compact(orders.load()).status == "committed"
    assert_same_rows(read_table(orders.load()), orders.expected(), context=f"run again after {point}")

    warehouse = Path(normalize_path(after.location()))
    left = {str(path) for path in warehouse.glob("data/**/*") if path.is_file()} - referenced(orders.load())
    assert all(Path(path).name.startswith(FILE_PREFIX) for path in left), left
    # Whatever was written by the killed process and never committed is still there to be swept, nothing else.
    assert bool(left) == (point not in {CompactionStep.PLANNED.value, *COMMITTED}), left
