"""Forms: how a request that changes something proves that it comes from our own pages. Pure.

A browser sends its cookies with whatever another site makes it send. What that site cannot know is the secret of the
session: a form carries a proof that it was filled on a page of this session. The proof does not tell the secret.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

FIELD: Final = "csrf"
"""The field of a form that has the proof."""
HEADER: Final = "X-CSRF-Token"
"""The header that has it where there is no form."""


def proof(secret: bytes) -> str:
    """Return what the pages of a session send along."""
    return hmac.new(secret, b"autostream form", hashlib.sha256).hexdigest()


def proves(given: str, secret: bytes) -> bool:
    """Say whether what was sent along is from a page of the session."""
    return hmac.compare_digest(given.encode(), proof(secret).encode())


def from_other_site(fetch_site: str | None) -> bool:
    """Say whether the browser tells by `Sec-Fetch-Site` that another site makes the request; old ones tell nothing."""
    return fetch_site not in (None, "same-origin", "none")
