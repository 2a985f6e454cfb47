"""Where a redirection of a WebHDFS server leads to, as it was meant. Pure."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote, unquote, urljoin, urlsplit

from autostream.errors import ServiceError
from autostream.hadoop.answers import Call


def target_of(location: str, *, asked: str, call: Call) -> str:
    """Return the URL that a `Location` header leads to, with the path that was asked for.

    Gateways may leave out scheme and host. NameNodes compose accents (Java's `URI.toASCIIString` does): the file of
    that name would be another one.

    Args:
        location: The header.
        asked: The URL that was asked.
        call: What was asked for.

    Raises:
        ServiceError: It leads nowhere, or to another scheme: whatever authorises there would go the wrong way.
    """
    parts = urlsplit(urljoin(asked, location)) if location else urlsplit("")
    if parts.scheme != urlsplit(asked).scheme or not parts.hostname:
        leads = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.hostname else "nowhere"
        raise ServiceError(
            f"{call.url} redirects to {leads} ({call}). autostream does not follow it, because a token must not go "
            "over another scheme. Set the same dfs.http.policy on NameNodes and DataNodes, or correct webhdfs.urls."
        )
    return parts._replace(path=_as_meant(parts.path, call.path)).geturl()


def _as_meant(path: str, meant: str) -> str:
    said = unquote(path)
    composed, wanted = unicodedata.normalize("NFC", said), unicodedata.normalize("NFC", meant)
    if said.endswith(meant) or not composed.endswith(wanted):
        return path
    return quote(composed.removesuffix(wanted) + meant, safe="/")
