"""Catalogs from connections."""

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException
from pyiceberg.catalog.sql import SqlCatalog

from autostream.errors import ConfigurationError
from autostream_airflow.hooks.catalog import CatalogHook


def connect(monkeypatch: pytest.MonkeyPatch, name: str, **connection: Any) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))


def test_extras_are_properties_in_pyicebergs_types(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(
        monkeypatch,
        "hms",
        conn_type="iceberg",
        host="thrift://metastore:9083/",
        extra={"type": "hive", "n": 1, "b": True},
    )
    assert CatalogHook("hms").properties() == {"type": "hive", "uri": "thrift://metastore:9083", "n": "1", "b": "true"}


def test_a_connection_without_type_is_a_rest_catalog_with_its_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "rest", conn_type="iceberg", host="https://catalog/v1", login="me", password="secret")
    assert CatalogHook("rest").properties() == {
        "type": "rest",
        "uri": "https://catalog/v1",
        "credential": "me:secret",
    }


def test_it_means_the_same_as_for_airflows_own_hook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from airflow.providers.apache.iceberg.hooks.iceberg import IcebergHook

    extra = {"type": "sql", "uri": f"sqlite:///{tmp_path}/lake.db", "warehouse": f"file://{tmp_path}"}
    connect(monkeypatch, "demo", conn_type="iceberg", extra=extra)
    catalog = CatalogHook("demo").get_conn()
    assert isinstance(catalog, SqlCatalog)
    assert catalog.properties == IcebergHook("demo").catalog.properties


def test_what_is_no_connection_is_left_to_pyicebergs_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(conn_id: str) -> None:
        raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")

    monkeypatch.setattr(CatalogHook, "get_connection", staticmethod(nothing))
    assert CatalogHook("lake").properties() == {}


def test_a_connection_of_another_type_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "lake", conn_type="http", host="lake")
    with pytest.raises(ConfigurationError, match=r"Connection 'lake' is of type 'http', but .* 'iceberg'"):
        CatalogHook("lake").properties()
