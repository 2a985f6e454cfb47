"""Iceberg catalogs from Airflow connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from autostream.names import TableName
from autostream.watermark.reading.mark_reader import MarkReader
from autostream_airflow.hooks.fields import as_text, extras_of, require_type, ticket_cache
from autostream_airflow.hooks.metastore import FILES_AND_LOCKS, MetastoreHook, metastore_kerberos
from autostream_airflow.hooks.references import referenced
from autostream_airflow.hooks.webhdfs import webhdfs_kerberos

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from pyiceberg.catalog import Catalog

    from autostream.api import Lakehouse, LakeTable


class CatalogHook(BaseHook):
    """The catalog of a name: the connection of that id, or else what PyIceberg's own configuration says.

    A connection of type `iceberg` gives its host as `uri`, login and password as `credential` of a REST catalog, and
    its extras as further PyIceberg properties, such as `{"type": "hive", "warehouse": "hdfs://..."}`; without a `type`
    it is a REST catalog. So it means the same as for the hook of Airflow's Iceberg provider. A connection of type
    `hive_metastore` is a Hive catalog. The extras `metastore_conn_id`, `webhdfs_conn_id` and `zookeeper_conn_id` of
    either name connections whose properties the catalog has as well.

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
        """Return PyIceberg's properties of the connection; none where there is no connection of that id.

        Raises:
            ConfigurationError: The connection, or one that it names, is of another type or wrong.
        """
        try:
            connection = self.get_connection(self.catalog)
        except AirflowNotFoundException:
            return {}
        require_type(connection, self.conn_type, MetastoreHook.conn_type)
        if connection.conn_type == MetastoreHook.conn_type:
            properties = MetastoreHook(self.catalog).properties()
        else:
            hooks = {MetastoreHook.conn_name_attr: MetastoreHook, **FILES_AND_LOCKS}
            properties = referenced(connection, _own(connection), hooks)
        return with_defaults(properties, connection, cache=ticket_cache())

    def get_conn(self) -> Catalog:
        """Open the catalog.

        Raises:
            ConfigurationError: The connection is of another type, nothing of that name is configured, or it cannot be
                opened.
        """
        return _lakehouse(self.catalog).open_catalog(self.catalog)


def lake_table(name: str) -> LakeTable:
    """Return a table, to scan, compact or wait for as `autostream.table` gives it, in the catalog of its connection.

    Args:
        name: CATALOG.NAMESPACE.TABLE.

    Raises:
        UsageError: That is not the name of a table.
        ConfigurationError: The connection is of another type, or wrong.
    """
    parsed = TableName.parse(name)
    return _lakehouse(parsed.catalog).table(parsed)


def _lakehouse(catalog: str) -> Lakehouse:
    from autostream.api import Lakehouse

    return Lakehouse(catalogs={catalog: CatalogHook(catalog).properties()})


def open_mark_reader() -> MarkReader:
    """Return a reader of watermarks that opens catalogs by Airflow's connections."""
    return MarkReader(lambda catalog: CatalogHook(catalog).get_conn())


def _own(connection: Connection) -> dict[str, str]:
    properties = {key: as_text(value) for key, value in extras_of(connection).items()}
    if connection.host:
        properties["uri"] = connection.host.rstrip("/")
    return properties


def with_defaults(properties: dict[str, str], connection: Connection, *, cache: str | None) -> dict[str, str]:
    """Return a catalog's properties, with what follows where nothing is said.

    Args:
        properties: What the connections say.
        connection: The catalog's.
        cache: Kerberos credential cache, where Airflow uses Kerberos: Hive and HDFS are asked with its ticket.
    """
    properties = {"type": "rest", **properties}
    if properties["type"] == "rest" and connection.login and connection.password:
        properties["credential"] = f"{connection.login}:{connection.password}"
    if properties["type"] == "hive":
        properties = {**metastore_kerberos(cache), **webhdfs_kerberos(cache), **properties}
    return properties
