"""Sessions as administrators and auditors see them: who is signed in, and who uses what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from accounts import sessions as login_sessions
from accounts.models import LoginSession
from accounts.names import name_key
from accounts.services.login_sessions import end_login_session
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import Conflict, NotFound
from broker.models import AccessSession
from broker.policy import Subject
from broker.services.access_sessions import ended_events
from broker.services.decisions import require
from broker.services.pages import Page, bad_cursor, cursor_for, limit_of, position_in

_Row = TypeVar("_Row", AccessSession, LoginSession)


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """Which sessions are wanted. `resource` means nothing for login sessions; `active` leaves out what has ended."""

    user: str = ""
    resource: str = ""
    active: bool = False
    search: str = ""


def list_access_sessions(
    origin: Origin, subject: Subject | None, query: SessionQuery, *, limit: int | None = None, cursor: str = ""
) -> Page[AccessSession]:
    """A page of access sessions, newest first. Raises Denied, Invalid."""
    require(origin, subject, "session.list")
    rows = AccessSession.objects.none() if _holds_nul(query) else AccessSession.objects.all()
    if query.user:
        rows = rows.filter(user_name=name_key(query.user))
    if query.resource:
        rows = rows.filter(resource_name=query.resource)
    if query.search:
        text = query.search[:100]
        rows = rows.filter(
            Q(user_name__icontains=text)
            | Q(resource_name__icontains=text)
            | Q(login__icontains=text)
            | Q(address__icontains=text)
        )
    if query.active:
        rows = _open(rows)
    return _page(rows, "started_at", limit_of(limit), cursor)


def list_login_sessions(
    origin: Origin, subject: Subject | None, query: SessionQuery, *, limit: int | None = None, cursor: str = ""
) -> Page[LoginSession]:
    """A page of login sessions with their users, newest first. Raises Denied, Invalid."""
    require(origin, subject, "session.list")
    rows = LoginSession.objects.select_related("user")
    if query.active:
        rows = login_sessions.live(timezone.now()).select_related("user")
    if _holds_nul(query):
        rows = rows.none()
    if query.user:
        rows = rows.filter(user__username_key=name_key(query.user))
    if query.search:
        text = query.search[:100]
        rows = rows.filter(
            Q(user__username__icontains=text) | Q(address__icontains=text) | Q(device_name__icontains=text)
        )
    return _page(rows, "created_at", limit_of(limit), cursor)


def revoke_login_session(origin: Origin, subject: Subject | None, session_id: UUID) -> int:
    """End somebody's login session and all that hangs on it; answers how many sessions end. Raises Denied, NotFound."""
    require(origin, subject, "session.delete", ident=str(session_id))
    row = LoginSession.objects.select_related("user").filter(pk=session_id, ended_at=None).first()
    if row is None:
        raise NotFound("there is no such session", "it may have ended already")
    hanging = _open(AccessSession.objects.filter(login_session_id=row.pk)).count()
    end_login_session(origin, row, "revoked")
    return 1 + hanging


def end_access_session(origin: Origin, subject: Subject | None, session_id: UUID) -> None:
    """End one use of an app. Raises Denied, NotFound, and Conflict for a certificate, which cannot be called back."""
    require(origin, subject, "session.delete", ident=str(session_id))
    row = _open(AccessSession.objects.filter(pk=session_id)).first()
    if row is None:
        raise NotFound("there is no such session", "it may have ended already")
    if row.credential == AccessSession.Credential.CERTIFICATE:
        raise Conflict(
            "a certificate cannot be called back; no new one is given out once its login session is ended",
            "end the login session, or lock the user",
        )
    with transaction.atomic():
        record(origin, *ended_events("revoked", pk=row.pk))


def _holds_nul(query: SessionQuery) -> bool:
    """Whether nothing can match: no row holds a NUL, and PostgreSQL takes none in a query."""
    return "\0" in query.user + query.resource + query.search


def _open(rows: QuerySet[AccessSession]) -> QuerySet[AccessSession]:
    """Those that may still be used: an access session ends with its login session."""
    now = timezone.now()
    alive = login_sessions.live(now).values("pk")
    return rows.filter(ended_at=None, expires_at__gt=now, login_session_id__in=alive)


def _page(rows: QuerySet[_Row], by: str, size: int, cursor: str) -> Page[_Row]:
    position = position_in(cursor)
    if position:
        at, ident = _parse(position)
        rows = rows.filter(Q(**{f"{by}__lt": at}) | Q(**{by: at, "pk__lt": ident}))
    found = list(rows.order_by(f"-{by}", "-pk")[: size + 1])
    if len(found) <= size:
        return Page(found)
    last = found[size - 1]
    return Page(found[:size], cursor_for(f"{getattr(last, by).isoformat()} {last.pk}"))


def _parse(position: str) -> tuple[datetime, UUID]:
    when, _, ident = position.partition(" ")
    try:
        at = parse_datetime(when)
        if at is None or at.tzinfo is None:
            raise ValueError
        return at, UUID(ident)
    except (ValueError, OverflowError):
        raise bad_cursor() from None
