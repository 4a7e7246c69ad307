"""Giving the second factor again within a login session."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from accounts.authenticators import passkey, recovery, totp
from accounts.models import LoginSession, Notice
from accounts.services import passkeys
from accounts.services.guessing import WRONG_CODE, guess
from accounts.services.login_sessions import confirm_login_session
from accounts.services.notices import tell
from accounts.throttle import Door
from broker.audit.event import RecoveryCodeUsed
from broker.audit.log import record
from broker.audit.origin import Origin


def confirm_with_totp(origin: Origin, door: Door, session: LoginSession, code: str) -> str:
    """A code of the authenticator app; answers the session's new token. Raises Wrong or Throttled."""
    user = session.user
    guess(origin, door, user, "totp", lambda: totp.use(user, code), WRONG_CODE)
    return confirm_login_session(origin, session, [totp.AMR])


def confirm_with_passkey(origin: Origin, door: Door, session: LoginSession, answer: str) -> str:
    """A passkey or security key; answers the session's new token. Raises Wrong or Throttled."""
    used = passkeys.prove(origin, door, _place(session), session.user, answer)
    return confirm_login_session(origin, session, [passkey.amr_of(used)])


def passkey_to_confirm(session: LoginSession) -> dict[str, Any]:
    """What the browser is told in order to confirm with a passkey."""
    return passkeys.request_options(_place(session), session.user)


def confirm_with_recovery_code(origin: Origin, door: Door, session: LoginSession, code: str) -> str:
    """A recovery code, which is then used up; answers the session's new token. Raises Wrong or Throttled."""
    user = session.user
    guess(origin, door, user, "recovery-code", lambda: recovery.use(user, code), WRONG_CODE)
    with transaction.atomic():
        token = confirm_login_session(origin, session, [recovery.AMR])
        tell(origin, user, Notice.Kind.RECOVERY_CODE_USED, left=recovery.left(user))
        record(origin, RecoveryCodeUsed(id=str(user.pk), label=user.username, left=recovery.left(user)))
    return token


def _place(session: LoginSession) -> passkeys.Place:
    return passkeys.Place(passkeys.Purpose.CONFIRM, login_session=session)
