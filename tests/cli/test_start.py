"""What a command loads before it begins: nothing that it does not need, for loading is most of the time it takes."""

import json
import subprocess
import sys

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

from autostream.cli.groups import ENTRIES
from autostream.demo.writer import Changes, UpsertWriter
from tests.support.commands import environment

HEAVY = ("duckdb", "fastavro", "fsspec", "kazoo", "numpy", "pandas", "pyarrow", "requests", "sqlalchemy", "thrift")
# Runs a command as the entry point does, and tells on the last line of stderr what was loaded.
RUN = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from autostream.cli.start import run
run()
"""


def loaded_by(*arguments: str) -> set[str]:
    """Run a command in a process of its own, and return the heavy libraries that it loaded, and PyIceberg."""
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    modules = done.stderr.splitlines()[-1].split()
    return {top for name in modules if (top := name.partition(".")[0]) in (*HEAVY, "pydantic", "pyiceberg")}


@pytest.fixture
def small_table(lake: SqlCatalog) -> str:
    schema = Schema(NestedField(1, "id", LongType()))
    properties = {"autostream.watermark.writer.a": "1795399200000"}
    writer = UpsertWriter(lake.create_table("db.small", schema, properties=properties))
    writer.checkpoint(Changes((), upserts=pa.table({"id": [1]})))
    return "lake.db.small"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_loads_no_group(arguments: list[str]) -> None:
    assert loaded_by(*arguments) == set()


@pytest.mark.parametrize("arguments", [["watermark", "get"], ["table", "inspect"]])
def test_metadata_is_read_by_little_more_than_pyiceberg(small_table: str, arguments: list[str]) -> None:
    # The catalog is one on SQL.
    assert loaded_by(*arguments, small_table) == {"pydantic", "pyiceberg", "sqlalchemy"}


def test_help_of_a_group_loads_no_engine() -> None:
    for name in ENTRIES:
        assert loaded_by(name, "--help") <= {"pydantic"}, name


def test_pyarrow_works_as_where_pandas_is_not_installed() -> None:
    """Values go in and out of PyArrow and the engine, and pandas is not loaded by any of them."""
    pytest.importorskip("pandas")
    program = """
import json, sys
from autostream.lean_start import start_lean
start_lean()
import duckdb, pyarrow as pa, pyarrow.compute as pc, pyarrow.dataset as ds
import pyiceberg.io.pyarrow
table = pa.table({"a": [1, None], "b": [{"x": 1.5}, {"x": None}], "c": pa.array([1, 2]).to_numpy()})
rows = table.filter(pc.field("a") == pa.scalar(1)).to_pylist()
connection = duckdb.connect()
connection.register("held", table)
back = connection.execute("SELECT a, b.x, ? FROM held ORDER BY ALL", [2]).to_arrow_table().to_pylist()
ds.dataset(table).to_table()
print(json.dumps([rows, back, "pandas" in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment()
    )
    rows, back, has_pandas = json.loads(done.stdout)
    assert rows == [{"a": 1, "b": {"x": 1.5}, "c": 1}]
    assert [list(row.values()) for row in back] == [[1, 1.5, 2], [None, None, 2]]
    assert not has_pandas


def test_each_entry_is_what_help_says_of_it() -> None:
    for name, entry in ENTRIES.items():
        first_paragraph = " ".join((entry.load(name).help or "").split("\n\n")[0].split())
        assert (name, first_paragraph) == (name, entry.summary)
