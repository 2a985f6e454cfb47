"""Iceberg catalogs from Airflow connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from autostream.errors import ConfigurationError

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog


class CatalogHook(BaseHook):
    """The catalog of a name: the connection of that id, or else what PyIceberg's own configuration says.

    A connection of type `iceberg` gives its host as `uri`, login and password as `credential` of a REST catalog, and
    its extras as further PyIceberg properties, such as `{"type": "hive", "warehouse": "hdfs://..."}`; without a `type`
    it is a REST catalog. So it means the same as for the hook of Airflow's Iceberg provider.

    Args:
        catalog: First part of the names of the catalog's tables, and the connection's id.
    """

    conn_name_attr = "catalog"
    conn_type = "iceberg"
    hook_name = "Iceberg"

    def __init__(self, catalog: str) -> None:
        super().__init__()
        self.catalog = catalog

    def properties(self) -> dict[str, str]:
        """Returns PyIceberg's properties of the connection; none where there is no connection of that id.

        Raises:
            ConfigurationError: The connection is of another type.
        """
        try:
            connection = self.get_connection(self.catalog)
        except AirflowNotFoundException:
            return {}
        if connection.conn_type != self.conn_type:
            raise ConfigurationError(
                f"Connection {self.catalog!r} is of type {connection.conn_type!r}, but a catalog needs one of type "
                f"{self.conn_type!r}. Change its type, or give the catalog another name."
            )
        properties = {key: _text(value) for key, value in (connection.extra_dejson or {}).items()}
        if connection.host:
            properties["uri"] = connection.host.rstrip("/")
        properties.setdefault("type", "rest")
        if properties["type"] == "rest" and connection.login and connection.password:
            properties["credential"] = f"{connection.login}:{connection.password}"
        return properties

    def get_conn(self) -> Catalog:
        """Opens the catalog.

        Raises:
            ConfigurationError: The connection is of another type, nothing of that name is configured, or it cannot be
                opened.
        """
        from autostream.lake.catalogs import open_catalog

        return open_catalog(self.catalog, self.properties())


def _text(value: Any) -> str:
    """A property as PyIceberg takes it: extras are JSON, where `true` and `1` need no quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
