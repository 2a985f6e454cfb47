"""`python -m benchmarks.watermarks`: what recording costs the writers of a table, and those who ask.

A real Flink job commits every second; beside it runs the recorder with its default interval. How often a commit of the
job has to be tried again is compared with the same job alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import spread

_COMMAND = [sys.executable, "-c", "from autostream.cli.start import run; run()"]


def beside_a_writer(*, seconds: float, recorded: bool, checkpoint_ms: int = 1000) -> dict[str, Any]:
    """Let a job write for some time, recorded or not, and count its commits and what it took to make them."""
    from tests.support import event_jobs

    with tempfile.TemporaryDirectory(prefix="autostream-bench-") as name:
        directory = Path(name)
        environment, catalog = _lake(directory)
        event_jobs.create_table(catalog, "db.events")
        commits = directory / "commits"
        job = event_jobs.start(
            catalog, directory / "job", "db.events", rate=400, ckpt=checkpoint_ms, name="events", commits=commits
        )
        environment |= {
            "AUTOSTREAM_FLINK__CLUSTERS__BENCH__URL": job.rest,
            "AUTOSTREAM_WATERMARK__WRITERS": json.dumps([{"job": "events", "table": "lake.db.events"}]),
        }
        try:
            if recorded:
                command = [*_COMMAND, "watermark", "record", "--for", str(seconds), "--json"]
                done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
                publications = len(json.loads(done.stdout)["publications"])
            else:
                time.sleep(seconds)
                publications = 0
        finally:
            job.kill()
        attempts = [json.loads(line)["attempts"] for line in commits.read_text().splitlines()]
    return {
        "publications": publications,
        "commits": len(attempts),
        "retries": sum(attempts) - len(attempts),
        "most_attempts": max(attempts),
    }


def asking(*, runs: int) -> dict[str, list[float]]:
    """Measure `watermark get`: the whole process, and the read alone on a catalog that is open."""
    from autostream.catalogs.opening import open_table
    from autostream.watermark.changes import WriterReport, apply_reports
    from autostream.watermark.publish import publish
    from autostream.watermark.reading.table_marks import read_mark

    with tempfile.TemporaryDirectory(prefix="autostream-bench-") as name:
        environment, catalog = _lake(Path(name))
        import pyarrow as pa

        catalog.create_table("db.events", pa.schema([("id", pa.int64())]))
        rows = pa.table({"id": [1]})
        for _ in range(50):
            catalog.load_table("db.events").append(rows)
        publish(
            open_table("lake.db.events", catalog=catalog), lambda p: apply_reports(p, [WriterReport("w", 1)], now_ms=2)
        )
        reads, processes = [], []
        for _ in range(runs):
            begin = time.perf_counter()
            read_mark("lake.db.events", catalog=catalog)
            reads.append((time.perf_counter() - begin) * 1000)
            begin = time.perf_counter()
            subprocess.run(
                [*_COMMAND, "watermark", "get", "lake.db.events", "--json"],
                env=environment,
                stdout=subprocess.DEVNULL,
                check=True,
            )
            processes.append((time.perf_counter() - begin) * 1000)
    return {"read, catalog open": reads, "whole process": processes}


def _lake(directory: Path) -> tuple[dict[str, str], Any]:
    from autostream.catalogs.opening import open_catalog

    properties = {"type": "sql", "uri": f"sqlite:///{directory}/lake.db", "warehouse": f"file://{directory}/warehouse"}
    catalog = open_catalog("lake", properties)
    catalog.create_namespace("db")
    variables = {f"PYICEBERG_CATALOG__LAKE__{key.upper()}": value for key, value in properties.items()}
    variables["AUTOSTREAM_DATABASE__URL"] = f"sqlite:///{directory}/control.db"
    return {**os.environ, **variables}, catalog


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    print("| asking | ms |\n| --- | --- |")
    for what, times in asking(runs=options.runs).items():
        print(f"| {what} | {spread(times)} |", flush=True)
    print("\n| a job's commits | publications | commits | retries | most attempts |\n| --- | --- | --- | --- | --- |")
    for recorded in (True, False):
        found = beside_a_writer(seconds=options.seconds, recorded=recorded)
        cells = " | ".join(str(value) for value in found.values())
        print(f"| {'recorded' if recorded else 'alone'} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
