"""How HDFS is reached: the `webhdfs.*` properties of a catalog, a table or a connection."""

from __future__ import annotations

import getpass
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from autostream.errors import ConfigurationError
from autostream.hadoop.accounts import acting_account, valid_account
from autostream.hadoop.kerberos import KerberosIdentity
from autostream.properties import Properties

MOUNTS: Final = "viewfs"
"""Scheme of a mount table, which Hadoop's clients read; HttpFS and routers serve one as they do an HDFS."""
SCHEMES: Final = frozenset({"hdfs", "webhdfs", "swebhdfs", MOUNTS})
URLS: Final = "webhdfs.urls"

# Iceberg escapes what is special in partition values: '?' and '#' in a location are part of the path.
_LOCATION = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/]*)(?P<path>/.*)?", re.S)
_LOCAL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<path>/.*)", re.S)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")


@dataclass(frozen=True)
class Location:
    """A location taken apart; scheme and authority are empty in a plain path."""

    scheme: str
    authority: str
    path: str


@dataclass(frozen=True)
class WebHdfsSettings:
    """How one HDFS is reached, and as whom.

    Attributes:
        urls: base URLS such as `http://nn1:9870`, of the NameNodes of one HDFS or of one HttpFS; no slash at the end.
        user: account that logs in where the authentication is simple.
        proxy_user: account that acts, None: the one that logs in.
        kerberos: who to be where the authentication is Kerberos; None: it is simple.
        tls_verify: whether certificates and host names are verified.
        tls_ca: file of the certificates that sign the servers'; empty: the system's.
        connect_timeout_seconds: for a connection.
        read_timeout_seconds: for any single wait for the server's bytes.
        retries: how often all servers are tried again.
    """

    urls: tuple[str, ...]
    user: str = ""
    proxy_user: str | None = None
    kerberos: KerberosIdentity | None = None
    tls_verify: bool = True
    tls_ca: str = ""
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 60.0
    retries: int = field(default=6)


def parse_location(location: str) -> Location:
    """Take a location apart: `hdfs://lake/warehouse/t`, `file:/tmp/x`, `/warehouse/t`."""
    if match := _LOCATION.fullmatch(location):
        return Location(match["scheme"].lower(), match["authority"], match["path"] or "/")
    if match := _LOCAL.fullmatch(location):
        return Location(match["scheme"].lower(), "", match["path"])
    return Location("", "", location)


def served(location: Location, properties: Mapping[str, str]) -> bool:
    """Say whether a location is one of HDFS; a plain path is where `webhdfs.urls` says which HDFS that is."""
    if location.scheme in SCHEMES:
        return True
    return not location.scheme and location.path.startswith("/") and bool(properties.get(URLS))


def settings_for(properties: Mapping[str, str], location: Location) -> WebHdfsSettings:
    """How the HDFS of a location is reached.

    Raises:
        ConfigurationError: a property is missing or wrong.
    """
    said = Properties(f"Location {location.scheme}://{location.authority}", properties).without_blanks()
    kerberos = _kerberos(said)
    user = said.text("webhdfs.user", "")
    if kerberos is None:
        user = valid_account(user, where="property webhdfs.user") if user else _login_name()
    return WebHdfsSettings(
        urls=_urls(said, location),
        user=user if kerberos is None else "",
        proxy_user=acting_account(properties),
        kerberos=kerberos,
        tls_verify=said.boolean("webhdfs.tls-verify", True),
        tls_ca=said.text("webhdfs.tls-ca", ""),
        connect_timeout_seconds=said.number("webhdfs.connect-timeout-seconds", 10.0, above=0, maximum=3600),
        read_timeout_seconds=said.number("webhdfs.read-timeout-seconds", 60.0, above=0, maximum=3600),
        retries=said.whole("webhdfs.retries", 6, minimum=0, maximum=100),
    )


def _urls(said: Properties, location: Location) -> tuple[str, ...]:
    host = location.authority.rsplit(":", 1)[0] if location.authority else ""
    for key in (f"{URLS}.{location.authority}", f"{URLS}.{host}", URLS):
        text = said.text(key, "")
        if text and not key.endswith("."):
            return tuple(_base_url(part.strip(), key) for part in text.split(",") if part.strip())
    if not location.authority:
        raise ConfigurationError(
            f"{location.path} does not name its HDFS, and {URLS} is not set. Set {URLS} to the HTTP addresses of the "
            "NameNodes, such as http://nn1:9870,http://nn2:9870."
        )
    if location.scheme == MOUNTS:
        raise ConfigurationError(
            f"{MOUNTS}://{location.authority} is a mount table. Only Hadoop's own clients can read it. Set "
            f"{URLS}.{location.authority} to an HttpFS or router that serves it, such as http://httpfs:14000."
        )
    if _AUTHORITY.fullmatch(location.authority) is None:
        raise ConfigurationError(
            f"{location.authority!r} in {location.scheme}://{location.authority}{location.path} is not a host, a "
            "host:port or the name of a name service."
        )
    # The port of hdfs:// is the one of RPC, the others' that of HTTP.
    if location.scheme == "hdfs":
        return (f"http://{host}:9870",)
    protocol, port = ("https", 9871) if location.scheme == "swebhdfs" else ("http", 9870)
    return (f"{protocol}://{location.authority}" if ":" in location.authority else f"{protocol}://{host}:{port}",)


def _base_url(text: str, key: str) -> str:
    wrong = ConfigurationError(
        f"Invalid URL {_shown(text)!r} in {key}. Write base URLs such as http://nn1:9870, separated by commas, "
        "without user, password or query."
    )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise wrong from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise wrong
    path = parts.path.rstrip("/").removesuffix("/webhdfs/v1")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{path}"


def _shown(text: str) -> str:
    """Whatever stands before an @ may be a password."""
    return re.sub(r"//[^/]*@", "//********@", text)


def _kerberos(said: Properties) -> KerberosIdentity | None:
    if said.choice("webhdfs.authentication", "simple", ("simple", "kerberos")) == "simple":
        return None
    return KerberosIdentity(
        principal=said.text("webhdfs.principal", ""),
        keytab=said.text("webhdfs.keytab", ""),
        cache=said.text("webhdfs.credential-cache", ""),
    )


@lru_cache(maxsize=1)
def _login_name() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError) as error:
        raise ConfigurationError(
            "The user of this process has no name, so it cannot log in to HDFS. Set webhdfs.user."
        ) from error
    return valid_account(name, where="login name; webhdfs.user is not set")
