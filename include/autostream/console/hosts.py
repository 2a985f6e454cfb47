"""Which requests are meant for this console, and which come from this machine. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection


def is_own_host(host: str, *, public_hosts: Collection[str], server: tuple[str, int | None] | None) -> bool:
    """Say whether a request for this host is meant for us: the pages of another site may not read what is here.

    A site whose name leads to our address for a moment (DNS rebinding) would be taken for the same site by a browser.

    Args:
        host: What the request says.
        public_hosts: Those under which people reach the console.
        server: The address that the request has come to.
    """
    if is_loopback(host):
        return True
    if is_address(host):
        return host in public_hosts or host == (server[0] if server else None)
    return host.lower().rstrip(".") in {public.lower() for public in public_hosts}


def is_loopback(host: str) -> bool:
    """Say whether a host, by name or by address, is this machine for itself alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def is_address(host: str) -> bool:
    """Say whether a host is written as an address, not as a name."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
