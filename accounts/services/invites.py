"""One-use links by which a person comes in for the first time, or again after losing the second factor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import FactorReset, Invite, SignIn, User
from accounts.services.factor_resets import carry_out_due, forget_factors
from broker.audit.event import UserInvited
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import Conflict, NotFound
from broker.tokens import digest, new_token

SIGN_IN_TTL = timedelta(minutes=15)
"""A sign-in that is not finished by then begins anew."""


@dataclass(frozen=True, slots=True)
class Link:
    """A one-use link. It is told once: only its hash is kept."""

    url: str = field(repr=False)
    expires_at: datetime


class NotYet(NotFound):
    """The link belongs to a reset that waits."""


@transaction.atomic
def invite_user(
    origin: Origin, user: User, purpose: Invite.Purpose = Invite.Purpose.ENROL, *, reset: FactorReset | None = None
) -> Link:
    """A link by which the user sets a password (ENROL) or, knowing it, a second factor (RESET). Older links die.

    That of a `reset` which waits opens once it has taken effect.
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    if not user.is_active:
        raise Conflict(f"{user.username} is disabled", "enable the user first")
    if user.kind != User.Kind.PERSON:
        raise Conflict(f"{user.username} is a machine", "machines join with a token")
    if not user.has_usable_password():
        purpose = Invite.Purpose.ENROL
    Invite.objects.filter(user=user, used_at=None).delete()
    token = new_token("")
    expires_at = (reset.due_at if reset else timezone.now()) + timedelta(seconds=settings.POSTERN.invite_ttl)
    Invite.objects.create(
        token_hash=digest(token),
        user=user,
        purpose=purpose,
        reset=reset,
        created_by=origin.actor_name[:64],
        expires_at=expires_at,
    )
    record(origin, UserInvited(id=str(user.pk), label=user.username, purpose=purpose))
    return Link(f"{settings.POSTERN.url}/invite/{token}", expires_at)


@transaction.atomic
def reset_factors(origin: Origin, user: User) -> Link:
    """Forget the second factors and recovery codes at once; the link answered lets the user enrol anew."""
    forget_factors(origin, user, "at-once")
    return invite_user(origin, user, Invite.Purpose.RESET)


def open_invite(token: str) -> Invite:
    """The invite that `token` names if it is still good. Raises NotFound: unknown, used and expired sound the same.

    Whoever has the link of a reset that waits is told so.
    """
    invite = (
        Invite.objects.filter(
            token_hash=digest(token), used_at=None, expires_at__gt=timezone.now(), user__disabled_at=None
        )
        .select_related("user", "reset")
        .first()
    )
    if invite is None:
        raise NotFound("this link is not valid any more", "links work once, for a short time: ask for a new one")
    if invite.reset and invite.reset.outcome == FactorReset.Outcome.PENDING and not carry_out_due(invite.user):
        raise NotYet("this link does not work yet", "it does once the reset is approved or its time has come")
    return invite


@transaction.atomic
def accept_invite(origin: Origin, token: str) -> str:
    """Use the link up; answers the token of the sign-in it begins. Raises NotFound."""
    invite = open_invite(token)
    now = timezone.now()
    if not Invite.objects.filter(pk=invite.pk, used_at=None).update(used_at=now):
        raise NotFound("this link was used a moment ago", "ask for a new one")
    SignIn.objects.filter(user=invite.user).exclude(invite=None).delete()
    return new_sign_in(origin, invite.user, invite=invite)


def new_sign_in(
    origin: Origin,
    user: User,
    *,
    invite: Invite | None = None,
    via: str = "local",
    amr: tuple[str, ...] = (),
    next: str = "",
    state: Mapping[str, Any] | None = None,
    id_token: str | None = None,
) -> str:
    """A sign-in under way; answers its token, which opens nothing but the next step."""
    carry_out_due(user)
    token = new_token("")
    SignIn.objects.create(
        token_hash=digest(token),
        user=user,
        invite=invite,
        via=via,
        amr=list(amr),
        state=dict(state or {}),
        id_token=id_token,  # type: ignore[misc]  # the stubs know no sealed None
        next=next,
        address=origin.address,
        expires_at=timezone.now() + SIGN_IN_TTL,
    )
    return token
