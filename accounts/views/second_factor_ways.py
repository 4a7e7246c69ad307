"""The ways in which somebody can give a second factor, as pages offer them: the best one first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django import forms

from accounts.authenticators import recovery, second_factor
from accounts.forms import CodeForm, PasskeyForm, RecoveryCodeForm
from accounts.models import User
from accounts.services.guessing import Wrong


@dataclass(frozen=True, slots=True)
class Way:
    """One way: its name in addresses, what a link to it says, its form and the field that counts."""

    name: str
    label: str
    form: type[forms.Form]
    field: str

    def error_field(self, error: Exception) -> str | None:
        """Where an error is shown: at the field that was typed into, else above the form."""
        return self.field if isinstance(error, Wrong) and self.name != "passkey" else None


PASSKEY = Way("passkey", "Use a passkey", PasskeyForm, "credential")
TOTP = Way("totp", "Use the authenticator app", CodeForm, "code")
RECOVERY_CODE = Way("recovery-code", "Use a recovery code", RecoveryCodeForm, "code")


def ways_of(user: User, *, phishing_resistant: bool = False) -> list[Way]:
    """What `user` can give, a passkey before a code; if it must not be phishable, passkeys only."""
    kinds = second_factor.kinds_of(user)
    ways = [PASSKEY] if "passkey" in kinds else []
    if phishing_resistant:
        return ways
    ways += [TOTP] if "totp" in kinds else []
    return ways + ([RECOVERY_CODE] if recovery.left(user) else [])


def chosen(ways: Sequence[Way], name: str) -> Way | None:
    """The way called `name` if it is among them, else the first; None if there is none."""
    return next((way for way in ways if way.name == name), ways[0] if ways else None)
