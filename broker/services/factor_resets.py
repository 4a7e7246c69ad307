"""Resetting somebody's second factor: asked for by one administrator, approved by another, or due after a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction

from accounts.authenticators import second_factor
from accounts.models import Identity, Invite, User
from accounts.services import factor_resets, invites
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import NotFound
from broker.policy import Subject
from broker.services import delegation
from broker.services.access_sessions import ended_events
from broker.services.decisions import require
from broker.services.impact import Impact


@dataclass(frozen=True, slots=True)
class Reset:
    """What came of asking. `waits_until` is None if the reset took effect at once, else nothing has ended yet.

    Who signs in by a provider or directory enrols at the next sign-in there and gets no `link`.
    """

    link: invites.Link | None
    ends_sessions: int
    waits_until: datetime | None = None


def reset_mfa(origin: Origin, subject: Subject | None, name: str) -> Reset:
    """Ask for a reset of a user's second factor, with the link to enrol anew. Raises Denied, NotFound, Conflict.

    It waits for a second administrator or for `POSTERN_RESET_DELAY`, unless there is nothing to lose.
    """
    user = _whom(origin, subject, name)
    with transaction.atomic():
        if settings.POSTERN.reset_delay > 0 and second_factor.has_any(user):
            asked = factor_resets.ask(origin, user)
            link = None
            if _has_link(user):
                link = invites.invite_user(origin, user, Invite.Purpose.RESET, reset=asked)
            return Reset(link, 0, asked.due_at)
        ended = _forget(origin, user)
        return Reset(invites.invite_user(origin, user, Invite.Purpose.RESET) if _has_link(user) else None, ended)


def approve_reset(origin: Origin, subject: Subject | None, name: str) -> int:
    """Let a reset that waits take effect now; answers how many sessions end. Raises Denied, NotFound.

    Neither the one who asked nor the one it is about may.
    """
    user = _whom(origin, subject, name)
    waiting = factor_resets.pending(user)
    if waiting is not None and subject is not None and subject.id in (waiting.asked_by_id, str(user.pk)):
        whose = "you asked for this reset yourself" if subject.id == waiting.asked_by_id else "it is your own factor"
        raise delegation.refusal(origin, subject, "user.update", user.username, whose)
    impact = Impact()
    with transaction.atomic():
        # The row is looked at again: another reset may have taken the place of the one that was checked.
        now_waiting = factor_resets.pending(User.objects.select_for_update().get(pk=user.pk))
        if waiting is None or now_waiting is None or now_waiting.pk != waiting.pk:
            raise NotFound(f"no reset of {user.username} is waiting", "look at the user's page again")
        with _uses_end(origin, user):
            factor_resets.approve(origin, user)
        return impact.count()


def cancel_reset(origin: Origin, subject: Subject | None, name: str) -> None:
    """Take a reset that waits back; its link is dead. Raises Denied, NotFound."""
    factor_resets.cancel(origin, _whom(origin, subject, name))


def _whom(origin: Origin, subject: Subject | None, name: str) -> User:
    require(origin, subject, "user.update", name)
    user = User.objects.by_name(name)
    if user is None:
        raise NotFound(f"there is no user {name[:64]!r}", "list them with: postern admin get user")
    delegation.may_act_for(origin, subject, user)
    return user


def _has_link(user: User) -> bool:
    """Whoever comes in by a connector alone needs no link, and one would give them a password of ours."""
    return user.has_usable_password() or not Identity.objects.filter(user=user).exists()


def _forget(origin: Origin, user: User) -> int:
    impact = Impact()
    with _uses_end(origin, user):
        factor_resets.forget_factors(origin, user, "at-once")
    return impact.count()


@contextmanager
def _uses_end(origin: Origin, user: User) -> Iterator[None]:
    """Around what forgets the factors: ends what is open, and holds the log only when no row is waited for any more.

    Whoever starts a session has its row when they come to the log.
    """
    ended = ended_events("factors-reset", user_id=user.pk)
    yield
    if ended:
        record(origin, *ended)
