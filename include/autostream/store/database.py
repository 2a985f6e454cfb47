"""Connections to the control-plane database, whose schema is checked before use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from autostream.config.loading import load_settings
from autostream.config.sections.database import DatabaseSettings
from autostream.errors import ConfigurationError, ServiceError
from autostream.masking import learn, mask, secrets_in
from autostream.store.schema import REVISIONS, is_newer, migrate, revision_of, why_unusable
from autostream.store.turns import take_turn

KINDS: Final = ("sqlite", "postgresql")

_FILE_NAME: Final = "autostream.db"
_WRITING: Final = "autostream_writing"
_TIMEOUT_SECONDS: Final = 10
# SQLite lets one process write at a time; the others wait for this long.
_BUSY_SECONDS: Final = 30


class Database:
    """A database whose schema is checked at the first use. Safe for use by several threads, not across a fork."""

    def __init__(self, url: str) -> None:
        """Connect to nothing yet.

        Raises:
            ConfigurationError: the URL cannot be read, or names a kind of database that is not supported.
        """
        self.url = _parse(url)
        self.shown_url = mask(self.url.render_as_string(hide_password=True))
        self._ready = False
        self._engine = self._make_engine()

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of one machine, which needs no administrator."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection in a transaction that changes nothing.

        Raises:
            ConfigurationError: the schema is missing, or not of this version.
            ServiceError: the database cannot be reached, or fails.
        """
        self.prepare()
        with self._transaction(writing=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection in a transaction, committed at the end, rolled back by an exception.

        Raises:
            ConfigurationError: the schema is missing, or not of this version.
            ServiceError: the database cannot be reached, or fails.
        """
        self.prepare()
        with self._transaction(writing=True) as connection:
            yield connection

    def prepare(self) -> None:
        """See to it that the schema is there, once: SQLite is brought up to date, any other database must be.

        Raises:
            ConfigurationError: the schema is missing, or not of this version.
            ServiceError: the database cannot be reached, or fails.
        """
        if self._ready:
            return
        revision = self.revision()
        if problem := why_unusable(revision):
            if not self.is_sqlite or is_newer(revision):
                raise ConfigurationError(f"The database {self.shown_url} {problem}")
            self.upgrade()
        self._ready = True

    def revision(self) -> str | None:
        """Return the schema's revision; None where there is no schema.

        Raises:
            ServiceError: the database cannot be reached, or fails.
        """
        with self._transaction(writing=False) as connection:
            return revision_of(connection)

    def upgrade(self) -> tuple[str | None, str]:
        """Bring the schema up to date. Of several processes that do so at once one does it, and the others wait.

        Returns:
            The revision before, None where there was no schema, and after.

        Raises:
            ConfigurationError: the schema is newer than this version of autostream.
            ServiceError: the database cannot be reached, or fails.
        """
        with self._transaction(writing=True) as connection:
            take_turn(connection, "upgrade")
            before = revision_of(connection)
            if is_newer(before):
                raise ConfigurationError(f"The database {self.shown_url} {why_unusable(before)}")
            if before != REVISIONS[-1]:
                migrate(connection)
        self._ready = True
        return before, REVISIONS[-1]

    def check(self) -> str:
        """Prove that it can be used, and return what to say of it.

        Raises:
            ConfigurationError: the schema is missing, or not of this version.
            ServiceError: the database cannot be reached, or fails.
        """
        self.prepare()
        return f"{self.shown_url} is reachable, its schema is {self.revision()}"

    def close(self) -> None:
        """Let go of all connections; the next one looks at the schema again."""
        self._engine.dispose()
        self._ready = False

    @contextmanager
    def _transaction(self, *, writing: bool) -> Iterator[Connection]:
        try:
            self._make_directory()
            with self._engine.connect().execution_options(**{_WRITING: writing}) as connection, connection.begin():
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise ServiceError(
                f"The database {self.shown_url} failed: {_first_line(error)}. Check database.url and that the server "
                "is up ('autostream config check')."
            ) from error

    def _make_directory(self) -> None:
        name = self.url.database
        if self.is_sqlite and name and name != ":memory:" and not name.startswith("file:"):
            Path(name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _make_engine(self) -> Engine:
        options: dict[str, Any] = {}
        if self.is_sqlite:
            options["connect_args"] = {"timeout": _BUSY_SECONDS}
            if self.url.database in (None, "", ":memory:"):
                # Of a database in memory each connection would have its own.
                options |= {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        else:
            options |= {
                # A server that was set up without a locale would else take ASCII only.
                "connect_args": {"connect_timeout": _TIMEOUT_SECONDS, "client_encoding": "utf8"},
                # Whatever the server's default is: who waited for a turn has to see what the others wrote.
                "isolation_level": "READ COMMITTED",
                "pool_timeout": _TIMEOUT_SECONDS,
                "pool_pre_ping": True,
            }
        try:
            engine = create_engine(self.url, **options)
        except (ModuleNotFoundError, NoSuchModuleError) as error:
            raise ConfigurationError(
                f"The driver of the database {self.shown_url} is not installed: {error}. For PostgreSQL write "
                "postgresql+psycopg2://USER@HOST/DATABASE, and install autostream[postgres]."
            ) from error
        except (ArgumentError, TypeError) as error:
            raise ConfigurationError(f"Invalid database.url {self.shown_url}: {error}.") from error
        if self.is_sqlite:
            event.listen(engine, "connect", _leave_transactions_to_us)
            event.listen(engine, "begin", _begin)
        return engine


def open_database(settings: DatabaseSettings | None = None) -> Database:
    """Return the configured database; one object a process, URL and account of connections.

    Raises:
        ConfigurationError: the URL cannot be read, or names a kind of database that is not supported.
    """
    configured = (settings or load_settings().database).url
    return _opened(configured or default_url(), os.getpid())


@lru_cache(maxsize=8)
def _opened(url: str, process_id: int) -> Database:
    del process_id  # connections do not survive a fork
    return Database(url)


def is_in_use(settings: DatabaseSettings) -> bool:
    """Say whether a database is configured, or the default one was made by something that needs it."""
    return bool(settings.url) or _default_file().exists()


def default_url() -> str:
    """Return the URL of the SQLite file in the user's directory for state."""
    return f"sqlite:///{_default_file()}"


def _default_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME", "")
    directory = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
    return directory / "autostream" / _FILE_NAME


def _parse(url: str) -> URL:
    learn(*secrets_in(url))
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # they show all of it, and so does their traceback
        raise ConfigurationError(
            "Invalid database.url: it is not a URL of SQLAlchemy. Write, for example, "
            "postgresql+psycopg2://autostream@localhost/autostream or sqlite:////var/lib/autostream/autostream.db. "
            "In a password write %40 for @, %2F for /, %3A for : and %25 for %."
        ) from None
    if "@" in (parsed.host or "") or ("@" in (parsed.database or "") and parsed.password):
        raise ConfigurationError(
            "Invalid database.url: its password has a character with a special meaning in URLs. In the password "
            "write %40 for @, %2F for /, %3A for : and %25 for %."
        )
    if parsed.get_backend_name() not in KINDS:
        raise ConfigurationError(
            f"database.url names a database of type {parsed.get_backend_name()}. Supported types are PostgreSQL "
            "(postgresql+psycopg2://USER@HOST/DATABASE) and SQLite (sqlite:////PATH)."
        )
    return parsed


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    # Python's driver would begin transactions late, and commit them before it changes a schema.
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    # A transaction that reads first and then writes fails if another one has written in between: take the lock at once.
    writing = connection.get_execution_options().get(_WRITING)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _first_line(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    lines = [line.strip() for line in mask(str(cause)).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(cause).__name__
