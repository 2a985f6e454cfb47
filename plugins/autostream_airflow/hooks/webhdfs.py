"""HDFS over WebHDFS or HttpFS from an Airflow connection."""

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
    require_known,
    require_type,
    ticket_cache,
    tried,
    typed_extras,
)

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from autostream.hadoop.webhdfs import WebHdfs

EXTRAS = {
    "proxy_user": "autostream.proxy-user",
    "authentication": "webhdfs.authentication",
    "principal": "webhdfs.principal",
    "keytab": "webhdfs.keytab",
    "credential_cache": "webhdfs.credential-cache",
    "connect_timeout_seconds": "webhdfs.connect-timeout-seconds",
    "read_timeout_seconds": "webhdfs.read-timeout-seconds",
    "retries": "webhdfs.retries",
}
"""Extra -> catalog property; besides `use_ssl` and `verify`, which Airflow's own hook has too."""

# Extras of Airflow's own hook that our client has no use for. To leave them out in silence would be to connect as
# someone else than the connection says.
_NOT_TAKEN = ("cert", "key", "cookies", "headers")


class WebHdfsHook(BaseHook):
    """The HDFS of a connection of type `webhdfs`, as the type of Airflow's HDFS provider means it, by our own client.

    The provider's hook forgets the proxy user under Kerberos, has no time-outs and verifies no certificate by itself.

    Args:
        webhdfs_conn_id: The connection.
    """

    conn_name_attr = "webhdfs_conn_id"
    default_conn_name = "webhdfs_default"
    conn_type = "webhdfs"
    hook_name = "Apache WebHDFS"

    def __init__(self, webhdfs_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.webhdfs_conn_id = webhdfs_conn_id

    def properties(self) -> dict[str, str]:
        """Return the connection as catalog properties `webhdfs.*` and `autostream.proxy-user`.

        Raises:
            ConfigurationError: It is of another type, names no host, or has an extra that cannot be followed.
        """
        return webhdfs_properties(self.get_connection(self.webhdfs_conn_id), cache=ticket_cache())

    def get_conn(self) -> WebHdfs:
        """Return the client of this process for that HDFS and account.

        Raises:
            ConfigurationError: A value of the connection is wrong.
        """
        from autostream.hadoop.settings import parse_location, settings_for
        from autostream.hadoop.webhdfs import client_for

        return client_for(settings_for(self.properties(), parse_location("/")))

    def test_connection(self) -> tuple[bool, str]:
        """Asks for the root directory."""
        return tried(self._check)

    def _check(self) -> str:
        client = self.get_conn()
        status = client.status("/")
        settings = client.settings
        account = "the Kerberos ticket" if settings.kerberos else settings.user
        acting = f", acting as {settings.proxy_user}" if settings.proxy_user else ""
        return f"reachable at {client.active_url} as {account}{acting}; / belongs to {status.owner}"


def webhdfs_properties(connection: Connection, *, cache: str | None) -> dict[str, str]:
    """Return a connection of type `webhdfs` as catalog properties.

    Args:
        connection: The connection.
        cache: Kerberos credential cache, where Airflow uses Kerberos; then so do we, unless the connection says
            otherwise.

    Raises:
        ConfigurationError: It is of another type, names no host, or has an extra that cannot be followed.
    """
    require_type(connection, WebHdfsHook.conn_type)
    extras = extras_of(connection)
    if refused := [name for name in _NOT_TAKEN if extras.get(name)] + (["password"] if connection.password else []):
        raise ConfigurationError(
            f"Connection {connection.conn_id!r} has {', '.join(refused)}: but WebHDFS logs in with an account name "
            "or with Kerberos. Remove them. The login of the connection is the account."
        )
    verbatim = {key: as_text(value) for key, value in extras.items() if key.startswith("webhdfs.")}
    require_known(connection, extras.keys() - verbatim.keys(), {*EXTRAS, "use_ssl", "verify", *_NOT_TAKEN})
    return {
        "webhdfs.urls": ",".join(_urls(connection, extras)),
        **({"webhdfs.user": connection.login} if connection.login else {}),
        **_verification(connection, extras),
        **webhdfs_kerberos(cache),
        **renamed(extras, EXTRAS),
        **verbatim,
    }


def webhdfs_kerberos(cache: str | None) -> dict[str, str]:
    """Return what makes HDFS be asked with the ticket in a credential cache; nothing without one."""
    return {"webhdfs.authentication": "kerberos", "webhdfs.credential-cache": cache} if cache else {}


def _urls(connection: Connection, extras: dict[str, Any]) -> list[str]:
    tls = typed_extras(connection, extras).boolean("use_ssl", False)
    protocol, port = ("https", 9871) if tls else ("http", 9870)
    path = f"/{connection.schema.strip('/')}" if connection.schema else ""
    return [
        host
        if "://" in host
        else f"{protocol}://{host if has_port(host) else f'{host}:{connection.port or port}'}{path}"
        for host in hosts_of(connection)
    ]


def _verification(connection: Connection, extras: dict[str, Any]) -> dict[str, str]:
    """`verify` is yes, no, or the file of the certificates that sign the server's."""
    text = as_text(extras.get("verify", "")).strip()
    if text.lower() in ("true", "false"):
        return {"webhdfs.tls-verify": text.lower()}
    return {"webhdfs.tls-ca": text} if text else {}
