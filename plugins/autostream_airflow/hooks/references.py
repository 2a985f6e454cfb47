"""Connections that another one names in its extras: the HDFS, the ensemble or the metastore of a catalog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from airflow.sdk.exceptions import AirflowNotFoundException

from autostream.errors import ConfigurationError
from autostream_airflow.hooks.fields import as_text, extras_of

if TYPE_CHECKING:
    from airflow.sdk import Connection


class PropertiesHook(Protocol):
    """A hook whose connection is some of a catalog's properties."""

    def __init__(self, conn_id: str, /) -> None:
        """Name the connection."""

    def properties(self) -> dict[str, str]:
        """Return them."""


def referenced(
    connection: Connection, own: dict[str, str], hooks: Mapping[str, type[PropertiesHook]]
) -> dict[str, str]:
    """Return a connection's properties on top of those of the connections that its extras name.

    Args:
        connection: The connection.
        own: Its own properties.
        hooks: Extras that name connections, each with the hook of those; they are no properties themselves.

    Raises:
        ConfigurationError: A named connection is missing or wrong, or two contradict each other.
    """
    extras = extras_of(connection)
    found: dict[str, str] = {}
    origin: dict[str, str] = {}
    for name, hook in hooks.items():
        if name not in extras:
            continue
        named = as_text(extras[name]).strip()
        try:
            properties = hook(named).properties()
        except AirflowNotFoundException as error:
            raise ConfigurationError(
                f"The extra {name!r} of connection {connection.conn_id!r} is {named!r}, but no connection has that "
                "id. Create the connection, or correct the extra."
            ) from error
        for key, value in properties.items():
            if found.setdefault(key, value) != value and key not in own:
                raise ConfigurationError(
                    f"Connections {origin[key]!r} and {named!r} differ in {key}, and connection "
                    f"{connection.conn_id!r} names both. Write {key} into its extras, or set both connections to the "
                    "same value."
                )
            origin.setdefault(key, named)
    return {**found, **{key: value for key, value in own.items() if key not in hooks}}
