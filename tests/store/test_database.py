import sqlite3
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from autostream.config import DatabaseSettings, load_settings
from autostream.errors import ConfigurationError, ServiceError
from autostream.store.chores import ChoreRow
from autostream.store.database import Database, open_database
from autostream.store.rows import declared_tables
from autostream.store.schema import REVISIONS, VERSION_TABLE, migrate
from tests.store.schemas import differences

OURS = {VERSION_TABLE, *declared_tables().tables}


def tables(url: str) -> set[str]:
    engine = create_engine(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_sqlite_is_made_at_the_first_use_with_its_directory(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/state/deep/a.db")

    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM autostream_watermark_log")).scalar() == 0

    assert tables(f"sqlite:///{tmp_path}/state/deep/a.db") == OURS


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")

    def write_and_fail() -> None:
        with database.write() as connection:
            connection.execute(ChoreRow.__table__.insert().values(name="x", done_at_ms=1))
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()

    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM autostream_chore")).scalar() == 0


def test_a_failed_migration_leaves_nothing(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as other:
        other.execute("CREATE TABLE autostream_chore (v TEXT)")  # which the first migration is to make, after others

    with pytest.raises(ServiceError, match="autostream_chore already exists"):
        Database(f"sqlite:///{tmp_path}/a.db").prepare()

    assert tables(f"sqlite:///{tmp_path}/a.db") == {"autostream_chore"}


def test_a_database_of_others_stays_as_it_is(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as other:
        other.executescript("CREATE TABLE alembic_version (v TEXT); INSERT INTO alembic_version VALUES ('airflow')")

    Database(f"sqlite:///{tmp_path}/a.db").upgrade()

    with sqlite3.connect(tmp_path / "a.db") as other:
        assert other.execute("SELECT v FROM alembic_version").fetchall() == [("airflow",)]


@pytest.mark.parametrize("act", [Database.prepare, Database.upgrade, Database.check])
def test_a_newer_schema_is_refused(tmp_path: Path, act: object) -> None:
    Database(f"sqlite:///{tmp_path}/a.db").upgrade()
    with sqlite3.connect(tmp_path / "a.db") as later:
        later.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")

    with pytest.raises(ConfigurationError, match=r"a\.db has schema revision 9999.*newer than.*Install the version"):
        act(Database(f"sqlite:///{tmp_path}/a.db"))  # type: ignore[operator]


def migrated_to_first(url: str) -> Database:
    engine = create_engine(url)
    with engine.begin() as connection:
        migrate(connection, to=REVISIONS[0])
    engine.dispose()
    return Database(url)


def test_an_older_schema_of_sqlite_is_upgraded(tmp_path: Path) -> None:
    database = migrated_to_first(f"sqlite:///{tmp_path}/a.db")
    assert database.revision() == REVISIONS[0]

    database.prepare()

    assert database.revision() == REVISIONS[-1]
    assert differences(database) == []


FIRST_USE = """
    import sys
    from autostream.store.database import Database

    database = Database(sys.argv[1])
    sys.stdin.readline()  # all at once
    {first}
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO autostream_chore VALUES ('" + sys.argv[2] + "', 1)")
"""


def use_at_once(url: str, *, first: str = "", processes: int = 4) -> None:
    code = textwrap.dedent(FIRST_USE).format(first=first)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, url, str(number)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for number in range(processes)
    ]
    with ThreadPoolExecutor(processes) as pool:
        ends = list(pool.map(lambda process: process.communicate("\n"), started))
    assert [error for _, error in ends if error] == []
    assert [process.returncode for process in started] == [0] * processes
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM autostream_chore")).scalar() == processes
        assert connection.execute(text(f"SELECT count(*) FROM {VERSION_TABLE}")).scalar() == 1
    engine.dispose()


def test_processes_that_use_a_new_sqlite_database_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    use_at_once(f"sqlite:///{tmp_path}/new/a.db")


@pytest.mark.integration
def test_processes_that_upgrade_a_postgresql_database_at_once_do_not_disturb_each_other(postgres: str) -> None:
    use_at_once(postgres, first="database.upgrade()")


@pytest.mark.integration
def test_postgresql_is_upgraded_by_command_only(postgres: str) -> None:
    with pytest.raises(ConfigurationError, match=r"does not have autostream's tables yet\. Run 'autostream db"):
        Database(postgres).prepare()
    assert tables(postgres) == set()

    database = Database(postgres)
    assert database.upgrade() == (None, REVISIONS[-1])
    assert database.upgrade() == (REVISIONS[-1], REVISIONS[-1])

    assert f"is reachable, its schema is {REVISIONS[-1]}" in Database(postgres).check()
    assert differences(database) == []
    database.close()


@pytest.mark.integration
def test_an_older_schema_of_postgresql_is_refused_and_upgraded_by_command(postgres: str) -> None:
    database = migrated_to_first(postgres)
    with pytest.raises(
        ConfigurationError,
        match=rf"has schema revision 0001, which is older than revision {REVISIONS[-1]}",
    ):
        database.prepare()

    assert database.upgrade() == (REVISIONS[0], REVISIONS[-1])
    assert differences(database) == []
    database.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://me:hidden@host/db", r"database of type mysql\. Supported types are PostgreSQL"),
        ("no hidden url", r"Invalid database\.url: it is not a URL of SQLAlchemy"),
        ("postgresql+psycopg2://me:hid@den@host/db", r"its password has a character"),
        ("postgresql+psycopg2://me:hid@d/en@host/db", r"its password has a character"),
        ("postgresql+psycopg2://me:hidden@host:x/db", r"Invalid database\.url: it is not a URL of SQLAlchemy"),
        ("postgresql+nothing://me:hidden@host/db", r"driver of the database .* is not installed"),
    ],
)
def test_a_wrong_url_is_explained(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        Database(url)

    assert "hidden" not in str(raised.value)


def test_a_database_that_is_down_is_named_without_its_password() -> None:
    pytest.importorskip("psycopg2")
    with pytest.raises(ServiceError, match=r"postgresql\+psycopg2://me:\*+@localhost:1/db failed.*refused") as raised:
        Database("postgresql+psycopg2://me:hidden@localhost:1/db").check()

    assert "hidden" not in str(raised.value)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ServiceError, match=r"file/a\.db failed.*Check database\.url"):
        Database(f"sqlite:///{tmp_path}/file/a.db").check()


def test_the_default_is_in_the_directory_for_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert open_database(DatabaseSettings()).url.database == f"{tmp_path}/state/autostream/autostream.db"

    # Relative paths are to be ignored, says the specification of those directories.
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    assert open_database(DatabaseSettings()).url.database == f"{tmp_path}/.local/state/autostream/autostream.db"


def test_one_object_serves_a_process(tmp_path: Path) -> None:
    settings = DatabaseSettings(url=f"sqlite:///{tmp_path}/a.db")

    assert open_database(settings) is open_database(settings)


def test_passwords_are_not_shown(tmp_path: Path) -> None:
    settings = load_settings(
        environ={"AUTOSTREAM_DATABASE__URL": "postgresql+psycopg2://me:hidden@host/db"}, directory=tmp_path
    )

    assert "hidden" not in repr(settings)
    assert "hidden" not in str(list(settings.values()))
    assert settings.database.url.endswith("me:hidden@host/db")
