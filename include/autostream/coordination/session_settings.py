"""What a ZooKeeper session is configured with: checked, described, and as kazoo takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from kazoo.hosts import collect_hosts
from kazoo.security import CREATOR_ALL_ACL, OPEN_ACL_UNSAFE

from autostream.config.sections.zookeeper import ZooKeeperSettings
from autostream.errors import ConfigurationError

# kazoo waits up to an hour between two tries to reconnect unless it is told otherwise.
_RETRY: Final = {"max_tries": -1, "delay": 0.1, "backoff": 2, "max_delay": 2.0}


def require_sound(settings: ZooKeeperSettings) -> None:
    """Refuse settings that cannot work, before anything is tried.

    Raises:
        ConfigurationError: No servers are configured, a server is not `host:port`, or a file is missing.
    """
    if not settings.hosts.strip():
        raise ConfigurationError(
            "No ZooKeeper is configured. Set zookeeper.hosts (AUTOSTREAM_ZOOKEEPER__HOSTS) to its servers, such as "
            "zk1:2181,zk2:2181,zk3:2181."
        )
    try:
        collect_hosts(settings.hosts)
    except ValueError as error:
        raise ConfigurationError(
            f"Invalid zookeeper.hosts {settings.hosts!r}: {error}. Write servers as zk1:2181,zk2:2181,zk3:2181."
        ) from error
    if settings.sasl_mechanism == "DIGEST-MD5" and not (settings.username and settings.password.get_secret_value()):
        raise ConfigurationError("zookeeper.sasl_mechanism DIGEST-MD5 needs zookeeper.username and zookeeper.password.")
    for key in ("tls_ca", "tls_certificate", "tls_key"):
        file = getattr(settings, key)
        if settings.tls and file and not Path(file).is_file():
            raise ConfigurationError(f"zookeeper.{key} names {file}, which does not exist. Correct the path.")


def kazoo_arguments(settings: ZooKeeperSettings) -> dict[str, Any]:
    """Return the arguments that make kazoo's client connect as configured."""
    arguments: dict[str, Any] = {
        "hosts": settings.hosts,
        "timeout": settings.session_timeout_seconds,
        "default_acl": CREATOR_ALL_ACL if restricts(settings) else OPEN_ACL_UNSAFE,
        "connection_retry": dict(_RETRY),
    }
    password = settings.password.get_secret_value()
    if settings.sasl_mechanism == "GSSAPI":
        arguments["sasl_options"] = {"mechanism": "GSSAPI", "service": settings.sasl_service}
        if settings.username:
            arguments["sasl_options"]["principal"] = settings.username
    elif settings.sasl_mechanism:
        arguments["sasl_options"] = {
            "mechanism": settings.sasl_mechanism,
            "username": settings.username,
            "password": password,
        }
    elif settings.username:
        arguments["auth_data"] = [("digest", f"{settings.username}:{password}")]
    if settings.tls:
        arguments |= {
            "use_ssl": True,
            "verify_certs": True,
            "check_hostname": True,
            "ca": settings.tls_ca or None,
            "certfile": settings.tls_certificate or None,
            "keyfile": settings.tls_key or settings.tls_certificate or None,
            # Never None: OpenSSL would ask the terminal.
            "keyfile_password": settings.tls_key_password.get_secret_value(),
        }
    return arguments


def account(settings: ZooKeeperSettings) -> str:
    """Whom the servers take us for, for messages."""
    how = f"SASL {settings.sasl_mechanism}" if settings.sasl_mechanism else "digest"
    if settings.username:
        return f"account {settings.username!r} ({how})"
    if settings.sasl_mechanism:
        return f"the account of the Kerberos ticket ({how})"
    if settings.tls_certificate:
        return f"the account of the certificate {settings.tls_certificate}"
    return "a client without an account"


def restricts(settings: ZooKeeperSettings) -> bool:
    """Whether nodes are made for one account only: an anonymous client has none to restrict them to."""
    known = settings.username or settings.sasl_mechanism or (settings.tls and settings.tls_certificate)
    return settings.acl == "creator" and bool(known)
