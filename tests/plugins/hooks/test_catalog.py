"""Catalogs from connections."""

from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException
from pyiceberg.catalog.sql import SqlCatalog

from autostream.errors import ConfigurationError, UsageError
from autostream_airflow.hooks.catalog import CatalogHook, lake_table, open_mark_reader
from tests.support.catalogs import IDS


def test_extras_are_properties_in_pyicebergs_types(connect: Callable[..., None]) -> None:
    connect(
        "hms",
        conn_type="iceberg",
        host="thrift://metastore:9083/",
        extra={"type": "hive", "n": 1, "b": True},
    )
    assert CatalogHook("hms").properties() == {"type": "hive", "uri": "thrift://metastore:9083", "n": "1", "b": "true"}


def test_a_connection_without_type_is_a_rest_catalog_with_its_credential(connect: Callable[..., None]) -> None:
    connect("rest", conn_type="iceberg", host="https://catalog/v1", login="me", password="secret")
    assert CatalogHook("rest").properties() == {
        "type": "rest",
        "uri": "https://catalog/v1",
        "credential": "me:secret",
    }


def test_it_means_the_same_as_for_airflows_own_hook(connect: Callable[..., None], tmp_path: Path) -> None:
    from airflow.providers.apache.iceberg.hooks.iceberg import IcebergHook

    extra = {"type": "sql", "uri": f"sqlite:///{tmp_path}/lake.db", "warehouse": f"file://{tmp_path}"}
    connect("demo", conn_type="iceberg", extra=extra)
    catalog = CatalogHook("demo").get_conn()
    assert isinstance(catalog, SqlCatalog)
    assert catalog.properties == IcebergHook("demo").catalog.properties


def test_watermarks_are_read_through_connections(connect: Callable[..., None], tmp_path: Path) -> None:
    extra = {"uri": f"sqlite:///{tmp_path}/lake.db", "warehouse": f"file://{tmp_path}"}
    catalog = SqlCatalog("demo", **extra)
    catalog.create_namespace("db")
    catalog.create_table("db.t", IDS, properties={"autostream.watermark": "1000"})
    connect("demo", conn_type="iceberg", extra={"type": "sql", **extra})
    reading = open_mark_reader().read("demo.db.t")
    assert reading.mark is not None
    assert reading.mark.watermark_ms == 1000


def test_a_table_of_the_library_is_opened_through_its_connection(connect: Callable[..., None], tmp_path: Path) -> None:
    extra = {"uri": f"sqlite:///{tmp_path}/lake.db", "warehouse": f"file://{tmp_path}"}
    catalog = SqlCatalog("demo", **extra)
    catalog.create_namespace("db")
    catalog.create_table("db.t", IDS)
    connect("demo", conn_type="iceberg", extra={"type": "sql", **extra})
    table = lake_table("demo.db.t")
    assert (str(table), table.scan().count()) == ("demo.db.t", 0)
    with pytest.raises(UsageError, match=r"Invalid table name 'db\.t'"):
        lake_table("db.t")


def test_what_is_no_connection_is_left_to_pyicebergs_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(conn_id: str) -> None:
        raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")

    monkeypatch.setattr(CatalogHook, "get_connection", staticmethod(nothing))
    assert CatalogHook("lake").properties() == {}


def test_a_connection_of_another_type_is_refused(connect: Callable[..., None]) -> None:
    connect("lake", conn_type="http", host="lake")
    with pytest.raises(
        ConfigurationError, match=r"Connection 'lake' is of type 'http', and must be of type 'iceberg' or 'hive_m"
    ):
        CatalogHook("lake").properties()


# ------------------------------------------------------------------------------------ connections that it names
HIVE = {"type": "hive", "uri": "thrift://hms:9083"}


@pytest.fixture
def services(connect: Callable[..., None]) -> None:
    """A metastore, an HDFS and an ensemble, each a connection."""
    connect("hms", conn_type="hive_metastore", host="hms", login="svc")
    connect("files", conn_type="webhdfs", host="nn1,nn2", login="svc", extra={"proxy_user": "team"})
    connect("locks", conn_type="zookeeper", host="zk:2181", login="svc", password="s3cret")


@pytest.mark.usefixtures("services")
@pytest.mark.parametrize("kind", ["iceberg", "hive_metastore"])
def test_the_connections_that_it_names_are_part_of_it(connect: Callable[..., None], kind: str) -> None:
    extra = {"webhdfs_conn_id": "files", "zookeeper_conn_id": "locks", "autostream.lock.type": "zookeeper"}
    if kind == "iceberg":
        connect("lake", conn_type=kind, extra={**extra, "metastore_conn_id": "hms"})
    else:
        connect("lake", conn_type=kind, host="hms", login="svc", extra=extra)
    properties = CatalogHook("lake").properties()
    locks = {key: value for key, value in properties.items() if key.startswith("zookeeper.") and value}
    assert {key: value for key, value in properties.items() if not key.startswith("zookeeper.")} == HIVE | {
        "ugi": "svc",
        "webhdfs.urls": "http://nn1:9870,http://nn2:9870",
        "webhdfs.user": "svc",
        "autostream.proxy-user": "team",
        "autostream.lock.type": "zookeeper",
    }
    assert locks == {
        "zookeeper.hosts": "zk:2181",
        "zookeeper.username": "svc",
        "zookeeper.password": "s3cret",
        "zookeeper.tls": "false",
    }


