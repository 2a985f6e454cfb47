"""Fixtures for all tests. One that needs a service which cannot be had is skipped, and says why (`pytest -ra`)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from tests.support.flink_tables import FlinkTable, flink_tables_in


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqlCatalog:
    """A catalog ``lake`` with namespace ``db`` on SQLite; commands started by the test find it in their environment."""
    properties = {"uri": f"sqlite:///{tmp_path}/lake.db", "warehouse": f"file://{tmp_path}/warehouse"}
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__TYPE", "sql")
    for key, value in properties.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__LAKE__{key.upper()}", value)
    catalog = SqlCatalog("lake", **properties)
    catalog.create_namespace("db")
    return catalog


@pytest.fixture
def flink_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], FlinkTable]:
    """Gives private copies of the tables in tests/fixtures, in a catalog ``lab`` that commands find as well."""
    directory = tmp_path / "lab"
    monkeypatch.setenv("PYICEBERG_CATALOG__LAB__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAB__URI", f"sqlite:///{directory}/catalog.db")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAB__WAREHOUSE", f"file://{directory}/warehouse")
    return flink_tables_in(directory)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The SQLAlchemy URL of a throw-away PostgreSQL server."""
    from tests.support.services import postgres

    with postgres() as url:
        yield url


@pytest.fixture(autouse=True)
def _fresh_manifest_cache() -> None:
    """PyIceberg keeps manifest lists by path; copies of one table in one place would see each other's."""
    from pyiceberg.manifest import clear_manifest_cache

    clear_manifest_cache()
