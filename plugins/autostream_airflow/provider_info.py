"""What Airflow learns about this distribution through the entry point `apache_airflow_provider`."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from autostream.config import ZooKeeperSettings

_HOOKS = "autostream_airflow.hooks"


def get_provider_info() -> dict[str, Any]:
    """Describe the package in the form of Airflow's `provider_info.schema.json`.

    Catalogs use connections of type `iceberg`, which apache-airflow-providers-apache-iceberg brings. Types that another
    provider has are declared only where it is not installed: Airflow takes the first, and warns of any other.
    """
    types = [ZOOKEEPER]
    types += [declared for provider, declared in _OTHERS.items() if version_of(provider) is None]
    return {
        "package-name": "autostream",
        "name": "autostream",
        "description": "Keeps a streaming lakehouse healthy.",
        "versions": [version_of("autostream") or "0"],  # run from a checkout that is only on PYTHONPATH
        "connection-types": types,
    }


def version_of(distribution: str) -> str | None:
    """Return the version of an installed distribution; None where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _field(
    label: str, kind: str = "string", *, about: str = "", secret: bool = False, choices: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return a field of a connection's form, kept in its extras; one that is left empty says nothing."""
    schema: dict[str, Any] = {"type": [kind, "null"]}
    if secret:
        schema["format"] = "password"
    if choices:
        schema |= {"enum": ["", *choices], "values_display": {"": "–"} | {choice: choice for choice in choices}}
    return {"label": label, "schema": schema, "description": about}


def _zookeeper(
    setting: str, label: str, kind: str = "string", *, secret: bool = False, choices: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the field of a setting, with the words of the configuration."""
    field = ZooKeeperSettings.model_fields[setting]
    about = (field.description or "").replace("`", "")
    if field.default and not secret:
        about += f" Empty: {field.default:g}." if kind == "number" else f" Empty: {field.default}."
    return _field(label, kind, about=about, secret=secret, choices=choices)


ZOOKEEPER: dict[str, Any] = {
    "connection-type": "zookeeper",
    "hook-class-name": f"{_HOOKS}.zookeeper.ZooKeeperHook",
    "hook-name": "ZooKeeper",
    "conn-fields": {
        "root": _zookeeper("root", "Root node"),
        "sasl_mechanism": _zookeeper("sasl_mechanism", "SASL mechanism", choices=("DIGEST-MD5", "GSSAPI")),
        "sasl_service": _zookeeper("sasl_service", "Kerberos service name"),
        "acl": _zookeeper("acl", "Who may change nodes", choices=("creator", "open")),
        "tls": _zookeeper("tls", "TLS", "boolean"),
        "tls_ca": _zookeeper("tls_ca", "Certificate authorities (file)"),
        "tls_certificate": _zookeeper("tls_certificate", "Client certificate (file)"),
        "tls_key": _zookeeper("tls_key", "Client key (file)"),
        "tls_key_password": _zookeeper("tls_key_password", "Password of the client key", secret=True),
        "session_timeout_seconds": _zookeeper("session_timeout_seconds", "Session time-out (s)", "number"),
        "connect_timeout_seconds": _zookeeper("connect_timeout_seconds", "Connection time-out (s)", "number"),
    },
    "ui-field-behaviour": {
        # The port stays: the test button of Airflow 3.3 refuses a stored connection that has none.
        "hidden-fields": ["schema"],
        "relabeling": {"host": "Servers", "port": "Port where not named", "login": "Account"},
        "placeholders": {
            "host": "zk1,zk2,zk3 or zk1:2181,zk2:2181,zk3:2181",
            "port": "2181",
            "login": "of digest or SASL authentication; a Kerberos principal; empty: none",
        },
    },
}
"""Our own type."""

_PROXY_USER = _field("Proxy user", about="Account that acts, by leave of the one that logs in; empty: the latter.")
_PRINCIPAL = _field("Principal", about="Kerberos: of the account; empty: the ticket's.")
_KEYTAB = _field("Keytab (file)", about="Kerberos: of the principal; empty: only the credential cache counts.")
_CACHE = _field("Credential cache", about="Kerberos: empty: that of Airflow's ticket renewer, or KRB5CCNAME.")

_METASTORE: dict[str, Any] = {
    "connection-type": "hive_metastore",
    "hook-class-name": f"{_HOOKS}.metastore.MetastoreHook",
    "hook-name": "Hive Metastore Thrift",
    "conn-fields": {
        "warehouse": _field(
            "Warehouse", about="Where the tables of a new database are: such as hdfs://lake/warehouse."
        ),
        "auth_mechanism": _field(
            "Authentication",
            choices=("NOSASL", "GSSAPI"),
            about="GSSAPI: Kerberos; NOSASL: none. Empty: as Airflow's [core] security says.",
        ),
        "kerberos_service_name": _field(
            "Kerberos service name", about="First part of the metastore's principal: hive."
        ),
        "principal": _PRINCIPAL,
        "keytab": _KEYTAB,
        "credential_cache": _CACHE,
        "proxy_user": _PROXY_USER,
        "webhdfs_conn_id": _field("HDFS connection", about="Id of the connection of its files, type webhdfs."),
        "zookeeper_conn_id": _field("ZooKeeper connection", about="Id of the connection of its locks, type zookeeper."),
    },
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "password"],
        "relabeling": {"host": "Servers", "login": "Account"},
        "placeholders": {
            "host": "metastore1,metastore2",
            "port": "9083",
            "login": "without Kerberos: user, or user:group,group",
        },
    },
}

_WEBHDFS: dict[str, Any] = {
    "connection-type": "webhdfs",
    "hook-class-name": f"{_HOOKS}.webhdfs.WebHdfsHook",
    "hook-name": "Apache WebHDFS",
    "conn-fields": {
        "use_ssl": _field("HTTPS", "boolean"),
        "verify": _field("Certificate authorities (file)", about="Empty: the system's; false: verify nothing."),
        "authentication": _field(
            "Authentication", choices=("simple", "kerberos"), about="Empty: as Airflow's [core] security says."
        ),
        "principal": _PRINCIPAL,
        "keytab": _KEYTAB,
        "credential_cache": _CACHE,
        "proxy_user": _PROXY_USER,
    },
    "ui-field-behaviour": {
        "hidden-fields": ["password"],
        "relabeling": {"host": "NameNodes", "login": "Account", "schema": "Path before /webhdfs/v1"},
        "placeholders": {"host": "namenode1,namenode2", "port": "9870", "login": "without Kerberos"},
    },
}

_OTHERS = {
    "apache-airflow-providers-apache-hive": _METASTORE,
    "apache-airflow-providers-apache-hdfs": _WEBHDFS,
}
"""Provider -> the type that is its own where it is installed."""
