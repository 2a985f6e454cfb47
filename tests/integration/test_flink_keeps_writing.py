"""A real Flink job upserts into tables while `autostream table compact` runs on them again and again."""

import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionSpec

from autostream.demo.writer import Changes, UpsertWriter
from tests.support import commands
from tests.support.java import JAVA, need_java, read_by_java
from tests.support.lakes import BUCKETED, ORDERS, UNPARTITIONED
from tests.support.reader import read_table
from tests.support.rows import assert_same_rows

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.xdist_group("java")]

COMPACT = ("table", "compact", "lake.db.live", "--json")
KEYS = 400
ROWS = 8000
ROWS_PER_SECOND = 400
CHECKPOINT_MS = 400


def final_rows() -> list[dict[str, Any]]:
    """What scripts/services/java/src/flink/UpsertJob.java leaves."""
    last = {n % KEYS: n for n in range(ROWS)}
    return [{"id": key, "v": n, "s": f"payload-{n}"} for key, n in last.items() if n % 13 != 7]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(UNPARTITIONED, id="unpartitioned", marks=pytest.mark.exhaustive),
        pytest.param(BUCKETED, id="bucketed"),
    ],
)
def test_compaction_beside_a_flink_job(lake: SqlCatalog, tmp_path: Path, spec: PartitionSpec) -> None:
    need_java("flink")
    need_java("iceberg")
    # Flink commits every 400 ms and must not tire of losing races.
    table = lake.create_table("db.live", ORDERS, partition_spec=spec, properties={"commit.retry.num-retries": "30"})
    arguments = [lake.name, str(tmp_path / "lake.db"), f"file://{tmp_path}/warehouse", "db.live"]
    arguments += [str(n) for n in (ROWS, KEYS, ROWS_PER_SECOND, CHECKPOINT_MS)]
    with (tmp_path / "flink.log").open("w") as log:
        job = subprocess.Popen([JAVA, "run", "flink", "UpsertJob", *arguments], stdout=log, stderr=log)
    ends = []
    try:
        while job.poll() is None:
            ends.append(
                commands.autostream("table", "compact", "lake.db.live", "--option", "min-input-files=2", "--json")
            )
    finally:
        job.kill()
        job.wait()
    assert job.returncode == 0, (tmp_path / "flink.log").read_text()[-4000:]
    assert {end.exit_code for end in ends} <= {0, 3}, [end.stderr for end in ends if end.exit_code not in (0, 3)]
    statuses = [end.document["status"] for end in ends]
    assert statuses.count("committed") >= 2, statuses

    table = lake.load_table("db.live")
    summaries = [s.summary.additional_properties for s in table.metadata.snapshots if s.summary]
    assert sum("flink.job-id" in summary for summary in summaries) > len(ends)
    (rows,) = read_by_java([table], tmp_path / "java")
    assert_same_rows(rows, final_rows(), context=f"by Java, after {statuses}")
    assert_same_rows(read_table(table), final_rows(), context="by the naive reader")

    # And on: another compaction, another writer.
    commands.autostream(*COMPACT, "--option", "rewrite-all=true")
    UpsertWriter(lake.load_table("db.live")).checkpoint(Changes(("id",), deletes=pa.table({"id": list(range(KEYS))})))
    (rows,) = read_by_java([lake.load_table("db.live")], tmp_path / "java")
    assert rows == []
