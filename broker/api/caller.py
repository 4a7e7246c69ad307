"""Who calls: the login session that a CLI's token opens, sent with a proof of the key it is bound to (RFC 9449).

Nothing else counts here: not the token alone, and a browser's cookie least.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from ninja.security.base import AuthBase

from accounts import dpop, proofs_seen
from accounts.cli_token import token_in
from accounts.models import LoginSession
from accounts.requests import Request
from accounts.services.moves import note_address_of
from accounts.sessions import note_uses
from broker import live as live_state
from broker.audit.connector_event import LoginSessionProofRefused
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.errors import PosternError
from broker.live import Live, LiveLogin
from broker.policy import Subject
from broker.tokens import digest

TELL_EVERY = 60.0
"""Seconds between two events that tell of a token without its key."""


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


class ClockOff(PosternError):
    """A call that is good but for its time: the caller's clock and ours differ."""


class CliToken(AuthBase):
    """`Authorization: DPoP ptn_cli_…` with `DPoP: PROOF`."""

    openapi_type = "http"
    openapi_scheme = "DPoP"

    def __call__(self, request: HttpRequest) -> Caller | None:
        """The caller, or None for anything but a good token with a good proof. Raises `ClockOff`."""
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
        if flaw := _flaw(request, login, token, at):
            _tell_refused(cast(Request, request), subject, login, flaw)
            return None
        origin = _origin(cast(Request, request), subject, login)
        if live.touch_login(login.id, at):
            note_uses([UUID(login.id)], datetime.fromtimestamp(at, UTC))
            note_address_of(origin, UUID(login.id), origin.address)
        return Caller(subject, login, origin, live)


def _flaw(request: HttpRequest, login: LiveLogin, token: str, at: float) -> dpop.Flaw | None:
    """Why this very call does not count as signed with the key that the token is bound to; None if it does.

    A token without a key opens nothing.
    """
    if not login.key_thumbprint:
        return dpop.Flaw.KEY
    asked = dpop.Asked(request.method or "", settings.POSTERN.url, request.path)
    found = dpop.check(request.headers.get("DPoP", ""), asked, at, thumbprint=login.key_thumbprint, token=token)
    if isinstance(found, dpop.BadProof):
        if found.clock_off:
            raise ClockOff(dpop.clock_words(found.clock_off), "set the clock of this machine, then try again")
        return found.flaw
    return None if proofs_seen.first_use(found, at) else dpop.Flaw.REPLAYED


_told: dict[str, float] = {}


def _tell_refused(request: Request, subject: Subject, login: LiveLogin, flaw: dpop.Flaw) -> None:
    """Put on record that the token may be in other hands, once a minute for a session (and each process)."""
    now = time.monotonic()
    if now - _told.get(login.id, -TELL_EVERY) < TELL_EVERY:
        return
    for ident in [ident for ident, then in list(_told.items()) if now - then >= TELL_EVERY]:
        _told.pop(ident, None)
    _told[login.id] = now
    origin = Origin(address=request.address, request_id=request.request_id)
    refused = LoginSessionProofRefused(
        id=login.id, label=subject.name, user_id=subject.id, user_name=subject.name, why=str(flaw)
    )
    with transaction.atomic():
        record(origin, refused)


def _origin(request: Request, subject: Subject, login: LiveLogin) -> Origin:
    return Origin(subject.kind, subject.id, subject.name, request.address, request.request_id, login.id)
