"""Who calls: the login session that a CLI's bearer token opens. Nothing else counts here, a browser's cookie least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from django.http import HttpRequest
from ninja.security.http import HttpBearer

from accounts.bearer import login_session_of_bearer
from accounts.middleware import origin_of
from accounts.models import LoginSession
from accounts.requests import Request
from accounts.subject import subject_of
from broker import live as live_state
from broker.audit.origin import Origin
from broker.live import Live
from broker.policy import Subject


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts in a call, where what it causes comes from, and the state of the moment the call came in."""

    subject: Subject
    session: LoginSession
    origin: Origin
    live: Live


class ApiRequest(HttpRequest):
    """A request whose caller is known."""

    auth: Caller


class CliToken(HttpBearer):
    """`Authorization: Bearer ptn_cli_…`."""

    def __call__(self, request: HttpRequest) -> Caller | None:
        """The caller, or None for anything but a good token."""
        session = login_session_of_bearer(request.headers.get("Authorization", ""))
        if session is None:
            return None
        live = live_state.current()
        user = live.users.get(str(session.user_id))
        subject = subject_of(session.user, session, user.groups.values() if user else None)
        return Caller(subject, session, origin_of(cast(Request, request), session), live)

    def authenticate(self, request: HttpRequest, token: str) -> Caller | None:
        """Unused: `__call__` reads the header itself, strictly."""
        raise NotImplementedError
