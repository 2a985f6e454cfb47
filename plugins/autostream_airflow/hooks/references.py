"""Connections that another one names in its extras: the HDFS, the ensemble or the metastore of a catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowNotFoundException

from autostream.errors import ConfigurationError
from autostream_airflow.hooks.fields import as_text, extras_of

if TYPE_CHECKING:
    from airflow.sdk import Connection

FILES_AND_LOCKS = ("webhdfs_conn_id", "zookeeper_conn_id")
METASTORE = "metastore_conn_id"


def referenced(connection: Connection, own: dict[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """Return a connection's properties on top of those of the connections that its extras name.

    Args:
        connection: The connection.
        own: Its own properties.
        names: Extras that name connections; they are no properties themselves.

    Raises:
        ConfigurationError: A named connection is missing or wrong, or two contradict each other.
    """
    extras = extras_of(connection)
    found: dict[str, str] = {}
    origin: dict[str, str] = {}
    for name in names:
        if name not in extras:
            continue
        named = as_text(extras[name]).strip()
        try:
            properties = _properties(name, named)
        except AirflowNotFoundException as error:
            raise ConfigurationError(
                f"The extra {name!r} of connection {connection.conn_id!r} is {named!r}, but there is no connection of "
                "that id. Make it, or correct the extra."
            ) from error
        for key, value in properties.items():
            if found.setdefault(key, value) != value and key not in own:
                raise ConfigurationError(
                    f"Connections {origin[key]!r} and {named!r} differ in {key}, and connection "
                    f"{connection.conn_id!r} names both. Write {key} into its extras, or make them agree."
                )
            origin.setdefault(key, named)
    return {**found, **{key: value for key, value in own.items() if key not in names}}


def _properties(name: str, conn_id: str) -> dict[str, str]:
    # A metastore's connection names others in turn, so each knows of this module.
    from autostream_airflow.hooks.metastore import MetastoreHook
    from autostream_airflow.hooks.webhdfs import WebHdfsHook
    from autostream_airflow.hooks.zookeeper import ZooKeeperHook

    hooks: dict[str, Any] = {hook.conn_name_attr: hook for hook in (MetastoreHook, WebHdfsHook, ZooKeeperHook)}
    properties: dict[str, str] = hooks[name](conn_id).properties()
    return properties
