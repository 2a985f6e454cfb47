"""One file that is sent to a DataNode as its bytes come, in a request whose end nobody knows at its beginning."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from autostream.errors import ConfigurationError, ServiceError
from autostream.hadoop.answers import Call, error_of, first_line, parse_refusal
from autostream.hadoop.settings import WebHdfsSettings


def tls_context(settings: WebHdfsSettings) -> ssl.SSLContext:
    """Return what TLS verifies: certificates and host names, by the system's certificates or only by those of a file.

    Raises:
        ConfigurationError: the file of certificates cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca or None)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(
            f"Cannot use webhdfs.tls-ca: {settings.tls_ca} is not a file of PEM certificates: "
            f"{error.strerror or error}."
        ) from error
    if not settings.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Upload:
    """A PUT request in chunks.

    Raises:
        OSError: the server cannot be connected to; nothing was sent.
    """

    def __init__(self, target: str, call: Call, *, headers: Mapping[str, str], settings: WebHdfsSettings) -> None:
        """Connect and send the head of the request to `target`, which may hold a token."""
        parts = urlsplit(target)
        self._call = Call(call.operation, call.path, f"DataNode {parts.netloc}", call.account, call.proxy)
        self._connection = _connect(parts.scheme, parts.hostname or "", parts.port, settings)
        self._connection.connect()
        # From here on every wait is for the server's bytes or for room in its buffers.
        sock: socket.socket = self._connection.sock
        sock.settimeout(settings.read_timeout_seconds)
        self._connection.putrequest("PUT", f"{parts.path}?{parts.query}", skip_accept_encoding=True)
        for name, value in {**headers, "Transfer-Encoding": "chunked"}.items():
            self._connection.putheader(name, value)
        self._connection.endheaders()

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send some bytes on.

        Raises:
            AutostreamError: what the server had against it, or that the connection broke.
        """
        if not data:
            return  # an empty chunk would be the end
        try:
            self._connection.send(b"%x\r\n" % len(data))
            self._connection.send(data)
            self._connection.send(b"\r\n")
        except OSError as error:
            raise self._refused(error) from error

    def finish(self) -> None:
        """End the file.

        Raises:
            AutostreamError: the server did not take it, or gave no answer.
        """
        try:
            self._connection.send(b"0\r\n\r\n")
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._refused(error) from error
        finally:
            self._connection.close()
        if response.status >= 300:
            raise error_of(parse_refusal(response.status, body), self._call)

    def abort(self) -> None:
        """Cut the request off; what the DataNode has of the file stays there until it is deleted."""
        self._connection.close()

    def _refused(self, error: Exception) -> Exception:
        """Return the server's answer, which it may have given before it cut the connection."""
        with suppress(OSError, http.client.HTTPException):
            response = self._connection.getresponse()
            if response.status >= 300:
                return error_of(parse_refusal(response.status, response.read()), self._call)
        self._connection.close()
        reason = first_line(str(error)) or type(error).__name__
        return ServiceError(
            f"The connection broke while writing a file ({self._call}): {reason}. Check the log of the DataNode. If "
            "the DataNode accepted no bytes for long, raise webhdfs.read-timeout-seconds."
        )


def _connect(scheme: str, host: str, port: int | None, settings: WebHdfsSettings) -> http.client.HTTPConnection:
    timeout = settings.connect_timeout_seconds
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=tls_context(settings))
    return http.client.HTTPConnection(host, port, timeout=timeout)
