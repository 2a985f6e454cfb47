"""Hive Metastore from an Airflow connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from autostream.errors import ConfigurationError
from autostream_airflow.hooks.fields import (
    as_text,
    extras_of,
    has_port,
    hosts_of,
    renamed,
    require_type,
    ticket_cache,
    tried,
)
from autostream_airflow.hooks.references import referenced
from autostream_airflow.hooks.webhdfs import WebHdfsHook
from autostream_airflow.hooks.zookeeper import ZooKeeperHook

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from autostream.hadoop.metastore import Metastore

EXTRAS = {
    "proxy_user": "autostream.proxy-user",
    "kerberos_service_name": "hive.kerberos-service-name",
    "principal": "hive.principal",
    "keytab": "hive.keytab",
    "credential_cache": "hive.credential-cache",
    "connect_timeout_seconds": "hive.connect-timeout-seconds",
    "client_timeout_seconds": "hive.client-timeout-seconds",
}
"""Extra -> catalog property; any other extra, such as `warehouse`, is a catalog property itself."""

_MECHANISM = ("auth_mechanism", "authMechanism")  # the Hive provider's name, and the one that it had before
_MECHANISMS = {"NOSASL": "false", "GSSAPI": "true"}
_SHOWN = 5

FILES_AND_LOCKS = {hook.conn_name_attr: hook for hook in (WebHdfsHook, ZooKeeperHook)}
"""Extras that name other connections -> the hooks of those."""


class MetastoreHook(BaseHook):
    """The metastore of a connection of type `hive_metastore`, which Airflow's Hive provider has as well.

    Host and port name its servers, login is the account of simple mode (`user` or `user:group,group`), and the extras
    are those of the provider (`auth_mechanism`, `kerberos_service_name`), those of `EXTRAS`, and catalog properties.

    Args:
        metastore_conn_id: The connection.
    """

    conn_name_attr = "metastore_conn_id"
    default_conn_name = "metastore_default"
    conn_type = "hive_metastore"
    hook_name = "Hive Metastore Thrift"

    def __init__(self, metastore_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.metastore_conn_id = metastore_conn_id

    def properties(self) -> dict[str, str]:
        """Return the connection as properties of a Hive catalog, with those of the connections that it names.

        Raises:
            ConfigurationError: It is of another type, names no host, or a value is wrong.
        """
        connection = self.get_connection(self.metastore_conn_id)
        own = metastore_properties(connection, cache=ticket_cache())
        return referenced(connection, own, FILES_AND_LOCKS)

    def get_conn(self) -> Metastore:
        """Return a client, which connects for each session.

        Raises:
            ConfigurationError: A value of the connection is wrong.
        """
        from autostream.hadoop.metastore import Metastore, MetastoreSettings

        owner = f"Connection {self.metastore_conn_id!r}"
        return Metastore(MetastoreSettings.from_properties(self.properties(), owner=owner))

    def test_connection(self) -> tuple[bool, str]:
        """Lists the databases, by the account that is to act."""
        return tried(self._check)

    def _check(self) -> str:
        from autostream.hadoop.accounts import PROXY_USER

        metastore, proxy = self.get_conn(), self.properties().get(PROXY_USER)
        with metastore.session(proxy) as client:
            databases = sorted(client.get_all_databases())
        acting = f", acting as {proxy}" if proxy else ""
        more = ", ..." if len(databases) > _SHOWN else ""
        return (
            f"reachable at {', '.join(metastore.settings.uris)} as {metastore.settings.account}{acting}; "
            f"databases ({len(databases)}): {', '.join(databases[:_SHOWN])}{more}"
        )


def metastore_properties(connection: Connection, *, cache: str | None) -> dict[str, str]:
    """Return a connection of type `hive_metastore` as properties of a Hive catalog.

    Args:
        connection: The connection.
        cache: Kerberos credential cache, where Airflow uses Kerberos; then so do we, unless the connection says
            otherwise.

    Raises:
        ConfigurationError: It is of another type, names no host, or a value is wrong.
    """
    require_type(connection, MetastoreHook.conn_type)
    extras = extras_of(connection)
    others = {key: as_text(value) for key, value in extras.items() if key not in (*EXTRAS, *_MECHANISM)}
    if "_HOST" in as_text(extras.get("principal", "")):
        raise ConfigurationError(
            f"The extra 'principal' of connection {connection.conn_id!r} is {extras['principal']!r}, the server's "
            "principal. Set it to the principal of the account. Set the extra 'kerberos_service_name' to the first "
            "part of the server's principal."
        )
    return {
        "type": "hive",
        "uri": ",".join(_uri(host, connection.port) for host in hosts_of(connection)),
        **({"ugi": connection.login} if connection.login else {}),
        **metastore_kerberos(cache),
        **_authentication(connection, extras),
        **renamed(extras, EXTRAS),
        **others,
    }


def metastore_kerberos(cache: str | None) -> dict[str, str]:
    """Return what makes the metastore be asked with the ticket in a credential cache; nothing without one."""
    return {"hive.kerberos-authentication": "true", "hive.credential-cache": cache} if cache else {}


def _authentication(connection: Connection, extras: dict[str, Any]) -> dict[str, str]:
    name = next((name for name in _MECHANISM if name in extras), _MECHANISM[0])
    mechanism = as_text(extras.get(name, "")).strip().upper()
    if not mechanism:
        return {}
    if mechanism not in _MECHANISMS:
        raise ConfigurationError(
            f"Invalid extra {name!r} of connection {connection.conn_id!r}: {mechanism!r}. Set it to "
            f"{' or '.join(_MECHANISMS)} (Kerberos)."
        )
    return {"hive.kerberos-authentication": _MECHANISMS[mechanism]}


def _uri(host: str, port: int | None) -> str:
    address = host.removeprefix("thrift://")
    return f"thrift://{address if has_port(address) else f'{address}:{port or 9083}'}"
