"""ZooKeeper from an Airflow connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from autostream_airflow.hooks.fields import (
    as_text,
    extras_of,
    has_port,
    hosts_of,
    require_known,
    require_type,
    tried,
)

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from autostream.coordination.client import ZooKeeperClient

# What a connection says by its own fields; all the others of `ZooKeeperSettings` are extras of the same name.
STANDARD_FIELDS = ("hosts", "username", "password")
# A connection says all about account and encryption: those of another ensemble's section must not fill what is empty.
_OWN = {
    "username": "",
    "password": "",
    "sasl-mechanism": "",
    "tls": "false",
    "tls-ca": "",
    "tls-certificate": "",
    "tls-key": "",
    "tls-key-password": "",
}


class ZooKeeperHook(BaseHook):
    """The ensemble of a connection of type `zookeeper`.

    Its host names the servers as `host:port`, separated by commas, its login and password are the account, and its
    extras are settings of the section `zookeeper` of `autostream.toml`, which hold where the connection is silent;
    only account and TLS are never taken from there.

    Args:
        zookeeper_conn_id: The connection.
    """

    conn_name_attr = "zookeeper_conn_id"
    default_conn_name = "zookeeper_default"
    conn_type = "zookeeper"
    hook_name = "ZooKeeper"

    def __init__(self, zookeeper_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.zookeeper_conn_id = zookeeper_conn_id

    def properties(self) -> dict[str, str]:
        """Return the connection as catalog properties `zookeeper.*`.

        Raises:
            ConfigurationError: It is of another type, names no host, or has an unknown extra.
        """
        return zookeeper_properties(self.get_connection(self.zookeeper_conn_id))

    def get_conn(self) -> ZooKeeperClient:
        """Return a client of its own, which connects when it is first used; close it.

        Raises:
            ConfigurationError: A value of the connection is wrong.
        """
        from autostream.catalogs.locking import zookeeper_settings
        from autostream.coordination.client import ZooKeeperClient

        return ZooKeeperClient(zookeeper_settings(self.properties()))

    def test_connection(self) -> tuple[bool, str]:
        """Connects, and makes and removes a node below the root, as a lock does."""
        return tried(self._check)

    def _check(self) -> str:
        client = self.get_conn()
        try:
            return client.check()
        finally:
            client.close()


def zookeeper_properties(connection: Connection) -> dict[str, str]:
    """Return a connection of type `zookeeper` as catalog properties.

    Raises:
        ConfigurationError: It is of another type, names no host, or has an unknown extra.
    """
    from autostream.config import ZooKeeperSettings

    require_type(connection, ZooKeeperHook.conn_type)
    extras: dict[str, Any] = {key.replace("-", "_"): value for key, value in extras_of(connection).items()}
    require_known(connection, extras, ZooKeeperSettings.model_fields.keys() - set(STANDARD_FIELDS))
    said = {key.replace("_", "-"): as_text(value) for key, value in extras.items()}
    if connection.login:
        said["username"] = connection.login
    if connection.password:
        said["password"] = connection.password
    return {f"zookeeper.{key}": value for key, value in {**_OWN, "hosts": _servers(connection), **said}.items()}


def _servers(connection: Connection) -> str:
    """Return the servers, each with its port: the connection's where a server comes without one."""
    servers, slash, chroot = ",".join(hosts_of(connection)).partition("/")
    port = connection.port
    listed = [server if has_port(server) or not port else f"{server}:{port}" for server in servers.split(",")]
    return ",".join(listed) + slash + chroot
