"""Iceberg's own readers, in Java, read what the writer and the compaction wrote."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from tests.support.flink_tables import FLINK_TABLES, FlinkTable
from tests.support.java import need_java, read_by_java
from tests.support.lakes import compact
from tests.support.reader import read_table
from tests.support.rows import assert_same_rows
from tests.support.upserts import SHAPES, random_upserts

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("java")]


@pytest.fixture(autouse=True)
def _java() -> None:
    need_java("iceberg")


@pytest.mark.exhaustive
def test_tables_of_the_writer(lake: SqlCatalog, tmp_path: Path) -> None:
    written = [random_upserts(lake, f"db.{name}", shape) for name, shape in SHAPES.items()]
    read = read_by_java([table for table, _ in written], tmp_path / "java")
    for (table, expected), rows in zip(written, read, strict=True):
        assert_same_rows(rows, expected, context=f"{table.name()} by Java")
        assert_same_rows(read_table(table), expected, context=f"{table.name()} by the naive reader")


def test_compacted_tables_of_the_writer(lake: SqlCatalog, tmp_path: Path) -> None:
    written = [random_upserts(lake, f"db.{name}", shape) for name, shape in SHAPES.items()]
    for table, _ in written:
        assert compact(table, f"lake.{'.'.join(table.name())}").status == "committed"
    read = read_by_java([lake.load_table(table.name()) for table, _ in written], tmp_path / "java")
    for (table, expected), rows in zip(written, read, strict=True):
        assert_same_rows(rows, expected, context=f"{table.name()} by Java")


@pytest.mark.parametrize(
    "compacted", [pytest.param(False, marks=pytest.mark.exhaustive, id="before"), pytest.param(True, id="after")]
)
def test_flink_tables_before_and_after_compaction(
    compacted: bool, flink_table: Callable[[str], FlinkTable], tmp_path: Path
) -> None:
    copies = [flink_table(name) for name in FLINK_TABLES]
    for copy in copies if compacted else ():
        assert compact(copy.table, f"lab.db.{copy.name}").status == "committed", copy.name
    tables = [copy.table.catalog.load_table(copy.table.name()) for copy in copies]
    for copy, rows in zip(copies, read_by_java(tables, tmp_path / "java"), strict=True):
        assert_same_rows(rows, copy.expected, context=f"{copy.name} by Java")
