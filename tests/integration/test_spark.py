"""Spark reads a compacted table, writes on, and what it wrote is compacted again."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from autostream.lake.scan import scan_table
from tests.support.lakes import BUCKETED, Orders, compact
from tests.support.reader import read_table
from tests.support.rows import assert_same_rows
from tests.support.services import SERVICES, need_fetched, need_programs

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.exhaustive, pytest.mark.xdist_group("java")]


def by_spark(lake: SqlCatalog, directory: Path, *statements: str) -> list[dict[str, Any]]:
    script = Path(__file__).parents[1] / "support" / "spark_read.py"
    output = directory / "rows.jsonl"
    arguments = [lake.name, f"jdbc:sqlite:{directory}/lake.db", f"file://{directory}/warehouse", "db.t", str(output)]
    done = subprocess.run(
        [SERVICES / "spark.sh", "run", script, *arguments, *statements], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in output.read_text().splitlines()]


def test_spark_reads_and_writes_on(lake: SqlCatalog, tmp_path: Path) -> None:
    need_programs("Spark", "java", "mvn", "uv")
    need_fetched("Spark", "spark.sh", size="500 MB")
    modes = {"write.delete.mode": "merge-on-read", "write.update.mode": "merge-on-read"}
    orders = Orders(lake, "db.t", spec=BUCKETED, **modes)
    orders.checkpoint(5)
    assert compact(orders.load(), min_input_files="1").status == "committed"
    orders.checkpoint()
    rows = by_spark(
        lake,
        tmp_path,
        "UPDATE lake.db.t SET s = 'by Spark' WHERE id % 5 = 0",
        "DELETE FROM lake.db.t WHERE id % 7 = 0",
    )
    expected = [
        {**row, "s": "by Spark"} if row["id"] % 5 == 0 else row for row in orders.expected() if row["id"] % 7 != 0
    ]
    assert_same_rows(rows, expected, context="by Spark")
    assert_same_rows(scan_table(orders.load()).to_batches(), expected, context="by our scan")
    # Spark's position deletes go the way of Flink's.
    assert compact(orders.load()).status == "committed"
    assert_same_rows(read_table(orders.load()), expected, context="by the naive reader, compacted")
    assert_same_rows(by_spark(lake, tmp_path), expected, context="by Spark, compacted")
