"""Enrolling and replacing second factors."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts.authenticators import recovery, second_factor, totp
from accounts.models import Notice, RecoveryCode, TotpDevice, User
from accounts.services.guessing import Wrong
from accounts.services.notices import tell
from broker.audit.event import Event, FactorEnrolled, FactorRemoved, RecoveryCodesMade
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import Conflict, NotFound


@transaction.atomic
def device_to_enrol(user: User, since: datetime, mine: str | None = None) -> TotpDevice:
    """The authenticator app waiting to be confirmed, begun after `since`: an older one gives way to a new seed, as does
    any other than `mine` (an id, empty for none yet) if it is given.
    """
    User.objects.select_for_update().get(pk=user.pk)
    pending = totp.pending_device_of(user)
    fits = pending is not None and pending.created_at >= since and mine in (None, str(pending.pk))
    return pending if pending and fits else totp.new_device(user)


@transaction.atomic
def enrol_totp(
    origin: Origin, user: User, code: str, since: datetime, *, mine: str | None = None, replace: bool = False
) -> None:
    """Confirm the waiting device (`mine`, if given) with its first code, in place of the one in use if `replace`.

    Raises Wrong.
    """
    User.objects.select_for_update().get(pk=user.pk)
    pending = totp.pending_device_of(user)
    used = totp.device_of(user)
    is_mine = pending is not None and mine in (None, str(pending.pk))
    if pending is None or not is_mine or pending.created_at < since or (used and not replace):
        raise Wrong("this enrolment was overtaken by another", "begin again")
    if not totp.is_right(pending, code):
        raise Wrong("this code is wrong", "check that the clock of your phone is right, then type the newest code")
    about = {"id": str(user.pk), "label": user.username, "factor": "totp"}
    events: list[Event] = [FactorEnrolled(**about)]  # type: ignore[arg-type]
    if used:
        used.delete()
        events.insert(0, FactorRemoved(**about))  # type: ignore[arg-type]
    TotpDevice.objects.filter(pk=pending.pk).update(confirmed=True)
    tell(origin, user, Notice.Kind.FACTOR_ADDED, factor="totp", replaced=used is not None)
    record(origin, *events)


def forget_pending(user: User) -> None:
    """Another factor was enrolled instead: no authenticator app waits to be confirmed any more. In a transaction."""
    TotpDevice.objects.filter(user=user, confirmed=False).delete()


@transaction.atomic
def remove_totp(origin: Origin, user: User) -> None:
    """The authenticator app is no factor any more. Raises NotFound, or Conflict if there is no other factor."""
    User.objects.select_for_update().get(pk=user.pk)
    used = totp.device_of(user)
    if used is None:
        raise NotFound("you have no authenticator app", "it may have been removed already")
    if second_factor.kinds_of(user) == ("totp",):
        raise Conflict("this is your only second factor", "add a passkey first")
    TotpDevice.objects.filter(user=user).delete()
    tell(origin, user, Notice.Kind.FACTOR_REMOVED, factor="totp")
    record(origin, FactorRemoved(id=str(user.pk), label=user.username, factor="totp"))


@transaction.atomic
def make_recovery_codes(origin: Origin, user: User) -> list[str]:
    """Ten new codes; earlier ones are dead. They are told this once."""
    User.objects.select_for_update().get(pk=user.pk)
    again = RecoveryCode.objects.filter(user=user).exists()
    codes = recovery.new_codes(user)
    if again:  # the first ones come with the factor that was just told of
        tell(origin, user, Notice.Kind.FACTOR_ADDED, factor="recovery-codes", replaced=True)
    record(origin, RecoveryCodesMade(id=str(user.pk), label=user.username))
    return codes
