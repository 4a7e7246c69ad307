"""Resets of somebody's second factors: asked for, then approved by a second administrator or due after a while.

Until then nothing is lost: the factors work, the sessions go on, the person is told and may refuse.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import FactorReset, Invite, Notice, Passkey, RecoveryCode, TotpDevice, User
from accounts.services.login_sessions import end_all
from accounts.services.notices import tell
from broker.audit.account_event import (
    FactorsResetApproved,
    FactorsResetAsked,
    FactorsResetCancelled,
    FactorsResetRefused,
)
from broker.audit.event import Event, FactorsReset
from broker.audit.log import record
from broker.audit.origin import Origin, system
from broker.errors import Conflict, NotFound

Outcome = FactorReset.Outcome


def pending(user: User) -> FactorReset | None:
    """The reset that waits for this user."""
    return FactorReset.objects.filter(user=user, outcome=Outcome.PENDING).select_related("user").first()


@transaction.atomic
def ask(origin: Origin, user: User) -> FactorReset:
    """A reset that waits. Raises Conflict if one does already, or if the person could not sign in to refuse it."""
    user = User.objects.select_for_update().get(pk=user.pk)
    if not user.is_active:
        raise Conflict(f"{user.username} is disabled", "enable the user first")
    if waiting := pending(user):
        hint = "somebody else approves it, or you cancel it and begin anew"
        raise Conflict(f"a reset of {user.username}, asked for by {waiting.asked_by}, is waiting already", hint)
    now = timezone.now()
    reset = FactorReset.objects.create(
        user=user,
        asked_by_id=origin.actor_id,
        asked_by=origin.actor_name[:200],
        asked_at=now,
        due_at=now + timedelta(seconds=settings.POSTERN.reset_delay),
    )
    due_at = reset.due_at.isoformat(timespec="seconds")
    tell(origin, user, Notice.Kind.RESET_ASKED, due_at=due_at)
    record(origin, FactorsResetAsked(**_about(reset), due_at=due_at))
    return reset


@transaction.atomic
def approve(origin: Origin, user: User) -> int:
    """Let the waiting reset take effect now; answers how many sessions ended. Raises NotFound.

    That it is not the one who asked is for the caller to see to, who knows who acts.
    """
    reset = _claimed(user, Outcome.DONE, approved_by=origin.actor_name[:200])
    return forget_factors(origin, user, "approved", reset)


@transaction.atomic
def refuse(origin: Origin, user: User) -> None:
    """The person does not want the reset that waits. Raises NotFound."""
    reset = _claimed(user, Outcome.REFUSED)
    Invite.objects.filter(reset=reset).delete()
    record(origin, FactorsResetRefused(**_about(reset)))


@transaction.atomic
def cancel(origin: Origin, user: User) -> None:
    """An administrator takes the reset that waits back. Raises NotFound."""
    reset = _claimed(user, Outcome.CANCELLED)
    Invite.objects.filter(reset=reset).delete()
    record(origin, FactorsResetCancelled(**_about(reset)))


def carry_out_due(user: User | None = None) -> int:
    """Let the resets take effect whose time has come (all, or this user's); answers how many."""
    due = FactorReset.objects.filter(outcome=Outcome.PENDING, due_at__lte=timezone.now()).select_related("user")
    rows = due.filter(user=user) if user else due
    return sum(_carry_out(reset) for reset in list(rows))


def cancelled_events(user: User) -> list[Event]:
    """Take back what waits for this user, because something overtook it; the events to record. In a transaction."""
    if not pending(user):
        return []
    reset = _claimed(user, Outcome.CANCELLED)
    Invite.objects.filter(reset=reset).delete()
    return [FactorsResetCancelled(**_about(reset))]


@transaction.atomic
def forget_factors(origin: Origin, user: User, how: str, reset: FactorReset | None = None) -> int:
    """Forget second factors and recovery codes, end all sessions; answers how many. A reset that waited is overtaken.

    `how` says why at this moment: `at-once`, `approved` or `due`.
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    events: list[Event] = []
    if reset is None:
        events += cancelled_events(user)
    elif how == "approved":
        events.append(FactorsResetApproved(**_about(reset)))
    for factor in (TotpDevice, Passkey, RecoveryCode):
        factor.objects.filter(user=user).delete()
    ended = end_all(user, "factors-reset")
    asked_by = reset.asked_by if reset else ""
    tell(origin, user, Notice.Kind.FACTORS_RESET, by=asked_by or origin.actor_name)
    done = FactorsReset(id=str(user.pk), label=user.username, how=how, asked_by=asked_by)
    record(origin, *events, done, *ended)
    return len(ended)


@transaction.atomic
def _carry_out(reset: FactorReset) -> bool:
    try:
        _claimed(reset.user, Outcome.DONE)
    except NotFound:  # approved, refused or carried out meanwhile
        return False
    forget_factors(system("reset of second factors"), reset.user, "due", reset)
    return True


def _claimed(user: User, outcome: FactorReset.Outcome, approved_by: str = "") -> FactorReset:
    """The waiting reset with its outcome written, once whoever else decides on it. In a transaction."""
    User.objects.select_for_update().get(pk=user.pk)
    reset = pending(user)
    if reset is None:
        raise NotFound(f"no reset of {user.username} is waiting", "it may have taken effect, or been taken back")
    reset.outcome, reset.ended_at, reset.approved_by = outcome, timezone.now(), approved_by
    reset.save(update_fields=["outcome", "ended_at", "approved_by"])
    return reset


def _about(reset: FactorReset) -> dict[str, Any]:
    return {"id": str(reset.user_id), "label": reset.user.username, "asked_by": reset.asked_by}
