"""Bearer tokens: made from the system's randomness, stored as a hash, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string

ALPHABET = string.digits + string.ascii_letters
LENGTH = 43
"""Characters of base 62: 256 bits."""


def new_token(prefix: str) -> str:
    """A new token; the prefix (`ptn_cli_`) tells people and secret scanners what it is."""
    return prefix + "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def digest(token: str) -> str:
    """What is stored in a token's stead: SHA-256, in hex. A token is random, so it needs no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())
