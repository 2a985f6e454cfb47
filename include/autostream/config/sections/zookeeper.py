"""The section `zookeeper`: the ensemble that locks tables."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from autostream.config.sections.base import Section


class ZooKeeperSettings(Section):
    """The ZooKeeper ensemble that locks tables."""

    hosts: str = Field(
        default="", description="Servers as `host:port`, separated by commas; empty: there is no ZooKeeper."
    )
    root: str = Field(default="/autostream", pattern=r"^/[^/]+(/[^/]+)*$", description="Node below which all is kept.")
    session_timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        le=600,
        description="A holder that the ensemble has not heard of for this long loses its locks. The servers allow 2 to "
        "20 of their ticks: by default 4 to 40 s.",
    )
    connect_timeout_seconds: float = Field(
        default=10.0, gt=0, le=600, description="How long a connection is tried for, and an answer waited for."
    )
    username: str = Field(
        default="",
        description="Account of digest or SASL authentication; with Kerberos the principal, empty: the ticket's.",
    )
    password: SecretStr = Field(default=SecretStr(""), description="Its password.")
    sasl_mechanism: Literal["", "DIGEST-MD5", "GSSAPI"] = Field(
        default="",
        description="SASL: `GSSAPI` for Kerberos or `DIGEST-MD5`; empty: none, a username then is one of the digest "
        "scheme.",
    )
    sasl_service: str = Field(default="zookeeper", description="Kerberos service name of the servers.")
    acl: Literal["creator", "open"] = Field(
        default="creator",
        description="Who may change nodes: the account that made them (anybody, where no account is "
        "configured), or anybody.",
    )
    tls: bool = Field(default=False, description="Connect by TLS; certificate and host name are verified.")
    tls_ca: str = Field(default="", description="File of the certificates that sign the servers'; empty: the system's.")
    tls_certificate: str = Field(default="", description="File of the client's certificate; empty: none.")
    tls_key: str = Field(default="", description="File of the client's key; empty: it is in the certificate's.")
    tls_key_password: SecretStr = Field(default=SecretStr(""), description="Password of the key.")
