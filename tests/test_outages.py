"""A service that is away, in whatever way: exit code 1, tried again by the workflow, named, not waited for for ever.

Every service that autostream asks, times every way of being away: one table.
"""

from collections.abc import Callable
from typing import Final

import pytest
from kazoo.handlers.threading import KazooTimeoutError
from pydantic import ValidationError
from pyiceberg.catalog.rest import ConfigResponse
from pyiceberg.exceptions import (
    AuthorizationExpiredError,
    BadRequestError,
    ForbiddenError,
    OAuthError,
    ServerError,
    ServiceUnavailableError,
    TooManyRequestsError,
    UnauthorizedError,
)
from requests import ConnectTimeout
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from autostream.catalogs.failures import explained
from autostream.catalogs.opening import list_tables, open_catalog, open_table
from autostream.config import ZooKeeperSettings
from autostream.coordination.client import ZooKeeperClient
from autostream.errors import AutostreamError, ConfigurationError, DeniedError, ServiceError
from autostream.flink.rest import FlinkRest
from autostream.hadoop.settings import parse_location, settings_for
from autostream.hadoop.webhdfs import WebHdfs
from autostream.http import Limits
from autostream.outcomes import outcome_of_error, worth_repeating
from autostream.store.database import Database
from tests.support.away import WAYS, away
from tests.support.flink_clusters import cluster_at


def _metastore(port: int) -> None:
    short = {"hive.client-timeout-seconds": "0.3", "hive.connect-timeout-seconds": "0.3"}
    properties = {"type": "hive", "uri": f"thrift://127.0.0.1:{port}", **short}
    open_table("lake.db.t", catalog=open_catalog("lake", properties))


def _tables_of_metastore(port: int) -> None:
    short = {"hive.client-timeout-seconds": "0.3", "hive.connect-timeout-seconds": "0.3"}
    list(list_tables(open_catalog("lake", {"type": "hive", "uri": f"thrift://127.0.0.1:{port}", **short}), "lake"))


def _rest(port: int) -> None:
    short = {"rest.client.socket-timeout-ms": "300", "rest.client.connection-timeout-ms": "300"}
    open_catalog("lake", {"type": "rest", "uri": f"http://127.0.0.1:{port}", **short})


def _postgresql(port: int) -> None:
    uri = f"postgresql+psycopg2://svc:pw-of-svc@127.0.0.1:{port}/lake?connect_timeout=2"
    open_catalog("lake", {"type": "sql", "uri": uri})


def _control_plane(port: int) -> None:
    Database(f"postgresql+psycopg2://svc:pw-of-svc@127.0.0.1:{port}/lake?connect_timeout=2").check()


def _zookeeper(port: int) -> None:
    settings = ZooKeeperSettings(hosts=f"127.0.0.1:{port}", connect_timeout_seconds=0.5, session_timeout_seconds=1)
    ZooKeeperClient(settings).check()


def _hdfs(port: int) -> None:
    short = {"webhdfs.retries": "0", "webhdfs.read-timeout-seconds": "0.3"}
    properties = {"webhdfs.urls": f"http://127.0.0.1:{port}", "webhdfs.user": "svc", **short}
    WebHdfs(settings_for(properties, parse_location("hdfs://lake/x"))).status("/x")


def _flink(port: int) -> None:
    FlinkRest(cluster_at(f"http://127.0.0.1:{port}"), limits=Limits(tries=1, read_seconds=0.3)).get("/jobs")


SERVICES: Final[dict[str, Callable[[int], None]]] = {
    "metastore": _metastore,
    "metastore-list": _tables_of_metastore,
    "rest": _rest,
    "postgresql": _postgresql,
    "control-plane": _control_plane,
    "zookeeper": _zookeeper,
    "hdfs": _hdfs,
    "flink": _flink,
}
# PostgreSQL's library waits for two seconds at least.
_SLOW: Final = {("postgresql", "hangs"), ("control-plane", "hangs")}


