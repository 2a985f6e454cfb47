"""What connections hold, as properties of the library have it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.configuration import conf

from autostream.errors import AutostreamError, ConfigurationError
from autostream.masking import mask
from autostream.properties import Properties

if TYPE_CHECKING:
    from airflow.sdk import Connection


def extras_of(connection: Connection) -> dict[str, Any]:
    """Return the extras that say something: a form sends the fields that were left empty as well."""
    return {key: value for key, value in (connection.extra_dejson or {}).items() if value not in (None, "")}


def as_text(value: Any) -> str:
    """Return a value as a property holds it: extras are JSON, where `true` and `1` need no quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def typed_extras(connection: Connection, extras: Mapping[str, Any]) -> Properties:
    """Return extras of a connection, to be read as typed values."""
    return Properties(f"Connection {connection.conn_id!r}", extras, kind="extra")


def require_type(connection: Connection, *types: str) -> None:
    """Refuses a connection of another type.

    Raises:
        ConfigurationError: It is of none of the types.
    """
    if connection.conn_type not in types:
        raise ConfigurationError(
            f"Connection {connection.conn_id!r} is of type {connection.conn_type!r}, and must be of type "
            f"{' or '.join(repr(kind) for kind in types)}. Change its type, or name another connection."
        )


def require_known(connection: Connection, extras: Iterable[str], known: Iterable[str]) -> None:
    """Refuse extras that mean nothing, which are slips of the pen most often.

    Raises:
        ConfigurationError: There is one; the message says what there is, and what may have been meant.
    """
    typed_extras(connection, dict.fromkeys(extras)).refuse_unknown(sorted(known))


def renamed(extras: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Return the extras that `names` (extra -> property) has, as properties."""
    return {names[name]: as_text(value) for name, value in extras.items() if name in names}


def hosts_of(connection: Connection) -> list[str]:
    """Return the hosts of a connection, which its field `host` may name several of, separated by commas.

    Raises:
        ConfigurationError: There is none.
    """
    hosts = [host.strip().rstrip("/") for host in (connection.host or "").split(",") if host.strip()]
    if not hosts:
        raise ConfigurationError(
            f"Connection {connection.conn_id!r} has no host. Enter one host, or several separated by commas."
        )
    return hosts


def has_port(host: str) -> bool:
    """Says whether a host comes with a port of its own; colons within brackets are an IPv6 address's."""
    return host.rpartition(":")[2].isdigit() and not host.endswith("]") and ":" in host


def ticket_cache() -> str | None:
    """Return the Kerberos credential cache that Airflow's ticket renewer keeps fresh.

    None where Airflow is not told to use Kerberos (`[core] security`). `airflow` itself sets KRB5CCNAME for its
    processes; where it is not set, `[kerberos] ccache` says it.
    """
    if conf.get("core", "security", fallback="") != "kerberos":
        return None
    return os.environ.get("KRB5CCNAME") or conf.get("kerberos", "ccache", fallback="") or None


def tried(check: Callable[[], str]) -> tuple[bool, str]:
    """Return what the test button shows: whether a first operation succeeded, and what came of it."""
    try:
        return True, check()
    except AutostreamError as error:
        return False, str(error)
    except Exception as error:  # of a client library; the form is to show it
        return False, mask(f"{type(error).__name__}: {error}")
