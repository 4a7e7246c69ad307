"""Passkeys and security keys (WebAuthn): options for the browser, and what it answers, checked."""

from __future__ import annotations

from accounts.models import Passkey

HARDWARE, SOFTWARE = "hwk", "swk"
AMR = frozenset({HARDWARE, SOFTWARE})
"""RFC 8176: a key that cannot leave its device, and one that may be synchronised to others."""


def amr_of(credential: Passkey) -> str:
    """What a credential counts as in `amr`."""
    return SOFTWARE if credential.backup_eligible else HARDWARE
