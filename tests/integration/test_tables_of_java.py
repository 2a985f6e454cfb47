"""Random tables that Iceberg's own writers made are read and compacted as Iceberg itself reads them.

A failure names the seed and the number of the table, and the command that makes it again.
"""

import os
import random
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from tests.support.java import need_java
from tests.support.java_tables import VERSIONS, faults_of, write_tables

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("java")]

SOAK_TABLES = int(os.environ.get("SOAK_HISTORIES", "2000"))
_BATCH = 50


def _compare(lake: SqlCatalog, tmp_path: Path, *, version: str, seed: int, tables: int) -> None:
    need_java(version)
    faults = []
    for first in range(0, tables, _BATCH):
        numbers = range(first, min(first + _BATCH, tables))
        directory = tmp_path / str(first)
        written = write_tables(lake, directory / "tables", version=version, seed=seed, numbers=numbers)
        faults += faults_of(written, directory)
    assert not faults, f"{len(faults)} differences in {tables} tables:\n" + "\n".join(faults[:10])


@pytest.mark.slow
@pytest.mark.parametrize(
    "version", [v if v == VERSIONS[0] else pytest.param(v, marks=pytest.mark.exhaustive) for v in VERSIONS]
)
def test_a_few_tables(lake: SqlCatalog, tmp_path: Path, version: str) -> None:
    _compare(lake, tmp_path, version=version, seed=1, tables=8)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_many_tables(lake: SqlCatalog, tmp_path: Path, version: str) -> None:
    _compare(lake, tmp_path, version=version, seed=2, tables=150)


@pytest.mark.soak
@pytest.mark.parametrize("version", VERSIONS)
def test_soak(lake: SqlCatalog, tmp_path: Path, version: str) -> None:
    seed = random.randrange(1 << 30)
    _compare(lake, tmp_path, version=version, seed=seed, tables=SOAK_TABLES // len(VERSIONS))