@pytest.mark.usefixtures("services")
def test_what_the_catalog_says_itself_counts_more(connect: Callable[..., None]) -> None:
    extra = {"metastore_conn_id": "hms", "webhdfs_conn_id": "files", "autostream.proxy-user": "other"}
    connect("lake", conn_type="iceberg", host="thrift://own:9083", extra=extra)
    properties = CatalogHook("lake").properties()
    assert (properties["uri"], properties["autostream.proxy-user"]) == ("thrift://own:9083", "other")


@pytest.mark.usefixtures("services")
def test_connections_that_contradict_each_other_are_refused(connect: Callable[..., None]) -> None:
    connect("hms", conn_type="hive_metastore", host="hms", extra={"proxy_user": "another"})
    connect("lake", conn_type="iceberg", extra={"metastore_conn_id": "hms", "webhdfs_conn_id": "files"})
    with pytest.raises(ConfigurationError, match=r"'hms' and 'files' differ in autostream\.proxy-user"):
        CatalogHook("lake").properties()


def test_a_named_connection_of_another_type_is_refused(connect: Callable[..., None]) -> None:
    connect("locks", conn_type="http", host="zk")
    connect("lake", conn_type="iceberg", extra={"type": "hive", "zookeeper_conn_id": "locks"})
    with pytest.raises(ConfigurationError, match=r"Connection 'locks' is of type 'http', and must be of type 'zoo"):
        CatalogHook("lake").properties()


def test_a_named_connection_that_does_not_exist_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk import Connection

    from autostream_airflow.hooks.zookeeper import ZooKeeperHook

    def get(conn_id: str) -> Connection:
        if conn_id == "lake":
            return Connection(conn_id="lake", conn_type="iceberg", extra='{"type": "hive", "zookeeper_conn_id": "zk "}')
        raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")

    for hook in (CatalogHook, ZooKeeperHook):
        monkeypatch.setattr(hook, "get_connection", staticmethod(get))
    with pytest.raises(ConfigurationError, match=r"'zookeeper_conn_id' of connection 'lake' is 'zk', but no"):
        CatalogHook("lake").properties()


def test_a_hive_catalog_is_opened_by_our_own_class_and_hdfs_by_our_own_client(connect: Callable[..., None]) -> None:
    from autostream.catalogs.hive import HiveCatalog
    from autostream.hadoop.fileio import WebHdfsFileIO

    connect("files", conn_type="webhdfs", host="nn1")
    connect("lake", conn_type="hive_metastore", host="hms", extra={"webhdfs_conn_id": "files"})
    catalog = CatalogHook("lake").get_conn()
    assert isinstance(catalog, HiveCatalog)
    assert catalog.metastore.settings.uris == ("thrift://hms:9083",)
    assert isinstance(catalog._load_file_io({}, "hdfs://nn1/t"), WebHdfsFileIO)


# ------------------------------------------------------------------------------------------------ Kerberos
def test_airflows_ticket_is_used_by_hive_catalogs_and_nothing_else(connect: Callable[..., None], kerberos: str) -> None:
    connect("lake", conn_type="iceberg", host="thrift://hms:9083", extra={"type": "hive"})
    connect("rest", conn_type="iceberg", host="https://catalog")
    assert CatalogHook("lake").properties() == HIVE | {
        "hive.kerberos-authentication": "true",
        "hive.credential-cache": kerberos,
        "webhdfs.authentication": "kerberos",
        "webhdfs.credential-cache": kerberos,
    }
    assert CatalogHook("rest").properties() == {"type": "rest", "uri": "https://catalog"}


@pytest.mark.usefixtures("kerberos")
def test_the_cache_that_airflow_set_for_its_processes_counts_more(
    connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRB5CCNAME", "FILE:/run/another")
    connect("lake", conn_type="hive_metastore", host="hms")
    assert CatalogHook("lake").properties()["hive.credential-cache"] == "FILE:/run/another"


@pytest.mark.usefixtures("kerberos")
def test_a_connection_may_say_that_it_needs_no_ticket(connect: Callable[..., None]) -> None:
    extra = {"type": "hive", "hive.kerberos-authentication": False, "webhdfs.authentication": "simple"}
    connect("lake", conn_type="iceberg", host="thrift://hms:9083", extra=extra)
    properties = CatalogHook("lake").properties()
    assert properties["hive.kerberos-authentication"] == "false"
    assert properties["webhdfs.authentication"] == "simple"
