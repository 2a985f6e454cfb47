"""What went wrong with a request, in words that hold no secrets: of the HTTP library, of TLS, of a service's answer."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import requests
from urllib3.exceptions import NameResolutionError, NewConnectionError

from autostream.masking import mask

_MOST_CHARACTERS: Final = 300

# How the HTTP library begins: the address is in our messages already.
_CONNECTION: Final = re.compile(
    r"^(HTTPS?Connection(Pool)?\(.*?\): )?(Failed to establish a new connection: )?(\[Errno -?\d+\] )?"
)
# How a server begins that wants TLS, as the HTTP library shows it.
_TLS_ALERT: Final = "\\x15\\x03"
# What a server says of the certificate of a client.
_CERTIFICATE_ALERTS: Final = ("CERTIFICATE_REQUIRED", "ALERT_BAD_CERTIFICATE", "ALERT_UNKNOWN_CA", "HANDSHAKE_FAILURE")

NOT_JSON: Final = object()


def parsed(content: bytes) -> Any:
    """Return what JSON says; `NOT_JSON` where it is something else."""
    try:
        return json.loads(content)
    except ValueError:
        return NOT_JSON


def said_by(document: Any) -> str:
    """Return what a service says of an error in its JSON: Flink's `errors`, `detail` of problem details, and others."""
    if not isinstance(document, dict):
        return ""
    errors = document.get("errors")
    words = errors[-1] if isinstance(errors, list) and errors else None
    words = words or document.get("detail") or document.get("message") or document.get("error") or ""
    return _first_line(str(words))


def excerpt(content: bytes) -> str:
    """Return how an answer begins, to be shown."""
    return repr(mask(_first_line(content[:1000].decode(errors="replace")))[:80]) if content.strip() else "nothing"


def _first_line(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line[:_MOST_CHARACTERS].rstrip(".")


def never_connected(error: BaseException) -> bool:
    """Say whether a request that failed by an error of the HTTP library cannot have reached the server."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError | NameResolutionError)


def reason_of(error: BaseException) -> str:
    """Return the innermost words of an error of the HTTP library, without URLs: those may hold secrets."""
    inner: Any = error
    while True:
        deeper = getattr(inner, "reason", None)
        if not isinstance(deeper, BaseException):
            deeper = next((a for a in getattr(inner, "args", ()) if isinstance(a, BaseException)), None)
        if deeper is None:
            break
        inner = deeper
    words = str(getattr(inner, "strerror", None) or inner) or type(inner).__name__
    return mask(_first_line(_CONNECTION.sub("", words)))


def speaks_tls(error: BaseException) -> bool:
    """Say whether a server that was asked without TLS answered by it, as an error of the HTTP library shows."""
    return _TLS_ALERT in str(error)


def tls_advice(error: BaseException, *, host: str, service: str) -> str:
    """Return what is wrong with TLS and what to do; nothing where it is not TLS that failed."""
    reason = reason_of(error)
    folded = reason.upper().replace(" ", "_")
    if "WRONG_VERSION_NUMBER" in folded or "RECORD_LAYER" in folded:
        return f"{host} does not speak TLS ({reason}). Write http:// in `url` of {service}, or its TLS port."
    if any(alert in folded for alert in _CERTIFICATE_ALERTS):
        return (
            f"{host} requires a client certificate that it trusts ({reason}). Correct `tls_certificate` and "
            f"`tls_key` of {service}."
        )
    if "CERTIFICATE_VERIFY_FAILED" in folded:
        return (
            f"TLS with {host} failed: {reason}. Set `tls_ca` of {service} to the file with the certificates that "
            "sign the server's certificate, or correct the host name."
        )
    if isinstance(error, requests.exceptions.SSLError) and "EOF" in reason:
        return (
            f"{host} closed the connection during the TLS handshake. Check that this is its TLS port. If the server "
            f"requires client certificates, set `tls_certificate` of {service}."
        )
    return f"{host} speaks TLS. Write https:// in `url` of {service}." if speaks_tls(error) else ""
