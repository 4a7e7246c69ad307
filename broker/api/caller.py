"""Who calls: the login session that a CLI's bearer token opens. Nothing else counts here, a browser's cookie least."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

from django.http import HttpRequest
from ninja.security.http import HttpBearer

from accounts.bearer import token_in
from accounts.models import LoginSession
from accounts.requests import Request
from accounts.sessions import note_uses
from broker import live as live_state
from broker.audit.origin import Origin
from broker.live import Live, LiveLogin
from broker.policy import Subject
from broker.tokens import digest


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts in a call, where what it causes comes from, and the state of the moment the call came in."""

    subject: Subject
    login: LiveLogin
    origin: Origin
    live: Live

    def session(self) -> LoginSession:
        """The login session's row, with its user."""
        return LoginSession.objects.select_related("user").get(pk=self.login.id)


class ApiRequest(HttpRequest):
    """A request whose caller is known."""

    auth: Caller


class CliToken(HttpBearer):
    """`Authorization: Bearer ptn_cli_…`."""

    def __call__(self, request: HttpRequest) -> Caller | None:
        """The caller, or None for anything but a good token."""
        token = token_in(request.headers.get("Authorization", ""))
        if not token:
            return None
        live, at = live_state.current(), time.time()
        login = live.login_of_token(digest(token), at)
        if login is None or login.kind != LoginSession.Kind.CLI:
            return None
        subject = live.subject(login)
        if subject is None or subject.login is None or not subject.active or at >= subject.login.expires_at:
            return None
        if live.touch_login(login.id, at):
            note_uses([UUID(login.id)], datetime.fromtimestamp(at, UTC))
        return Caller(subject, login, _origin(cast(Request, request), subject, login), live)

    def authenticate(self, request: HttpRequest, token: str) -> Caller | None:
        """Unused: `__call__` reads the header itself, strictly."""
        raise NotImplementedError


def _origin(request: Request, subject: Subject, login: LiveLogin) -> Origin:
    return Origin(subject.kind, subject.id, subject.name, request.address, request.request_id, login.id)
