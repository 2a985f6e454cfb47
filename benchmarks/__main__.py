"""`python -m benchmarks`: compaction against its floor, locks, HDFS against plain HTTP; prints Markdown."""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb

from benchmarks.commits import main as measure_commits
from benchmarks.lakes import CATALOG, Lake, data_paths, generate
from benchmarks.locks import measure as measure_locks
from benchmarks.locks import zookeeper
from benchmarks.measure import Run, run, spread, table_row
from benchmarks.spark import rewrite_by_spark
from benchmarks.starting import measure as measure_starting
from benchmarks.waiting import measure as measure_waiting
from benchmarks.webhdfs import measure as measure_webhdfs

_HEADER = "| work | CPU s | wall s | peak MB | runs |\n| --- | --- | --- | --- | --- |"
_COMMAND = [sys.executable, "-c", "from autostream.cli.start import run; run()"]


def _report(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _environment(lake: Lake) -> dict[str, str]:
    prefix = f"PYICEBERG_CATALOG__{CATALOG.upper()}__"
    path = f"{Path(__file__).parents[1] / 'include'}:{os.environ.get('PYTHONPATH', '')}"
    return {"PYTHONPATH": path, **{prefix + key.upper(): value for key, value in lake.properties.items()}}


def _compact(lake: Lake, *, threads: int, memory: str) -> Run:
    lake.restore()
    environment = {
        **_environment(lake),
        "AUTOSTREAM_ENGINE__THREADS": str(threads),
        "AUTOSTREAM_ENGINE__MEMORY_LIMIT": memory,
    }
    command = [*_COMMAND, "table", "compact", f"{CATALOG}.db.t", "--option", "rewrite-all=true", "--json"]
    measured = run(command, environment=environment)
    document = json.loads(measured.output)
    if document["status"] != "committed":
        raise RuntimeError(f"the compaction ended as {document['status']}: {document}")
    _check(lake)
    return measured


def _check(lake: Lake) -> None:
    """Compare the compacted table with what the generator knows of its rows."""
    facts = lake.facts()
    paths = data_paths(lake.catalog().load_table("db.t"))
    count, total, keys = duckdb.execute(
        "SELECT count(*), sum(version)::BIGINT, count(DISTINCT id) FROM read_parquet($files)", {"files": paths}
    ).fetchone() or (0, 0, 0)
    if (count, total, keys) != (facts["live_rows"], facts["sum_of_versions"], facts["live_rows"]):
        raise RuntimeError(f"wrong rows after compaction: {(count, total, keys)} instead of {facts}")


def _floor(lake: Lake) -> Run:
    lake.restore()
    listing, output = lake.directory / "data-files.txt", lake.directory / "floor.parquet"
    if not listing.exists():
        listing.write_text("\n".join(data_paths(lake.catalog().load_table("db.t"))))
    measured = run([sys.executable, "-m", "benchmarks.floor", str(listing), str(output)])
    output.unlink()
    return measured


def _large(name: str, arguments: argparse.Namespace) -> None:
    lake = generate(arguments.directory, name=name, rows=arguments.rows, report=_report)
    facts = lake.facts()
    print(
        f"\n### {name}: {facts['rows']:,} rows, {facts['equality_delete_rows']:,} equality-delete rows, "
        f"{facts['data_files']} data files of {facts['files']} files, {facts['data_bytes'] / 1e6:.0f} MB of data, "
        f"{facts['live_rows']:,} rows live\n"
    )
    works: dict[str, Callable[[], Run]] = {
        "DuckDB copies the data files (floor)": lambda: _floor(lake),
        f"`autostream table compact`, {arguments.memory}": lambda: _compact(
            lake, threads=arguments.threads, memory=arguments.memory
        ),
    }
    runs: dict[str, list[Run]] = {label: [] for label in works}
    for number in range(arguments.runs):
        for label, work in works.items():  # alternating, so that a busy machine is fair to both
            runs[label].append(work())
            _report(f"{name}, run {number + 1}: {label}: {runs[label][-1].cpu_seconds:.1f} CPU s")
    print(_HEADER)
    for label, measured in runs.items():
        print(table_row(label, measured), flush=True)
    floor, ours = runs.values()
    ratios = [o.cpu_seconds / f.cpu_seconds for o, f in zip(ours, floor, strict=True)]
    if arguments.spark:
        lake.restore()
        spark = rewrite_by_spark(lake, table="db.t")
        if isinstance(spark, str):
            print(f"\nSpark was not measured: {spark}")
        else:
            print(table_row("Spark `rewrite_data_files`, local[2]", [spark]))
            _say_against_spark(spark, ours)
    print(f"\nCPU against the floor, run by run: {spread(ratios, digits=2)} ×.")
    last = json.loads(ours[-1].output)
    print(f"Last run: {json.dumps({k: last[k] for k in ('groups', 'seconds', 'before', 'after')})}", flush=True)
    lake.restore()


def _say_against_spark(spark: Run, ours: Sequence[Run]) -> None:
    cpu = spark.cpu_seconds / statistics.median(r.cpu_seconds for r in ours)
    wall = spark.wall_seconds / statistics.median(r.wall_seconds for r in ours)
    memory = spark.peak_bytes / statistics.median(r.peak_bytes for r in ours)
    print(f"\nSpark takes {cpu:.0f} × the CPU, {wall:.0f} × the wall time, {memory:.0f} × the memory.")


def _small(arguments: argparse.Namespace) -> None:
    lake = generate(arguments.directory, name="S200", rows=0, report=_report)
    print("\n### S200: 200 tables of 20 commits, 60 files each, compacted one after the other in one process\n")
    runs, inside = [], []
    for _ in range(arguments.runs):
        lake.restore()
        runs.append(run([sys.executable, "-m", "benchmarks.small_tables", CATALOG], environment=_environment(lake)))
        inside.append(json.loads(runs[-1].output))
        if inside[-1]["statuses"] != {"committed": inside[-1]["tables"]}:
            raise RuntimeError(f"not all small tables were compacted: {inside[-1]['statuses']}")
    print(_HEADER)
    print(table_row("200 tables", runs))
    each = [i["wall"] / i["tables"] for i in inside]
    rewriting = [100 * (1 - i["seconds"]["rewrite"] / i["wall"]) for i in inside]
    print(f"\nSeconds per table: {spread(each, digits=3)}; not rewriting: {spread(rewriting, digits=0)} %.")
    print(f"Last run, seconds over all tables: {json.dumps(inside[-1]['seconds'])}", flush=True)
    lake.restore()


def main() -> None:
    """Parse arguments and measure."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autostream" / "benchmarks"
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--directory", type=Path, default=cache, help="where tables are kept (2.5 GB); default: %(default)s"
    )
    parser.add_argument(
        "--tables",
        default="M,MB,S200,locks,commits,webhdfs,waiting,starting",
        help="which of them; default: %(default)s",
    )
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of M and MB; default: %(default)s")
    parser.add_argument("--runs", type=int, default=3, help="runs of each work; default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="threads of the compaction; default: %(default)s")
    parser.add_argument("--memory", default="512MB", help="the engine's memory limit; default: %(default)s")
    parser.add_argument("--spark", action="store_true", help="measure Spark once too (10 minutes, fetches 500 MB)")
    arguments = parser.parse_args()
    for name in arguments.tables.split(","):
        if name == "S200":
            _small(arguments)
        elif name == "webhdfs":
            measure_webhdfs(runs=arguments.runs, size_bytes=256_000_000)
        elif name == "waiting":
            measure_waiting()
        elif name == "starting":
            measure_starting(_COMMAND, include=Path(__file__).parents[1] / "include", runs=3 * arguments.runs)
        elif name == "commits":
            measure_commits()
        elif name == "locks":
            with zookeeper() as hosts:
                measure_locks(hosts)
        else:
            _large(name, arguments)


if __name__ == "__main__":
    main()
