"""Reading people anew in their directory: who has left is out, what groups and traits changed takes effect at once.

What a directory that does not answer would say is not guessed: nothing changes, and the connector says so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts import connectors
from accounts.directory.known import directory_of
from accounts.models import Connector, Identity, LoginSession, SignIn, User
from accounts.services.directory_arrival import arrival_of, read_then_write
from accounts.services.identities import Arrival, refresh
from broker.audit.origin import Origin
from broker.errors import Conflict, Invalid, PosternError, Unavailable
from broker.models import AccessSession
from broker.services.leavers import let_in_again, take_out

log = logging.getLogger(__name__)

GONE = "the directory has no such entry any more"
DISABLED = "the directory has disabled the entry"
NOBODY = "the directory shows nobody at all, which is not believed: may the bind account read the entries?"
_AT_ONCE = 500
_one_at_a_time = threading.Lock()


class Result(StrEnum):
    """What a reading changed."""

    NOTHING = "nothing"
    CHANGED = "changed"
    OUT = "out"
    BACK = "back"


def reread(origin: Origin, identity: Identity) -> Result:
    """Read one person anew. Raises Unavailable or Invalid if the directory cannot be asked; nothing changed then."""
    connector = identity.connector
    directory = directory_of(connector)

    disabled_at: list[datetime | None] = []

    def read() -> Arrival | str:
        disabled_at[:] = User.objects.filter(pk=identity.user_id).values_list("disabled_at", flat=True)
        entry = directory.read(identity.subject)
        if entry is None:
            if not directory.shows_anybody() and _has_several_in(connector):
                raise Unavailable(NOBODY, "check its rights, and the base and filter of the connector")
            return GONE
        return DISABLED if directory.is_disabled(entry) else arrival_of(connector, directory, entry)

    def write(found: Arrival | str) -> Result:
        fresh = Identity.objects.select_related("user", "connector").get(pk=identity.pk)
        if isinstance(found, str):
            already_out = not fresh.user.is_active
            take_out(origin, fresh.user, found, by=connector.source)
            return Result.NOTHING if already_out else Result.OUT
        if [fresh.user.disabled_at] != disabled_at:  # another reading, which may be the newer one, put them out
            raise Conflict("this person was put out or let in meanwhile", "they are read again soon")
        back = not fresh.user.is_active and let_in_again(origin, fresh.user, by=connector.source)
        changed = refresh(origin, fresh, found)
        return Result.BACK if back else Result.CHANGED if changed else Result.NOTHING

    return read_then_write(identity.issuer, identity.subject, read, write)[1]


def _has_several_in(connector: Connector) -> bool:
    """Whether more than one person is in by the connector: the last one may well have left, all of them at once not."""
    return Identity.objects.filter(connector=connector, user__disabled_at=None)[:2].count() > 1


def reread_all(origin: Origin) -> int:
    """Read anew everybody of every directory who has something open, or whom it took out. Answers how many changed."""
    if not _one_at_a_time.acquire(blocking=False):
        return 0  # the last round still goes on
    try:
        return sum(reread_people(origin, connector) for connector in connectors.enabled(Connector.Kind.LDAP))
    finally:
        _one_at_a_time.release()


def reread_people(origin: Origin, connector: Connector, subjects: Collection[str] | None = None) -> int:
    """The same for one directory, or for those of its people whose subjects are given."""
    changed, unread = 0, ""
    try:
        if subjects is None:
            directory_of(connector).check()
        for identity in _concerned(connector, subjects):
            result = _reread_one(origin, identity)
            if isinstance(result, Result):
                changed += result is not Result.NOTHING
            else:
                unread = result
    except (Unavailable, Invalid) as error:
        unread = error.message
    if unread:
        connectors.note_problem(connector, unread)
    else:
        connectors.note_ok(connector)
    return changed


def _reread_one(origin: Origin, identity: Identity) -> Result | str:
    """One of many: what is odd about one entry keeps nobody from being read after it. Words if it could not be read."""
    try:
        return reread(origin, identity)
    except Identity.DoesNotExist:
        return Result.NOTHING
    except (Unavailable, Invalid) as error:
        if directory_of(identity.connector).rests:
            raise
        log.warning("%s: %s could not be read: %s", identity.connector.source, identity.subject, error.message)
        return error.message
    except (Conflict, PosternError) as error:
        log.warning("%s: %s: %s", identity.connector.source, identity.subject, error.message)
    return Result.NOTHING


def _concerned(connector: Connector, subjects: Collection[str] | None) -> Iterator[Identity]:
    """The identities of people who have something open, or may come back because this directory put them out."""
    rows = Identity.objects.select_related("user", "connector")
    for key in _keys(connector, subjects):
        identity = rows.filter(pk=key).first()
        if identity is not None:
            yield identity


def _keys(connector: Connector, subjects: Collection[str] | None) -> list[UUID]:
    rows = people_with_something_open(connector).values_list("pk", flat=True)
    if subjects is None:
        return list(rows)
    wanted = sorted(subjects)
    parts = [wanted[at : at + _AT_ONCE] for at in range(0, len(wanted), _AT_ONCE)]
    return [key for part in parts for key in rows.filter(subject__in=part)]


def people_with_something_open(connector: Connector) -> QuerySet[Identity]:
    """Identities whose user has something open (certificates too) or is signing in, or was put out by the connector."""
    now = timezone.now()
    live = {"ended_at": None, "expires_at__gt": now}
    logins = LoginSession.objects.filter(user=OuterRef("user"), **live)
    uses = AccessSession.objects.filter(user_id=OuterRef("user_id"), **live)
    under_way = SignIn.objects.filter(user=OuterRef("user"), expires_at__gt=now)
    put_out = Q(user__disabled_at__isnull=False, user__disabled_by=connector.source)
    return Identity.objects.filter(Exists(logins) | Exists(uses) | Exists(under_way) | put_out, connector=connector)
