"""Fixtures for all tests. One that needs a service which cannot be had is skipped, and says why (`pytest -ra`)."""

import logging
import sqlite3
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from pyiceberg.catalog.sql import SqlCatalog
from sqlalchemy import Engine, create_engine, event, make_url, text

from autostream import masking
from autostream.times import clock_replaced
from tests.support.clocks import FakeClock
from tests.support.flink_tables import FlinkTable, flink_tables_in

if TYPE_CHECKING:
    from autostream.store.database import Database
    from tests.support.hadoop import Hdfs, HiveMetastore, KerberosLake, ZooKeeper

# Properties are not timed: the machine may be busy with something else.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@event.listens_for(Engine, "connect")
def _do_not_wait_for_the_disk(connection: Any, _: object) -> None:
    """No test ends by a power cut, and SQLite's commits wait 20 ms each for one."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of one service on one worker."""
    from tests.support.groups import GroupScheduling

    return GroupScheduling(config, log)


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests() -> Iterator[None]:
    yield
    masking.forget()


@pytest.fixture
def untraced() -> Iterator[None]:
    """Keep coverage from watching: long runs over code that other tests cover as well take half the time."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


@pytest.fixture
def logging_as_found() -> Iterator[None]:
    """A command sets up logging for its process: put back what was there."""
    root, own = logging.getLogger(), logging.getLogger("autostream")
    before = root.handlers[:], root.level, own.level
    yield
    root.handlers[:], root.level, own.level = before


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    """The clock of this process, which goes on only as the test says."""
    with clock_replaced(FakeClock()) as replaced:
        yield replaced


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


@pytest.fixture
def postgres(postgres_url: str) -> str:
    """A new database on the PostgreSQL server."""
    name = f"control_{uuid.uuid4().hex[:12]}"
    server = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    server.dispose()
    return make_url(postgres_url).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def database(request: pytest.FixtureRequest) -> Iterator["Database"]:
    """A database of each kind, with empty tables."""
    from autostream.store.database import Database

    database = Database("sqlite://" if request.param == "sqlite" else request.getfixturevalue("postgres"))
    database.upgrade()
    yield database
    database.close()


@pytest.fixture(scope="session")
def rest_server() -> Iterator[tuple[str, str]]:
    """The URL and the warehouse of Iceberg's own REST catalog server."""
    from tests.support.services import rest_catalog

    with rest_catalog() as served:
        yield served


# ZooKeeper, HDFS and Hive: one of each a worker and session, started when the first test asks for it. Tests leave them
# running and keep to names of their own; one that ends or pauses a service starts its own by tests.support.hadoop.
# Those that use the same may share a worker: @pytest.mark.xdist_group("hadoop").


@pytest.fixture(scope="session")
def zookeeper() -> Iterator["ZooKeeper"]:
    """One ZooKeeper node without passwords."""
    from tests.support import hadoop

    with hadoop.zookeeper() as service:
        yield service


@pytest.fixture(scope="session")
def hdfs() -> Iterator["Hdfs"]:
    """HDFS with one NameNode, simple authentication."""
    from tests.support import hadoop

    with hadoop.hdfs() as service:
        yield service


@pytest.fixture(scope="session")
def hive_metastore() -> Iterator["HiveMetastore"]:
    """Hive Metastore 4.0.0 on PostgreSQL, the warehouse on local disk."""
    from tests.support import hadoop

    with hadoop.hive_metastore(postgres=True) as service:
        yield service


@pytest.fixture(scope="session")
def hive_on_hdfs(hdfs: "Hdfs") -> Iterator["HiveMetastore"]:
    """Hive Metastore 4.0.0 on PostgreSQL, the warehouse in the HDFS of fixture ``hdfs``."""
    from tests.support import hadoop

    with hadoop.hive_metastore(postgres=True, hdfs=hdfs) as service:
        yield service


@pytest.fixture(scope="session")
def newer_hive_metastore() -> Iterator["HiveMetastore"]:
    """A later Hive Metastore, which no longer knows ``get_table``."""
    from tests.support import hadoop

    with hadoop.hive_metastore(version=hadoop.NEWER_HIVE, postgres=True) as service:
        yield service


@pytest.fixture(scope="session")
def older_hive_metastore() -> Iterator["HiveMetastore"]:
    """An older Hive Metastore, which does not compare before it swaps."""
    from tests.support import hadoop

    with hadoop.hive_metastore(version=hadoop.OLDER_HIVE) as service:
        yield service


@pytest.fixture(scope="session")
def oldest_hive_metastore() -> Iterator["HiveMetastore"]:
    """The oldest Hive Metastore that is supported: no compare-and-swap, no housekeeping, few request objects."""
    from tests.support import hadoop

    with hadoop.hive_metastore(version=hadoop.OLDEST_HIVE) as service:
        yield service


@pytest.fixture(scope="session")
def kerberos_lake() -> Iterator["KerberosLake"]:
    """A Kerberos realm with ZooKeeper, HDFS and Hive Metastore 4.0.0 (on Derby, the warehouse in that HDFS)."""
    from tests.support import hadoop

    with hadoop.kerberos_lake() as services:
        yield services


@pytest.fixture(autouse=True)
def _own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control-plane database of a test is its own, and not the developer's."""
    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", f"sqlite:///{tmp_path}/control.db")


@pytest.fixture(autouse=True)
def _fresh_manifest_cache() -> None:
    """PyIceberg keeps manifest lists by path; copies of one table in one place would see each other's."""
    from pyiceberg.manifest import clear_manifest_cache

    clear_manifest_cache()


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """A target that gets all notices; gives those that people are told of from then on, oldest first."""
    from autostream.notify.outbox import Outbox
    from autostream.store.database import open_database

    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", f"sqlite:///{tmp_path}/told.db")
    monkeypatch.setenv("AUTOSTREAM_NOTIFY__TARGETS__ALL__URL", "json://127.0.0.1:9/")

    def notices() -> list[dict[str, Any]]:
        with open_database().read() as connection:
            return [message.notice for message in Outbox(connection).newest(limit=100)[::-1]]

    return notices
