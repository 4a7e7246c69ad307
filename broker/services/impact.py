"""What a change will cut: the open sessions it ends, found by asking policy before and after, in its transaction."""

from __future__ import annotations

import time

from django.utils import timezone

from accounts.models import LoginSession
from broker import live as live_state
from broker.live import Live
from broker.models import AccessSession
from broker.policy import Access, Attempt, Context, Resource
from broker.policy.attempt import APP_REQUEST, SSH_SESSION
from broker.services.openness import may_open


class Impact:
    """Made before a change, asked once it is written but not yet committed."""

    def __init__(self) -> None:
        now = timezone.now()
        self._at = time.time()
        self._before = live_state.current()
        self._accesses = [
            access
            for access in AccessSession.objects.filter(ended_at=None, expires_at__gt=now)
            if _is_permitted(self._before, access, self._at)
        ]
        self._logins = set(LoginSession.objects.filter(ended_at=None, expires_at__gt=now).values_list("pk", flat=True))

    def count(self) -> int:
        """How many login sessions and access sessions the change ends."""
        kept = LoginSession.objects.filter(pk__in=self._logins, ended_at=None).count() if self._logins else 0
        ended = len(self._logins) - kept
        if not self._accesses:
            return ended
        after = self._before.fork()
        after.catch_up()
        return ended + sum(not _is_permitted(after, access, self._at) for access in self._accesses)


def _is_permitted(live: Live, access: AccessSession, at: float) -> bool:
    login = live.peek_login(str(access.login_session_id), at) or live.fetch_login(str(access.login_session_id))
    subject = live.subject(login) if login else None
    if subject is None:
        return False
    context, within = Context(at, access.address), Access(access.mfa_at.timestamp() if access.mfa_at else None)
    if access.protocol == "ssh":
        server = live.servers.get(str(access.resource_id))
        resource = server.resource if server else Resource("server", "", "")
        attempt = Attempt(subject, SSH_SESSION, resource, context, login=access.login, access=within)
        return live.decide(attempt).permitted
    app = live.apps.get(str(access.resource_id))
    if app is None:
        return False
    return may_open(live, Attempt(subject, APP_REQUEST, app.resource, context, "", "GET", "/", within))
