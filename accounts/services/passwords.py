"""Changing a password."""

from __future__ import annotations

from django.db import transaction

from accounts.authenticators import password
from accounts.models import LoginSession, Notice, SignIn, User
from accounts.services.guessing import WRONG_PASSWORD, guess
from accounts.services.login_sessions import end_all, rotate_token
from accounts.services.notices import tell
from accounts.throttle import Door
from broker.audit.event import PasswordChanged
from broker.audit.log import record
from broker.audit.origin import Origin


def change_password(origin: Origin, door: Door, session: LoginSession, current: str, new: str) -> tuple[int, str]:
    """Set a new password, knowing the current one; all other sessions end. Answers how many, and this one's new token.

    Raises Invalid if the new one is weak, Wrong if the current one is, Throttled after too many tries.
    """
    user = session.user
    password.check(new, user)
    guess(origin, door, user, "password", lambda: password.is_right(user, current), WRONG_PASSWORD)
    encoded = password.hashed(new)
    with transaction.atomic():
        return store_password(origin, user, encoded, keep=session), rotate_token(session)


def store_password(
    origin: Origin, user: User, encoded: str, *, keep: LoginSession | None = None, going_on: SignIn | None = None
) -> int:
    """Put a hash in place and end all sessions but `keep`, all sign-ins but `going_on`. Call it in a transaction."""
    had_one = user.has_usable_password()
    User.objects.filter(pk=user.pk).update(password=encoded)
    if had_one:
        tell(origin, user, Notice.Kind.PASSWORD_CHANGED)
    ended = end_all(user, "password-changed", keep, going_on)
    record(origin, PasswordChanged(id=str(user.pk), label=user.username), *ended)
    return len(ended)
