"""Connections under Kerberos, by the ticket that Airflow's renewer keeps; real services in a realm of their own."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from autostream_airflow.hooks.catalog import CatalogHook
from autostream_airflow.hooks.metastore import MetastoreHook
from autostream_airflow.hooks.webhdfs import WebHdfsHook
from autostream_airflow.hooks.zookeeper import ZooKeeperHook

if TYPE_CHECKING:
    from tests.support.hadoop import KerberosLake

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("hadoop")]


@pytest.fixture
def renewed(kerberos_lake: "KerberosLake", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "KerberosLake":
    """The realm, with Airflow told to use it, and svc's ticket where its renewer keeps it."""
    cache = tmp_path / "airflow_ccache"
    kerberos_lake.kdc.ticket("svc", cache)
    monkeypatch.setenv("KRB5_CONFIG", str(kerberos_lake.kdc.krb5_config))
    monkeypatch.setenv("AIRFLOW__CORE__SECURITY", "kerberos")
    monkeypatch.setenv("AIRFLOW__KERBEROS__CCACHE", str(cache))
    return kerberos_lake


def test_hdfs_lets_the_ticket_act_for_the_team(renewed: "KerberosLake", connect: Callable[..., None]) -> None:
    url = renewed.hdfs.webhdfs_url.replace("127.0.0.1", "localhost")
    connect("h", conn_type="webhdfs", host=url, extra={"proxy_user": "alice"})
    done, message = WebHdfsHook("h").test_connection()
    assert done, message
    assert "as the Kerberos ticket, acting as alice" in message
    client = WebHdfsHook("h").get_conn()
    client.put("/tmp/of-a-kerberos-connection", b"x", overwrite=True)
    assert client.status("/tmp/of-a-kerberos-connection").owner == "alice"


def test_the_metastore_lets_the_ticket_act_for_the_team(renewed: "KerberosLake", connect: Callable[..., None]) -> None:
    connect("m", conn_type="hive_metastore", host=renewed.hive.uri, extra={"proxy_user": "alice"})
    done, message = MetastoreHook("m").test_connection()
    assert done, message
    assert f"as svc@{renewed.kdc.realm}, acting as alice" in message


def test_a_catalog_is_the_tickets_and_the_teams(renewed: "KerberosLake", connect: Callable[..., None]) -> None:
    url = renewed.hdfs.webhdfs_url.replace("127.0.0.1", "localhost")
    connect("files", conn_type="webhdfs", host=url)
    extra = {"webhdfs_conn_id": "files", "warehouse": renewed.hive.warehouse, "proxy_user": "alice"}
    connect("lake", conn_type="hive_metastore", host=renewed.hive.uri, extra=extra)
    catalog = CatalogHook("lake").get_conn()
    catalog.create_namespace_if_not_exists("of_alice")
    assert ("of_alice",) in catalog.list_namespaces()


def test_zookeeper_takes_the_ticket_of_airflows_processes(
    renewed: "KerberosLake", connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KRB5CCNAME", str(tmp_path / "airflow_ccache"))  # as `airflow` does
    hosts = renewed.zookeeper.hosts.replace("127.0.0.1", "localhost")
    connect("z", conn_type="zookeeper", host=hosts, extra={"sasl_mechanism": "GSSAPI", "root": "/kerberos"})
    done, message = ZooKeeperHook("z").test_connection()
    assert done, message
    assert "the account of the Kerberos ticket" in message


def test_without_a_ticket_it_says_what_to_do(
    renewed: "KerberosLake", connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW__KERBEROS__CCACHE", str(tmp_path / "nothing"))
    connect("m", conn_type="hive_metastore", host=renewed.hive.uri)
    done, message = MetastoreHook("m").test_connection()
    assert not done
    assert "airflow kerberos" in message
