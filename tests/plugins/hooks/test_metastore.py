"""Hive Metastore from a connection."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Connection

from autostream.errors import ConfigurationError
from autostream_airflow.hooks.metastore import MetastoreHook, metastore_properties

if TYPE_CHECKING:
    from tests.support.hadoop import HiveMetastore

SERVER = {"type": "hive", "uri": "thrift://hms:9083"}


def connection(*, extra: dict[str, Any] | None = None, **fields: Any) -> Connection:
    return Connection(conn_id="hms", conn_type="hive_metastore", extra=json.dumps(extra or {}), **fields)


@pytest.mark.parametrize(
    ("made", "meant"),
    [
        (connection(host="hms"), SERVER),
        (connection(host="hms1,hms2:9084", port=9085), {"uri": "thrift://hms1:9085,thrift://hms2:9084"}),
        (connection(host="thrift://hms1:9083,thrift://hms2"), {"uri": "thrift://hms1:9083,thrift://hms2:9083"}),
        (connection(host="hms", login="svc:analysts,etl"), {"ugi": "svc:analysts,etl"}),
        (
            connection(
                host="hms", extra={"warehouse": "hdfs://lake/w", "proxy_user": "team", "autostream.lock.type": "hive"}
            ),
            {"warehouse": "hdfs://lake/w", "autostream.proxy-user": "team", "autostream.lock.type": "hive"},
        ),
        # The Hive provider's own extras.
        (
            connection(host="hms", extra={"auth_mechanism": "GSSAPI", "kerberos_service_name": "metastore"}),
            {"hive.kerberos-authentication": "true", "hive.kerberos-service-name": "metastore"},
        ),
        (connection(host="hms", extra={"authMechanism": "NOSASL"}), {"hive.kerberos-authentication": "false"}),
        (
            connection(host="hms", extra={"principal": "svc@LAKE", "keytab": "/k", "client_timeout_seconds": 5}),
            {"hive.principal": "svc@LAKE", "hive.keytab": "/k", "hive.client-timeout-seconds": "5"},
        ),
    ],
)
def test_what_a_connection_means(made: Connection, meant: dict[str, str]) -> None:
    assert metastore_properties(made, cache=None) == SERVER | meant


def test_under_kerberos_the_renewed_ticket_counts_unless_the_connection_says_otherwise() -> None:
    kerberos = {"hive.kerberos-authentication": "true", "hive.credential-cache": "/cc"}
    assert metastore_properties(connection(host="hms"), cache="/cc") == SERVER | kerberos
    plain = metastore_properties(connection(host="hms", extra={"auth_mechanism": "NOSASL"}), cache="/cc")
    assert plain["hive.kerberos-authentication"] == "false"


def test_the_client_is_who_the_connection_says(connect: Callable[..., None], kerberos: str) -> None:
    connect("hms", conn_type="hive_metastore", host="hms", extra={"principal": "svc@LAKE", "keytab": "/k"})
    identity = MetastoreHook("hms").get_conn().settings.identity
    assert (identity.principal, identity.keytab, identity.cache) == ("svc@LAKE", "/k", kerberos)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (connection(), "has no host"),
        (
            connection(host="h", extra={"authMechanism": "PLAIN"}),
            "'authMechanism' of connection 'hms': 'PLAIN'",
        ),
        (connection(host="h", extra={"principal": "hive/_HOST@LAKE"}), "principal. .*'kerberos_service_name'"),
        (Connection(conn_id="hms", conn_type="hiveserver2", host="h"), "must be of type 'hive_metastore'"),
    ],
)
def test_what_is_refused(made: Connection, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        metastore_properties(made, cache=None)


def test_connections_that_it_names_are_part_of_it(connect: Callable[..., None]) -> None:
    connect("files", conn_type="webhdfs", host="nn", login="svc")
    connect("locks", conn_type="zookeeper", host="zk:2181")
    extra = {"webhdfs_conn_id": "files", "zookeeper_conn_id": "locks"}
    connect("hms", conn_type="hive_metastore", host="hms", extra=extra)
    properties = MetastoreHook("hms").properties()
    assert properties["webhdfs.urls"] == "http://nn:9870"
    assert properties["zookeeper.hosts"] == "zk:2181"
    assert not properties.keys() & extra.keys()


@pytest.mark.integration
@pytest.mark.xdist_group("hadoop")
class TestTheButton:
    def test_it_lists_databases(self, hive_metastore: "HiveMetastore", connect: Callable[..., None]) -> None:
        connect("h", conn_type="hive_metastore", host="localhost", port=hive_metastore.port, login="svc")
        done, message = MetastoreHook("h").test_connection()
        assert done, message
        assert f"reachable at thrift://localhost:{hive_metastore.port} as svc; databases (" in message
        assert "default" in message

    def test_a_closed_port(self, connect: Callable[..., None]) -> None:
        connect("h", conn_type="hive_metastore", host="localhost", port=1)
        done, message = MetastoreHook("h").test_connection()
        assert not done
        assert "No metastore answered" in message
        assert "thrift://localhost:1" in message

    def test_no_metastore_there(self, connect: Callable[..., None], zookeeper: Any) -> None:
        extra = {"client_timeout_seconds": 3}
        connect("h", conn_type="hive_metastore", host=zookeeper.hosts, extra=extra)
        done, message = MetastoreHook("h").test_connection()
        assert not done
        assert message
