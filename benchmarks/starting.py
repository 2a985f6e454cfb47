"""How much a command costs before and besides its work: help, and metadata of a small table of three commits."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

from autostream.demo.writer import Changes, UpsertWriter
from benchmarks.measure import run, spread

_TABLE = "lake.db.small"
_MEASURED: dict[str, tuple[list[str], float]] = {
    "autostream --help": (["--help"], 0.25),
    f"autostream watermark get {_TABLE}": (["watermark", "get", _TABLE], 1.0),
    f"autostream table inspect {_TABLE}": (["table", "inspect", _TABLE], 1.0),
}
"""What is measured, and the CPU seconds that it may take."""


def _small_table(directory: Path) -> dict[str, str]:
    """Make the table in a catalog on SQLite, and return the environment in which commands find it."""
    properties = {"type": "sql", "uri": f"sqlite:///{directory}/lake.db", "warehouse": f"file://{directory}/warehouse"}
    catalog = SqlCatalog("lake", **properties)
    catalog.create_namespace("db")
    watermark = {"autostream.watermark.writer.a": "1795399200000", "autostream.watermark": "1795399200000"}
    table = catalog.create_table("db.small", Schema(NestedField(1, "id", LongType())), properties=watermark)
    writer = UpsertWriter(table)
    for n in range(3):
        writer.checkpoint(Changes((), upserts=pa.table({"id": [n]})))
    return {f"PYICEBERG_CATALOG__LAKE__{key.upper()}": value for key, value in properties.items()}


def measure(command: Sequence[str], *, include: Path, runs: int) -> None:
    """Print what the commands cost.

    Args:
        command: What starts the command line, such as `["autostream"]`.
        include: Where its code is.
        runs: How often each is measured; the files are warm.
    """
    print("\n### Starting: what a command costs besides its work\n")
    print("| command | CPU s | at most | wall s | peak MB | runs |\n| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as directory:
        environment = _small_table(Path(directory)) | {"PYTHONPATH": str(include)}
        for label, (arguments, most) in _MEASURED.items():
            made = [run([*command, *arguments], environment=environment) for _ in range(runs + 1)][1:]
            cpu, wall = (spread((getattr(r, key) for r in made), digits=2) for key in ("cpu_seconds", "wall_seconds"))
            peak = spread((r.peak_bytes / 1e6 for r in made), digits=0)
            print(f"| {label} | {cpu} | {most} | {wall} | {peak} | {runs} |")
