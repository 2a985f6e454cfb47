"""``autostream serve``: the console."""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
from importlib.util import find_spec
from typing import Annotated

import typer

from autostream.cli import interrupts
from autostream.config import load_settings
from autostream.errors import ConfigurationError, UsageError

app = typer.Typer()

_NEEDED = ("fastapi", "jinja2", "uvicorn")
# By name, for commands do not import the console, nor the console commands.
_FACTORY = "autostream.console.alone:create_app"

_logger = logging.getLogger(__name__)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at.")] = 8090,
) -> None:
    """Serve the console: tables and their watermarks as web pages and by REST, read-only, until it is stopped.

    It has no login of its own yet, so it answers only whoever is on this machine.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"The console needs {', '.join(missing)}, which is not installed. Install autostream[console]."
        )
    require_free(host, port)
    import uvicorn

    load_settings()  # what is wrong with them is said now, not by the server
    if not _is_local(host):
        _logger.warning("The console has no login yet: requests to %s:%s from other machines are refused.", host, port)
    _logger.info("serving at http://%s:%s", f"[{host}]" if ":" in host else host, port)
    interrupts.leave_behind("The console is stopped.")
    uvicorn.run(_FACTORY, factory=True, host=host, port=port, log_config=None)


def require_free(host: str, port: int) -> None:
    """Refuse an address that cannot be listened at, before anything is opened.

    Raises:
        UsageError: The port is taken or not allowed, or the address is not one of this machine.
    """
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"Port {port} of {host} is taken. Stop what listens there, or name another port by --port."
            ) from error
        raise UsageError(
            f"{host}:{port} cannot be listened at: {error.strerror or error}. Name an address of this machine by "
            "--host, and a port that this account may use by --port."
        ) from error


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
