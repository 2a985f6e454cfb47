"""What a caller shows to be recognised, and what is kept of it.

A secret is 256 random bits. Nobody guesses it, however many a second are tried, so its SHA-256 digest is as good as a
slow hash, and is found by an index: slow hashes are for what people choose. Whoever reads the database cannot log in by
it.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

PREFIX: Final = "autostream_"
"""How a token begins, so that scanners find one that was committed by mistake."""

_BYTES: Final = 32


def new_token() -> str:
    """Return a token that nobody else has."""
    return PREFIX + new_secret()


def new_secret() -> str:
    """Return 256 random bits, as text that fits into a header."""
    return secrets.token_urlsafe(_BYTES)


def digest(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
