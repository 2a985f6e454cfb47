"""Reads and writes a large file of HDFS through WebHdfsFileIO, and the same bytes by plain HTTP.

It starts an HDFS of its own on this machine, so figures are those of a loopback with no network in between: what they
compare is the work of the client.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import requests
from pyiceberg.io import FileIO

from autostream.hadoop.fileio import WebHdfsFileIO
from autostream.lake.engine.duckdb_engine import Engine
from autostream.resources import EngineResources
from benchmarks.measure import spread

_SCRIPT = Path(__file__).parents[1] / "scripts" / "services" / "hadoop" / "hdfs.sh"
_PATH = "/data/benchmark/large.parquet"
_LOCATION = f"hdfs://lake{_PATH}"
_PIECE_BYTES = 1 << 20
_USER = "svc"


@contextmanager
def _hdfs() -> Iterator[str]:
    """Run an HDFS and give its WebHDFS address."""
    directory = Path(tempfile.mkdtemp(prefix="autostream-bench-hdfs-"))
    try:
        started = subprocess.run([_SCRIPT, "start", directory], capture_output=True, text=True)
        if started.returncode:
            raise RuntimeError(f"HDFS cannot be had: {started.stderr.strip().splitlines()[-1]}")
        printed = dict(line.split("=", 1) for line in started.stdout.splitlines())
        try:
            yield printed["WEBHDFS_URLS"]
        finally:
            subprocess.run([_SCRIPT, "stop", directory], capture_output=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _parquet(target: Path, *, size_bytes: int) -> None:
    """Write a Parquet file that does not compress: 8 columns of random numbers, in row groups of some 32 MB."""
    columns = ", ".join(f"random() AS c{i}" for i in range(8))
    duckdb.execute(
        f"COPY (SELECT {columns} FROM range({size_bytes // 64})) TO '{target}' "
        "(FORMAT parquet, COMPRESSION uncompressed, ROW_GROUP_SIZE 524288)"
    )


def _url(base: str, operation: str) -> str:
    return f"{base}/webhdfs/v1{_PATH}?op={operation}&user.name={_USER}"


def _read_plainly(base: str) -> int:
    with requests.get(_url(base, "OPEN"), stream=True, timeout=60) as response:
        response.raise_for_status()
        return sum(len(piece) for piece in response.iter_content(_PIECE_BYTES))


def _read_by_file_io(io: FileIO) -> int:
    with io.new_input(_LOCATION).open() as stream:
        return sum(map(len, iter(lambda: stream.read(_PIECE_BYTES), b"")))


def _write_plainly(base: str, local: Path) -> int:
    redirection = requests.put(
        _url(base, "CREATE") + "&overwrite=true", allow_redirects=False, timeout=60, data=None
    ).headers["Location"]
    with local.open("rb") as source:
        requests.put(redirection, data=source, timeout=60).raise_for_status()
    return local.stat().st_size


def _write_by_file_io(io: FileIO, local: Path) -> int:
    with local.open("rb") as source, io.new_output(_LOCATION).create(overwrite=True) as sink:
        while piece := source.read(_PIECE_BYTES):
            sink.write(piece)
    return local.stat().st_size


def _scan(io: FileIO, location: str) -> int:
    """Let the engine read all values, as a merge does."""
    with Engine(io, EngineResources(threads=2)) as engine:
        engine.rows(f"SELECT max(hash(COLUMNS(*))) FROM read_parquet('{engine.path(location)}')")
    return 0


def _fetch_and_scan(base: str, io: FileIO, copy: Path) -> int:
    with requests.get(_url(base, "OPEN"), stream=True, timeout=60) as response, copy.open("wb") as sink:
        for piece in response.iter_content(_PIECE_BYTES):
            sink.write(piece)
    return _scan(io, str(copy))


def measure(*, runs: int, size_bytes: int) -> None:
    """Print the section of the report."""
    with _hdfs() as base, tempfile.TemporaryDirectory(prefix="autostream-bench-") as scratch:
        local = Path(scratch) / "large.parquet"
        _parquet(local, size_bytes=size_bytes)
        io = WebHdfsFileIO({"webhdfs.urls": base, "webhdfs.user": _USER})
        size = _write_by_file_io(io, local)
        works: dict[str, Callable[[], int]] = {
            "write: plain HTTP from a local file": lambda: _write_plainly(base, local),
            "write: through the FileIO": lambda: _write_by_file_io(io, local),
            "read: plain HTTP": lambda: _read_plainly(base),
            "read: through the FileIO, 1 MiB at a time": lambda: _read_by_file_io(io),
            "DuckDB: plain HTTP to a local file, then a scan of it": lambda: _fetch_and_scan(
                base, io, Path(scratch) / "copy.parquet"
            ),
            "DuckDB: scan through the FileIO": lambda: _scan(io, _LOCATION),
        }
        seconds: dict[str, list[tuple[float, float]]] = {label: [] for label in works}
        for number in range(runs + 1):
            for label, work in works.items():
                wall, cpu = time.perf_counter(), time.process_time()
                work()
                if number:  # the first round only warms up the servers
                    seconds[label].append((time.perf_counter() - wall, time.process_time() - cpu))
        print(
            f"\n### WebHDFS: one Parquet file of {size / 1e6:.0f} MB, {os.cpu_count()} cores shared with the server\n"
        )
        print("| work | wall s | client's CPU s | MB/s | against plain HTTP |\n| --- | --- | --- | --- | --- |")
        plain: list[float] = []
        for number, (label, measured) in enumerate(seconds.items()):
            walls = [wall for wall, _ in measured]
            ratio = spread((a / b for a, b in zip(walls, plain, strict=True)), digits=2) if number % 2 else ""
            rate = spread((size / 1e6 / wall for wall in walls), digits=0)
            cpus = spread((cpu for _, cpu in measured), digits=2)
            print(f"| {label} | {spread(walls, digits=2)} | {cpus} | {rate} | {ratio} |", flush=True)
            plain = walls


if __name__ == "__main__":
    measure(runs=5, size_bytes=256_000_000)
