"""Login sessions, access sessions and locks as pages show them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from accounts import sessions
from accounts.models import LoginSession, User
from broker.audit.connector_event import LoginSessionMoved
from broker.errors import NotFound
from broker.models import AccessSession, AuditEvent, Certificate, Lock
from broker.services.my_sessions import connector_names, words_for

USE_COLUMNS = {"started": "started_at", "used": "last_used_at", "user": "user_name", "resource": "resource_name"}
LOGIN_COLUMNS = {"started": "created_at", "seen": "last_seen_at", "user": "user__username_key"}
EARLIER = 6


def live_logins(user: User) -> list[LoginSession]:
    """The login sessions a user has open, the one used last first."""
    return list(sessions.live(timezone.now()).filter(user=user).order_by("-last_seen_at")[:50])


def logins(text: str = "", kind: str = "") -> QuerySet[LoginSession]:
    """The login sessions that are open, of all users."""
    rows = sessions.live(timezone.now()).select_related("user")
    if text:
        rows = rows.filter(
            Q(user__username_key__contains=text.lower()) | Q(address__startswith=text) | Q(device_name__icontains=text)
        )
    return rows.filter(kind=kind) if kind in LoginSession.Kind.values else rows


def login_session(ident: UUID) -> LoginSession:
    """One login session that is open. Raises NotFound."""
    found = sessions.live(timezone.now()).filter(pk=ident).select_related("user").first()
    if found is None:
        raise NotFound("there is no such login session", "it may have ended already")
    return found


def hanging_on(login: LoginSession) -> int:
    """How many open access sessions end with a login session. The CLIs it let in go on, and what they have open."""
    return uses_of_login(login).count()


def uses_of_login(login: LoginSession) -> QuerySet[AccessSession]:
    """The open access sessions that hang on a login session, the newest first."""
    return _open(timezone.now()).filter(login_session_id=login.pk).order_by("-started_at")


def any_login_session(ident: UUID) -> LoginSession:
    """One login session, open or ended. Raises NotFound."""
    found = LoginSession.objects.filter(pk=ident).select_related("user", "parent").first()
    if found is None:
        raise NotFound("there is no such login session", "look for it in the list")
    return found


def moves_of(login: LoginSession) -> list[AuditEvent]:
    """The changes of network of a login session, the newest first."""
    rows = AuditEvent.objects.filter(name=LoginSessionMoved.name, resource_id=str(login.pk))
    return list(rows.order_by("-seq")[:50])


def told_with(logins: Iterable[LoginSession]) -> list[LoginSession]:
    """The rows, each with `signed_in_with` in words and `open_uses`, how many access sessions hang on it."""
    found = list(logins)
    names = connector_names() if any(row.via != "local" for row in found) else {}
    counts = _open(timezone.now()).filter(login_session_id__in=[row.pk for row in found]).order_by()
    hanging = dict(counts.values_list("login_session_id").annotate(n=Count("pk")))
    for row in found:
        row.signed_in_with = words_for(row.via, row.amr, names)  # type: ignore[attr-defined]
        row.open_uses = hanging.get(row.pk, 0)  # type: ignore[attr-defined]
    return found


def uses(state: str, user: str, resource: str, protocol: str) -> QuerySet[AccessSession]:
    """The access sessions that match; `state` is `live`, `past` or empty for both."""
    now = timezone.now()
    rows = AccessSession.objects.all()
    if state == "live":
        rows = _open(now)
    elif state == "past":
        rows = rows.exclude(pk__in=_open(now).values("pk"))
    if user:
        rows = rows.filter(user_name__icontains=user)
    if resource:
        rows = rows.filter(resource_name__icontains=resource)
    return rows.filter(protocol=protocol) if protocol in ("app", "ssh") else rows


def use(ident: UUID) -> AccessSession:
    """One access session, open or past. Raises NotFound."""
    found = AccessSession.objects.filter(pk=ident).first()
    if found is None:
        raise NotFound("there is no such access session", "look for it in the list")
    return found


def with_states(rows: Iterable[AccessSession]) -> list[AccessSession]:
    """The rows, each with its `state`: `live`, `ended` (itself or its login session) or `expired`."""
    found, now = list(rows), timezone.now()
    alive = set(sessions.live(now).filter(pk__in={row.login_session_id for row in found}).values_list("pk", flat=True))
    for row in found:
        over = row.ended_at is not None or row.login_session_id not in alive
        state = "expired" if row.expires_at <= now and not row.ended_at else "ended" if over else "live"
        row.state = state  # type: ignore[attr-defined]
    return found


def login_of_use(row: AccessSession) -> LoginSession | None:
    """The login session that an access session hangs on, if it is open."""
    return sessions.live(timezone.now()).filter(pk=row.login_session_id).first()


def events_of_use(row: AccessSession) -> list[AuditEvent]:
    """What the log holds about an access session, the newest first."""
    return list(AuditEvent.objects.filter(access_session_id=str(row.pk)).order_by("-seq")[:100])


def certificate_of(row: AccessSession) -> Certificate | None:
    """The certificate that an SSH session was opened with."""
    return Certificate.objects.filter(pk=row.certificate_serial).first() if row.certificate_serial else None


def latest_of_user(user: User) -> list[AccessSession]:
    """What a user opened last."""
    return with_states(AccessSession.objects.filter(user_id=user.pk).order_by("-started_at")[:EARLIER])


def latest_of_resource(ident: UUID) -> list[AccessSession]:
    """How an app or server was used last."""
    return with_states(AccessSession.objects.filter(resource_id=ident).order_by("-started_at")[:EARLIER])


def _open(now: datetime) -> QuerySet[AccessSession]:
    """Those that may still be used: an access session ends with its login session."""
    alive = sessions.live(now).values("pk")
    return AccessSession.objects.filter(ended_at=None, expires_at__gt=now, login_session_id__in=alive)


def standing_lock(kind: str, name: str) -> Lock | None:
    """The lock that stops this user, role, app or server now."""
    return standing_locks().filter(target_kind=kind, target_name=name).first()


def standing_locks() -> QuerySet[Lock]:
    """The locks that stand."""
    return Lock.objects.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), lifted_at=None)


def past_locks() -> QuerySet[Lock]:
    """The locks that were lifted or ran out."""
    return Lock.objects.filter(Q(lifted_at__isnull=False) | Q(expires_at__lte=timezone.now()))


def lock(ident: UUID) -> Lock:
    """One lock that stands. Raises NotFound."""
    found = standing_locks().filter(pk=ident).first()
    if found is None:
        raise NotFound("there is no such lock", "it may be lifted already")
    return found
