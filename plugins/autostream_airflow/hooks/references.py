"""Connections that another one names in its extras: the HDFS, the ensemble or the metastore of a catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autostream.errors import ConfigurationError
from autostream_airflow.hooks.fields import as_text, extras_of

if TYPE_CHECKING:
    from airflow.sdk import Connection

FILES_AND_LOCKS = ("webhdfs_conn_id", "zookeeper_conn_id")
METASTORE = "metastore_conn_id"


def referenced(connection: Connection, own: dict[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """Returns a connection's properties on top of those of the connections that its extras name.

    Args:
        connection: The connection.
        own: Its own properties.
        names: Extras that name connections; they are no properties themselves.

    Raises:
        ConfigurationError: A named connection is wrong, or two say different things of which the first says nothing.
    """
    extras = extras_of(connection)
    found: dict[str, str] = {}
    origin: dict[str, str] = {}
    for name in names:
        if name not in extras:
            continue
        named = as_text(extras[name])
        for key, value in _properties(name, named).items():
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
