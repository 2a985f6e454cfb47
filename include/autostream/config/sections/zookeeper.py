"""The section `zookeeper`: the ensemble that locks tables."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from autostream.config.sections.base import Section


class ZooKeeperSettings(Section):
    """The ZooKeeper ensemble that locks tables."""

    hosts: str = Field(default="", description="Servers as `host:port`, separated by commas. Empty: no ZooKeeper.")
    root: str = Field(
        default="/autostream",
        pattern=r"^/[^/]+(/[^/]+)*$",
        description=("The node below which autostream keeps its nodes."),
    )
    session_timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        le=600,
        description=(
            "A lock holder that does not reach ZooKeeper for this long loses its locks. The servers allow 2 to 20 of "
            "their ticks: by default 4 to 40 s."
        ),
    )
    connect_timeout_seconds: float = Field(
        default=10.0, gt=0, le=600, description="The longest wait for a connection, and for an answer."
    )
    username: str = Field(
        default="",
        description=(
            "Account for digest or SASL authentication. With Kerberos: the principal. Empty: the principal of the "
            "ticket."
        ),
    )
    password: SecretStr = Field(default=SecretStr(""), description="Its password.")
    sasl_mechanism: Literal["", "DIGEST-MD5", "GSSAPI"] = Field(
        default="",
        description=(
            "SASL mechanism: `GSSAPI` for Kerberos, or `DIGEST-MD5`. Empty: no SASL. `username` is then an account "
            "of the digest scheme."
        ),
    )
    sasl_service: str = Field(default="zookeeper", description="Kerberos service name of the servers.")
    acl: Literal["creator", "open"] = Field(
        default="creator",
        description=(
            "Who may change nodes. `creator`: the account that created them, or everyone if no account is "
            "configured. `open`: everyone."
        ),
    )
    tls: bool = Field(
        default=False, description=("Connect with TLS. The certificate and the host name of the server are verified.")
    )
    tls_ca: str = Field(
        default="",
        description=(
            "PEM file with the certificates that sign the servers' certificates. Empty: the certificates of the system."
        ),
    )
    tls_certificate: str = Field(
        default="", description=("PEM file with the client's certificate. Empty: no client certificate.")
    )
    tls_key: str = Field(
        default="", description=("PEM file with the client's key. Empty: the key is in the file of the certificate.")
    )
    tls_key_password: SecretStr = Field(default=SecretStr(""), description="Password of the key.")