@pytest.mark.parametrize(
    ("service", "way"),
    [
        pytest.param(service, way, marks=[pytest.mark.exhaustive] if (service, way) in _SLOW else [])
        for service in SERVICES
        for way in WAYS
    ],
)
def test_a_service_that_is_away(service: str, way: str) -> None:
    with away(way) as port, pytest.raises(AutostreamError) as raised:
        SERVICES[service](port)
    assert isinstance(raised.value, ServiceError)
    assert raised.value.exit_code == 1
    assert worth_repeating(outcome_of_error("lake.db.t", raised.value))
    assert str(port) in str(raised.value)
    assert "pw-of-svc" not in str(raised.value)
    assert " object at 0x" not in str(raised.value)


class _Answer(Exception):
    """What a driver of PostgreSQL raises, with the number of the error where the server said it in a statement."""

    def __init__(self, text: str, pgcode: str | None = None) -> None:
        super().__init__(text)
        self.pgcode = pgcode


def _database(text: str, code: str | None = None, kind: type[DBAPIError] = OperationalError) -> DBAPIError:
    return kind("SELECT secret FROM t", {"p": "secret"}, _Answer(text, code))


def _no_answer_of_rest() -> ValidationError:
    with pytest.raises(ValidationError) as raised:
        ConfigResponse.model_validate_json("<html>")
    return raised.value


def _sqlite(text: str) -> DBAPIError:
    import sqlite3

    return OperationalError("SELECT secret", {}, sqlite3.OperationalError(text))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (_database('connection to server at "127.0.0.1", port 1 failed: Connection refused'), ServiceError),
        (_database("FATAL:  the database system is starting up"), ServiceError),
        (_database("FATAL:  sorry, too many clients already"), ServiceError),
        (_database("could not translate host name 'pg' to address: Name or service not known"), ServiceError),
        (_database("terminating connection due to administrator command", "57P01"), ServiceError),
        (_database("canceling statement due to lock timeout", "55P03"), ServiceError),
        (_database('FATAL:  password authentication failed for user "svc"'), DeniedError),
        (_database("FATAL:  no pg_hba.conf entry for host"), DeniedError),
        (_database("permission denied for table iceberg_tables", "42501", ProgrammingError), DeniedError),
        (_database('FATAL:  database "nope" does not exist'), ConfigurationError),
        (_database('syntax error at or near "x"', "42601", ProgrammingError), None),
        (_sqlite("database is locked"), ServiceError),
        (_sqlite("unable to open database file"), ConfigurationError),
        (ForbiddenError("no"), DeniedError),
        (UnauthorizedError("no"), DeniedError),
        (AuthorizationExpiredError("no"), DeniedError),
        (OAuthError("invalid_client"), DeniedError),
        (ServerError("no"), ServiceError),
        (ServiceUnavailableError("no"), ServiceError),
        (TooManyRequestsError("no"), ServiceError),
        (BadRequestError("no"), None),
        (ConnectTimeout("no"), ServiceError),
        (ConnectionResetError("no"), ServiceError),
        (OSError("When reading: AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 28"), ServiceError),
        (OSError("AWS Error SLOW_DOWN during GetObject operation"), ServiceError),
        (OSError("AWS Error ACCESS_DENIED during GetObject operation"), DeniedError),
        (OSError("AWS Error NO_SUCH_BUCKET during HeadObject operation"), ConfigurationError),
        (PermissionError(13, "Permission denied"), DeniedError),
        (FileNotFoundError(2, "No such file"), None),
        (IsADirectoryError(21, "Is a directory"), None),
        (_no_answer_of_rest(), ServiceError),
        (KazooTimeoutError("no"), None),
        (KeyError("a bug"), None),
    ],
)
def test_what_an_error_means(error: Exception, kind: type[AutostreamError] | None) -> None:
    found = explained(error)
    assert type(found) is (kind or type(None))
    assert "secret" not in str(found)


def test_what_an_error_was_raised_from_counts() -> None:
    outer = RuntimeError("cannot list")
    outer.__cause__ = ServiceUnavailableError("busy")
    assert isinstance(explained(outer), ServiceError)
    outer.__cause__ = mine = DeniedError("not you")
    assert explained(outer) is mine
