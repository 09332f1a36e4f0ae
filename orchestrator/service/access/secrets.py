"""Tokens as their holders have them: 256 random bits, of which the store keeps the digest alone."""

from __future__ import annotations

import hashlib
import secrets

__all__ = ["digest_of", "new_token"]

# A word in front says what it is, to people and to programs that look for secrets in files.
_PREFIX = "tunefleet_"
_BYTES = 32


def new_token() -> tuple[str, str]:
    """Make a token; return it, and its digest."""
    token = _PREFIX + secrets.token_urlsafe(_BYTES)
    return token, digest_of(token)


def digest_of(token: str) -> str:
    """Return what the store knows a token by.

    Plain SHA-256: what is guessed from 256 random bits isn't guessed faster for want of a slow hash.
    """
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
