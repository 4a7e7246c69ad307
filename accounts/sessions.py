"""Finding live login sessions by their token, and noting that they are used."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import LoginSession
from broker.tokens import digest

NOTE_EVERY = timedelta(seconds=60)
"""`last_seen_at` is written at most this often."""


def idle_limit() -> timedelta:
    """How long a session lives unused."""
    return timedelta(seconds=settings.POSTERN.session_idle)


def live(now: datetime) -> QuerySet[LoginSession]:
    """The sessions that are good at `now`: not ended, not over, not idle, their users not disabled."""
    return LoginSession.objects.filter(
        ended_at=None, expires_at__gt=now, last_seen_at__gt=now - idle_limit(), user__disabled_at=None
    )


def over(now: datetime) -> Q:
    """The condition for sessions whose time has run out."""
    return Q(expires_at__lte=now) | Q(last_seen_at__lte=now - idle_limit())


def by_token(token: str, kind: LoginSession.Kind) -> LoginSession | None:
    """The live session of that kind which `token` opens, with its user."""
    return live(timezone.now()).filter(token_hash=digest(token), kind=kind).select_related("user").first()


def ends_at(session: LoginSession) -> datetime:
    """When the session ends if nothing more happens."""
    return min(session.expires_at, session.last_seen_at + idle_limit())


def note_use(session: LoginSession) -> None:
    """Put off the idle limit. The absolute limit never moves."""
    now = timezone.now()
    if now - session.last_seen_at >= NOTE_EVERY:
        note_uses([session.pk], now)
        session.last_seen_at = now


def note_uses(session_ids: list[UUID], at: datetime) -> None:
    """The same for many at once, as the decision service sees them used."""
    LoginSession.objects.filter(pk__in=session_ids, ended_at=None, last_seen_at__lt=at).update(last_seen_at=at)
