"""No connections: catalogs come from PyIceberg's configuration, which the fixture `lake` sets."""

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException

from autostream_airflow.hooks.catalog import CatalogHook


@pytest.fixture(autouse=True)
def _no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(conn_id: str) -> None:
        raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")

    monkeypatch.setattr(CatalogHook, "get_connection", staticmethod(nothing))
