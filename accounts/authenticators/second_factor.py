"""Which second factors somebody has, of whatever kind; recovery codes are no factor of their own."""

from __future__ import annotations

from django.db import connection

from accounts.authenticators import passkey, recovery, totp
from accounts.models import Passkey, TotpDevice, User

AMR = frozenset({totp.AMR, recovery.AMR, *passkey.AMR, "mfa"})
"""What stands for a second factor in the `amr` of a sign-in under way; `mfa`: a provider vouches for it."""


_CONFIRMED = "EXISTS (SELECT 1 FROM {} WHERE user_id = %s AND confirmed)"
# One question in plain SQL: each step of a sign-in asks it.
_HAS = f"SELECT {', '.join(_CONFIRMED.format(model._meta.db_table) for model in (Passkey, TotpDevice))}"


def kinds_of(user: User) -> tuple[str, ...]:
    """`totp`, `passkey`: the kinds that are enrolled and confirmed."""
    key = User._meta.pk.get_db_prep_value(user.pk, connection)
    with connection.cursor() as cursor:
        cursor.execute(_HAS, [key, key])
        has_passkey, has_totp = cursor.fetchone()
    return (*(["passkey"] if has_passkey else []), *(["totp"] if has_totp else []))


def has_any(user: User) -> bool:
    """Whether the user can give a second factor of ours."""
    return bool(kinds_of(user))
