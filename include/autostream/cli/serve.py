"""`autostream serve`: the console."""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
import ssl
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from autostream.cli import interrupts
from autostream.config import load_settings
from autostream.errors import ConfigurationError, UsageError

app = typer.Typer()

_NEEDED = ("fastapi", "jinja2", "python_multipart", "uvicorn")
# By name, for commands do not import the console, nor the console commands.
_FACTORY = "autostream.console.alone:create_app_alone"

_LEAVE_SECONDS = 2

_logger = logging.getLogger(__name__)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at.")] = 8090,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate with its chain, PEM: serve by https.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its key, PEM, where that is in another file.")
    ] = None,
) -> None:
    """Serve the console: tables and their watermarks as web pages and by REST, until it is stopped.

    People and programs log in with tokens ('autostream token create'). While no token was ever created, it listens to
    this machine alone, and whoever is on it can look at everything and change nothing.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"The console needs {', '.join(missing)}, which is not installed. Install autostream[console]."
        )
    require_free_address(host, port)
    _require_tls(tls_cert, tls_key)
    import uvicorn

    load_settings()  # what is wrong with them is said now, not by the server
    _require_login(host, by_tls=tls_cert is not None)
    shown_host = f"[{host}]" if ":" in host else host
    _logger.info("serving at %s://%s:%s", "https" if tls_cert else "http", shown_host, port)
    interrupts.leave_behind("The console is stopped.")
    uvicorn.run(
        _FACTORY,
        factory=True,
        host=host,
        port=port,
        log_config=None,
        server_header=False,
        # A browser that keeps its connection open would else hold up the end of a server by https for half a minute.
        timeout_graceful_shutdown=_LEAVE_SECONDS,
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
    )


def _require_login(host: str, *, by_tls: bool) -> None:
    """Say who can log in; refuse to be reached by others where nobody can.

    Raises:
        UsageError: Other machines reach the address, and no token was ever created.
        AutostreamError: The database cannot be read.
    """
    from autostream.access.tokens import has_tokens
    from autostream.store.database import open_database

    with open_database().read() as connection:
        protected = has_tokens(connection)
    if not protected and not _is_local(host):
        raise UsageError(
            f"Other machines can reach {host}, but nobody could log in, because no token exists. Run 'autostream "
            "token create NAME --role admin' first, or serve only this machine (--host 127.0.0.1)."
        )
    if not protected:
        _logger.warning(
            "no token exists, so everyone on this machine can read the console without a login, and nobody can "
            "change anything ('autostream token create NAME --role admin' switches the login on)"
        )
    elif not _is_local(host) and not by_tls:
        _logger.warning(
            "tokens cross the network without encryption: serve with https (--tls-cert, --tls-key), or listen at "
            "127.0.0.1 behind a proxy that serves with https"
        )


def _require_tls(certificate: Path | None, key: Path | None) -> None:
    """Refuse files by which nothing could be served by https.

    Raises:
        UsageError: One is missing, is of another kind, or they do not belong together.
    """
    if certificate is None:
        if key:
            raise UsageError("--tls-key needs --tls-cert.")
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except OSError as error:  # SSLError is one
        files = f"{certificate} and {key}" if key else str(certificate)
        raise UsageError(
            f"Cannot use {files} for https: {error.strerror or error}. Give --tls-cert a certificate with its chain, "
            "and --tls-key its key without a password, both as PEM."
        ) from error


def require_free_address(host: str, port: int) -> None:
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
                f"Port {port} of {host} is in use. Stop the program that listens there, or give another --port."
            ) from error
        raise UsageError(
            f"Cannot listen at {host}:{port}: {error.strerror or error}. Give an address of this machine as --host, "
            "and a port that this account may use as --port."
        ) from error


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
