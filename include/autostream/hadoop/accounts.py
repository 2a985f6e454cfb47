"""Which account acts for a table, and what is said when a server does not let it.

A service logs in as itself and acts as a team's account: at HDFS by `doAs`, at the Hive Metastore by `set_ugi` or by a
delegation token. Files and tables then belong to the team. The servers decide whom a service may act for, by
`hadoop.proxyuser.SERVICE.*`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from autostream.errors import ConfigurationError

PROXY_USER: Final = "autostream.proxy-user"

# What Hadoop itself takes for a user's name (dfs.webhdfs.user.provider.user.pattern), names that begin with a digit
# too. It leaves no room for anything that means something in a URL or a path.
_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}\$?", re.ASCII)


def acting_account(
    table_properties: Mapping[str, str],
    namespace_properties: Mapping[str, str] | None = None,
    connection_properties: Mapping[str, str] | None = None,
) -> str | None:
    """Return the account that acts for a table: the table's, else its namespace's, else the connection's.

    An empty value counts as none. None: the service acts as itself.

    Raises:
        ConfigurationError: the value is no account's name; says whose property it is.
    """
    owners = (
        ("the table", table_properties),
        ("the namespace", namespace_properties or {}),
        ("the connection", connection_properties or {}),
    )
    for owner, properties in owners:
        name = str(properties.get(PROXY_USER) or "").strip()
        if name:
            return valid_account(name, where=f"property {PROXY_USER} of {owner}")
    return None


def valid_account(name: str, *, where: str) -> str:
    """Return the name, if it can be one of an account.

    Args:
        name: short name of an account, such as `etl_orders`; no realm.
        where: what it was read from, for the message.

    Raises:
        ConfigurationError: it cannot.
    """
    if _ACCOUNT.fullmatch(name) is None:
        raise ConfigurationError(
            f"Invalid name of an account {name!r} ({where}). Write the short name, such as etl_orders: letters, "
            "digits, '.', '_' and '-', without a Kerberos realm."
        )
    return name


def short_name(principal: str) -> str:
    """Return the account that a principal stands for where no mapping is configured: `svc/host@REALM` is `svc`."""
    return principal.split("@", 1)[0].split("/", 1)[0]


def refused_impersonation(*, service: str, proxy: str, server: str, operation: str, answer: str) -> str:
    """Say what a user can do when a server did not let a service act as another account.

    Args:
        service: account or Kerberos principal that the service logged in as.
        proxy: account that it wanted to act as.
        server: which server, with its address: `NameNode http://nn1:9870`.
        operation: what was to be done: `create /warehouse/t/x`.
        answer: the server's own words.
    """
    setting = f"hadoop.proxyuser.{short_name(service)}"
    return (
        f"{server} does not allow {service} to act as {proxy} ({operation}): {answer.strip().rstrip('.')}. In its "
        f"core-site.xml, {setting}.hosts must contain this machine, and {setting}.groups a group of {proxy} (or "
        f"{setting}.users {proxy} itself); then 'hdfs dfsadmin -refreshSuperUserGroupsConfiguration' or a restart. "
        f"Or set {PROXY_USER} to an account that {short_name(service)} may act for."
    )
