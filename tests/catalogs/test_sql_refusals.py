"""A database that refuses a commit for good: told once, in its own words, and nothing is left."""

import sqlite3
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog as PyIcebergs
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table

from autostream.catalogs.commit_answers import root_cause
from autostream.catalogs.opening import open_catalog
from autostream.catalogs.sql import with_time_outs
from autostream.errors import AutostreamError, CommitRefusedError, ConfigurationError
from autostream.outcomes import outcome_of_error, worth_repeating
from tests.support.catalogs import IDS, append


@pytest.fixture
def table(lake: PyIcebergs) -> Table:
    table = open_catalog("lake").create_table("db.t", IDS)
    append(table, 1)
    return table


def execute(tmp_path: Path, statement: str) -> None:
    with sqlite3.connect(tmp_path / "lake.db") as connection:
        connection.execute(statement)


def cause_of(table: Table, error: type[Exception] = CommitFailedException) -> AutostreamError | None:
    with pytest.raises(error) as raised:
        append(table, 2)
    return root_cause(raised.value)


def metadata_files(table: Table) -> list[str]:
    return sorted(path.name for path in Path(table.location().removeprefix("file://")).rglob("*.metadata.json"))


def test_a_refusal_by_a_trigger(table: Table, tmp_path: Path) -> None:
    execute(tmp_path, "CREATE TRIGGER freeze BEFORE UPDATE ON iceberg_tables BEGIN SELECT RAISE(ABORT, 'frozen'); END")
    before = metadata_files(table)
    cause = cause_of(table)
    assert isinstance(cause, CommitRefusedError)
    assert "frozen" in str(cause)
    assert "UPDATE" not in str(cause)
    assert metadata_files(table) == before
    assert not worth_repeating(outcome_of_error("lake.db.t", cause))


def test_a_database_that_cannot_be_written_to(table: Table, tmp_path: Path) -> None:
    from sqlalchemy import event

    @event.listens_for(table.catalog.engine, "connect")  # type: ignore[attr-defined]
    def _read_only(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA query_only = ON")

    table.catalog.engine.dispose()  # type: ignore[attr-defined]
    cause = cause_of(table)
    assert isinstance(cause, CommitRefusedError)
    assert "readonly" in str(cause)


def test_a_database_that_is_busy_is_no_refusal(table: Table, tmp_path: Path) -> None:
    from sqlalchemy import event

    @event.listens_for(table.catalog.engine, "connect")  # type: ignore[attr-defined]
    def _impatient(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA busy_timeout = 10")

    table.catalog.engine.dispose()  # type: ignore[attr-defined]
    other = sqlite3.connect(tmp_path / "lake.db")
    other.execute("BEGIN IMMEDIATE")
    cause = cause_of(table)
    other.close()
    assert cause is None  # another writer was faster


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///x.db", "sqlite:///x.db"),
        ("postgresql+pg8000://u:p@h/d", "postgresql+pg8000://u:p@h/d"),
        (
            "postgresql://u:p%40w@h/d?connect_timeout=3&keepalives_count=1",
            "postgresql://u:p%40w@h/d?connect_timeout=3&keepalives_count=1"
            "&keepalives_idle=30&keepalives_interval=10&tcp_user_timeout=60000",
        ),
    ],
)
def test_time_outs_are_added_where_there_are_none(uri: str, expected: str) -> None:
    found, _, query = with_time_outs(uri).partition("?")
    wanted, _, wanted_query = expected.partition("?")
    assert found == wanted
    assert sorted(query.split("&")) == sorted(wanted_query.split("&"))


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        ({"type": "sql", "uri": "postgresql+psycopg2://joe:one@Wor7/two@127.0.0.1:1/lake"}, "write %40 for @"),
        ({"type": "sql", "uri": "postgresql+psycopg2://joe:one@Wor7@127.0.0.1:1/lake"}, "write %40 for @"),
        ({"type": "sql", "uri": "postgresql+psycopg2://joe:Wor7x@127.0.0.1:port/lake"}, "is not the URL of a database"),
        ({"type": "sql", "uri": "joe:Wor7x@127.0.0.1:1/lake"}, "is not the URL of a database"),
        ({"type": "rest", "uri": "http://joe:one@Wor7/two@127.0.0.1:1/"}, "write %40 for @"),
        ({"type": "hive", "uri": "thrift://a:1,thrift://joe:one/Wor7@127.0.0.1:1"}, "write %40 for @"),
        ({"type": "hive", "uri": "thrift://127.0.0.1:x"}, "Invalid address of a metastore"),
        ({"type": "hive"}, "has no uri. Set it"),
        ({"type": "sql"}, "has no uri. Set it"),
    ],
)
def test_a_uri_that_cannot_be_meant_is_refused_before_anybody_is_asked(properties: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as refused:
        open_catalog("c", properties)
    assert "Wor7" not in str(refused.value)
