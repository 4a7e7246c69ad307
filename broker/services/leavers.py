"""Who leaves is out: what a directory or a provisioning client does when it says that somebody is disabled or gone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.services import users as accounts
from broker.audit.connector_event import LastAdministratorOut
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.models import AccessSession, Launch
from broker.services.access_sessions import ended_events
from broker.services.administrators import administrators

log = logging.getLogger(__name__)
WAY_BACK = "make an administrator on the machine itself: manage.py invite NAME --administrator"


@transaction.atomic
def take_out(origin: Origin, user: User, why: str, *, by: str) -> int:
    """Disable the user and end all they have open; answers how many sessions ended. Twice is as good as once.

    `by` is the connector's source (`ldap:NAME`, `scim:NAME`). The last administrator goes as well, loudly: somebody who
    has left may not stay because nobody else is there.
    """
    if not by:
        raise ValueError("a connector that takes somebody out has a source")
    with loud_if_nobody_is_left(origin, by):
        return disable(origin, user, why, by=by)


@contextmanager
def loud_if_nobody_is_left(origin: Origin, by: str) -> Iterator[None]:
    """Around what a connector does, in its transaction: puts it on record if nobody is left who can administer."""
    before = administrators()
    yield
    after = administrators()
    if (before.all and not after.all) or (before.able and not after.able):
        lost = sorted((before.able or before.all) - after.able)[0]
        log.error("%s was the last administrator and is out now, as %s says: %s", lost, by, WAY_BACK)
        user = User.objects.by_name(lost)
        record(origin, LastAdministratorOut(id=str(user.pk) if user else "", label=lost, by=by, hint=WAY_BACK))


def let_in_again(origin: Origin, user: User, *, by: str) -> bool:
    """The connector says that they are back: enable whom it disabled itself. False if it may not, or need not."""
    return bool(by) and accounts.enable_user(origin, user, by=by)


@transaction.atomic
def disable(origin: Origin, user: User, why: str, *, by: str = "") -> int:
    """Nobody may be this user any more, and nothing of theirs stays open: login sessions, access sessions, launches,
    sign-ins and invites. Answers how many sessions ended.
    """
    User.objects.select_for_update().get(pk=user.pk)
    Launch.objects.filter(login_session__user=user).delete()
    open_now = AccessSession.objects.filter(user_id=user.pk, ended_at=None, expires_at__gt=timezone.now()).count()
    ended = ended_events("user-disabled", user_id=user.pk)
    logins = accounts.disable_user(origin, user, why, by=by)
    if ended:  # late: whoever starts a session has its row when they come to the log
        record(origin, *ended)
    return open_now + logins
