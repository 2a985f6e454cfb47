import sqlite3
import subprocess
import sys
import textwrap
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url

from autostream.config import DatabaseSettings, load_settings
from autostream.errors import ConfigurationError, ServiceError
from autostream.store import database as module
from autostream.store.database import REVISIONS, VERSION_TABLE, Database, open_database
from autostream.store.models import Base, Chore

OURS = {VERSION_TABLE, *Base.metadata.tables}


@pytest.fixture
def postgres(postgres_url: str) -> str:
    """A new database on the PostgreSQL server."""
    name = f"control_{uuid.uuid4().hex[:12]}"
    server = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    server.dispose()
    return make_url(postgres_url).set(database=name).render_as_string(hide_password=False)


def tables(url: str) -> set[str]:
    engine = create_engine(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_the_list_of_revisions_is_that_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", "autostream.store:migrations")
    scripts = ScriptDirectory.from_config(config)

    assert tuple(script.revision for script in reversed(list(scripts.walk_revisions()))) == REVISIONS


def test_migrations_make_what_the_models_declare(tmp_path: Path) -> None:
    assert differences(Database(f"sqlite:///{tmp_path}/a.db")) == []


def differences(database: Database) -> list[object]:
    database.upgrade()
    with database.read() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": VERSION_TABLE,
                "include_name": lambda name, kind, _: kind != "table" or name in OURS,
            },
        )
        return list(compare_metadata(context, Base.metadata))


def test_sqlite_is_made_at_the_first_use_with_its_directory(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/state/deep/a.db")

    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM autostream_watermark_log")).scalar() == 0

    assert tables(f"sqlite:///{tmp_path}/state/deep/a.db") == OURS


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")

    def write_and_fail() -> None:
        with database.write() as connection:
            connection.execute(Chore.__table__.insert().values(name="x", done_at_ms=1))
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()

    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM autostream_chore")).scalar() == 0


def test_a_failed_migration_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    real = module._migrate

    def fail(connection: object) -> None:
        real(connection)  # type: ignore[arg-type]
        raise KeyError

    monkeypatch.setattr(module, "_migrate", fail)
    with pytest.raises(KeyError):
        database.prepare()

    assert tables(f"sqlite:///{tmp_path}/a.db") == set()


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

    with pytest.raises(ConfigurationError, match=r"a\.db is 9999.*newer than.*Install the version"):
        act(Database(f"sqlite:///{tmp_path}/a.db"))  # type: ignore[operator]


def test_an_older_schema_of_sqlite_is_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    database.upgrade()
    monkeypatch.setattr(module, "REVISIONS", (*REVISIONS, "0002"))
    seen = []
    monkeypatch.setattr(module, "_migrate", lambda connection: seen.append(module._revision(connection)))

    Database(f"sqlite:///{tmp_path}/a.db").prepare()

    assert seen == [REVISIONS[-1]]


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
    with pytest.raises(ConfigurationError, match=r"has no schema of autostream yet\. Run 'autostream db upgrade'"):
        Database(postgres).prepare()
    assert tables(postgres) == set()

    database = Database(postgres)
    assert database.upgrade() == (None, REVISIONS[-1])
    assert database.upgrade() == (REVISIONS[-1], REVISIONS[-1])

    assert "is reachable, schema 0001" in Database(postgres).check()
    assert differences(database) == []
    database.close()


@pytest.mark.integration
def test_an_older_schema_of_postgresql_is_refused(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Database(postgres).upgrade()
    monkeypatch.setattr(module, "REVISIONS", (*REVISIONS, "0002"))

    with pytest.raises(ConfigurationError, match=r"is 0001, older than 0002.*Run 'autostream db upgrade'"):
        Database(postgres).prepare()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://me:hidden@host/db", r"database of mysql\. Supported are PostgreSQL"),
        ("no hidden url", r"database\.url is no URL of SQLAlchemy"),
        ("postgresql+psycopg2://me:hid@den@host/db", r"has a password with a character"),
        ("postgresql+psycopg2://me:hid@d/en@host/db", r"has a password with a character"),
        ("postgresql+psycopg2://me:hidden@host:x/db", r"database\.url is no URL of SQLAlchemy"),
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
