"""Which second factors somebody has, of whatever kind; recovery codes are no factor of their own."""

from __future__ import annotations

from accounts.authenticators import passkey, recovery, totp
from accounts.models import Passkey, TotpDevice, User

AMR = frozenset({totp.AMR, recovery.AMR, *passkey.AMR, "mfa"})
"""What stands for a second factor in the `amr` of a sign-in under way; `mfa`: a provider vouches for it."""


def kinds_of(user: User) -> tuple[str, ...]:
    """`totp`, `passkey`: the kinds that are enrolled and confirmed."""
    found = []
    if Passkey.objects.filter(user=user, confirmed=True).exists():
        found.append("passkey")
    if TotpDevice.objects.filter(user=user, confirmed=True).exists():
        found.append("totp")
    return tuple(found)


def has_any(user: User) -> bool:
    """Whether the user can give a second factor of ours."""
    return bool(kinds_of(user))
