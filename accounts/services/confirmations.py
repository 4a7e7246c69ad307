"""A CLI asks its person to confirm in the browser: asked, compared by number, answered once.

The confirmation given in the browser goes over to the CLI's login session, and is spent there as far as the browser is
concerned: it confirms one thing.
"""

from __future__ import annotations

import math
import secrets
from datetime import timedelta
from typing import Literal
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts import sessions
from accounts.models import Confirmation, LoginSession, User
from accounts.services.login_sessions import SECOND_FACTORS, SPENT_ELSEWHERE, confirm_login_session
from broker.audit.connector_event import ConfirmationAsked, ConfirmationRefused
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import Conflict, NotFound, Throttled
from broker.tokens import same

TTL = timedelta(minutes=5)
MOST_OPEN = 3
MOST_ASKED, WINDOW = 10, timedelta(minutes=10)
"""How often a user may be asked: whoever is asked without end says yes at last."""

State = Literal["waiting", "confirmed", "refused", "expired"]


@transaction.atomic
def ask(origin: Origin, session: LoginSession, purpose: str) -> Confirmation:
    """A new question to the person behind a CLI's login session. Raises Throttled."""
    User.objects.select_for_update().get(pk=session.user_id)
    now = timezone.now()
    asked = Confirmation.objects.filter(login_session__user_id=session.user_id)
    waiting = asked.filter(answered_at=None, expires_at__gt=now).order_by("expires_at")
    lately = asked.filter(created_at__gt=now - WINDOW).order_by("created_at")
    if waiting.count() >= MOST_OPEN:
        raise _too_many((waiting[0].expires_at - now).total_seconds())
    if lately.count() >= MOST_ASKED:
        raise _too_many((lately[0].created_at + WINDOW - now).total_seconds())
    asking = Confirmation.objects.create(
        login_session=session,
        number=str(10 + secrets.randbelow(90)),
        purpose="".join(letter if letter.isprintable() else "?" for letter in purpose[:200]),
        address=origin.address,
        expires_at=now + TTL,
    )
    record(origin, ConfirmationAsked(**_about(session), purpose=asking.purpose))  # type: ignore[arg-type]
    return asking


def _too_many(wait: float) -> Throttled:
    return Throttled("too many confirmations were asked for", max(1, math.ceil(wait)), "answer one, or wait a little")


def state_of(asking: Confirmation) -> State:
    """How it stands."""
    if asking.answered_at is not None:
        return "confirmed" if asking.confirmed else "refused"
    return "waiting" if timezone.now() < asking.expires_at else "expired"


def asked_by(session: LoginSession, ident: UUID) -> Confirmation:
    """A question of this login session's own. Raises NotFound."""
    return _found(Confirmation.objects.filter(pk=ident, login_session=session).first())


def asked_of(user: User, ident: UUID) -> Confirmation:
    """A question to this user. Raises NotFound, for another's as for none."""
    rows = Confirmation.objects.select_related("login_session__user")
    return _found(rows.filter(pk=ident, login_session__user=user).first())


def is_proved(asking: Confirmation, browser: LoginSession) -> bool:
    """Whether a second factor was given in the browser since it was asked for, and has not been used otherwise."""
    return browser.mfa_at is not None and browser.mfa_at >= asking.created_at and browser.mfa_spent_at is None


def answer(origin: Origin, browser: LoginSession, ident: UUID, number: str) -> bool:
    """Confirm, if `number` is the one that the CLI shows; a wrong one refuses. False if it was refused.

    Raises NotFound; Conflict when it is over already or no second factor was given for it.
    """
    with transaction.atomic():
        asking = _locked(browser.user, ident)
        rows = LoginSession.objects.select_for_update().filter(pk__in=[browser.pk, asking.login_session_id])
        held = {row.pk: row for row in rows.order_by("pk")}
        here, there = held[browser.pk], held[asking.login_session_id]
        if sessions.live(timezone.now()).filter(pk__in=held).count() < len(held):
            raise Conflict("the terminal that asked is signed out", "sign in there again: postern login")
        if not same(number.strip(), asking.number):
            _refuse(origin, asking)
            return False
        if not is_proved(asking, here):
            raise Conflict("this wants your second factor first", "give it, then answer")
        factors = [name for name in here.amr if name in SECOND_FACTORS]
        proved_at, here.mfa_spent_at = here.mfa_at, SPENT_ELSEWHERE
        here.save(update_fields=["mfa_spent_at"])
        confirm_login_session(origin, there, factors, proved_at, also_touches=(f"login_session:{here.pk}",))
        asking.answered_at, asking.confirmed = timezone.now(), True
        asking.save(update_fields=["answered_at", "confirmed"])
        return True


@transaction.atomic
def refuse(origin: Origin, user: User, ident: UUID) -> None:
    """It was not they who asked, or not for this. Raises NotFound, Conflict."""
    _refuse(origin, _locked(user, ident))


def _refuse(origin: Origin, asking: Confirmation) -> None:
    asking.answered_at, asking.confirmed = timezone.now(), False
    asking.save(update_fields=["answered_at", "confirmed"])
    record(origin, ConfirmationRefused(**_about(asking.login_session)))  # type: ignore[arg-type]


def _locked(user: User, ident: UUID) -> Confirmation:
    """A question to this user that waits, its row locked. Raises NotFound, Conflict."""
    rows = Confirmation.objects.select_for_update(of=("self",)).select_related("login_session__user")
    asking = _found(rows.filter(pk=ident, login_session__user=user).first())
    if state_of(asking) != "waiting":
        raise Conflict("this was answered already, or is over", "run the command again")
    return asking


def _found(asking: Confirmation | None) -> Confirmation:
    if asking is None:
        raise NotFound("there is no such confirmation", "run the command again, and open the address it shows")
    return asking


def _about(session: LoginSession) -> dict[str, str]:
    return {
        "id": str(session.pk),
        "label": session.device_name,
        "user_id": str(session.user_id),
        "user_name": session.user.username,
    }
