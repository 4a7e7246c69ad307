"""A login session that turns up elsewhere: recorded, told if the network is new, and what the setting says of it."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import LoginSession, Notice, User
from accounts.places import has_moved, neighbourhood
from accounts.services.login_sessions import end_login_session
from accounts.services.notices import tell
from broker.audit.connector_event import LoginSessionMoved
from broker.audit.log import record
from broker.audit.origin import Origin

KNOWN_FOR = timedelta(days=180)
"""A network counts as new again when it was not used for so long."""

RECORD, CONFIRM, END = "record", "confirm", "end"


def note_address(origin: Origin, session: LoginSession, address: str) -> bool:
    """The session is used from `address`; False if that ended it. Cheap when nothing changed."""
    if not address or address == session.last_address:
        return True
    if not has_moved(session.last_address, address):
        LoginSession.objects.filter(pk=session.pk).update(last_address=address[:64])
        return True
    return _move(origin, session, address)


def note_address_of(origin: Origin, session_id: UUID, address: str) -> None:
    """The same by id. A command line is bound to its key, so moving about ends none and asks it nothing."""
    session = LoginSession.objects.filter(pk=session_id, ended_at=None).select_related("user").first()
    if session:
        note_address(origin, session, address)


def wants_confirmation(session: LoginSession) -> bool:
    """Whether a second factor is wanted before the session goes on, because it moved since one was given."""
    if settings.POSTERN.session_address_change != CONFIRM or session.moved_at is None:
        return False
    return session.mfa_at is None or session.mfa_at < session.moved_at


@transaction.atomic
def end_in_other_browser(origin: Origin, session: LoginSession, device: str) -> None:
    """The session's cookie came from a browser that is not the one it was given to: it ends, and the person is told."""
    if end_login_session(origin, session, "browser-changed"):
        told = {"device": session.device_name, "other": device}
        tell(origin, session.user, Notice.Kind.SESSION_ENDED, why="browser-changed", **told)


@transaction.atomic
def _move(origin: Origin, session: LoginSession, address: str) -> bool:
    before, now = session.last_address, timezone.now()
    row = LoginSession.objects.filter(pk=session.pk, last_address=before, ended_at=None)
    session.last_address, session.moved_at = address[:64], now
    if not row.update(last_address=session.last_address, moved_at=now):
        return LoginSession.objects.filter(pk=session.pk, ended_at=None).exists()  # another request noted it
    ends = settings.POSTERN.session_address_change == END and session.kind == LoginSession.Kind.BROWSER
    user = session.user
    if ends:
        tell(origin, user, Notice.Kind.SESSION_ENDED, why="address-changed", device=session.device_name)
    elif _is_new(session, address):
        place = neighbourhood(address)
        tell(origin, user, Notice.Kind.ADDRESS_CHANGED, device=session.device_name, before=before, network=place)
    moved = LoginSessionMoved(
        id=str(session.pk),
        label=session.device_name,
        user_id=str(user.pk),
        user_name=user.username,
        before=before,
        after=session.last_address,
    )
    record(origin, moved)
    if ends:
        end_login_session(origin, session, "address-changed")
    return not ends


def _is_new(session: LoginSession, address: str) -> bool:
    """Whether nobody used the account from that neighbourhood lately, as far as sessions and notices tell."""
    user, since = session.user, timezone.now() - KNOWN_FOR
    place = neighbourhood(address)
    return (
        place not in _neighbourhoods(user, session)
        and not Notice.objects.filter(
            user=user, kind=Notice.Kind.ADDRESS_CHANGED, data__network=place, created_at__gt=since
        ).exists()
    )


def _neighbourhoods(user: User, session: LoginSession) -> set[str]:
    rows = LoginSession.objects.filter(user=user, last_seen_at__gt=timezone.now() - KNOWN_FOR).exclude(pk=session.pk)
    pairs = [(session.address, ""), *rows.values_list("address", "last_address").distinct()[:1000]]
    return {neighbourhood(address) for pair in pairs for address in pair if address}
