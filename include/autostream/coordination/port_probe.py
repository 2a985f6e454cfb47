"""What answers at an address that was taken for a ZooKeeper server: looked at once nothing else is left to try."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

_TIMEOUT_SECONDS: Final = 0.5
_MOST: Final = 3
# A request that neither a web server nor a port for TLS can make anything of: both say so, each in its own way.
_NONSENSE: Final = b"\r\n\r\n"


def what_else_answers(servers: Iterable[tuple[str, int]]) -> str:
    """Say in a sentence what answers at the first of some servers that is none of ZooKeeper's; empty if none is."""
    for host, port in list(servers)[:_MOST]:
        with suppress(OSError), socket.create_connection((host, port), timeout=_TIMEOUT_SECONDS) as connection:
            connection.sendall(_NONSENSE)
            head = connection.recv(5)
            if head.startswith(b"HTTP"):
                return f"{host}:{port} is a web server's port."
            if head[:2] in (b"\x15\x03", b"\x16\x03"):
                return f"{host}:{port} is a port for TLS: set zookeeper.tls to true."
    return ""
