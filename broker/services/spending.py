"""Spending a confirmation of the second factor on the access session that starts with it.

Decided once more under the lock of the login session's row, in the transaction that starts the access session: of two
that start at once with one confirmation, one is too late.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from django.utils import timezone

from accounts.models import LoginSession
from broker.audit.origin import Origin
from broker.live import Live
from broker.policy import Attempt, Denial, Login, Reason, Terms
from broker.services.decisions import denied, record_denial


class TooLate(Exception):
    """What was permitted is no longer; leaves the transaction before the denial is put on record."""

    def __init__(self, denial: Denial) -> None:
        super().__init__(denial)
        self.denial = denial


@contextmanager
def refusing(origin: Origin, attempt: Attempt) -> Iterator[None]:
    """Around the transaction that starts an access session: too late is denied, on record like every denial."""
    try:
        yield
    except TooLate as late:
        record_denial(origin, attempt, late.denial)
        raise denied(attempt, late.denial) from None


def held_login(ident: str) -> LoginSession:
    """The login session, its row locked until commit: one that is being ended gains nothing. Raises TooLate."""
    held = LoginSession.objects.select_for_update().filter(pk=ident, ended_at=None).first()
    if held is None:
        raise TooLate(Denial((Reason.SESSION_EXPIRED,)))
    return held


def spend(held: LoginSession, attempt: Attempt, live: Live) -> datetime | None:
    """The confirmation that the access session of this attempt is started with; None if it wants none of its own.

    Raises TooLate when the locked row says that somebody else was quicker.
    """
    decision = live.decide(_as_held(attempt, held))
    if isinstance(decision, Denial):
        raise TooLate(decision)
    return None if decision.mfa_reuse == _NEVER else _spent(held)


def spend_for_use(held: LoginSession, attempt: Attempt, terms: Terms, *, demanded: bool) -> datetime | None:
    """The same for a credential that is good for many paths, of which some may demand more than the attempt's own.

    Unless `demanded`, it goes without where there is no good confirmation: the other paths then refuse it.
    """
    login = _login_of(_as_held(attempt, held))
    if login is None or (terms.mfa_reuse == _NEVER and not demanded):
        return None
    if failure := terms.failure(login, attempt.context.at):
        if demanded:
            raise TooLate(Denial((failure,), phishing_resistant=terms.phishing_resistant))
        return None
    return None if terms.mfa_reuse == _NEVER else _spent(held)


_NEVER = float("inf")


def _as_held(attempt: Attempt, held: LoginSession) -> Attempt:
    """The attempt with what the locked row says of the second factor."""
    subject, login = attempt.subject, _login_of(attempt)
    if subject is None or login is None:
        return attempt
    as_held = replace(
        login,
        amr=frozenset(held.amr),
        mfa_at=held.mfa_at.timestamp() if held.mfa_at else None,
        mfa_spent_at=held.mfa_spent_at.timestamp() if held.mfa_spent_at else None,
    )
    return replace(attempt, subject=replace(subject, login=as_held))


def _login_of(attempt: Attempt) -> Login | None:
    return attempt.subject.login if attempt.subject else None


def _spent(held: LoginSession) -> datetime | None:
    if held.mfa_spent_at is None:
        held.mfa_spent_at = timezone.now()
        held.save(update_fields=["mfa_spent_at"])
    return held.mfa_at
