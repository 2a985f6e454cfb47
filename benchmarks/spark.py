"""Spark's rewrite_data_files on the same table, for comparison."""

import subprocess
from pathlib import Path

from benchmarks.lakes import CATALOG, Lake
from benchmarks.measure import Run, run

_SCRIPT = Path(__file__).parents[1] / "scripts" / "services" / "spark.sh"
_JOB = Path(__file__).with_name("spark_job.py")


def rewrite_by_spark(lake: Lake, *, table: str) -> Run | str:
    """Measure Spark's rewrite of a table, or return why it cannot be had."""
    ready = subprocess.run([_SCRIPT, "setup"], capture_output=True, text=True)
    if ready.returncode:
        return (ready.stderr.strip().splitlines() or ["spark.sh setup failed"])[-1]
    uri = f"jdbc:sqlite:{lake.directory}/catalog.db"
    return run([str(_SCRIPT), "run", str(_JOB), CATALOG, uri, lake.properties["warehouse"], table])
