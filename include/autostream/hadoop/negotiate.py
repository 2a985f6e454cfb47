"""SPNEGO towards WebHDFS servers: a Kerberos token once, then the server's cookie for as long as it holds."""

from __future__ import annotations

import base64
import re
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from autostream.errors import DeniedError
from autostream.hadoop.kerberos import KerberosIdentity, ensure_ticket, security_context

if TYPE_CHECKING:
    from requests import Response

_COOKIE = re.compile(r"hadoop\.auth=(\"[^\"]*\"|[^;,\s]*)")


class Negotiator:
    """What proves who we are, by server.

    The cookie is kept here and not in the HTTP session, which would send it to every port of a host: it belongs to
    the server that gave it.
    """

    def __init__(self, identity: KerberosIdentity) -> None:
        """Prove to be `identity`; nothing is asked of anybody before it is needed."""
        self.identity = identity
        self.principal = identity.principal
        self._cookies: dict[str, str] = {}
        self._lock = threading.Lock()

    def headers(self, base_url: str) -> dict[str, str]:
        """Return what a request to a server carries: its cookie, or nothing."""
        with self._lock:
            cookie = self._cookies.get(base_url)
        return {"Cookie": f"hadoop.auth={cookie}"} if cookie else {}

    def prove(self, base_url: str, *, renew: bool = False) -> dict[str, str]:
        """Return what a request carries to a server that wants proof.

        Args:
            base_url: the server's.
            renew: the server has refused a token of the ticket at hand: take another one if there is a keytab.

        Raises:
            DeniedError: there is no valid ticket, or the key distribution centre gives none for this server.
        """
        with self._lock:
            self._cookies.pop(base_url, None)
        ticket = ensure_ticket(self.identity, renew=renew)
        self.principal = ticket.principal
        host = urlsplit(base_url).hostname or ""
        from spnego.exceptions import SpnegoError

        try:
            token = security_context(ticket, service="HTTP", host=host, protocol="negotiate").step()
        except SpnegoError as error:
            raise DeniedError(
                f"{ticket.principal} gets no Kerberos ticket for HTTP@{host}: {_words(error)}. The principal of the "
                f"server must be HTTP/{host}: write the host name of the principal into webhdfs.urls, or check the "
                "KDC."
            ) from error
        return {"Authorization": f"Negotiate {base64.b64encode(token or b'').decode()}"}

    def remember(self, base_url: str, response: Response) -> None:
        """Keep the cookie that an answer brings."""
        if match := _COOKIE.search(response.headers.get("Set-Cookie") or ""):
            with self._lock:
                if match[1].strip('"'):
                    self._cookies[base_url] = match[1]
                else:  # the server takes it back
                    self._cookies.pop(base_url, None)


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")
